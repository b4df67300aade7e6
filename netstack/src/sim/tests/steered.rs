//! Another thread wants something else: waiting ends, reading ends, addresses change.

use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr};
use std::thread;
use std::time::Duration as StdDuration;

use smoltcp::time::{Duration, Instant};

use super::{OURS, automatic, bytes, code, fixed, stack};
use crate::sim::{DhcpServer, Donor, Ended, Link};
use crate::{AddressSource, Addressing, Fixed, InterfaceFilter, NetstackError, NetworkFact};

const CHOSEN: Ipv4Addr = Ipv4Addr::new(10, 9, 0, 77);

fn chosen(on: InterfaceFilter) -> Addressing {
    Addressing {
        on,
        ipv4: Some(Fixed {
            address: CHOSEN,
            prefix_len: 24,
            gateway: None,
        }),
        ipv6: None,
    }
}

#[test]
fn an_interruption_ends_the_next_accept_and_only_that() {
    let (donor, _) = Donor::peer(2, bytes(10), Instant::from_secs(5), false);
    let (stack, _, _) = stack(Link::default(), fixed(), vec![donor]);
    let interrupter = stack.interrupter();
    interrupter.interrupt();
    interrupter.interrupt();
    let interrupted = stack.accept(&code(), 1).err();
    assert!(matches!(interrupted, Some(NetstackError::Interrupted)));
    let begun = stack.now();
    assert!(begun < Instant::from_secs(1));
    let stream = stack.accept(&code(), 1).unwrap();
    assert_eq!(stream.peer().ip(), Ipv4Addr::new(10, 9, 0, 2));
    drop((stream, stack));
    interrupter.interrupt(); // nobody is there
}

#[test]
fn a_sleeping_accept_is_interrupted_and_nobody_is_invited_any_more() {
    let (late, log) = Donor::peer(2, bytes(10), Instant::from_secs(3), false);
    let (stack, interfaces, _) = stack(Link::default(), fixed(), vec![late]);
    stack.run_for(Duration::from_millis(1));
    interfaces.sleep_at_next_wait();
    thread::scope(|scope| {
        let accepting = scope.spawn(|| stack.accept(&code(), 1).err());
        interfaces.await_sleeper();
        stack.interrupter().interrupt();
        let interrupted = accepting.join().unwrap();
        assert!(matches!(interrupted, Some(NetstackError::Interrupted)));
    });
    stack.run_for(Duration::from_secs(10));
    let log = log.lock().unwrap();
    assert!(log.beacons.len() <= 1, "{:?}", log.beacons);
    assert_ne!(log.ended, Some(Ended::InOrder));
}

#[test]
fn an_accept_whose_work_is_done_by_the_network_thread_is_interrupted() {
    let (stack, interfaces, _) = stack(Link::default(), fixed(), vec![]);
    stack.run_for(Duration::from_secs(1));
    interfaces.sleep_at_next_wait();
    thread::scope(|scope| {
        scope.spawn(|| {
            while interfaces.is_sleep_due() {
                stack.poll_in_background();
            }
        });
        interfaces.await_sleeper();
        let interrupter = stack.interrupter();
        interrupter.interrupt();
        let interrupted = stack.accept(&code(), 1).err();
        assert!(matches!(interrupted, Some(NetstackError::Interrupted)));
    });
}

#[test]
fn an_interrupted_reader_reads_nothing_more_and_the_way_back_stays() {
    let (stalling, _) = Donor::peer(2, bytes(1000), Instant::ZERO, true);
    let (next, log) = Donor::peer(3, bytes(500), Instant::from_secs(60), false);
    let (stack, _, _) = stack(Link::default(), fixed(), vec![stalling, next]);
    let mut stream = stack.accept(&code(), 1).unwrap();
    let interrupter = stream.interrupter();
    stream.read_exact(&mut [0; 400]).unwrap();
    interrupter.interrupt();
    let at = stack.now();
    for _ in 0..2 {
        let error = stream.read(&mut [0; 1]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionAborted);
    }
    assert_eq!(stack.now(), at, "at once");
    stream.writer().write_all(b"cancelled").unwrap();
    stream.abort();
    interrupter.interrupt(); // of a connection that is gone
    let mut stream = stack.accept(&code(), 1).unwrap();
    let mut received = Vec::new();
    stream.read_to_end(&mut received).unwrap();
    assert_eq!(received, bytes(500));
    stream.finish().unwrap();
    assert_eq!(log.lock().unwrap().ended, Some(Ended::InOrder));
}

#[test]
fn a_sleeping_reader_is_interrupted() {
    let (stalling, _) = Donor::peer(2, bytes(100), Instant::ZERO, true);
    let (stack, interfaces, _) = stack(Link::default(), fixed(), vec![stalling]);
    let mut stream = stack.accept(&code(), 1).unwrap();
    stream.read_exact(&mut [0; 100]).unwrap();
    let interrupter = stream.interrupter();
    stack.run_for(Duration::from_secs(1));
    interfaces.sleep_at_next_wait();
    thread::scope(|scope| {
        let reading = scope.spawn(move || {
            let error = stream.read(&mut [0; 1]).unwrap_err();
            stream.abort();
            error.kind()
        });
        interfaces.await_sleeper();
        interrupter.interrupt();
        assert_eq!(reading.join().unwrap(), ErrorKind::ConnectionAborted);
    });
}

/// Where an address came from and for how long, or that it was lost.
type Fate = Option<(AddressSource, Option<StdDuration>)>;

/// The history of IPv4 addresses.
fn history(facts: &super::Facts) -> Vec<(IpAddr, Fate)> {
    let facts = facts.lock().unwrap();
    let history = facts.iter().filter_map(|(_, fact)| match fact {
        NetworkFact::AddressConfigured {
            address,
            source,
            lease,
            ..
        } => Some((*address, Some((*source, *lease)))),
        NetworkFact::AddressLost { address, .. } => Some((*address, None)),
        _ => None,
    });
    history.filter(|(address, _)| address.is_ipv4()).collect()
}

#[test]
fn a_person_changes_the_address_there_and_back() {
    let (server, requests) = DhcpServer::peer(600, None);
    let (donor, log) = Donor::peer(2, bytes(10), Instant::from_secs(60), false);
    let (stack, _, facts) = stack(Link::default(), automatic(), vec![server, donor]);
    stack.run_for(Duration::from_secs(20));
    assert_eq!(stack.addresses()[0], OURS);

    stack.readdress(chosen(InterfaceFilter::Every)).unwrap();
    stack.run_for(Duration::from_secs(20));
    assert_eq!(stack.addresses()[0], CHOSEN);
    let stream = stack.accept(&code(), 1).unwrap();
    assert_eq!(log.lock().unwrap().beacons[0].1.addr, CHOSEN.into());
    let refused = stack.readdress(Addressing::default());
    assert!(matches!(refused, Err(NetstackError::Busy)));
    assert_eq!(stack.addresses()[0], CHOSEN);
    drop(stream);
    let asked = requests.lock().unwrap().len();
    stack.run_for(Duration::from_secs(1000));
    assert_eq!(requests.lock().unwrap().len(), asked, "no server is asked");

    stack.readdress(Addressing::default()).unwrap();
    stack.run_for(Duration::from_secs(20));
    let leased = Some((AddressSource::Dhcp, Some(StdDuration::from_secs(600))));
    assert_eq!(
        history(&facts),
        [
            (OURS.into(), leased),
            (OURS.into(), None),
            (CHOSEN.into(), Some((AddressSource::Static, None))),
            (CHOSEN.into(), None),
            (OURS.into(), leased),
        ]
    );
}

#[test]
fn another_port_is_meant_and_this_one_goes_without_any_address() {
    let (stack, _, facts) = stack(Link::default(), fixed(), vec![]);
    stack.run_for(Duration::from_secs(10));
    assert_eq!(stack.addresses().len(), 2, "IPv4 and IPv6");
    let before = stack.addresses();
    stack
        .readdress(chosen(InterfaceFilter::Name("another".to_owned())))
        .unwrap();
    stack.run_for(Duration::from_secs(10));
    assert!(stack.addresses().is_empty());
    let facts = facts.lock().unwrap();
    let said: Vec<_> = facts.iter().map(|(_, fact)| fact).collect();
    let [.., first, second, NetworkFact::NotMeant { .. }] = said[..] else {
        panic!("{said:?}");
    };
    for (fact, lost) in [first, second].into_iter().zip(&before) {
        assert!(
            matches!(fact, NetworkFact::AddressLost { address, .. } if address == lost),
            "{fact:?}"
        );
    }
}

/// The invitation goes on under the new address, without a pause of a second.
#[test]
fn a_donor_invited_meanwhile_gets_the_new_address() {
    let (donor, log) = Donor::peer(2, bytes(10), Instant::from_secs(5), false);
    let (stack, interfaces, _) = stack(Link::default(), fixed(), vec![donor]);
    stack.run_for(Duration::from_millis(1));
    interfaces.sleep_at_next_wait();
    thread::scope(|scope| {
        let accepting = scope.spawn(|| stack.accept(&code(), 1).map(|stream| stream.peer()));
        interfaces.await_sleeper();
        stack
            .clone()
            .readdress(chosen(InterfaceFilter::Every))
            .unwrap();
        let peer = accepting.join().unwrap().unwrap();
        assert_eq!(peer.ip(), Ipv4Addr::new(10, 9, 0, 2));
    });
    let log = log.lock().unwrap();
    let (_, last, _) = log.beacons.last().unwrap();
    assert_eq!(last.addr, CHOSEN.into());
}
