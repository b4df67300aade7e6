//! The shim's own network: frames in, one ordered byte stream out.
//!
//! In: Ethernet interfaces of a kernel that has no IP address. Out: a [`Stack`] with addresses on each of them (IPv4 by DHCP,
//! IPv6 as routers announce it, link-local ones, static ones), which announces a code and accepts one donor at a time as a [`Stream`]. TCP/IP is smoltcp's, over packet sockets of
//! our own; frames as large as GRO delivers are received, and nothing larger than the MTU is sent.
//!
//! Nothing a peer sends is trusted here, and nothing it sends is kept but bytes in bounded buffers.

mod acd;
mod address;
mod arp;
mod config;
mod decline;
mod device;
mod driver;
mod engine;
mod fact;
mod interfaces;
mod ip6;
mod linklocal;
mod listener;
mod ndp;
mod nic;
mod packet_interfaces;
#[cfg(any(test, feature = "sim"))]
pub mod sim;
mod snoop;
mod stack;
mod stream;

pub use config::{Addressing, Config, Fixed, InterfaceFilter};
pub use device::{PacketDevice, PacketRx, PacketTx};
pub use fact::{AddressSource, Mac, NetworkFact, Observer};
pub use interfaces::{InterfaceChange, Interfaces, Wait};
pub use packet_interfaces::PacketInterfaces;
pub use stack::{NetstackError, Stack};
pub use stream::{Interrupter, STALL, Stream, StreamWriter, WRITE_PATIENCE};
