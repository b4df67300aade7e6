//! Strangers that connect and do not say an opening.

use std::io::Read;

use smoltcp::time::{Duration, Instant};
use smoltcp::wire::Ipv4Address;

use super::super::{Crowd, Donor, Ended, Link};
use super::{bytes, code, fixed, stack};

const OURS: Ipv4Address = Ipv4Address::new(10, 9, 0, 15);
const OPENING_LEN: usize = 78;

/// How long the connections of a crowd lasted, and when a donor that comes after so many seconds
/// was accepted.
fn last(members: usize, pause: Duration, seconds: i64, seed: u64) -> (Vec<Duration>, Instant) {
    let (crowd, crowd_log) = Crowd::peer(66, OURS, members, Instant::ZERO, pause, b"S");
    let (donor, log) = Donor::persistent(2, bytes(100_000), Instant::from_secs(seconds));
    let link = Link {
        overtaken: 50,
        seed,
        ..Link::default()
    };
    let (stack, _, _) = stack(link, fixed(), vec![crowd, donor]);
    let mut stream = stack.accept(&code(), OPENING_LEN).unwrap();
    let accepted = stack.now();
    let lasted = crowd_log.lock().unwrap().lasted.clone();
    assert_eq!(stream.peer().ip(), std::net::Ipv4Addr::new(10, 9, 0, 2));
    let mut received = Vec::new();
    stream.read_to_end(&mut received).unwrap();
    stream.finish().unwrap();
    assert!(received == bytes(100_000));
    assert_eq!(log.lock().unwrap().ended, Some(Ended::InOrder));
    (lasted, accepted)
}

#[test]
fn four_slow_connections_are_kept_for_five_seconds_each() {
    let (lasted, _) = last(4, Duration::from_millis(500), 30, 1);
    assert!(lasted.len() >= 16, "{lasted:?}");
    let five = Duration::from_millis(4990)..Duration::from_millis(5020);
    assert!(lasted.iter().all(|time| five.contains(time)), "{lasted:?}");
}

#[test]
fn the_oldest_makes_room_for_a_fifth() {
    let (lasted, _) = last(5, Duration::from_millis(500), 30, 1);
    // All five come at once.
    assert!(lasted[0] < Duration::from_millis(20), "{lasted:?}");
    assert!(
        lasted.iter().all(|time| *time < Duration::from_secs(5)),
        "{lasted:?}"
    );
}

#[test]
fn fifty_slow_connections_keep_no_donor_out() {
    for seed in 1..3 {
        let (lasted, accepted) = last(50, Duration::from_millis(50), 6, seed);
        assert!(lasted.len() > 1000, "{}", lasted.len());
        assert!(accepted < Instant::from_secs(8), "{accepted}");
    }
}

/// Each comes again as soon as it was reset.
#[test]
fn fifty_impatient_connections_delay_a_donor_by_seconds() {
    let (lasted, accepted) = last(50, Duration::from_millis(1), 1, 1);
    assert!(lasted.len() > 1000, "{}", lasted.len());
    assert!(accepted < Instant::from_secs(20), "{accepted}");
}
