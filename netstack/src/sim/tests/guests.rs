//! Several connections at a time, while nobody has been chosen.

use std::io::Read;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration as StdDuration;

use smoltcp::time::{Duration, Instant};
use smoltcp::wire::Ipv4Address;

use super::super::{Crowd, Donor, Ended, Link};
use super::{bytes, code, fixed, stack};
use crate::engine::UNASKED;
use crate::{NetstackError, Stream};

const OURS: Ipv4Address = Ipv4Address::new(10, 9, 0, 15);

#[test]
fn guests_are_served_side_by_side_until_one_is_chosen() {
    // When all addresses are settled: with each the stack forgets its neighbours.
    let (first, first_log) = Donor::peer(2, bytes(100), Instant::from_secs(6), true);
    let (second, second_log) = Donor::peer(3, bytes(50_000), Instant::from_secs(7), false);
    let (stack, _, _) = stack(Link::default(), fixed(), vec![first, second]);
    let mut guests: Vec<Stream<_>> = Vec::new();
    while guests.len() < 2 {
        let wait = Some(StdDuration::from_secs(10));
        guests.extend(stack.admit(&code(), 1, wait).unwrap());
        assert!(stack.now() < Instant::from_secs(10));
        // Nothing to read is no reason to wait.
        for guest in &mut guests {
            guest.hurry(StdDuration::ZERO);
            let _ = guest.read(&mut [0; 1]);
        }
    }
    let peers: Vec<_> = guests.iter().map(|guest| guest.peer().ip()).collect();
    assert_eq!(
        peers,
        [Ipv4Addr::new(10, 9, 0, 2), Ipv4Addr::new(10, 9, 0, 3)]
    );
    let mut chosen = guests.pop().unwrap();
    drop(guests);
    stack.rest();
    let other = stack.accept(&code(), 1).err();
    assert!(matches!(other, Some(NetstackError::Busy)));
    chosen.hurry(StdDuration::from_secs(30));
    chosen.read_to_end(&mut Vec::new()).unwrap();
    chosen.finish().unwrap();
    stack.run_for(Duration::from_secs(1));
    assert_eq!(first_log.lock().unwrap().ended, Some(Ended::Reset));
    assert_eq!(second_log.lock().unwrap().ended, Some(Ended::InOrder));
}

#[test]
fn asking_again_and_again_sends_one_beacon_in_a_second() {
    let (late, log) = Donor::peer(2, bytes(10), Instant::from_secs(60), false);
    let (stack, _, _) = stack(Link::default(), fixed(), vec![late]);
    stack.run_for(Duration::from_secs(2));
    for _ in 0..100 {
        let wait = Some(StdDuration::from_millis(100));
        assert!(stack.accept_within(&code(), 1, wait).unwrap().is_none());
    }
    let beacons = log.lock().unwrap().beacons.len();
    assert!((9..=11).contains(&beacons), "{beacons}");
}

/// Nobody asks for any of them meanwhile: a receiver that is busy, or a machine that is slow.
#[test]
fn guests_that_nobody_asks_for_make_room_for_an_honest_one() {
    const MEMBERS: usize = 3;
    let (begins, pause) = (Instant::from_secs(6), Duration::from_millis(20));
    // Whole openings, and again and again as much behind them; each that is reset comes again.
    let crowds = (66..71).map(|host| {
        let (crowd, log) = Crowd::peer(host, OURS, MEMBERS, begins, pause, &[b'o'; 78]);
        (crowd, Some(log))
    });
    let (honest, log) = Donor::peer(2, bytes(100), Instant::from_secs(7), true);
    let (peers, crowd_logs): (Vec<_>, Vec<_>) = crowds.chain([(honest, None)]).unzip();
    let (stack, _, _) = stack(Link::default(), fixed(), peers);
    let admit = || {
        let admitted = stack.admit(&code(), 78, Some(StdDuration::ZERO));
        admitted.unwrap()
    };
    assert!(admit().is_none());
    stack.run_for(Duration::from_secs(10));
    // The oldest of an address that has several is reset, and never the honest one.
    for crowd in crowd_logs.iter().flatten() {
        assert!(crowd.lock().unwrap().lasted.len() > MEMBERS);
    }
    {
        let log = log.lock().unwrap();
        assert_eq!((log.connections, log.ended), (1, None));
    }
    let mut guests = Vec::new();
    // Arrivals in the meantime come behind those that were there.
    while guests.len() <= UNASKED
        && let Some(guest) = admit()
    {
        guests.push(guest);
    }
    let peers: Vec<_> = guests.iter().map(|guest| guest.peer().ip()).collect();
    assert_eq!(peers.len(), UNASKED, "{peers:?}");
    let is_honest = |peer: &IpAddr| *peer == Ipv4Addr::new(10, 9, 0, 2);
    let mut honest = guests.swap_remove(peers.iter().position(is_honest).unwrap());
    let mut received = [0; 100];
    honest.read_exact(&mut received).unwrap();
    assert_eq!(received, bytes(100)[..]);
}
