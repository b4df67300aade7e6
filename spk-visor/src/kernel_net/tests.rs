//! Beacons and donors over the loopback interface, whose broadcast address is 127.255.255.255.

use super::KernelNetwork;
use donor::discovery::{Listener, Watch};
use donor::peer_address::PeerAddress;
use donor::socket;
use receiver::donor::{Donor, Interrupted, Network};
use receiver::fakes::ports;
use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Shutdown, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};
use wire::code::Code;

const LOOPBACK_BROADCAST: Ipv4Addr = Ipv4Addr::new(127, 255, 255, 255);

fn code() -> Code {
    Code::parse("e13gts2").unwrap()
}

/// A test that waits longer waits for something that does not come.
fn soon() -> Option<Instant> {
    Some(Instant::now() + Duration::from_secs(30))
}

/// A network towards a donor's listener, and where its stream is.
fn network(beacon_port: u16) -> (KernelNetwork, SocketAddr) {
    let stream_port = ports::free();
    let network =
        KernelNetwork::open_towards(beacon_port, stream_port, vec![LOOPBACK_BROADCAST]).unwrap();
    (
        network,
        SocketAddr::from((Ipv4Addr::LOCALHOST, stream_port)),
    )
}

/// Listens for beacons on a free port.
fn watch() -> (Watch, u16) {
    let listener = Listener::open(0, None).unwrap();
    let port = listener.port().unwrap();
    (Watch::start(listener, &[code()]).unwrap(), port)
}

/// Finds the beacon, which shows that somebody listens, and connects.
fn connect(watch: &Watch, to: SocketAddr) -> TcpStream {
    assert_eq!(
        watch.find_one(&code(), Duration::from_secs(10)).unwrap(),
        PeerAddress::from(Ipv4Addr::LOCALHOST)
    );
    socket::connect(to, None).unwrap()
}

#[test]
fn a_donor_finds_the_beacon_and_its_bytes_arrive() {
    let (watch, port) = watch();
    let (mut network, to) = network(port);
    let donor = thread::spawn(move || {
        let mut stream = connect(&watch, to);
        stream.write_all(b"packages").unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        stream
            .read_to_end(&mut Vec::new())
            .map(|_| stream.local_addr().unwrap())
    });
    let mut accepted = network.accept(&code(), 4, soon()).unwrap();
    let peer = accepted.peer();
    let mut bytes = Vec::new();
    accepted.read_to_end(&mut bytes).unwrap();
    assert_eq!(bytes, b"packages");
    accepted.succeed().unwrap();
    assert_eq!(donor.join().unwrap().unwrap(), peer);
}

#[test]
fn failure_reaches_the_donor_as_a_reset_and_the_next_donor_is_accepted() {
    let (watch, port) = watch();
    let (mut network, to) = network(port);
    let donor = thread::spawn(move || {
        let mut first = connect(&watch, to);
        first.write_all(b"bad!").unwrap();
        let first = first.read(&mut [0]).unwrap_err().kind();
        let mut second = connect(&watch, to);
        second.write_all(b"good").unwrap();
        second.shutdown(Shutdown::Write).unwrap();
        (first, second.read(&mut [0]).unwrap())
    });
    network.accept(&code(), 4, soon()).unwrap().fail();
    network
        .accept(&code(), 4, soon())
        .unwrap()
        .succeed()
        .unwrap();
    assert_eq!(donor.join().unwrap(), (ErrorKind::ConnectionReset, 0));
}

#[test]
fn a_second_donor_is_refused_while_the_first_is_served() {
    let (watch, port) = watch();
    let (mut network, to) = network(port);
    let donor = thread::spawn(move || {
        let mut stream = connect(&watch, to);
        stream.write_all(b"open").unwrap();
        stream
    });
    let accepted = network.accept(&code(), 4, soon()).unwrap();
    let _first = donor.join().unwrap();
    assert_eq!(
        socket::connect(to, None).unwrap_err().kind(),
        ErrorKind::ConnectionRefused
    );
    accepted.fail();
}

#[test]
fn success_reaches_a_donor_that_keeps_its_side_open() {
    let (watch, port) = watch();
    let (mut network, to) = network(port);
    let donor = thread::spawn(move || {
        let mut stream = connect(&watch, to);
        stream.write_all(b"open").unwrap();
        stream.read(&mut [0]).unwrap()
    });
    network
        .accept(&code(), 4, soon())
        .unwrap()
        .succeed()
        .unwrap();
    assert_eq!(donor.join().unwrap(), 0);
}

#[test]
fn our_own_address_on_a_network_is_known() {
    let (network, _) = network(ports::free());
    assert_eq!(network.addresses(), [IpAddr::from(Ipv4Addr::LOCALHOST)]);
}

const OPENING: &[u8] = &[b'o'; 78];

/// The result of `accept` while `donors` does its work, and the result of that work.
fn accept_while<T: Send>(
    opening_len: usize,
    donors: impl FnOnce(SocketAddr) -> T + Send,
) -> (Box<dyn Donor>, T) {
    let (watch, port) = watch();
    let (mut network, to) = network(port);
    thread::scope(|scope| {
        let donors = scope.spawn(move || {
            watch.find_one(&code(), Duration::from_secs(10)).unwrap();
            donors(to)
        });
        let accepted = network.accept(&code(), opening_len, soon()).unwrap();
        (accepted, donors.join().unwrap())
    })
}

fn is_reset(stream: &mut TcpStream) -> bool {
    matches!(stream.read(&mut [0]), Err(error) if error.kind() == ErrorKind::ConnectionReset)
}

#[test]
fn nothing_of_the_opening_is_missing_and_silent_connections_are_reset_when_it_comes() {
    let (mut accepted, (silent, peer)) = accept_while(OPENING.len(), |to| {
        let silent: Vec<_> = (0..3).map(|_| TcpStream::connect(to).unwrap()).collect();
        let mut honest = TcpStream::connect(to).unwrap();
        let (first, rest) = OPENING.split_at(77);
        honest.write_all(first).unwrap();
        honest.write_all(rest).unwrap();
        (silent, honest)
    });
    assert_eq!(accepted.peer(), peer.local_addr().unwrap());
    let mut opening = [0; 78];
    accepted.read_exact(&mut opening).unwrap();
    assert_eq!(opening, OPENING);
    for mut stream in silent {
        assert!(is_reset(&mut stream));
    }
}

#[test]
fn silent_and_slow_connections_are_reset_after_five_seconds() {
    let (_accepted, waits) = accept_while(OPENING.len(), |to| {
        let begun = Instant::now();
        let mut silent = TcpStream::connect(to).unwrap();
        let mut slow = TcpStream::connect(to).unwrap();
        let trickle = thread::spawn(move || {
            slow.set_read_timeout(Some(Duration::from_millis(100)))
                .unwrap();
            // A byte every 100 ms: all of them would take 7.8 s.
            for byte in OPENING.chunks(1) {
                let is_over = slow.write_all(byte).is_err()
                    || matches!(slow.read(&mut [0]), Err(error) if error.kind() != ErrorKind::WouldBlock);
                if is_over {
                    return begun.elapsed();
                }
            }
            panic!("it said its opening")
        });
        assert!(is_reset(&mut silent));
        let silent = begun.elapsed();
        let slow = trickle.join().unwrap();
        TcpStream::connect(to).unwrap().write_all(OPENING).unwrap();
        [silent, slow]
    });
    let bounds = Duration::from_millis(4900)..Duration::from_millis(6500);
    assert!(waits.iter().all(|wait| bounds.contains(wait)), "{waits:?}");
}

#[test]
fn the_oldest_makes_room_for_a_fifth() {
    let (accepted, (second, fourth)) = accept_while(OPENING.len(), |to| {
        let mut held: Vec<_> = (0..5).map(|_| TcpStream::connect(to).unwrap()).collect();
        assert!(is_reset(&mut held[0]));
        // The others are still there: one that is half through, and one that goes on.
        held[1].write_all(&OPENING[..40]).unwrap();
        held[3].write_all(OPENING).unwrap();
        (is_reset(&mut held[1]), held.swap_remove(3))
    });
    assert!(second, "reset with the others once one was chosen");
    assert_eq!(accepted.peer(), fourth.local_addr().unwrap());
}

#[test]
fn an_opening_that_ends_early_is_handed_over_and_one_without_a_byte_is_not() {
    let (mut accepted, _peer) = accept_while(OPENING.len(), |to| {
        let mut empty = TcpStream::connect(to).unwrap();
        empty.shutdown(Shutdown::Write).unwrap();
        assert!(is_reset(&mut empty));
        let mut short = TcpStream::connect(to).unwrap();
        short.write_all(b"SMV2").unwrap();
        short.shutdown(Shutdown::Write).unwrap();
        short
    });
    let mut bytes = Vec::new();
    accepted.read_to_end(&mut bytes).unwrap();
    assert_eq!(bytes, b"SMV2");
}

/// As a donor does: a connection that is crowded out is made again. The first that is answered.
fn connect_until_answered(to: SocketAddr) -> TcpStream {
    loop {
        let Ok(mut stream) = TcpStream::connect(to) else {
            continue;
        };
        if stream.write_all(OPENING).is_ok() && stream.read(&mut [0]).is_ok() {
            return stream;
        }
    }
}

#[test]
fn fifty_slow_connections_at_once_keep_no_donor_out() {
    let (watch, port) = watch();
    let (mut network, to) = network(port);
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        let is_over = &is_over;
        let honest = scope.spawn(move || {
            watch.find_one(&code(), Duration::from_secs(10)).unwrap();
            for _ in 0..50 {
                scope.spawn(move || {
                    while !is_over.load(Ordering::Relaxed) {
                        let Ok(mut slow) = TcpStream::connect(to) else {
                            break;
                        };
                        // Refused when it was reset before.
                        let _ = slow.write_all(&OPENING[..8]);
                        // Its end is the signal to come again.
                        let _ = slow.read(&mut [0]);
                    }
                });
            }
            let begun = Instant::now();
            let stream = connect_until_answered(to);
            (stream.local_addr().unwrap(), begun.elapsed())
        });
        let accepted = network.accept(&code(), OPENING.len(), soon()).unwrap();
        accepted.writer().write_all(b"!").unwrap();
        let (peer, wait) = honest.join().unwrap();
        is_over.store(true, Ordering::Relaxed);
        assert_eq!(accepted.peer(), peer);
        // As long as a donor asks again (`delivery.rs`); fifty busy threads leave little of a small
        // machine.
        assert!(wait < Duration::from_secs(20), "{wait:?}");
        accepted.fail();
    });
}

#[test]
fn both_directions_carry_bytes_at_once_and_success_comes_after_the_last_one() {
    const LEN: usize = 4 << 20;
    let bytes =
        |seed: usize| -> Vec<u8> { (0..LEN).map(|at| (at ^ (at >> 8) ^ seed) as u8).collect() };
    let (mut accepted, peer) = accept_while(4, |to| {
        let mut stream = TcpStream::connect(to).unwrap();
        stream.write_all(&bytes(1)[..4]).unwrap();
        stream
    });
    thread::scope(|scope| {
        scope.spawn(|| {
            (&peer).write_all(&bytes(1)[4..]).unwrap();
            peer.shutdown(Shutdown::Write).unwrap();
        });
        let received = scope.spawn(|| {
            let mut received = Vec::new();
            (&peer).read_to_end(&mut received).unwrap();
            received
        });
        let mut writer = accepted.writer();
        let back = scope.spawn(move || writer.write_all(&bytes(2)).unwrap());
        let mut forth = Vec::new();
        accepted.read_to_end(&mut forth).unwrap();
        assert!(forth == bytes(1));
        back.join().unwrap();
        accepted.succeed().unwrap();
        assert!(received.join().unwrap() == bytes(2));
    });
}

#[test]
fn failure_ends_a_writer_that_waits_for_room_and_every_later_write() {
    let (accepted, mut peer) = accept_while(4, |to| {
        let mut stream = TcpStream::connect(to).unwrap();
        stream.write_all(b"open").unwrap();
        stream
    });
    let (mut waiting, mut late) = (accepted.writer(), accepted.writer());
    // Until there is no more room for half a second, it has not begun to wait.
    let (progress, written) = mpsc::channel();
    let waiting = thread::spawn(move || {
        loop {
            match waiting.write(&[0; 64 << 10]) {
                Ok(len) => progress.send(len).unwrap(),
                Err(error) => return error.kind(),
            }
        }
    });
    while written.recv_timeout(Duration::from_millis(500)).is_ok() {}
    let begun = Instant::now();
    accepted.fail();
    let kind = waiting.join().unwrap();
    assert!(begun.elapsed() < Duration::from_secs(5));
    assert!(
        matches!(kind, ErrorKind::BrokenPipe | ErrorKind::ConnectionReset),
        "{kind:?}"
    );
    assert_eq!(
        late.write(b"late").unwrap_err().kind(),
        ErrorKind::BrokenPipe
    );
    let ended = peer.read_to_end(&mut Vec::new()).unwrap_err().kind();
    assert_eq!(ended, ErrorKind::ConnectionReset);
}

#[test]
fn a_read_waits_no_longer_than_it_was_told_and_may_be_told_again() {
    let (mut accepted, mut peer) = accept_while(4, |to| {
        let mut stream = TcpStream::connect(to).unwrap();
        stream.write_all(b"open").unwrap();
        stream
    });
    accepted.read_exact(&mut [0; 4]).unwrap();
    accepted.hurry(Duration::from_millis(50));
    let begun = Instant::now();
    let error = accepted.read(&mut [0]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TimedOut);
    assert!(begun.elapsed() < Duration::from_secs(2));
    accepted.hurry(Duration::from_secs(60));
    peer.write_all(b"x").unwrap();
    accepted.read_exact(&mut [0]).unwrap();
    accepted.fail();
}

#[test]
fn another_thread_ends_the_wait_for_a_donor() {
    let (watch, port) = watch();
    let (mut network, to) = network(port);
    let interrupter = network.interrupter();
    interrupter();
    let before = network.accept(&code(), 4, soon()).err().unwrap();
    assert!(Interrupted::is(&before), "{before}");
    let stranger = thread::spawn(move || {
        let mut stream = connect(&watch, to);
        stream.write_all(b"o").unwrap(); // not an opening
        interrupter();
        interrupter();
        stream.read(&mut [0]).unwrap_err().kind()
    });
    let begun = Instant::now();
    let during = network.accept(&code(), 4, soon()).err().unwrap();
    assert!(Interrupted::is(&during), "{during}");
    assert!(begun.elapsed() < Duration::from_secs(4));
    assert_eq!(stranger.join().unwrap(), ErrorKind::ConnectionReset);
    // The second of two words at once may end one more wait, and no third one.
    let waits = [(); 2].map(|()| network.accept(&code(), 4, Some(Instant::now())));
    let [_, last] = waits.map(|wait| wait.err().unwrap().kind());
    assert_eq!(last, ErrorKind::TimedOut);
}

#[test]
fn another_thread_ends_reading_and_the_way_back_stays() {
    let (watch, port) = watch();
    let (mut network, to) = network(port);
    let donor = thread::spawn(move || {
        let mut stream = connect(&watch, to);
        stream.write_all(b"open").unwrap();
        let mut said = String::new();
        stream.read_to_string(&mut said).unwrap();
        said
    });
    let mut accepted = network.accept(&code(), 4, soon()).unwrap();
    let interrupter = accepted.interrupter();
    accepted.read_exact(&mut [0; 3]).unwrap();
    let mut writer = accepted.writer();
    thread::scope(|scope| {
        let begun = Instant::now();
        let reading = scope.spawn(|| {
            let mut rest = Vec::new();
            let error = accepted.read_to_end(&mut rest).unwrap_err();
            (
                rest,
                error.kind(),
                accepted.read(&mut [0]).is_err(),
                accepted,
            )
        });
        interrupter();
        let (_, kind, is_for_good, accepted) = reading.join().unwrap();
        assert_eq!((kind, is_for_good), (ErrorKind::ConnectionAborted, true));
        assert!(begun.elapsed() < Duration::from_secs(4));
        writer.write_all(b"cancelled").unwrap();
        accepted.succeed().unwrap();
    });
    assert_eq!(donor.join().unwrap(), "cancelled");
}
