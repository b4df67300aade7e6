//! Whether a network that the good slot had is there: which cards had an address before the
//! reboot, and have one now.
//!
//! In: sysfs and `/proc/net`. Out: a [`Network`], kept on the state partition when a slot is armed
//! and compared when it runs. A card is known by its hardware address, for its name may change
//! with the kernel. Addresses are not compared: another lease is a network, too.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::cards;

/// The kernel's two file systems that say it.
#[derive(Clone, Debug)]
pub struct Sources {
    /// `/sys/class/net`.
    pub class: PathBuf,
    /// `/proc/net`.
    pub proc: PathBuf,
}

impl Default for Sources {
    fn default() -> Self {
        Self {
            class: cards::SYS_CLASS_NET.into(),
            proc: "/proc/net".into(),
        }
    }
}

/// Cards that are on a network.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Network {
    cards: Vec<Card>,
}

/// A card with an address that reaches farther than its link.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Card {
    /// Its hardware address.
    mac: String,
    has_ipv4: bool,
    has_ipv6: bool,
}

/// Cards that are remembered.
const CARDS_MAX: usize = 64;
/// Bridges on bonds on VLANs.
const LAYERS_MAX: usize = 4;
const FIRST_LINE: &str = "smechvisor-network 1";

/// No card that was on a network is on one.
#[derive(Debug, Error)]
#[error("none of the network cards that the good slot used is on a network: {macs}")]
pub struct NetworkError {
    /// Their hardware addresses.
    macs: String,
}

impl Network {
    /// As it is now.
    #[must_use]
    pub fn look(sources: &Sources) -> Self {
        let read = |name| fs::read_to_string(sources.proc.join(name)).unwrap_or_default();
        let (ipv4, ipv6) = (with_ipv4(&read("route")), with_ipv6(&read("if_inet6")));
        let linked = cards::look(&sources.class).into_iter();
        let cards = linked.filter(|card| card.has_link).filter_map(|card| {
            let names = with_upper(&sources.class, &card.name);
            let (has_ipv4, has_ipv6) = (!names.is_disjoint(&ipv4), !names.is_disjoint(&ipv6));
            (has_ipv4 || has_ipv6).then_some(Card {
                mac: card.mac,
                has_ipv4,
                has_ipv6,
            })
        });
        Self {
            cards: cards.take(CARDS_MAX).collect(),
        }
    }

    /// Compares with what is now. Where there was no network, none is missing.
    ///
    /// # Errors
    /// Not one of the cards is on a network as it was.
    pub fn must_be_in(&self, now: &Self) -> Result<(), NetworkError> {
        let is_there = |was: &Card| {
            now.cards.iter().any(|is| {
                let has_address = (was.has_ipv4 && is.has_ipv4) || (was.has_ipv6 && is.has_ipv6);
                is.mac == was.mac && has_address
            })
        };
        if self.cards.is_empty() || self.cards.iter().any(is_there) {
            return Ok(());
        }
        let macs: Vec<_> = self.cards.iter().map(|card| card.mac.as_str()).collect();
        Err(NetworkError {
            macs: macs.join(", "),
        })
    }

    /// As it is kept.
    #[must_use]
    pub fn emit(&self) -> String {
        let cards = self.cards.iter().map(|card| {
            let families = match (card.has_ipv4, card.has_ipv6) {
                (true, true) => "46",
                (true, false) => "4",
                (false, _) => "6",
            };
            format!("card {} {families}\n", card.mac)
        });
        let cards: String = cards.collect();
        format!("{FIRST_LINE}\n{cards}end\n")
    }

    /// Reads what [`Network::emit`] writes; `None` when it is anything else, or cut off.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let lines = text.strip_prefix(FIRST_LINE)?.strip_prefix('\n')?;
        let lines = lines.strip_suffix("end\n")?;
        let cards = lines.lines().map(|line| {
            let (mac, families) = line.strip_prefix("card ")?.split_once(' ')?;
            let mac = Some(mac).filter(|mac| !mac.is_empty())?;
            Some(Card {
                mac: mac.to_owned(),
                has_ipv4: families.contains('4'),
                has_ipv6: families.contains('6'),
            })
        });
        let network = Self {
            cards: cards.collect::<Option<Vec<_>>>()?,
        };
        // One way to write it, and so one to read it.
        (network.cards.len() <= CARDS_MAX && network.emit() == text).then_some(network)
    }
}

/// An interface and those that stand on it: bridges, bonds, VLANs. There the addresses may be.
fn with_upper(class: &Path, name: &str) -> BTreeSet<String> {
    let mut names = BTreeSet::from([name.to_owned()]);
    let mut layer = vec![name.to_owned()];
    for _ in 0..LAYERS_MAX {
        let above = layer.iter().flat_map(|name| upper(&class.join(name)));
        layer = above.filter(|name| !names.contains(name)).collect();
        names.extend(layer.iter().cloned());
    }
    names
}

/// `Documentation/ABI/testing/sysfs-class-net`: links `upper_<name>`.
fn upper(interface: &Path) -> Vec<String> {
    let entries = fs::read_dir(interface).into_iter().flatten().flatten();
    let names = entries.filter_map(|entry| {
        let name = entry.file_name().into_string().ok()?;
        Some(name.strip_prefix("upper_")?.to_owned())
    });
    names.collect()
}

/// Interfaces with an IPv4 route in use, and so with an address: the first field of
/// `/proc/net/route`; link-local ones (RFC 3927) do not count.
fn with_ipv4(route: &str) -> BTreeSet<String> {
    let link_local = format!("{:08X}", u32::from_ne_bytes([169, 254, 0, 0]));
    let lines = route.lines().skip(1).map(str::split_whitespace);
    let names = lines.filter_map(|mut fields| {
        let (name, destination) = (fields.next()?, fields.next()?);
        (destination != link_local).then(|| name.to_owned())
    });
    names.collect()
}

/// Interfaces with an IPv6 address of global scope (`00`) in `/proc/net/if_inet6`.
fn with_ipv6(if_inet6: &str) -> BTreeSet<String> {
    let lines = if_inet6.lines();
    let names = lines.filter_map(|line| {
        let fields: Vec<_> = line.split_whitespace().collect();
        let (scope, name) = (fields.get(3)?, fields.get(5)?);
        (*scope == "00").then(|| (*name).to_owned())
    });
    names.collect()
}

#[cfg(test)]
mod tests {
    use super::{Card, Network, Sources};
    use std::fs;
    use std::path::PathBuf;

    const HEADING: &str = "Iface\tDestination\tGateway\tFlags\n";
    const ETH0: &str = "52:54:00:00:00:01";

    /// A kernel's files, of which a test says what they contain.
    struct Kernel {
        dir: tempfile::TempDir,
    }

    impl Kernel {
        fn new() -> Self {
            let dir = tempfile::tempdir().unwrap();
            fs::create_dir(dir.path().join("proc")).unwrap();
            Self { dir }
        }

        fn sources(&self) -> Sources {
            let [class, proc] = ["class", "proc"].map(|name| self.dir.path().join(name));
            Sources { class, proc }
        }

        fn card(&self, name: &str, mac: &str, state: &str) -> PathBuf {
            let card = self.dir.path().join("class").join(name);
            fs::create_dir_all(card.join("device")).unwrap();
            fs::write(card.join("address"), mac).unwrap();
            fs::write(card.join("operstate"), state).unwrap();
            card
        }

        fn proc(&self, name: &str, text: &str) {
            fs::write(self.dir.path().join("proc").join(name), text).unwrap();
        }

        fn look(&self) -> Network {
            Network::look(&self.sources())
        }
    }

    fn network(cards: &[(&str, bool, bool)]) -> Network {
        let cards = cards.iter().map(|&(mac, has_ipv4, has_ipv6)| Card {
            mac: mac.to_owned(),
            has_ipv4,
            has_ipv6,
        });
        Network {
            cards: cards.collect(),
        }
    }

    #[test]
    fn a_card_with_a_cable_and_an_address_is_on_a_network() {
        let kernel = Kernel::new();
        assert_eq!(kernel.look(), network(&[]));
        kernel.card("eth0", ETH0, "up");
        kernel.card("eth1", "52:54:00:00:00:02", "down");
        kernel.proc(
            "route",
            &format!("{HEADING}eth1\t0009\t0\t1\nlo\t0\t0\t1\n"),
        );
        assert_eq!(kernel.look(), network(&[]), "no cable, no card");
        kernel.proc("route", &format!("{HEADING}eth0\t0000FEA9\t0\t1\n"));
        assert_eq!(kernel.look(), network(&[]), "an address of the link");
        kernel.proc("route", &format!("{HEADING}eth0\t0000090A\t0\t1\n"));
        assert_eq!(kernel.look(), network(&[(ETH0, true, false)]));
        let link = "fe80000000000000505400fffe000001 02 40 20 80 eth0\n";
        kernel.proc("if_inet6", link);
        assert_eq!(kernel.look(), network(&[(ETH0, true, false)]));
        let global = "20010db8000000000000000000000001 02 40 00 80 eth0\n";
        kernel.proc("if_inet6", &format!("{link}{global}"));
        assert_eq!(kernel.look(), network(&[(ETH0, true, true)]));
    }

    #[test]
    fn the_address_may_be_on_a_bridge_over_the_card() {
        let kernel = Kernel::new();
        let card = kernel.card("eth0", ETH0, "up");
        let route = format!("{HEADING}br0\t0000090A\t0\t1\nvirbr0\t0\t0\t1\n");
        kernel.proc("route", &route);
        assert_eq!(kernel.look(), network(&[]), "a bridge without a card");
        fs::write(card.join("upper_bond0"), "").unwrap();
        let bond = kernel.dir.path().join("class/bond0");
        fs::create_dir(&bond).unwrap();
        fs::write(bond.join("upper_br0"), "").unwrap();
        fs::write(bond.join("upper_bond0"), "").unwrap(); // no kernel has it, and no loop follows
        assert_eq!(kernel.look(), network(&[(ETH0, true, false)]));
    }

    #[test]
    fn one_network_that_was_there_is_enough() {
        let was = network(&[("a", true, false), ("b", true, true), ("c", false, true)]);
        for now in [
            &[("b", true, false)][..],
            &[("b", false, true)],
            &[("c", false, true), ("x", true, true)],
        ] {
            was.must_be_in(&network(now)).unwrap();
        }
        for now in [&[][..], &[("a", false, true)], &[("x", true, true)]] {
            let error = was.must_be_in(&network(now)).unwrap_err();
            assert!(error.to_string().ends_with("on a network: a, b, c"));
        }
        network(&[]).must_be_in(&network(&[])).unwrap();
    }

    #[test]
    fn what_is_kept_is_read_again_and_nothing_else_is() {
        let text = "smechvisor-network 1\ncard a 4\ncard b 46\ncard c 6\nend\n";
        let was = network(&[("a", true, false), ("b", true, true), ("c", false, true)]);
        assert_eq!(was.emit(), text);
        assert_eq!(Network::parse(text), Some(was));
        assert_eq!(Network::parse(&network(&[]).emit()), Some(network(&[])));
        for at in 0..text.len() {
            assert_eq!(Network::parse(&text[..at]), None, "{at}");
            let mut changed = text.as_bytes().to_vec();
            changed[at] ^= 0x80;
            assert!(str::from_utf8(&changed).is_err(), "no text, and so refused");
        }
        for line in ["card a 64", "card a", "card  4", "card a 4 ", "x", ""] {
            let text = format!("smechvisor-network 1\n{line}\nend\n");
            let read = Network::parse(&text);
            assert_eq!(read, None, "{line:?}");
        }
    }
}
