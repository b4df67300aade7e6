//! The shim's own network: frames in, one ordered byte stream out.
//!
//! In: Ethernet interfaces of a kernel that has no IP address. Out: a [`Station`] with addresses on each of them (IPv4 by DHCP,
//! IPv6 as routers announce it, link-local ones, static ones), which announces a code and accepts one donor at a time as a [`Stream`]. TCP/IP is smoltcp's, over packet sockets of
//! our own; frames as large as GRO delivers are received, and nothing larger than the MTU is sent.
//!
//! Nothing a peer sends is trusted here, and nothing it sends is kept but bytes in bounded buffers.

mod address;
mod arp;
mod claim;
mod config;
mod decline;
mod desk;
mod device;
mod engine;
mod fact;
mod ip6;
mod linklocal;
mod listener;
mod ndp;
mod nic;
mod packet_ports;
mod ports;
#[cfg(any(test, feature = "sim"))]
pub mod sim;
mod station;
mod stream;
mod tap;

pub use config::{Addressing, Config, Fixed, Port};
pub use device::{PacketDevice, PacketRx, PacketTx};
pub use fact::{AddressSource, Mac, NetworkFact, Observer};
pub use packet_ports::PacketPorts;
pub use ports::{PortChange, Ports, Wait};
pub use station::{NetstackError, Station};
pub use stream::{Interrupter, STALL, Stream, StreamWriter, WRITE_PATIENCE};
