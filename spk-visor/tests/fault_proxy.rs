//! The proxy of the other tests does what it says: each mishap, at exactly its place.

// The lint knows test functions only; this whole file is a test.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod faults;

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};

use faults::{Fault, Mishap, Place, Proxy, Way};

/// A donor's end and a target's end of one connection through a proxy.
fn connect(fault: Option<Fault>) -> (Proxy, TcpStream, TcpStream) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let proxy = Proxy::start(listener.local_addr().unwrap(), vec![fault]);
    let donor = TcpStream::connect(proxy.address()).unwrap();
    let (target, _) = listener.accept().unwrap();
    (proxy, donor, target)
}

fn at(way: Way, place: Place, mishap: Mishap) -> Option<Fault> {
    Some(Fault { way, place, mishap })
}

/// Everything until the end, and whether that was in order.
fn read_all(stream: &mut TcpStream) -> (Vec<u8>, io::Result<()>) {
    let mut bytes = Vec::new();
    let result = stream.read_to_end(&mut bytes).map(|_| ());
    (bytes, result)
}

/// A handshake as to its lengths, then records of 17, 300 and 65535 bytes; with the place where
/// each message ends.
fn stream(way: Way) -> (Vec<u8>, Vec<usize>) {
    let mut bytes = match way {
        Way::ToTarget => vec![1; 78],
        Way::ToDonor => [&[2; 39][..], &[1, 4], &[3; 260 + 33]].concat(),
    };
    let mut ends = vec![0, bytes.len()];
    bytes.extend([4; 48]);
    ends.push(bytes.len());
    for len in [17u16, 300, 65535] {
        bytes.extend(len.to_be_bytes());
        bytes.extend(vec![5; usize::from(len)]);
        ends.push(bytes.len());
    }
    (bytes, ends)
}

#[test]
fn without_a_fault_bytes_and_ends_pass() {
    let (proxy, mut donor, mut target) = connect(None);
    donor.write_all(b"to the target").unwrap();
    donor.shutdown(Shutdown::Write).unwrap();
    assert_eq!(read_all(&mut target).0, b"to the target");
    target.write_all(b"back").unwrap();
    drop(target);
    let (bytes, end) = read_all(&mut donor);
    assert_eq!(bytes, b"back");
    end.unwrap();
    // The other end sees the end before the proxy has counted it.
    while proxy.passed()[0].to_donor < 4 {
        std::thread::yield_now();
    }
    let passed = proxy.passed()[0];
    let counts = (passed.to_target, passed.to_donor, passed.fault_met);
    assert_eq!(counts, (13, 4, false));
}

#[test]
fn a_reset_comes_after_exactly_so_many_bytes() {
    let (bytes, _) = stream(Way::ToTarget);
    for cut in [0, 1, 77, 78, 1000, 60_000] {
        let (_proxy, mut donor, mut target) =
            connect(at(Way::ToTarget, Place::Byte(cut), Mishap::Reset));
        let writer = std::thread::spawn(move || {
            // The first call after the reset reports it, and only that one.
            let written = donor.write_all(&bytes_of(Way::ToTarget));
            let told = written.and_then(|()| donor.read(&mut [0]));
            told.unwrap_err().kind()
        });
        let (got, end) = read_all(&mut target);
        assert_eq!(end.unwrap_err().kind(), io::ErrorKind::ConnectionReset);
        assert_eq!(got, bytes[..usize::try_from(cut).unwrap()]);
        assert_eq!(writer.join().unwrap(), io::ErrorKind::ConnectionReset);
    }
}

fn bytes_of(way: Way) -> Vec<u8> {
    stream(way).0
}

#[test]
fn messages_are_counted_both_ways() {
    for way in [Way::ToTarget, Way::ToDonor] {
        let (bytes, ends) = stream(way);
        for (count, end) in ends.into_iter().enumerate() {
            let fault = at(way, Place::Message(count as u64), Mishap::Close);
            let (_proxy, donor, target) = connect(fault);
            let (mut from, mut to) = match way {
                Way::ToTarget => (donor, target),
                Way::ToDonor => (target, donor),
            };
            let sent = bytes.clone();
            let writer = std::thread::spawn(move || {
                // In pieces that match no message.
                for piece in sent.chunks(31) {
                    from.write_all(piece).unwrap();
                }
                drop(from);
            });
            let (got, result) = read_all(&mut to);
            result.unwrap();
            assert_eq!(got.len(), end, "{way:?} {count}");
            drop(to);
            writer.join().unwrap();
        }
    }
}

#[test]
fn half_closed_the_other_way_goes_on() {
    let (_proxy, mut donor, mut target) =
        connect(at(Way::ToTarget, Place::Byte(3), Mishap::HalfClose));
    donor.write_all(b"abcdef").unwrap();
    assert_eq!(read_all(&mut target).0, b"abc");
    target.write_all(b"still here").unwrap();
    target.shutdown(Shutdown::Write).unwrap();
    let mut got = [0; 10];
    donor.read_exact(&mut got).unwrap();
    assert_eq!(&got, b"still here");
}

#[test]
fn one_bit_changes_and_the_rest_passes() {
    let (_proxy, mut donor, mut target) = connect(at(Way::ToTarget, Place::Byte(2), Mishap::Flip));
    donor.write_all(b"abcd").unwrap();
    drop(donor);
    assert_eq!(read_all(&mut target).0, b"abbd");
}

#[test]
fn a_stall_lasts_until_one_end_gives_up() {
    let (_proxy, mut donor, mut target) = connect(at(Way::ToTarget, Place::Byte(1), Mishap::Stall));
    donor.write_all(b"ab").unwrap();
    let mut got = [0; 1];
    target.read_exact(&mut got).unwrap();
    assert_eq!(&got, b"a");
    target.shutdown(Shutdown::Write).unwrap();
    assert_eq!(
        donor.read(&mut [0]).unwrap_err().kind(),
        io::ErrorKind::ConnectionReset
    );
}

#[test]
fn what_is_held_comes_after_the_other_ways_bytes() {
    let (_proxy, mut donor, mut target) =
        connect(at(Way::ToDonor, Place::Byte(1), Mishap::HoldUntil(4)));
    target.write_all(b"xyz").unwrap();
    let mut got = [0; 3];
    donor.read_exact(&mut got[..1]).unwrap();
    donor.write_all(b"1234").unwrap();
    target.read_exact(&mut [0; 4]).unwrap();
    donor.read_exact(&mut got[1..]).unwrap();
    assert_eq!(&got, b"xyz");
}

#[test]
fn a_target_that_does_not_listen_uses_up_no_fault() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let proxy = Proxy::start(
        address,
        vec![at(Way::ToTarget, Place::Byte(0), Mishap::Reset)],
    );
    let mut donor = TcpStream::connect(proxy.address()).unwrap();
    assert!(donor.read(&mut [0]).is_err());
    assert!(proxy.passed().is_empty());
}
