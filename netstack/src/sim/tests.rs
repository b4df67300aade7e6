//! The stack on a simulated segment: the same code as over packet sockets, in virtual time.

use std::io::{ErrorKind, Read};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};

use smoltcp::time::{Duration, Instant};
use smoltcp::wire::Ipv4Address;
use wire::code::Code;

use super::{DhcpServer, Donor, Ended, Link, Peer, Prober, SimInterfaces};
use crate::interfaces::Wait;
use crate::{AddressSource, Addressing, Config, Fixed, InterfaceFilter, NetworkFact, STALL, Stack};

mod conflict;
mod crowd;
mod duplex;
mod guests;
mod ipv6;
mod steered;

const CODE: &str = "e13gts2";
const OURS: Ipv4Addr = Ipv4Addr::new(10, 9, 0, 15);

type Facts = Arc<Mutex<Vec<(Instant, NetworkFact)>>>;

fn fixed() -> Config {
    let own = Fixed {
        address: OURS,
        prefix_len: 24,
        gateway: None,
    };
    Config {
        addressing: Addressing {
            on: InterfaceFilter::First,
            ipv4: Some(own),
            ipv6: None,
        },
        ..automatic()
    }
}

fn stack(
    link: Link,
    config: Config,
    peers: Vec<Box<dyn Peer>>,
) -> (Stack<SimInterfaces>, SimInterfaces, Facts) {
    let interfaces = SimInterfaces::new(link, peers);
    let facts = Facts::default();
    let (kept, clock) = (Arc::clone(&facts), interfaces.clone());
    let observer = move |fact| facts.lock().unwrap().push((crate::Wait::now(&clock), fact));
    (
        Stack::over(interfaces.clone(), config, Box::new(observer), 7),
        interfaces,
        kept,
    )
}

fn code() -> Code {
    Code::parse(CODE).unwrap()
}

fn bytes(len: usize) -> Vec<u8> {
    (0..len)
        .map(|at| (at ^ (at >> 8) ^ (at >> 15)) as u8)
        .collect()
}

fn automatic() -> Config {
    Config {
        memory_bytes: 64 << 20,
        ..Config::default()
    }
}

#[test]
fn every_byte_arrives_in_order_over_bad_links() {
    let cases = [(0, 2 << 20), (10, 1 << 20), (50, 400_000), (200, 20_000)];
    for (lost, len) in cases {
        for seed in 1..4 {
            let link = Link {
                lost,
                doubled: 20,
                overtaken: 100,
                seed,
                ..Link::default()
            };
            let sent = bytes(len);
            let (donor, log) = Donor::peer(2, sent.clone(), Instant::ZERO, false);
            let (stack, _, _) = stack(link, fixed(), vec![donor]);
            let mut stream = stack.accept(&code(), 1).unwrap();
            assert_eq!(stream.peer().ip(), Ipv4Addr::new(10, 9, 0, 2));
            let mut received = Vec::new();
            let ended = stream.read_to_end(&mut received);
            assert!(
                ended.is_ok() && received == sent,
                "lost={lost} seed={seed}: {} of {len} bytes, {ended:?} at {}",
                received.len(),
                stack.now()
            );
            stream.finish().unwrap();
            assert_eq!(
                log.lock().unwrap().ended,
                Some(Ended::InOrder),
                "lost={lost} seed={seed}"
            );
        }
    }
}

#[test]
fn reads_of_one_byte_give_the_same() {
    let sent = bytes(5000);
    let (donor, _) = Donor::peer(2, sent.clone(), Instant::ZERO, false);
    let (stack, _, _) = stack(
        Link {
            lost: 50,
            ..Link::default()
        },
        fixed(),
        vec![donor],
    );
    let mut stream = stack.accept(&code(), 1).unwrap();
    let (mut received, mut byte) = (Vec::new(), [0]);
    while stream.read(&mut byte).unwrap() == 1 {
        received.extend(byte);
    }
    assert_eq!(received, sent);
}

#[test]
fn the_beacon_is_sent_once_a_second_until_a_donor_speaks() {
    let (donor, log) = Donor::peer(2, bytes(10), Instant::from_secs(20), true);
    let (stack, _, _) = stack(Link::default(), fixed(), vec![donor]);
    let mut stream = stack.accept(&code(), 1).unwrap();
    let accepted = stack.now();
    assert!(stream.read_exact(&mut [0; 10]).is_ok());
    assert_eq!(
        stream.read(&mut [0; 10]).unwrap_err().kind(),
        ErrorKind::TimedOut
    );
    let beacons = log.lock().unwrap().beacons.clone();
    assert!((20..=22).contains(&beacons.len()), "{}", beacons.len());
    for (at, from, payload) in &beacons {
        assert_eq!(payload, b"SMECHVISOR_SHIM:e13gts2");
        assert_eq!(from.addr, OURS.into());
        assert!(*at <= accepted + Duration::from_millis(1));
    }
    for pair in beacons.windows(2) {
        assert_eq!((pair[1].0 - pair[0].0).total_millis(), 1000);
    }
}

#[test]
fn a_donor_that_stalls_is_dropped_after_thirty_seconds() {
    let (donor, log) = Donor::peer(2, bytes(1000), Instant::ZERO, true);
    let (stack, _, _) = stack(Link::default(), fixed(), vec![donor]);
    let mut stream = stack.accept(&code(), 1).unwrap();
    stream.read_exact(&mut [0; 1000]).unwrap();
    let begun = stack.now();
    assert_eq!(
        stream.read(&mut [0; 1]).unwrap_err().kind(),
        ErrorKind::TimedOut
    );
    assert_eq!(stack.now() - begun, STALL);
    stream.abort();
    stack.run_for(Duration::from_secs(1));
    assert_eq!(log.lock().unwrap().ended, Some(Ended::Reset));
}

#[test]
fn a_second_donor_is_reset_while_one_is_served_and_accepted_afterwards() {
    let (first, first_log) = Donor::peer(2, bytes(3_000_000), Instant::ZERO, false);
    // It heard the same beacon, and its own first byte comes later.
    let (second, second_log) = Donor::peer(3, bytes(10), Instant::ZERO, false);
    let (third, third_log) = Donor::peer(4, bytes(77), Instant::from_secs(3), false);
    let (stack, _, _) = stack(Link::default(), fixed(), vec![first, second, third]);
    let mut stream = stack.accept(&code(), 1).unwrap();
    let served = stream.peer();
    let mut received = Vec::new();
    stream.read_to_end(&mut received).unwrap();
    stream.finish().unwrap();
    let ended = |log: &Arc<Mutex<super::DonorLog>>| log.lock().unwrap().ended;
    let (first_ended, second_ended) = (ended(&first_log), ended(&second_log));
    assert_eq!(
        served,
        SocketAddr::from((Ipv4Addr::new(10, 9, 0, 2), 51234))
    );
    assert_eq!(
        (received.len(), first_ended),
        (3_000_000, Some(Ended::InOrder))
    );
    assert_eq!(second_ended, Some(Ended::Reset));
    let mut stream = stack.accept(&code(), 1).unwrap();
    assert_eq!(stream.peer().ip(), Ipv4Addr::new(10, 9, 0, 4));
    received.clear();
    stream.read_to_end(&mut received).unwrap();
    stream.finish().unwrap();
    assert_eq!(
        (received, ended(&third_log)),
        (bytes(77), Some(Ended::InOrder))
    );
}

#[test]
fn port_scans_and_garbage_keep_no_donor_out() {
    let (donor, log) = Donor::peer(2, bytes(100_000), Instant::from_secs(5), false);
    let prober = Prober::peer(66, Ipv4Address::new(10, 9, 0, 15));
    let (stack, _, _) = stack(Link::default(), fixed(), vec![prober, donor]);
    let mut stream = stack.accept(&code(), 1).unwrap();
    assert_eq!(stream.peer().ip(), Ipv4Addr::new(10, 9, 0, 2));
    assert!(stack.now() < Instant::from_secs(10), "{}", stack.now());
    let mut received = Vec::new();
    stream.read_to_end(&mut received).unwrap();
    assert_eq!(received, bytes(100_000));
    stream.finish().unwrap();
    assert_eq!(log.lock().unwrap().ended, Some(Ended::InOrder));
}

/// After a failed deploy the network thread sleeps until the lease is to be renewed; the next
/// beacon must not wait for that.
#[test]
fn a_beacon_is_sent_at_once_while_the_network_thread_sleeps() {
    let (server, _) = DhcpServer::peer(600, None);
    let (failing, _) = Donor::peer(2, bytes(10), Instant::ZERO, true);
    let (next, log) = Donor::peer(3, bytes(10), Instant::from_secs(100), false);
    let (stack, interfaces, _) = stack(Link::default(), automatic(), vec![server, failing, next]);
    stack.accept(&code(), 1).unwrap().abort();
    stack.run_for(Duration::from_secs(30));
    let ended = stack.now();
    interfaces.sleep_at_next_wait();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while interfaces.is_sleep_due() {
                stack.poll_in_background();
            }
        });
        interfaces.await_sleeper();
        let stream = stack.accept(&code(), 1).unwrap();
        assert_eq!(stream.peer().ip(), Ipv4Addr::new(10, 9, 0, 3));
    });
    let beacons = log.lock().unwrap().beacons.clone();
    let first = beacons.iter().map(|(at, _, _)| *at).find(|at| *at >= ended);
    assert!(
        first.is_some_and(|first| first < ended + Duration::from_millis(10)),
        "{first:?} after {ended}"
    );
}

#[test]
fn a_lease_is_taken_and_renewed() {
    let (server, requests) = DhcpServer::peer(600, None);
    let (donor, _) = Donor::peer(2, bytes(10), Instant::from_secs(2000), false);
    let (stack, _, facts) = stack(
        Link {
            lost: 50,
            ..Link::default()
        },
        automatic(),
        vec![server, donor],
    );
    let stream = stack.accept(&code(), 1).unwrap();
    assert!(stack.addresses().contains(&OURS.into()));
    drop(stream);
    let facts = facts.lock().unwrap();
    let configured: Vec<_> = facts
        .iter()
        .filter(|(_, fact)| matches!(fact, NetworkFact::AddressConfigured { address, .. } if address.is_ipv4()))
        .collect();
    let [
        (
            at,
            NetworkFact::AddressConfigured {
                address,
                prefix_len: 24,
                gateway,
                source,
                ..
            },
        ),
    ] = configured[..]
    else {
        panic!("{facts:?}")
    };
    assert_eq!((*address, *source), (OURS.into(), AddressSource::Dhcp));
    assert_eq!(*gateway, Some(Ipv4Addr::new(10, 9, 0, 1).into()));
    assert!(*at < Instant::from_secs(10));
    let renewals = requests
        .lock()
        .unwrap()
        .iter()
        .filter(|at| **at > Instant::from_secs(200))
        .count();
    assert!((4..=12).contains(&renewals), "{renewals}");
}

#[test]
fn a_refused_renewal_ends_the_lease_and_link_local_takes_over() {
    let (server, _) = DhcpServer::peer(600, Some(Instant::from_secs(100)));
    let (donor, log) = Donor::peer(2, bytes(10), Instant::from_secs(400), false);
    let (stack, _, facts) = stack(Link::default(), automatic(), vec![server, donor]);
    let mut stream = stack.accept(&code(), 1).unwrap();
    stream.read_to_end(&mut Vec::new()).unwrap();
    stream.finish().unwrap();
    assert_eq!(log.lock().unwrap().ended, Some(Ended::InOrder));
    let facts = facts.lock().unwrap();
    let sources: Vec<_> = facts
        .iter()
        .filter_map(|(_, fact)| match fact {
            NetworkFact::AddressConfigured {
                source, address, ..
            } if address.is_ipv4() => Some(Some(*source)),
            NetworkFact::AddressLost { address, .. } => {
                assert_eq!(*address, OURS);
                Some(None)
            }
            _ => None,
        })
        .collect();
    assert_eq!(
        sources,
        [
            Some(AddressSource::Dhcp),
            None,
            Some(AddressSource::LinkLocal)
        ]
    );
}

#[test]
fn without_a_server_two_machines_and_a_cable_work() {
    let (donor, log) = Donor::peer(2, bytes(50_000), Instant::ZERO, false);
    let (stack, _, facts) = stack(Link::default(), automatic(), vec![donor]);
    let mut stream = stack.accept(&code(), 1).unwrap();
    let mut received = Vec::new();
    stream.read_to_end(&mut received).unwrap();
    stream.finish().unwrap();
    assert_eq!(received, bytes(50_000));
    let first = log.lock().unwrap().beacons[0].0;
    assert!(
        (Instant::from_secs(12)..Instant::from_secs(20)).contains(&first),
        "{first}"
    );
    let facts = facts.lock().unwrap();
    let Some((
        at,
        NetworkFact::AddressConfigured {
            address: IpAddr::V4(address),
            prefix_len: 16,
            gateway: None,
            source: AddressSource::LinkLocal,
            ..
        },
    )) = facts.last()
    else {
        panic!("{facts:?}")
    };
    assert!(*at >= Instant::from_secs(10) && address.is_link_local());
}

#[test]
fn a_removed_interface_ends_the_stream_and_links_are_reported() {
    let (donor, _) = Donor::peer(2, bytes(10), Instant::ZERO, true);
    let (stack, interfaces, facts) = stack(Link::default(), fixed(), vec![donor]);
    let mut stream = stack.accept(&code(), 1).unwrap();
    stream.read_exact(&mut [0; 10]).unwrap();
    interfaces.set_link(false);
    interfaces.set_link(true);
    interfaces.remove();
    assert_eq!(
        stream.read(&mut [0; 1]).unwrap_err().kind(),
        ErrorKind::ConnectionReset
    );
    let facts = facts.lock().unwrap();
    let tail: Vec<_> = facts.iter().rev().take(3).map(|(_, fact)| fact).collect();
    assert!(
        matches!(
            tail[..],
            [
                NetworkFact::Gone { .. },
                NetworkFact::LinkUp { .. },
                NetworkFact::LinkDown { .. }
            ]
        ),
        "{tail:?}"
    );
}

/// The cable is out for a moment, and nobody is connected: what becomes of the IPv4 address within
/// a minute, how often a server that gives addresses was asked for one, and after what time one was
/// lost.
fn after_an_interruption(refuses_from: Option<Instant>) -> (usize, Vec<NetworkFact>, Duration) {
    let (server, requests) = DhcpServer::peer(600, refuses_from);
    let (stack, interfaces, facts) = stack(Link::default(), automatic(), vec![server]);
    stack.run_for(Duration::from_secs(10));
    let (asked, known) = (requests.lock().unwrap().len(), facts.lock().unwrap().len());
    let at = interfaces.now();
    interfaces.set_link(false);
    interfaces.set_link(true);
    stack.run_for(Duration::from_secs(60));
    let asked = requests.lock().unwrap().len() - asked;
    let mut after = None;
    let facts = facts.lock().unwrap().split_off(known).into_iter();
    let ipv4 = facts.filter_map(|(when, fact)| match fact {
        NetworkFact::AddressLost { address, .. } if address.is_ipv4() => {
            after.get_or_insert(when - at);
            Some(fact)
        }
        NetworkFact::AddressConfigured { address, .. } if address.is_ipv4() => Some(fact),
        _ => None,
    });
    let ipv4 = ipv4.collect();
    (asked, ipv4, after.unwrap_or_default())
}

#[test]
fn a_short_interruption_keeps_the_lease_and_asks_again() {
    let (asked, facts, _) = after_an_interruption(None);
    assert!(asked > 0);
    assert_eq!(facts, []);
}

#[test]
fn a_lease_that_no_server_gives_again_ends_after_the_patience_for_servers() {
    let (_, facts, after) = after_an_interruption(Some(Instant::from_secs(5)));
    assert!(
        matches!(
            facts[..],
            [
                NetworkFact::AddressLost { .. },
                NetworkFact::AddressConfigured {
                    source: AddressSource::LinkLocal,
                    ..
                }
            ]
        ),
        "{facts:?}"
    );
    assert_eq!(after.secs(), 10);
}
