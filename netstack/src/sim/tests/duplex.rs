//! Both directions of a connection at once.

use std::io::{ErrorKind, Read, Write};

use smoltcp::time::{Duration, Instant};

use super::super::{DhcpServer, Donor, Ended, Link};
use super::{automatic, bytes, code, fixed, stack};
use crate::{STALL, WRITE_PATIENCE};

/// Loss in thousandths, and how many bytes go each way.
const CASES: [(u64, usize); 4] = [(0, 600_000), (10, 400_000), (50, 200_000), (200, 20_000)];

fn link(lost: u64, seed: u64) -> Link {
    Link {
        lost,
        doubled: 20,
        overtaken: 100,
        seed,
        ..Link::default()
    }
}

fn back(len: usize) -> Vec<u8> {
    bytes(len).iter().map(|byte| byte ^ 0xa5).collect()
}

#[test]
fn bytes_written_and_read_in_turns_arrive_over_bad_links() {
    for (lost, len) in CASES {
        // At 20 % seed 1 loses the donor's FIN, which a donor of smoltcp 0.14 does not always send
        // again (`Donor::act`).
        for seed in 2..5 {
            let (donor, log) = Donor::peer(2, bytes(len), Instant::ZERO, false);
            let (stack, _, _) = stack(link(lost, seed), fixed(), vec![donor]);
            let mut stream = stack.accept(&code(), 78).unwrap();
            let mut writer = stream.writer();
            let (mut received, mut buffer) = (Vec::new(), [0; 3000]);
            for word in back(len).chunks(2000) {
                writer.write_all(word).unwrap();
                let got = stream.read(&mut buffer).unwrap_or_else(|error| {
                    panic!(
                        "lost={lost} seed={seed}: {error} after {} bytes at {}",
                        received.len(),
                        stack.now()
                    )
                });
                received.extend_from_slice(&buffer[..got]);
            }
            stream.read_to_end(&mut received).unwrap();
            let finished = stream.finish();
            let log = log.lock().unwrap();
            assert!(received == bytes(len), "lost={lost} seed={seed}");
            assert!(log.received == back(len), "lost={lost} seed={seed}");
            // At 20 % the last bytes or the FIN may be lost so often that it is not worth waiting
            // for.
            let is_given_up = lost > 50
                && finished
                    .as_ref()
                    .is_err_and(|error| error.kind() == ErrorKind::TimedOut);
            assert!(
                is_given_up || finished.is_ok() && log.ended == Some(Ended::InOrder),
                "lost={lost} seed={seed} {finished:?}"
            );
        }
    }
}

#[test]
fn one_thread_writes_while_another_reads() {
    for (lost, len) in CASES {
        // Time passes as the threads happen to run, so each run is another one; at 20 % some stall
        // for longer than a donor may.
        if lost > 50 {
            continue;
        }
        let (donor, log) = Donor::peer(2, bytes(len), Instant::ZERO, false);
        let (stack, _, _) = stack(link(lost, 1), fixed(), vec![donor]);
        let mut stream = stack.accept(&code(), 78).unwrap();
        let mut writer = stream.writer();
        let mut received = Vec::new();
        std::thread::scope(|scope| {
            scope.spawn(move || writer.write_all(&back(len)).unwrap());
            stream.read_to_end(&mut received).unwrap();
        });
        stream.finish().unwrap();
        let log = log.lock().unwrap();
        assert!(received == bytes(len), "lost={lost}");
        assert!(log.received == back(len), "lost={lost}");
        assert_eq!(log.ended, Some(Ended::InOrder), "lost={lost}");
    }
}

#[test]
fn a_donor_that_has_closed_its_side_is_still_told() {
    let (donor, log) = Donor::peer(2, bytes(100), Instant::ZERO, false);
    let (stack, _, _) = stack(link(50, 1), fixed(), vec![donor]);
    let mut stream = stack.accept(&code(), 78).unwrap();
    stream.read_to_end(&mut Vec::new()).unwrap();
    stream.writer().write_all(&back(100_000)).unwrap();
    stream.finish().unwrap();
    let log = log.lock().unwrap();
    assert!(log.received == back(100_000));
    assert_eq!(log.ended, Some(Ended::InOrder));
}

#[test]
fn an_opening_cut_short_is_handed_over_with_the_end_behind_it() {
    let (donor, _) = Donor::peer(2, bytes(77), Instant::ZERO, false);
    let (stack, _, _) = stack(Link::default(), fixed(), vec![donor]);
    let mut stream = stack.accept(&code(), 78).unwrap();
    let mut received = Vec::new();
    stream.read_to_end(&mut received).unwrap();
    assert_eq!(received, bytes(77));
}

#[test]
fn a_write_waits_thirty_seconds_for_room() {
    let (donor, _) = Donor::peer(2, bytes(10), Instant::ZERO, true);
    let (stack, interfaces, _) = stack(Link::default(), fixed(), vec![donor]);
    let stream = stack.accept(&code(), 10).unwrap();
    interfaces.go_silent();
    let (mut writer, mut taken) = (stream.writer(), 0);
    let (begun, error) = loop {
        let begun = stack.now();
        match writer.write(&[0; 1000]) {
            Ok(len) => taken += len,
            Err(error) => break (begun, error),
        }
    };
    assert_eq!(error.kind(), ErrorKind::TimedOut);
    assert_eq!(stack.now() - begun, WRITE_PATIENCE);
    assert_eq!(taken, 16 << 10, "the buffer is bounded");
}

#[test]
fn a_writer_does_not_outlive_its_connection() {
    let (first, first_log) = Donor::peer(2, bytes(10), Instant::ZERO, true);
    let (second, second_log) = Donor::peer(3, bytes(10), Instant::from_secs(1), false);
    let (stack, interfaces, _) = stack(Link::default(), fixed(), vec![first, second]);
    let stream = stack.accept(&code(), 10).unwrap();
    let mut stale = stream.writer();
    stale.write_all(b"first").unwrap();
    stream.finish().unwrap();
    assert_eq!(stale.write(b"x").unwrap_err().kind(), ErrorKind::BrokenPipe);
    let stream = stack.accept(&code(), 10).unwrap();
    assert_eq!(stale.write(b"x").unwrap_err().kind(), ErrorKind::BrokenPipe);
    let mut writer = stream.writer();
    writer.write_all(b"second").unwrap();
    drop(stale);
    stack.run_for(Duration::from_secs(1));
    assert_eq!(first_log.lock().unwrap().received, b"first");
    assert_eq!(second_log.lock().unwrap().received, b"second");
    interfaces.remove();
    stack.run_for(Duration::from_secs(1));
    assert_eq!(
        writer.write(b"x").unwrap_err().kind(),
        ErrorKind::ConnectionReset
    );
    drop(stream);
    assert_eq!(
        writer.write(b"x").unwrap_err().kind(),
        ErrorKind::BrokenPipe
    );
}

/// A renewal is refused and the next lease is another one. What had arrived can be read; then the
/// stream says why it ends, the donor is reset from the old address and comes back under the new
/// one.
#[test]
fn another_lease_ends_the_connection_and_the_donor_finds_us_again() {
    let server = DhcpServer::moving(60, Instant::from_secs(100));
    // More than the window, so that it cannot be through before.
    let (donor, log) = Donor::persistent(2, bytes(3_000_000), Instant::ZERO);
    let (stack, _, _) = stack(Link::default(), automatic(), vec![server, donor]);
    let mut stream = stack.accept(&code(), 78).unwrap();
    assert!(stack.addresses().contains(&super::OURS.into()));
    // Never long enough to be a stall.
    let mut received = Vec::new();
    let error = loop {
        stack.run_for(STALL / 2);
        let mut buffer = [0; 1000];
        match stream.read(&mut buffer) {
            Ok(len) => received.extend_from_slice(&buffer[..len]),
            Err(error) => break error,
        }
        assert!(stack.now() < Instant::from_secs(3600 * 24));
        if stack.now() > Instant::from_secs(200) {
            // The rest of the old connection, at once.
            break stream.read_to_end(&mut received).unwrap_err();
        }
    };
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    assert_eq!(
        error.to_string(),
        "the lease of 10.9.0.15 was replaced by one of 10.9.0.16"
    );
    assert!(received.len() > 65_000 && received == bytes(3_000_000)[..received.len()]);
    drop(stream);
    let mut stream = stack.accept(&code(), 78).unwrap();
    let moved = std::net::Ipv4Addr::new(10, 9, 0, 16).into();
    assert_eq!(stack.addresses().first(), Some(&moved));
    received.clear();
    stream.read_to_end(&mut received).unwrap();
    stream.finish().unwrap();
    assert!(received == bytes(3_000_000));
    let log = log.lock().unwrap();
    assert_eq!((log.connections, log.ended), (2, Some(Ended::InOrder)));
}
