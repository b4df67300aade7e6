//! The seams to the world: time and sleep together ([`Wait`]), and Ethernet ports that come and go ([`Ports`]).
//!
//! In production [`crate::packet_ports`] stands behind them, in host tests a simulated link with virtual time; the frames
//! themselves pass through smoltcp's own `Device`.

use std::net::Ipv6Addr;

use smoltcp::phy::Device;
use smoltcp::time::Instant;

/// Time and sleep.
pub trait Wait {
    /// Monotonic; the origin means nothing.
    fn now(&self) -> Instant;

    /// Returns when a frame or a change of a port may be there, at the latest at `until`, or earlier for no reason.
    fn wait(&self, until: Option<Instant>);

    /// Makes a `wait` in another thread return.
    fn wake(&self);
}

/// The machine's Ethernet ports.
pub trait Ports: Wait + Send + Sync + 'static {
    /// One port.
    type Device: Device + Send;

    /// Hardware that filters lets frames through in which this address is asked for, beside those for others.
    fn listen_for(&self, own: Ipv6Addr);

    /// What changed since the last call, without waiting.
    fn changes(&self) -> Vec<PortChange<Self::Device>>;
}

/// What happened to a port. The interface's number names it for as long as the machine runs.
#[derive(Debug)]
pub enum PortChange<D> {
    /// A port can be used from now on; it has a link.
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
    /// The link of a port that appeared came or went.
    Link {
        /// The kernel's number for the interface.
        index: u32,
        /// It is there.
        is_up: bool,
    },
    /// The port is gone.
    Gone {
        /// The kernel's number for the interface.
        index: u32,
    },
    /// The port has a link but cannot be used.
    Unusable {
        /// `eth0`.
        name: String,
        /// Why.
        reason: String,
    },
}
