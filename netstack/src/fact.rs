//! Facts about the network for a person at the console; the caller prints them.

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

/// Where an address came from; displayed as on the console.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AddressSource {
    /// A DHCP server leased it.
    Dhcp,
    /// We took it ourselves (RFC 3927, RFC 4862).
    LinkLocal,
    /// We made it for a network that a router announces (RFC 4862).
    Slaac,
    /// The configuration names it.
    Static,
}

impl fmt::Display for AddressSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            AddressSource::Dhcp => "dhcp",
            AddressSource::LinkLocal => "linklocal",
            AddressSource::Slaac => "slaac",
            AddressSource::Static => "static",
        })
    }
}

/// An Ethernet address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mac(pub [u8; 6]);

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

/// Something changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NetworkFact {
    /// A cable with something at its other end.
    LinkUp {
        /// `eth0`.
        interface: String,
        /// Its hardware address.
        mac: Mac,
    },
    /// The cable was pulled, or the other end went silent.
    LinkDown {
        /// `eth0`.
        interface: String,
    },
    /// The interface left the machine.
    Gone {
        /// `eth0`.
        interface: String,
    },
    /// The interface cannot be used.
    Unusable {
        /// `eth0`.
        interface: String,
        /// The kernel's error.
        reason: String,
    },
    /// The interface can be reached under this address.
    AddressConfigured {
        /// `eth0`.
        interface: String,
        /// Its hardware address.
        mac: Mac,
        /// The address.
        address: IpAddr,
        /// Length of the network's prefix.
        prefix_len: u8,
        /// The way to other networks.
        gateway: Option<IpAddr>,
        /// Where it came from.
        source: AddressSource,
        /// For how long a DHCP server has leased it; it is renewed long before that.
        lease: Option<Duration>,
    },
    /// The interface can no longer be reached under this address.
    AddressLost {
        /// `eth0`.
        interface: String,
        /// The address.
        address: IpAddr,
    },
    /// Another machine has the address, so we go without it.
    AddressTaken {
        /// `eth0`.
        interface: String,
        /// The address.
        address: IpAddr,
        /// The other machine's hardware address.
        by: Mac,
        /// So many others were not told since the last that was.
        unshown: u32,
    },
    /// Another machine uses the address as well, and we keep it.
    AddressShared {
        /// `eth0`.
        interface: String,
        /// The address.
        address: IpAddr,
        /// The other machine's hardware address.
        by: Mac,
        /// So many others were not told since the last that was.
        unshown: u32,
    },
    /// The interface has a link, but the configuration names another one.
    NotMeant {
        /// `eth0`.
        interface: String,
        /// Its hardware address.
        mac: Mac,
    },
    /// The interface takes no packets as large as the configuration wants.
    MtuRefused {
        /// `eth0`.
        interface: String,
        /// The MTU of the configuration.
        wanted: u16,
        /// The MTU that the interface keeps.
        kept: usize,
    },
}

/// Takes facts while they happen; must return at once.
pub type Observer = Box<dyn FnMut(NetworkFact) + Send>;
