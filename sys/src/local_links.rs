//! The links on which this machine has an IPv6 address of the link, as the kernel lists them.
//!
//! In: the text of `/proc/net/if_inet6`: address, number of the interface, length of the prefix,
//! scope, flags, all hexadecimal, and the interface's name. Out: one [`LocalLink`] for each
//! interface.

use std::io;
use std::net::{Ipv6Addr, SocketAddr, SocketAddrV6};

const PROC_NET_IF_INET6: &str = "/proc/net/if_inet6";
/// linux/ipv6.h: IFA_LINK.
const SCOPE_LINK: u32 = 0x20;
/// linux/if_addr.h: IFA_F_DADFAILED, IFA_F_TENTATIVE: another machine has it, or that is being
/// found out.
const NOT_OURS: u32 = 0x08 | 0x40;
const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);

/// An interface with a link-local address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LocalLink {
    /// The kernel's number of the interface.
    pub interface: u32,
    /// Our address there.
    pub address: Ipv6Addr,
}

impl LocalLink {
    /// Everybody on the link.
    #[must_use]
    pub fn all_nodes(self, port: u16) -> SocketAddr {
        SocketAddrV6::new(ALL_NODES, port, 0, self.interface).into()
    }
}

/// The links of this machine now.
///
/// # Errors
/// The kernel does not tell: no proc file system, or no IPv6.
pub fn read() -> io::Result<Vec<LocalLink>> {
    Ok(parse(&std::fs::read_to_string(PROC_NET_IF_INET6)?))
}

fn parse(text: &str) -> Vec<LocalLink> {
    let mut links: Vec<LocalLink> = text.lines().filter_map(link).collect();
    links.sort_by_key(|link| link.interface);
    links.dedup_by_key(|link| link.interface);
    links
}

fn link(line: &str) -> Option<LocalLink> {
    let mut fields = line.split_whitespace();
    let address = u128::from_str_radix(fields.next()?, 16).ok()?;
    let mut number = || u32::from_str_radix(fields.next()?, 16).ok();
    let (interface, _, scope, flags) = (number()?, number()?, number()?, number()?);
    (scope == SCOPE_LINK && flags & NOT_OURS == 0).then(|| LocalLink {
        interface,
        address: Ipv6Addr::from(address),
    })
}

#[cfg(test)]
mod tests {
    use super::{LocalLink, parse};

    #[test]
    fn addresses_of_a_link_that_are_ours_are_found_and_nothing_else() {
        let text = "fe8000000000000000fc00fffe000001 04 40 20 80     eth0\n\
                    00000000000000000000000000000001 01 80 10 80       lo\n\
                    fd000000000000000000000000000002 04 40 00 82     eth0\n\
                    fe800000000000000000000000000003 05 40 20 c0     eth1\n\
                    fe800000000000000000000000000004 06 40 20 88     eth2\n\
                    fe800000000000000000000000000005 0a 40 20 80     eth3\n\
                    fe800000000000000000000000000006 0a 40 20 80     eth3\n\
                    nonsense\n";
        let link = |interface, address: &str| LocalLink {
            interface,
            address: address.parse().unwrap(),
        };
        let expected = [link(4, "fe80::fc:ff:fe00:1"), link(10, "fe80::5")];
        assert_eq!(parse(text), expected);
        assert_eq!(expected[1].all_nodes(9191).to_string(), "[ff02::1%10]:9191");
    }
}
