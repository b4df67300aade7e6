//! The shim's own network: frames in, one ordered byte stream out.
//!
//! In: Ethernet interfaces of a kernel that has no IP address. Out: a [`Station`] with an address on each of them (DHCP, link-local
//! or static), which announces a code and accepts one donor at a time as a [`Stream`]. TCP/IP is smoltcp's, over packet sockets
//! of our own; frames as large as GRO delivers are received, and nothing larger than the MTU is sent.
//!
//! Nothing a peer sends is trusted here, and nothing it sends is kept but bytes in bounded buffers.

mod address;
mod arp;
mod config;
mod desk;
mod device;
mod engine;
mod fact;
mod linklocal;
mod listener;
mod nic;
mod packet_ports;
mod ports;
#[cfg(any(test, feature = "sim"))]
pub mod sim;
mod station;
mod stream;

pub use config::{Addressing, Config, Port, StaticAddress};
pub use device::{PacketDevice, PacketRx, PacketTx};
pub use fact::{AddressSource, Mac, NetworkFact, Observer};
pub use packet_ports::PacketPorts;
pub use ports::{PortChange, Ports, Wait};
pub use station::{NetstackError, Station};
pub use stream::{STALL, Stream, StreamWriter, WRITE_PATIENCE};
