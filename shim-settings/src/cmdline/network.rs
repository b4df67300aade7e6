//! The values of `smv.ip`, `smv.vlan` and `smv.mtu` (`boot.md` 2.1).
//!
//! Text in, the configuration of `netstack` out, or what was expected.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use netstack::{Addressing, Fixed, InterfaceFilter};

/// The smallest IPv4 packet that everybody takes (RFC 791 3.2), and the largest that real Ethernet
/// knows.
const MTU: std::ops::RangeInclusive<u16> = 576..=9216;
/// The smallest link that IPv6 runs over (RFC 8200 5).
pub(super) const IPV6_MTU: u16 = 1280;
/// 802.1Q: 0 is no network, 4095 is reserved.
const VLAN: std::ops::RangeInclusive<u16> = 1..=4094;

pub(super) const VLAN_EXPECTED: &str = "a VLAN identifier from 1 to 4094";
pub(super) const MTU_EXPECTED: &str = "a number of bytes from 576 to 9216";
pub(super) const IPV6_MTU_EXPECTED: &str = "at least 1280 beside an IPv6 address";
const IP: &str = "dhcp, or ADDR/PREFIX of IPv4, IPv6 or one of each; then gw=ADDR for each, and \
                  if=NAME or mac=XX:XX:XX:XX:XX:XX; all separated by commas";
const HOST: &str = "an address that a machine can have: not that of a network, a group, \
                    a broadcast or this machine";
const GATEWAY: &str = "a gateway (gw=) in the network of an address before it, or link-local for \
                       IPv6; not the machine's own";

pub(super) fn vlan(value: &str) -> Option<u16> {
    decimal(value).filter(|vlan| VLAN.contains(vlan))
}

pub(super) fn mtu(value: &str) -> Option<u16> {
    decimal(value).filter(|mtu| MTU.contains(mtu))
}

/// # Errors
/// The expected form.
pub(super) fn ip(value: &str) -> Result<Addressing, &'static str> {
    let mut ip = Addressing::default();
    let mut is_dhcp = false;
    let mut nic = None;
    for part in value.split(',') {
        match part.split_once('=') {
            None if part == "dhcp" && !is_dhcp => is_dhcp = true,
            None => address(part, &mut ip)?,
            Some(("gw", value)) => gateway(value, &mut ip)?,
            Some(("if", value)) if nic.is_none() => {
                nic = Some(InterfaceFilter::Name(interface_name(value).ok_or(IP)?));
            }
            Some(("mac", value)) if nic.is_none() => {
                nic = Some(InterfaceFilter::Mac(mac(value).ok_or(IP)?))
            }
            Some(_) => return Err(IP),
        }
    }
    let is_static = ip.ipv4.is_some() || ip.ipv6.is_some();
    if !is_dhcp && !is_static || is_dhcp && ip.ipv4.is_some() {
        return Err(IP);
    }
    // An address belongs to one interface.
    ip.on = nic.unwrap_or(if is_static {
        InterfaceFilter::First
    } else {
        InterfaceFilter::Every
    });
    Ok(ip)
}

fn address(part: &str, ip: &mut Addressing) -> Result<(), &'static str> {
    let (address, prefix_len) = part.split_once('/').ok_or(IP)?;
    let prefix_len: u8 = decimal(prefix_len).ok_or(IP)?;
    match address.parse().map_err(|_| IP)? {
        IpAddr::V4(address) if ip.ipv4.is_none() && (1..=32).contains(&prefix_len) => {
            if !is_host4(address) || is_reserved(address, prefix_len) {
                return Err(HOST);
            }
            ip.ipv4 = Some(fixed(address, prefix_len));
        }
        IpAddr::V6(address) if ip.ipv6.is_none() && (1..=128).contains(&prefix_len) => {
            if !is_host6(address) {
                return Err(HOST);
            }
            ip.ipv6 = Some(fixed(address, prefix_len));
        }
        _ => return Err(IP),
    }
    Ok(())
}

const fn fixed<A>(address: A, prefix_len: u8) -> Fixed<A> {
    Fixed {
        address,
        prefix_len,
        gateway: None,
    }
}

fn gateway(value: &str, ip: &mut Addressing) -> Result<(), &'static str> {
    match (value.parse().map_err(|_| IP)?, &mut ip.ipv4, &mut ip.ipv6) {
        (IpAddr::V4(gateway), Some(own), _) if own.gateway.is_none() => {
            let len = own.prefix_len;
            let is_near = bits4(gateway, len) == bits4(own.address, len);
            let is_usable = is_host4(gateway) && !is_reserved(gateway, len);
            if !is_near || !is_usable || gateway == own.address {
                return Err(GATEWAY);
            }
            own.gateway = Some(gateway);
        }
        (IpAddr::V6(gateway), _, Some(own)) if own.gateway.is_none() => {
            let len = own.prefix_len;
            let is_near =
                bits6(gateway, len) == bits6(own.address, len) || gateway.is_unicast_link_local();
            if !is_near || !is_host6(gateway) || gateway == own.address {
                return Err(GATEWAY);
            }
            own.gateway = Some(gateway);
        }
        (_, None, None) => return Err(GATEWAY),
        _ => return Err(IP),
    }
    Ok(())
}

/// The network's part of an address.
fn bits4(address: Ipv4Addr, len: u8) -> u32 {
    let behind = 32_u32.saturating_sub(len.into());
    address.to_bits().checked_shr(behind).unwrap_or(0)
}

fn bits6(address: Ipv6Addr, len: u8) -> u128 {
    let behind = 128_u32.saturating_sub(len.into());
    address.to_bits().checked_shr(behind).unwrap_or(0)
}

/// An address a host can have (RFC 1122 3.2.1.3).
fn is_host4(address: Ipv4Addr) -> bool {
    let [first, ..] = address.octets();
    first != 0 && !address.is_loopback() && !address.is_multicast() && first < 240
}

/// The first and the last of a network name the network and everybody in it, but for the smallest
/// two (RFC 3021).
fn is_reserved(address: Ipv4Addr, len: u8) -> bool {
    let hosts = u32::MAX.checked_shr(len.into()).unwrap_or(0);
    let host = address.to_bits() & hosts;
    len < 31 && (host == 0 || host == hosts)
}

/// RFC 4291 2.5.2, 2.5.3, 2.5.5.2.
fn is_host6(address: Ipv6Addr) -> bool {
    !address.is_unspecified()
        && !address.is_loopback()
        && !address.is_multicast()
        && address.to_ipv4_mapped().is_none()
}

/// Digits only: `str::parse` would also take a plus sign.
fn decimal<N: std::str::FromStr>(value: &str) -> Option<N> {
    value
        .bytes()
        .all(|byte| byte.is_ascii_digit())
        .then(|| value.parse().ok())?
}

/// The kernel's rules (`dev_valid_name()` in `net/core/dev.c`): up to 15 bytes, no slash, colon or
/// white space.
fn interface_name(value: &str) -> Option<String> {
    let is_valid = (1..=15).contains(&value.len())
        && value
            .bytes()
            .all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'/' | b':'))
        && !matches!(value, "." | "..");
    is_valid.then(|| value.to_owned())
}

fn mac(value: &str) -> Option<[u8; 6]> {
    let mut mac = [0; 6];
    let mut parts = value.split(':');
    for byte in &mut mac {
        let part = parts
            .next()
            .filter(|part| part.len() == 2 && part.bytes().all(|char| char.is_ascii_hexdigit()))?;
        *byte = u8::from_str_radix(part, 16).ok()?;
    }
    parts.next().is_none().then_some(mac)
}

#[cfg(test)]
mod tests {
    use super::{GATEWAY, HOST, IP, ip};
    use netstack::{Addressing, Fixed, InterfaceFilter};

    fn read(value: &str) -> Addressing {
        ip(value).unwrap_or_else(|expected| panic!("{value}: expected {expected}"))
    }

    #[test]
    fn an_address_of_each_family_has_a_gateway_of_its_own() {
        let both = "10.9.0.5/24,2001:db8::5/64,gw=10.9.0.1,gw=fe80::1,if=eth1";
        let expected = Addressing {
            on: InterfaceFilter::Name("eth1".to_owned()),
            ipv4: Some(Fixed {
                address: [10, 9, 0, 5].into(),
                prefix_len: 24,
                gateway: Some([10, 9, 0, 1].into()),
            }),
            ipv6: Some(Fixed {
                address: "2001:db8::5".parse().unwrap(),
                prefix_len: 64,
                gateway: Some("fe80::1".parse().unwrap()),
            }),
        };
        assert_eq!(read(both), expected);
        let in_network = read("2001:db8::5/64,gw=2001:db8::1");
        assert!(in_network.ipv4.is_none());
        assert!(in_network.ipv6.is_some_and(|own| own.gateway.is_some()));
    }

    #[test]
    fn the_interface_is_every_one_the_first_one_or_the_named_one() {
        assert_eq!(read("dhcp"), Addressing::default());
        assert_eq!(
            read("dhcp,if=eth1").on,
            InterfaceFilter::Name("eth1".to_owned())
        );
        let by_mac = read("192.168.7.2/30,mac=52:54:00:aB:cd:0e");
        assert_eq!(
            by_mac.on,
            InterfaceFilter::Mac([0x52, 0x54, 0, 0xab, 0xcd, 0x0e])
        );
        assert_eq!(read("192.168.7.2/30").on, InterfaceFilter::First);
        assert_eq!(read("dhcp,fd00::2/64").on, InterfaceFilter::First);
        assert_eq!(read("10.0.0.0/31").ipv4.map(|own| own.prefix_len), Some(31));
    }

    #[test]
    fn impossible_values_are_refused_with_a_reason() {
        let cases = [
            ("", IP),
            ("10.0.0.1", IP),
            ("10.0.0.1/", IP),
            ("10.0.0.1/0", IP),
            ("10.0.0.1/33", IP),
            ("10.0.0.1/+8", IP),
            ("10.0.0.256/8", IP),
            ("10.0.0.1/8,", IP),
            ("10.0.0.1/8,10.0.0.2/8", IP),
            ("dhcp,10.0.0.1/8", IP),
            ("dhcp,dhcp", IP),
            ("if=eth0", IP),
            ("fd00::1", IP),
            ("fd00::1/0", IP),
            ("fd00::1/129", IP),
            ("fd00::1/64,fd00::2/64", IP),
            ("fe80::1%eth0/64", IP),
            ("10.0.0.1/8,dns=10.0.0.3", IP),
            ("10.0.0.1/8,if=a,mac=52:54:00:00:00:01", IP),
            ("0.0.0.0/8", HOST),
            ("127.0.0.1/8", HOST),
            ("224.0.0.1/8", HOST),
            ("255.255.255.255/8", HOST),
            ("10.9.0.0/24", HOST),
            ("10.9.0.255/24", HOST),
            ("::/64", HOST),
            ("::1/64", HOST),
            ("ff02::1/64", HOST),
            ("::ffff:10.0.0.1/96", HOST),
            ("dhcp,gw=10.0.0.1", GATEWAY),
            ("10.9.0.5/24,gw=10.9.1.1", GATEWAY),
            ("10.9.0.5/24,gw=10.9.0.5", GATEWAY),
            ("10.9.0.5/24,gw=10.9.0.255", GATEWAY),
            ("10.9.0.5/24,gw=10.9.0.1,gw=10.9.0.1", IP),
            ("10.9.0.5/24,gw=fe80::1", IP),
            ("fd00::5/64,gw=fd00:0:0:1::1", GATEWAY),
            ("fd00::5/64,gw=ff02::1", GATEWAY),
        ];
        for (value, expected) in cases {
            assert_eq!(ip(value), Err(expected), "{value:?}");
        }
    }
}
