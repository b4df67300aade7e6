//! The one interface on which machines are answered: its network, our address in it, and which
//! addresses are given out.
//!
//! In: its name, and an address where it has none. Out: numbers; an address that was set here is
//! taken away again.

use std::fmt;
use std::io;
use std::net::{Ipv4Addr, UdpSocket};
use std::process::{Command, Stdio};
use std::str::FromStr;
use std::time::Duration;

use rustix::event::PollFlags;
use socket2::SockRef;
use sys::netdev::{Link, LinkChange, LinkMonitor};
use sys::poll::wait_for;
use sys::routes;
use thiserror::Error;

/// The kernel answers at once.
const ANSWER: Duration = Duration::from_secs(1);
/// As many addresses as are given out at most.
const RANGE_MAX: u32 = 100;

/// An address and the length of its network's prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subnet {
    /// Ours.
    pub address: Ipv4Addr,
    /// 8 to 30.
    pub prefix_len: u8,
}

impl Subnet {
    fn mask(self) -> u32 {
        u32::MAX
            .checked_shl(32 - u32::from(self.prefix_len))
            .unwrap_or(0)
    }

    /// Whether our address is one that a machine can have.
    fn is_host(self) -> bool {
        let host = u32::from(self.address) & !self.mask();
        host != 0 && host != !self.mask()
    }

    /// The network's own address.
    #[must_use]
    pub fn network(self) -> Ipv4Addr {
        Ipv4Addr::from(u32::from(self.address) & self.mask())
    }

    /// The network's mask.
    #[must_use]
    pub fn netmask(self) -> Ipv4Addr {
        Ipv4Addr::from(self.mask())
    }

    /// Whether machines could have these addresses: in the network, in order, and neither ours nor
    /// one of the two that mean the network itself.
    #[must_use]
    pub fn can_give(self, (first, last): (Ipv4Addr, Ipv4Addr)) -> bool {
        let lowest = u32::from(self.network()) + 1;
        let highest = (u32::from(self.network()) | !self.mask()) - 1;
        let (first, last, own) = (u32::from(first), u32::from(last), u32::from(self.address));
        lowest <= first && first <= last && last <= highest && !(first..=last).contains(&own)
    }

    /// The addresses to give out when nobody has said which: the end of the longer of the two runs
    /// beside our own.
    #[must_use]
    pub fn range(self) -> (Ipv4Addr, Ipv4Addr) {
        let network = u32::from(self.network());
        let own = u32::from(self.address);
        let (lowest, highest) = (network + 1, (network | !self.mask()) - 1);
        let (first, last) = if own - lowest > highest - own {
            (lowest, own - 1)
        } else {
            (own + 1, highest)
        };
        let first = first.max((last + 1).saturating_sub(RANGE_MAX));
        (Ipv4Addr::from(first), Ipv4Addr::from(last))
    }
}

impl fmt::Display for Subnet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix_len)
    }
}

impl FromStr for Subnet {
    type Err = ();

    /// `ADDR/PREFIX`, of a network with room for us and somebody else.
    fn from_str(text: &str) -> Result<Self, ()> {
        let (address, prefix_len) = text.split_once('/').ok_or(())?;
        let subnet = Self {
            address: address.parse().map_err(drop)?,
            prefix_len: prefix_len.parse().map_err(drop)?,
        };
        // `parse` would take a plus sign.
        let is_plain = prefix_len.bytes().all(|byte| byte.is_ascii_digit());
        let fits = (8..=30).contains(&subnet.prefix_len) && subnet.is_host();
        (is_plain && fits).then_some(subnet).ok_or(())
    }
}

/// Why there is no such interface for us.
#[derive(Debug, Error)]
#[allow(missing_docs)] // the fields name themselves
pub enum InterfaceError {
    /// No name, or a name that nothing has.
    #[error("no interface {name:?}; this machine has {there}")]
    Unknown {
        /// As typed.
        name: String,
        /// Those there are.
        there: String,
    },
    /// A name that a configuration file could read as something else.
    #[error(
        "the interface {name:?} has a name with more than letters, digits and \"._-\" in it; rename it (ip link set … name …)"
    )]
    Odd { name: String },
    /// It leads nowhere.
    #[error("{name} is this machine's own loop: nobody else is there to boot")]
    Loop { name: String },
    /// Nobody could reach us there.
    #[error(
        "{name} has no IPv4 address; with --address 192.168.77.1/24 it gets that one for as long as this runs"
    )]
    NoAddress { name: String },
    /// It has one already.
    #[error("{name} has the address {has} already; leave --address out")]
    HasAddress {
        name: String,
        /// That address.
        has: Subnet,
    },
    /// The kernel does not tell.
    #[error("asking for the addresses of {name}")]
    Ask {
        name: String,
        /// The kernel's reason.
        source: io::Error,
    },
    /// `ip` did not do it.
    #[error("running ip {words}{}", said.as_deref().map_or_else(String::new, |text| format!(": {text}")))]
    Ip {
        /// Its arguments.
        words: String,
        /// The reason that it gave.
        said: Option<String>,
        /// Why it did not run.
        source: Option<io::Error>,
    },
}

/// An interface with an address.
#[derive(Debug)]
#[allow(missing_docs)] // the fields name themselves
pub struct Interface {
    pub name: String,
    /// Our address there, and the network.
    pub subnet: Subnet,
    /// Its hardware address.
    pub mac: [u8; 6],
    /// The address that we have added.
    added: Option<Added>,
}

#[derive(Clone, Copy, Debug)]
struct Added {
    was_up: bool,
}

impl Interface {
    /// Looks the interface up; with `address`, that one is set for as long as the value lives.
    ///
    /// # Errors
    /// See [`InterfaceError`].
    pub fn open(name: &str, address: Option<Subnet>) -> Result<Self, InterfaceError> {
        let asked = |source| InterfaceError::Ask {
            name: name.to_owned(),
            source,
        };
        let links = links().map_err(asked)?;
        let Some(link) = links.iter().find(|link| link.name == name) else {
            return Err(InterfaceError::Unknown {
                name: name.to_owned(),
                there: others(&links),
            });
        };
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        if !name.bytes().all(is_plain) {
            return Err(InterfaceError::Odd {
                name: name.to_owned(),
            });
        }
        let (mac, was_up) = (link.mac, link.is_up);
        if name == "lo" {
            return Err(InterfaceError::Loop {
                name: name.to_owned(),
            });
        }
        let has = subnet(name).map_err(asked)?;
        let (subnet, added) = match (has, address) {
            (Some(has), None) => (has, None),
            (Some(has), Some(wanted)) if has == wanted => (has, None),
            (Some(has), Some(_)) => {
                return Err(InterfaceError::HasAddress {
                    name: name.to_owned(),
                    has,
                });
            }
            (None, None) => {
                return Err(InterfaceError::NoAddress {
                    name: name.to_owned(),
                });
            }
            (None, Some(wanted)) => {
                ip(&format!("addr add {wanted} broadcast + dev {name}"))?;
                (wanted, Some(Added { was_up }))
            }
        };
        // From here on dropping it takes the address away.
        let interface = Self {
            name: name.to_owned(),
            subnet,
            mac,
            added,
        };
        if !was_up && interface.added.is_some() {
            ip(&format!("link set {name} up"))?;
        }
        Ok(interface)
    }

    /// Whether a cable is in, as far as the driver knows.
    #[must_use]
    pub fn has_carrier(&self) -> bool {
        let links = links().unwrap_or_default();
        links
            .iter()
            .any(|link| link.name == self.name && link.has_carrier)
    }
}

impl Drop for Interface {
    fn drop(&mut self) {
        let Some(added) = self.added else { return };
        let Self { name, subnet, .. } = self;
        // An interface that is gone has no address either.
        let _ = ip(&format!("addr del {subnet} dev {name}"));
        if !added.was_up {
            let _ = ip(&format!("link set {name} down"));
        }
    }
}

/// The first network this interface is on, and our address there.
fn subnet(name: &str) -> io::Result<Option<Subnet>> {
    let Some(network) = routes::of(name)? else {
        return Ok(None);
    };
    // Connecting a datagram socket sends nothing; it tells which address the kernel would send
    // from.
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
    SockRef::from(&socket).bind_device(Some(name.as_bytes()))?;
    socket.set_broadcast(true)?;
    socket.connect((network.broadcast, 9))?;
    Ok(match socket.local_addr()?.ip() {
        std::net::IpAddr::V4(address) => Some(Subnet {
            address,
            prefix_len: network.prefix_len,
        }),
        std::net::IpAddr::V6(_) => None,
    })
}

/// The interfaces there are. Not from sysfs, which tells of the network namespace it was mounted
/// in.
fn links() -> io::Result<Vec<Link>> {
    let mut monitor = LinkMonitor::open()?;
    wait_for(&monitor, PollFlags::IN, ANSWER)?;
    let mut links = Vec::new();
    while let Some(change) = monitor.next_change()? {
        if let LinkChange::State(link) = change {
            links.push(link);
        }
    }
    Ok(links)
}

/// Their names, less the loop's.
fn others(links: &[Link]) -> String {
    let names = links.iter().map(|link| link.name.as_str());
    let names: Vec<&str> = names.filter(|name| *name != "lo").collect();
    match names.is_empty() {
        true => "none".to_owned(),
        false => names.join(", "),
    }
}

fn ip(words: &str) -> Result<(), InterfaceError> {
    let failed = |said, source| InterfaceError::Ip {
        words: words.to_owned(),
        said,
        source,
    };
    let output = Command::new("ip")
        .args(words.split(' '))
        .stdin(Stdio::null())
        .output()
        .map_err(|error| failed(None, Some(error)))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(failed(Some(said), None))
}

#[cfg(test)]
mod tests {
    use super::{Interface, InterfaceError, Subnet};
    use std::net::Ipv4Addr;

    fn subnet(text: &str) -> Subnet {
        text.parse().unwrap()
    }

    #[test]
    fn addresses_that_a_machine_cannot_have_are_refused() {
        for bad in [
            "",
            "10.9.0.1",
            "10.9.0.1/",
            "10.9.0.1/7",
            "10.9.0.1/31",
            "10.9.0.1/+24",
            "10.9.0.0/24",
            "10.9.0.255/24",
            "10.9.0/24",
            "10.9.0.1/24/1",
            "::1/24",
        ] {
            assert_eq!(bad.parse::<Subnet>(), Err(()), "{bad}");
        }
        assert_eq!(subnet("10.9.0.1/24").to_string(), "10.9.0.1/24");
        assert_eq!(subnet("10.9.7.1/16").network(), Ipv4Addr::new(10, 9, 0, 0));
        assert_eq!(
            subnet("10.9.7.1/22").netmask(),
            Ipv4Addr::new(255, 255, 252, 0)
        );
    }

    #[test]
    fn the_longer_run_beside_us_is_given_out() {
        for (own, first, last) in [
            ("10.9.0.1/24", "10.9.0.155", "10.9.0.254"),
            ("10.9.0.254/24", "10.9.0.154", "10.9.0.253"),
            ("10.9.0.100/24", "10.9.0.155", "10.9.0.254"),
            ("192.168.77.1/30", "192.168.77.2", "192.168.77.2"),
            ("192.168.77.2/30", "192.168.77.1", "192.168.77.1"),
            ("10.0.0.1/8", "10.255.255.155", "10.255.255.254"),
            ("10.9.0.3/29", "10.9.0.4", "10.9.0.6"),
        ] {
            let range = (first.parse().unwrap(), last.parse().unwrap());
            assert_eq!(subnet(own).range(), range, "{own}");
            assert!(subnet(own).can_give(range), "{own}");
        }
    }

    #[test]
    fn a_range_with_us_in_it_or_outside_the_network_cannot_be_given() {
        let own = subnet("10.9.0.10/24");
        let can_give =
            |first: &str, last: &str| own.can_give((first.parse().unwrap(), last.parse().unwrap()));
        assert!(can_give("10.9.0.1", "10.9.0.9"));
        assert!(can_give("10.9.0.11", "10.9.0.254"));
        for (first, last) in [
            ("10.9.0.1", "10.9.0.10"),
            ("10.9.0.0", "10.9.0.5"),
            ("10.9.0.20", "10.9.0.255"),
            ("10.9.0.20", "10.9.0.19"),
            ("10.9.1.20", "10.9.1.21"),
            ("10.8.255.20", "10.9.0.5"),
        ] {
            assert!(!can_give(first, last), "{first} {last}");
        }
    }

    #[test]
    fn names_that_nothing_has_are_refused_with_those_there_are() {
        for bad in [
            "",
            ".",
            "..",
            "../net",
            "no-such",
            "a-name-that-is-too-long",
        ] {
            let error = Interface::open(bad, None).unwrap_err();
            assert!(
                matches!(error, InterfaceError::Unknown { .. }),
                "{bad}: {error}"
            );
        }
        let error = Interface::open("lo", None).unwrap_err();
        assert!(matches!(error, InterfaceError::Loop { .. }), "{error}");
    }
}
