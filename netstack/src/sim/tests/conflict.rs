//! Another machine has our IPv4 address: before we come, at the same time, and later.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, Mutex};

use smoltcp::time::{Duration, Instant};
use smoltcp::wire::{ArpOperation, EthernetAddress, Ipv4Address};

use super::super::Queues;
use super::{Facts, OURS, automatic, bytes, code, fixed, stack};
use crate::arp::Arp;
use crate::sim::{DhcpServer, Donor, Ended, Link, Peer};
use crate::{Mac, NetworkFact};

const THEIRS: Mac = Mac([2, 0, 0, 0, 0, 0x77]);

/// A machine with our address, which answers for it while it is there; perhaps it says so unasked,
/// twice a second. It keeps the ARP frames that it hears.
struct Owner {
    from: Instant,
    until: Instant,
    insists: bool,
    next: Instant,
    heard: Heard,
}

impl Owner {
    fn peer(from: i64, until: i64, insists: bool) -> (Box<dyn Peer>, Heard) {
        let heard = Heard::default();
        let owner = Self {
            from: Instant::from_secs(from),
            until: Instant::from_secs(until),
            insists,
            next: Instant::from_secs(from),
            heard: Arc::clone(&heard),
        };
        (Box::new(owner), heard)
    }
}

type Heard = Arc<Mutex<Vec<(Instant, Arp)>>>;

impl Peer for Owner {
    fn run(
        &mut self,
        now: Instant,
        arrived: &[Vec<u8>],
        out: &mut Vec<Vec<u8>>,
    ) -> Option<Instant> {
        let claim = Arp::announcement(EthernetAddress(THEIRS.0), OURS);
        let mut queues = Queues::default();
        let is_there = self.from <= now && now < self.until;
        for arp in arrived.iter().filter_map(|frame| Arp::parse(frame)) {
            self.heard.lock().unwrap().push((now, arp));
            let is_asked = arp.operation == ArpOperation::Request && arp.target == OURS;
            if is_there && is_asked {
                let answer = Arp {
                    operation: ArpOperation::Reply,
                    target_mac: arp.sender_mac,
                    target: arp.sender,
                    ..claim
                };
                answer.send(&mut queues, now);
            }
        }
        if is_there && self.insists && self.next <= now {
            claim.send(&mut queues, now);
            self.next = now + Duration::from_millis(500);
        }
        out.append(&mut queues.out);
        (self.insists && now < self.until).then_some(self.next)
    }
}

/// The history of IPv4 addresses, with times.
fn history(facts: &Facts) -> Vec<(Instant, &'static str, IpAddr)> {
    let facts = facts.lock().unwrap();
    let told = facts.iter().filter_map(|(at, fact)| match fact {
        NetworkFact::AddressConfigured { address, .. } => Some((*at, "configured", *address)),
        NetworkFact::AddressLost { address, .. } => Some((*at, "lost", *address)),
        NetworkFact::AddressTaken { address, by, .. } => {
            assert_eq!(*by, THEIRS);
            Some((*at, "taken", *address))
        }
        NetworkFact::AddressShared { address, by, .. } => {
            assert_eq!(*by, THEIRS);
            Some((*at, "shared", *address))
        }
        _ => None,
    });
    told.filter(|(_, _, address)| address.is_ipv4()).collect()
}

fn words(history: &[(Instant, &'static str, IpAddr)]) -> Vec<&'static str> {
    history.iter().map(|(_, word, _)| *word).collect()
}

/// Nobody waits for the seconds in which an address is asked for, and it is announced only after
/// them.
#[test]
fn a_free_address_is_used_at_once_and_announced_when_nobody_has_answered() {
    let (nobody, heard) = Owner::peer(1000, 1000, false);
    let (donor, log) = Donor::peer(2, bytes(10), Instant::from_secs(20), false);
    let (stack, _, facts) = stack(Link::default(), fixed(), vec![nobody, donor]);
    drop(stack.accept(&code(), 1).unwrap());
    assert!(log.lock().unwrap().beacons[0].0 < Instant::from_millis(1));
    assert_eq!(words(&history(&facts)), ["configured"]);
    let heard = heard.lock().unwrap();
    let about_us = heard
        .iter()
        .filter(|(_, arp)| arp.target == OURS && arp.sender_mac.0 != [2, 0, 0, 0, 1, 2]);
    let sent: Vec<_> = about_us.map(|(at, arp)| (at.secs(), arp.sender)).collect();
    let nobody = Ipv4Address::UNSPECIFIED;
    assert_eq!(
        sent.iter().map(|(_, sender)| *sender).collect::<Vec<_>>(),
        [nobody, nobody, nobody, OURS, OURS]
    );
    assert_eq!(sent[0].0, 0);
    assert!((4..=6).contains(&sent[3].0), "{sent:?}");
}

#[test]
fn a_chosen_address_that_another_machine_has_is_left_to_it_until_it_is_gone() {
    let (owner, heard) = Owner::peer(0, 100, false);
    let (donor, log) = Donor::peer(2, bytes(10), Instant::ZERO, false);
    let (stack, _, facts) = stack(Link::default(), fixed(), vec![owner, donor]);
    // The first beacon leaves together with the first probe; a donor that answers it is
    // refused.
    stack.run_for(Duration::from_secs(1));
    let mut stream = stack.accept(&code(), 1).unwrap();
    assert!(stream.read_exact(&mut [0; 10]).is_ok());
    let history = history(&facts);
    assert_eq!(
        words(&history),
        ["configured", "taken", "lost", "configured"]
    );
    assert!(history[2].0 < Instant::from_millis(1), "{history:?}");
    let back = history[3].0;
    assert!(
        (Instant::from_secs(104)..Instant::from_secs(125)).contains(&back),
        "{back}"
    );
    assert_eq!(log.lock().unwrap().beacons[0].0.secs(), back.secs());
    let heard = heard.lock().unwrap();
    let probes = |arp: &&(Instant, Arp)| arp.1.target == OURS && arp.1.sender.is_unspecified();
    let before = heard.iter().filter(|(at, _)| *at < Instant::from_secs(100));
    let before: Vec<_> = before.filter(probes).map(|(at, _)| *at).collect();
    assert!((6..=10).contains(&before.len()), "{before:?}");
    assert!(
        before
            .windows(2)
            .all(|pair| pair[1] - pair[0] >= Duration::from_secs(10)),
        "{before:?}"
    );
    let claims = heard
        .iter()
        .filter(|(at, arp)| *at < Instant::from_secs(100) && arp.sender == OURS);
    assert_eq!(claims.count(), 0, "nothing is taken from the other machine");
}

#[test]
fn a_leased_address_that_another_machine_has_is_declined() {
    let (owner, _) = Owner::peer(0, 10_000, false);
    let (server, requests) = DhcpServer::peer(600, None);
    let (donor, log) = Donor::peer(2, bytes(10), Instant::from_secs(5), false);
    let (stack, _, facts) = stack(Link::default(), automatic(), vec![owner, server, donor]);
    let mut stream = stack.accept(&code(), 1).unwrap();
    assert!(stream.read_exact(&mut [0; 10]).is_ok());
    let other = IpAddr::from(Ipv4Addr::new(10, 9, 0, 16));
    assert_eq!(stack.addresses()[0], other);
    let history = history(&facts);
    assert_eq!(
        words(&history),
        ["configured", "taken", "lost", "configured"]
    );
    assert_eq!(history[3].2, other);
    // RFC 2131 3.1 (5).
    let rested = history[3].0 - history[2].0;
    assert!((10..12).contains(&rested.secs()), "{rested}");
    assert_eq!(requests.lock().unwrap().len(), 4, "no request in between");
    assert_eq!(
        log.lock().unwrap().beacons.last().unwrap().1.addr,
        other.into()
    );
}

/// Half a system on a disk is worse than two machines with one address.
#[test]
fn a_donor_keeps_the_address_that_it_is_connected_to() {
    let (owner, heard) = Owner::peer(30, 90, true);
    let (donor, log) = Donor::peer(2, bytes(100), Instant::from_secs(20), true);
    let (stack, _, facts) = stack(Link::default(), fixed(), vec![owner, donor]);
    let mut stream = stack.accept(&code(), 1).unwrap();
    stream.read_exact(&mut [0; 100]).unwrap();
    let mut writer = stream.writer();
    for _ in 0..50 {
        writer.write_all(b"well").unwrap();
        stack.run_for(Duration::from_secs(1));
    }
    assert_eq!(words(&history(&facts)), ["configured", "shared"]);
    assert_eq!(log.lock().unwrap().ended, None);
    assert_eq!(log.lock().unwrap().received.len(), 200);
    let heard = heard.lock().unwrap().clone();
    let defences = heard.iter().filter(|(at, arp)| {
        *at > Instant::from_secs(29) && (arp.sender, arp.target) == (OURS, OURS)
    });
    let defences: Vec<_> = defences.map(|(at, _)| at.secs()).collect();
    assert!((3..=5).contains(&defences.len()), "{defences:?}");
    stream.abort();
    stack.run_for(Duration::from_secs(5));
    assert_eq!(log.lock().unwrap().ended, Some(Ended::Reset));
    assert_eq!(
        words(&history(&facts)),
        ["configured", "shared", "taken", "lost"],
        "now it is the other's"
    );
}
