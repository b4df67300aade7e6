//! The networks this machine is directly on, as the kernel's routing table lists them.
//!
//! In: the text of `/proc/net/route` (`Documentation/networking/proc_net_tcp.rst` explains its kin;
//! `route(8)` prints it). Out: one [`Network`] for each IPv4 network that has a broadcast address.

use std::io;
use std::net::Ipv4Addr;

/// Where the kernel lists its IPv4 routes.
pub const PROC_NET_ROUTE: &str = "/proc/net/route";
/// The route is usable (`route(8)`: U).
const RTF_UP: u32 = 1;

/// A network reached without a router.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Network {
    /// Name of the interface.
    pub interface: String,
    /// Hears what everybody on it hears.
    pub broadcast: Ipv4Addr,
    /// Bits of an address that all of the network have alike.
    pub prefix_len: u8,
}

/// The networks of this machine now.
///
/// # Errors
/// The kernel does not tell: no proc file system, or no IPv4.
pub fn read() -> io::Result<Vec<Network>> {
    Ok(parse(&std::fs::read_to_string(PROC_NET_ROUTE)?))
}

/// The first network that this interface is on.
///
/// # Errors
/// See [`read`].
pub fn of(interface: &str) -> io::Result<Option<Network>> {
    let text = std::fs::read_to_string(PROC_NET_ROUTE)?;
    let mut networks = text.lines().filter_map(network);
    Ok(networks.find(|network| network.interface == interface))
}

/// Lines that are no direct route to a whole network are passed over: the heading, default routes,
/// routes to one host.
fn parse(text: &str) -> Vec<Network> {
    let mut networks: Vec<Network> = text.lines().filter_map(network).collect();
    networks.sort_by_key(|network| network.broadcast);
    networks.dedup_by_key(|network| network.broadcast);
    networks
}

fn network(line: &str) -> Option<Network> {
    let mut fields = line.split_whitespace();
    let interface = fields.next()?.to_owned();
    let (destination, gateway) = (address(fields.next()?)?, address(fields.next()?)?);
    let flags = u32::from_str_radix(fields.next()?, 16).ok()?;
    // RefCnt, Use and Metric stand between.
    let mask = address(fields.nth(3)?)?;
    // The two smallest networks have no broadcast address (RFC 3021).
    let is_network = mask != 0 && mask.trailing_zeros() >= 2;
    let is_direct = gateway == 0 && flags & RTF_UP != 0;
    (is_network && is_direct).then(|| Network {
        interface,
        broadcast: Ipv4Addr::from(destination | !mask),
        prefix_len: u8::try_from(mask.leading_ones()).unwrap_or(32),
    })
}

/// The kernel prints the bytes of an address as one number in its own byte order.
fn address(hex: &str) -> Option<u32> {
    Some(u32::from_be_bytes(
        u32::from_str_radix(hex, 16).ok()?.to_ne_bytes(),
    ))
}

#[cfg(test)]
mod tests {
    use super::{Network, parse};
    use std::net::Ipv4Addr;

    #[test]
    fn direct_networks_are_found_and_nothing_else() {
        // Interface, destination, gateway, flags, three counters, mask: the bytes of addresses as
        // on a little-endian machine.
        let line =
            |interface: &str, destination: [u8; 4], gateway: [u8; 4], flags: u32, mask: [u8; 4]| {
                let hex = |bytes| format!("{:08X}", u32::from_ne_bytes(bytes));
                format!(
                    "{interface}\t{}\t{}\t{flags:04X}\t0\t0\t0\t{}\t0\t0\t0\n",
                    hex(destination),
                    hex(gateway),
                    hex(mask)
                )
            };
        let text = [
            "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n"
                .to_owned(),
            line("eth0", [0; 4], [10, 9, 0, 1], 3, [0; 4]),
            line("eth0", [10, 9, 0, 0], [0; 4], 1, [255, 255, 255, 0]),
            line("eth1", [169, 254, 0, 0], [0; 4], 1, [255, 255, 0, 0]),
            line("eth2", [10, 8, 0, 0], [10, 9, 0, 1], 3, [255, 255, 255, 0]),
            line("ppp0", [10, 7, 0, 2], [0; 4], 5, [255; 4]),
            line("eth3", [10, 6, 0, 2], [0; 4], 1, [255, 255, 255, 254]),
            line("eth4", [10, 5, 0, 0], [0; 4], 0, [255, 255, 255, 0]),
            "eth5\tnonsense\n".to_owned(),
        ]
        .concat();
        let network = |interface: &str, broadcast: [u8; 4], prefix_len| Network {
            interface: interface.into(),
            broadcast: Ipv4Addr::from(broadcast),
            prefix_len,
        };
        assert_eq!(
            parse(&text),
            [
                network("eth0", [10, 9, 0, 255], 24),
                network("eth1", [169, 254, 255, 255], 16)
            ]
        );
    }
}
