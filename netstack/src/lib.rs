//! The shim's own network: frames in, one ordered byte stream out.
//!
//! In: the Ethernet interfaces of a kernel that has no IP address. Out: a [`Stack`] with addresses
//! on each of them, which announces a code and accepts donors, each as a [`Stream`]. TCP/IP is
//! smoltcp's, over packet sockets of this crate's own. Frames as large as GRO delivers are
//! received; nothing larger than the MTU is sent. Nothing that a peer sends is trusted here, and
//! nothing of it is kept but bytes in bounded buffers.
//!
//! The way of a frame, module by module:
//!
//! 1. `packet_interfaces` finds and watches the interfaces over rtnetlink and gives each one with a
//!    link a packet socket. [`Interfaces`] and [`Wait`] (`interfaces`) are its seam: in host tests
//!    `sim` stands behind them, a seeded link in virtual time.
//! 2. `device` is that socket as smoltcp's `Device`: checksums, VLAN tags, counts.
//! 3. `snoop` keeps a copy of ARP and neighbour discovery (`arp` and `ndp` parse them) and hides
//!    from smoltcp the IPv6 frames that it does not need.
//! 4. `nic` is one interface: its smoltcp interface and sockets, and its addresses. For IPv4 those
//!    come from `address` (DHCP; `acd` detects conflicts, `linklocal` replaces a server that does
//!    not answer, `decline` returns an address that is in use), for IPv6 from `ip6`. Its beacon
//!    announces the code; its `listener` holds connections until they have delivered their opening.
//! 5. `engine` is all interfaces together, and the guests: the connections that were handed over.
//! 6. `driver` decides which thread drives the engine: a caller while it waits, else a background
//!    poller.
//! 7. `stack` and `stream` are what callers see; `fact` is what they learn about the network, and
//!    `config` what they decide.

mod interfaces;
mod packet_interfaces;

mod device;
mod snoop;

mod arp;
mod ndp;

mod acd;
mod address;
mod decline;
mod ip6;
mod linklocal;
mod listener;
mod nic;

mod driver;
mod engine;
mod stack;
mod stream;

mod config;
mod fact;

#[cfg(any(test, feature = "sim"))]
pub mod sim;

pub use config::{Addressing, Config, Fixed, InterfaceFilter};
pub use device::{PacketDevice, PacketRx, PacketTx};
pub use fact::{AddressSource, Mac, NetworkFact, Observer};
pub use interfaces::{InterfaceChange, Interfaces, Wait};
pub use packet_interfaces::PacketInterfaces;
pub use stack::{NetstackError, Stack};
pub use stream::{Interrupter, STALL, Stream, StreamWriter, WRITE_PATIENCE};
