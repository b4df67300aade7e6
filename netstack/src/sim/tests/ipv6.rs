//! IPv6 on the simulated segment.

use std::io::Read;
use std::net::{IpAddr, Ipv6Addr};

use smoltcp::time::{Duration, Instant};
use smoltcp::wire::EthernetAddress;

use super::super::{DhcpServer, Donor, Ended, Link, Peer};
use super::{OURS, automatic, bytes, code, fixed, stack};
use crate::ndp;
use crate::{AddressSource, Addressing, Config, Fixed, InterfaceFilter, NetworkFact};

/// Made of the hardware address of the stack's interface.
const OWN: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0xff, 0xfe00, 0x10);
const ROUTER: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1);
const THEIRS: EthernetAddress = EthernetAddress([2, 0, 0, 0, 1, 9]);
const ROUTER_SOLICITATION: u8 = 133;
const PROBE: u8 = 135;

/// Answers frames with frames.
struct Answering<F>(F);

impl<F: FnMut(&[u8]) -> Option<Vec<u8>> + Send> Peer for Answering<F> {
    fn run(&mut self, _: Instant, arrived: &[Vec<u8>], out: &mut Vec<Vec<u8>>) -> Option<Instant> {
        out.extend(arrived.iter().filter_map(|frame| (self.0)(frame)));
        None
    }
}

fn icmpv6(frame: &[u8]) -> Option<u8> {
    (frame.get(12..14) == Some(&[0x86, 0xdd]) && frame.get(20) == Some(&58)).then(|| frame[54])
}

/// Announces fd09::/64 to every node that asks.
fn router() -> Box<dyn Peer> {
    Box::new(Answering(|frame: &[u8]| {
        let is_asked = icmpv6(frame) == Some(ROUTER_SOLICITATION);
        is_asked.then(|| ndp::tests::ADVERTISEMENT.to_vec())
    }))
}

#[test]
fn a_donor_that_knows_ipv6_only_finds_us_over_bad_links() {
    for seed in 1..6 {
        let link = Link {
            lost: 50,
            doubled: 20,
            overtaken: 100,
            seed,
            ..Link::default()
        };
        let sent = bytes(300_000);
        let (donor, log) = Donor::over_ipv6(2, sent.clone(), Instant::ZERO);
        let (stack, _, _) = stack(link, automatic(), vec![donor]);
        let mut stream = stack.accept(&code(), 1).unwrap();
        let peer = stream.peer();
        assert_eq!(
            peer.to_string(),
            "[fe80::2%2]:51234",
            "the interface's number"
        );
        let mut received = Vec::new();
        stream.read_to_end(&mut received).unwrap();
        assert_eq!(received, sent);
        stream.finish().unwrap();
        let log = log.lock().unwrap();
        assert_eq!(log.ended, Some(Ended::InOrder));
        let (_, from, payload) = &log.beacons[0];
        assert_eq!(
            (from.addr, &payload[..]),
            (OWN.into(), &b"SMECHVISOR_SHIM:e13gts2"[..])
        );
    }
}

/// No router, no server, nobody: after the first seconds there is nothing to do but beacons.
#[test]
fn a_lonely_port_beacons_once_a_second_and_sleeps_in_between() {
    let count = std::sync::Arc::new(std::sync::Mutex::new(0_u32));
    let counted = std::sync::Arc::clone(&count);
    let listener = Answering(move |frame: &[u8]| {
        let is_ipv6 = frame.get(12..14) == Some(&[0x86, 0xdd]);
        *counted.lock().unwrap() += u32::from(is_ipv6);
        None
    });
    let (stack, _, _) = stack(Link::default(), fixed(), vec![Box::new(listener)]);
    let wait = std::time::Duration::from_secs(100);
    assert!(
        stack
            .accept_within(&code(), 1, Some(wait))
            .unwrap()
            .is_none()
    );
    // Two reports, a probe, three questions for routers, and the beacons.
    let count = *count.lock().unwrap();
    assert!((104..=106).contains(&count), "{count}");
}

#[test]
fn a_network_that_a_router_announces_is_joined_and_left_by_silence() {
    let (stack, _, facts) = stack(Link::default(), fixed(), vec![router()]);
    stack.run_for(Duration::from_secs(10));
    let ours = [
        IpAddr::V4(OURS),
        OWN.into(),
        Ipv6Addr::new(0xfd09, 0, 0, 0, 0, 0xff, 0xfe00, 0x10).into(),
    ];
    assert_eq!(stack.addresses(), ours);
    let facts = facts.lock().unwrap();
    let Some((
        _,
        NetworkFact::AddressConfigured {
            address,
            prefix_len: 64,
            gateway,
            source: AddressSource::Slaac,
            ..
        },
    )) = facts.last()
    else {
        panic!("{facts:?}")
    };
    assert_eq!((*address, *gateway), (ours[2], Some(ROUTER.into())));
    drop(facts);
    stack.run_for(Duration::from_secs(7200));
    assert_eq!(stack.addresses(), ours[..2]);
}

#[test]
fn a_chosen_address_is_used_on_the_port_that_is_meant() {
    let chosen = |on| Config {
        addressing: Addressing {
            on,
            ipv4: None,
            ipv6: Some(Fixed {
                address: Ipv6Addr::new(0xfd09, 0, 0, 0, 0, 0, 0, 5),
                prefix_len: 64,
                gateway: None,
            }),
        },
        ..automatic()
    };
    let meant = [
        InterfaceFilter::Every,
        InterfaceFilter::First,
        InterfaceFilter::Name("eth0".to_owned()),
        InterfaceFilter::Mac([2, 0, 0, 0, 0, 0x10]),
    ];
    for on in meant {
        let (stack, _, _) = stack(Link::default(), chosen(on), vec![]);
        stack.run_for(Duration::from_secs(5));
        let addresses = stack.addresses();
        assert_eq!(addresses[1], IpAddr::from([0xfd09, 0, 0, 0, 0, 0, 0, 5]));
    }
    for on in [
        InterfaceFilter::Name("eth1".to_owned()),
        InterfaceFilter::Mac([2, 0, 0, 0, 0, 0x11]),
    ] {
        let (stack, _, facts) = stack(Link::default(), chosen(on), vec![]);
        stack.run_for(Duration::from_secs(60));
        assert!(stack.addresses().is_empty());
        let facts = facts.lock().unwrap();
        assert!(
            matches!(
                facts[..],
                [
                    (_, NetworkFact::LinkUp { .. }),
                    (_, NetworkFact::NotMeant { .. })
                ]
            ),
            "{facts:?}"
        );
    }
}

#[test]
fn two_machines_with_one_hardware_address_differ_by_ipv4() {
    let twin = Answering(|frame: &[u8]| {
        (icmpv6(frame) == Some(PROBE)).then(|| ndp::claim(THEIRS, OWN).to_vec())
    });
    let (donor, log) = Donor::peer(2, bytes(1000), Instant::from_secs(5), false);
    let (stack, _, facts) = stack(Link::default(), fixed(), vec![Box::new(twin), donor]);
    let mut stream = stack.accept(&code(), 1).unwrap();
    stream.read_to_end(&mut Vec::new()).unwrap();
    stream.finish().unwrap();
    assert_eq!(log.lock().unwrap().ended, Some(Ended::InOrder));
    assert_eq!(stack.addresses(), [IpAddr::V4(OURS)]);
    let facts = facts.lock().unwrap();
    let taken = facts.iter().find_map(|(_, fact)| match fact {
        NetworkFact::AddressTaken { address, .. } => Some(*address),
        _ => None,
    });
    assert_eq!(taken, Some(OWN.into()));
}

/// A cable that is pulled and put back: the same address, probed again, and nothing of the old
/// network.
#[test]
fn another_network_is_another_beginning() {
    let (stack, interfaces, facts) = stack(Link::default(), fixed(), vec![router()]);
    stack.run_for(Duration::from_secs(10));
    assert_eq!(stack.addresses().len(), 3);
    interfaces.set_link(false);
    stack.run_for(Duration::from_secs(10));
    interfaces.set_link(true);
    stack.run_for(Duration::from_millis(1));
    assert_eq!(stack.addresses(), [IpAddr::V4(OURS)]);
    stack.run_for(Duration::from_secs(10));
    assert_eq!(stack.addresses().len(), 3);
    let facts = facts.lock().unwrap();
    let lost = facts
        .iter()
        .filter(|(_, fact)| matches!(fact, NetworkFact::AddressLost { .. }));
    assert_eq!(lost.count(), 2);
}

/// Nobody is connected, so the server's word counts at once.
#[test]
fn a_lease_that_changes_while_we_wait_is_followed() {
    let server = DhcpServer::moving(600, Instant::from_secs(400));
    let (donor, log) = Donor::peer(2, bytes(10), Instant::from_secs(1000), false);
    let (stack, _, facts) = stack(Link::default(), automatic(), vec![server, donor]);
    let mut stream = stack.accept(&code(), 1).unwrap();
    stream.read_to_end(&mut Vec::new()).unwrap();
    stream.finish().unwrap();
    let log = log.lock().unwrap();
    assert_eq!(log.ended, Some(Ended::InOrder));
    let moved = IpAddr::from([10, 9, 0, 16]);
    assert_eq!(stack.addresses().first(), Some(&moved));
    let from: std::collections::BTreeSet<String> = log
        .beacons
        .iter()
        .map(|(_, from, _)| from.addr.to_string())
        .collect();
    assert!(
        from.contains("10.9.0.15") && from.contains("10.9.0.16"),
        "{from:?}"
    );
    let facts = facts.lock().unwrap();
    let lost = facts.iter().find_map(|(at, fact)| match fact {
        NetworkFact::AddressLost { address, .. } => Some((*at, *address)),
        _ => None,
    });
    let (at, lost) = lost.unwrap();
    assert_eq!(lost, IpAddr::V4(OURS));
    // At the first renewal that is refused, half a lease later at most.
    assert!(
        at >= Instant::from_secs(400) && at < Instant::from_secs(710),
        "{at}"
    );
}

/// Somebody sends what looks like neighbour discovery, routers, queries, segments, changed at
/// random, as fast as the wire takes it.
struct Vandal {
    random: u64,
    at: Instant,
}

impl Vandal {
    fn next_random(&mut self) -> usize {
        self.random = self
            .random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (self.random >> 33) as usize
    }

    fn frame(&mut self) -> Vec<u8> {
        let patterns = ndp::tests::all();
        let mut frame = patterns[self.next_random() % patterns.len()].to_vec();
        for _ in 0..self.next_random() % 4 {
            let at = 12 + self.next_random() % (frame.len() - 12);
            frame[at] = self.next_random() as u8;
        }
        if self.next_random().is_multiple_of(4) {
            frame.truncate(self.next_random() % frame.len());
        }
        if frame.len() > 54 && self.next_random().is_multiple_of(2) {
            // To our own address, and to TCP or whatever else follows.
            frame[38..54].copy_from_slice(&OWN.octets());
            frame[20] = [6, 17, 58, 0, 43, 44, 60][self.next_random() % 7];
        }
        if frame.len() > 58 {
            ndp::reseal(&mut frame);
        }
        frame
    }
}

impl Peer for Vandal {
    fn run(&mut self, now: Instant, _: &[Vec<u8>], out: &mut Vec<Vec<u8>>) -> Option<Instant> {
        while self.at <= now {
            self.at += Duration::from_micros(100);
            out.push(self.frame());
        }
        Some(self.at)
    }
}

#[test]
fn a_hundred_thousand_strange_frames_keep_no_donor_out() {
    let vandal = Vandal {
        random: 9,
        at: Instant::ZERO,
    };
    let (donor, log) = Donor::peer(2, bytes(1000), Instant::from_secs(10), false);
    let (stack, _, _) = stack(Link::default(), automatic(), vec![Box::new(vandal), donor]);
    // IPv4 takes over from a server that is not there, and is what the donor knows.
    let mut stream = stack.accept(&code(), 1).unwrap();
    stream.read_to_end(&mut Vec::new()).unwrap();
    stream.finish().unwrap();
    assert_eq!(log.lock().unwrap().ended, Some(Ended::InOrder));
    assert!(stack.now() > Instant::from_secs(10));
}
