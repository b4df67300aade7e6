//! The seams to the world: time and sleep together ([`Wait`]), and Ethernet interfaces that come
//! and go ([`Interfaces`]).
//!
//! In production [`crate::packet_interfaces`] stands behind them, in host tests a simulated link
//! with virtual time; the frames themselves pass through smoltcp's own `Device`.

use std::net::Ipv6Addr;

use smoltcp::phy::Device;
use smoltcp::time::Instant;

/// Time and sleep.
pub trait Wait {
    /// Monotonic; the origin means nothing.
    fn now(&self) -> Instant;

    /// Sleeps until a frame or a change of an interface may be there, at the latest until `until`.
    /// May return early for no reason.
    fn wait(&self, until: Option<Instant>);

    /// Makes a `wait` in another thread return.
    fn wake(&self);
}

/// The machine's Ethernet interfaces.
pub trait Interfaces: Wait + Send + Sync + 'static {
    /// One interface.
    type Device: Device + Send;

    /// Makes hardware that filters multicast also receive the neighbour solicitations for this
    /// address.
    fn listen_for(&self, own: Ipv6Addr);

    /// The changes since the last call, without waiting.
    fn changes(&self) -> Vec<InterfaceChange<Self::Device>>;
}

/// A change of an interface. The interface's number names it for as long as the machine runs.
#[derive(Debug)]
pub enum InterfaceChange<D> {
    /// An interface can be used from now on; it has a link.
    Appeared {
        /// The kernel's number for the interface.
        index: u32,
        /// `eth0`.
        name: String,
        /// A unicast address.
        mac: [u8; 6],
        /// Its frames.
        device: D,
    },
    /// The link of an interface that appeared came or went.
    Link {
        /// The kernel's number for the interface.
        index: u32,
        /// It is there.
        is_up: bool,
    },
    /// The interface is gone.
    Gone {
        /// The kernel's number for the interface.
        index: u32,
    },
    /// The interface has a link but cannot be used.
    Unusable {
        /// `eth0`.
        name: String,
        /// The error of the kernel, as text.
        reason: String,
    },
}
