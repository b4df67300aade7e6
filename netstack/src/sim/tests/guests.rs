//! Several connections at a time, while nobody has been chosen.

use std::io::Read;
use std::net::Ipv4Addr;
use std::time::Duration as StdDuration;

use smoltcp::time::{Duration, Instant};

use super::super::{Donor, Ended, Link};
use super::{bytes, code, fixed, station};
use crate::{NetstackError, Stream};

#[test]
fn guests_are_served_side_by_side_until_one_is_chosen() {
    // When all addresses are settled: with each the stack forgets its neighbours.
    let (first, first_log) = Donor::peer(2, bytes(100), Instant::from_secs(6), true);
    let (second, second_log) = Donor::peer(3, bytes(50_000), Instant::from_secs(7), false);
    let (station, _, _) = station(Link::default(), fixed(), vec![first, second]);
    let mut guests: Vec<Stream<_>> = Vec::new();
    while guests.len() < 2 {
        let wait = Some(StdDuration::from_secs(10));
        guests.extend(station.admit(&code(), 1, wait).unwrap());
        assert!(station.now() < Instant::from_secs(10));
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
    station.rest();
    let other = station.accept(&code(), 1).err();
    assert!(matches!(other, Some(NetstackError::Busy)));
    chosen.hurry(StdDuration::from_secs(30));
    chosen.read_to_end(&mut Vec::new()).unwrap();
    chosen.finish().unwrap();
    station.run_for(Duration::from_secs(1));
    assert_eq!(first_log.lock().unwrap().ended, Some(Ended::Reset));
    assert_eq!(second_log.lock().unwrap().ended, Some(Ended::InOrder));
}

#[test]
fn asking_again_and_again_sends_one_beacon_in_a_second() {
    let (late, log) = Donor::peer(2, bytes(10), Instant::from_secs(60), false);
    let (station, _, _) = station(Link::default(), fixed(), vec![late]);
    station.run_for(Duration::from_secs(2));
    for _ in 0..100 {
        let wait = Some(StdDuration::from_millis(100));
        assert!(station.accept_within(&code(), 1, wait).unwrap().is_none());
    }
    let beacons = log.lock().unwrap().beacons.len();
    assert!((9..=11).contains(&beacons), "{beacons}");
}
