//! Where a datagram came from: an address, and for one that counts on its link only the interface
//! it was heard on.
//!
//! In: what the kernel says, or what a person types (`fe80::1%eth0`). Out: where to connect to, and
//! the same text again.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV6};
use std::os::fd::OwnedFd;
use std::str::FromStr;

use rustix::net::{AddressFamily, SocketFlags, SocketType, netdevice, socket_with};
use thiserror::Error;

/// IPv4 sorts before IPv6.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs)] // the fields name themselves
pub struct PeerAddress {
    pub ip: IpAddr,
    /// The kernel's number of the interface where `ip` is link-local IPv6 (RFC 4007 11), 0
    /// otherwise.
    scope: u32,
}

impl PeerAddress {
    /// Where to connect to.
    #[must_use]
    pub fn at(self, port: u16) -> SocketAddr {
        match self.ip {
            IpAddr::V4(ip) => (ip, port).into(),
            IpAddr::V6(ip) => SocketAddrV6::new(ip, port, 0, self.scope).into(),
        }
    }
}

impl From<SocketAddr> for PeerAddress {
    fn from(address: SocketAddr) -> Self {
        let scope = match address {
            SocketAddr::V6(address) if address.ip().is_unicast_link_local() => address.scope_id(),
            _ => 0,
        };
        let ip = address.ip();
        Self { ip, scope }
    }
}

impl From<Ipv4Addr> for PeerAddress {
    fn from(ip: Ipv4Addr) -> Self {
        let (ip, scope) = (ip.into(), 0);
        Self { ip, scope }
    }
}

impl fmt::Display for PeerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.ip)?;
        match self.scope {
            0 => Ok(()),
            scope => match name_of(scope) {
                Some(name) => write!(f, "%{name}"),
                // It has gone since.
                None => write!(f, "%{scope}"),
            },
        }
    }
}

/// No such address, or no such interface.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("reading an address")]
pub struct PeerAddressError;

impl FromStr for PeerAddress {
    type Err = PeerAddressError;

    fn from_str(text: &str) -> Result<Self, PeerAddressError> {
        let (ip, zone) = match text.split_once('%') {
            Some((ip, zone)) => (ip, Some(zone)),
            None => (text, None),
        };
        let ip: IpAddr = ip.parse().map_err(|_| PeerAddressError)?;
        let is_scoped = matches!(ip, IpAddr::V6(ip) if ip.is_unicast_link_local());
        let scope = match zone {
            None => 0,
            Some(_) if !is_scoped => return Err(PeerAddressError),
            Some(zone) => zone
                .parse()
                .ok()
                .or_else(|| number_of(zone))
                .ok_or(PeerAddressError)?,
        };
        Ok(Self { ip, scope })
    }
}

/// Reads `ADDR`, `ADDR:PORT` and `[ADDR]:PORT`.
///
/// # Errors
/// It has none of these forms.
pub fn socket_address(text: &str, default_port: u16) -> Result<SocketAddr, PeerAddressError> {
    if let Ok(origin) = text.parse::<PeerAddress>() {
        return Ok(origin.at(default_port));
    }
    let (address, port) = text.rsplit_once(':').ok_or(PeerAddressError)?;
    let port = port.parse().map_err(|_| PeerAddressError)?;
    let inner = address
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'));
    let origin: PeerAddress = inner.unwrap_or(address).parse()?;
    // Without brackets the last part of an IPv6 address would be taken for a port.
    if origin.ip.is_ipv4() == inner.is_some() {
        return Err(PeerAddressError);
    }
    Ok(origin.at(port))
}

/// Any socket can be asked about interfaces (`netdevice(7)`).
fn any_socket() -> Option<OwnedFd> {
    socket_with(
        AddressFamily::UNIX,
        SocketType::DGRAM,
        SocketFlags::CLOEXEC,
        None,
    )
    .ok()
}

fn name_of(scope: u32) -> Option<String> {
    netdevice::index_to_name(any_socket()?, scope).ok()
}

fn number_of(name: &str) -> Option<u32> {
    netdevice::name_to_index(any_socket()?, name).ok()
}

#[cfg(test)]
mod tests {
    use super::{PeerAddress, socket_address};

    #[test]
    fn an_address_of_a_link_keeps_its_interface_and_no_other_does() {
        let local: PeerAddress = "fe80::1%lo".parse().unwrap();
        assert_eq!(local.to_string(), "fe80::1%lo");
        assert_eq!(local.at(9192).to_string(), "[fe80::1%1]:9192");
        assert_eq!(PeerAddress::from(local.at(7)), local);
        let gone: PeerAddress = "fe80::1%4000000000".parse().unwrap();
        assert_eq!(gone.to_string(), "fe80::1%4000000000");
        assert_eq!(
            PeerAddress::from("[fd00::1%7]:80".parse::<std::net::SocketAddr>().unwrap())
                .to_string(),
            "fd00::1"
        );
        for text in [
            "fd00::1%lo",
            "10.0.0.1%lo",
            "fe80::1%nosuchif0",
            "fe80::1%",
            "%lo",
            "",
            "here",
        ] {
            assert!(text.parse::<PeerAddress>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_port_is_distinguished_from_an_address() {
        let cases = [
            ("10.9.0.15", "10.9.0.15:9192"),
            ("10.9.0.15:80", "10.9.0.15:80"),
            ("fd00::15", "[fd00::15]:9192"),
            ("fd00::15:80", "[fd00::15:80]:9192"),
            ("[fd00::15]:80", "[fd00::15]:80"),
            ("fe80::15%lo", "[fe80::15%1]:9192"),
            ("[fe80::15%lo]:80", "[fe80::15%1]:80"),
            ("[fe80::15%1]:80", "[fe80::15%1]:80"),
        ];
        for (text, address) in cases {
            assert_eq!(socket_address(text, 9192).unwrap().to_string(), address);
        }
        for text in [
            "[fd00::15]",
            "[10.0.0.1]:80",
            "fd00::15%lo",
            "10.0.0.1:",
            "10.0.0.1:99999",
            "[fe80::15]%lo:80",
            ":80",
        ] {
            assert!(socket_address(text, 9192).is_err(), "{text}");
        }
    }

    #[test]
    fn what_is_heard_over_ipv4_comes_first() {
        let mut origins: Vec<PeerAddress> = ["fe80::1%lo", "10.0.0.2", "fd00::1", "10.0.0.1"]
            .iter()
            .map(|text| text.parse().unwrap())
            .collect();
        origins.sort();
        let sorted: Vec<String> = origins.iter().map(ToString::to_string).collect();
        assert_eq!(sorted, ["10.0.0.1", "10.0.0.2", "fd00::1", "fe80::1%lo"]);
    }
}
