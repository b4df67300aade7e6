//! Strangers at the door of a target on this host, over the kernel's sockets: whatever they do
//! there, a donor that knows the secret has paired within ten seconds, and nobody hears more than
//! one beacon in a second.

// The lint knows test functions only; this whole file is a test.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use bundle::trust::Trust;
use receiver::policy::Policy;
use session::{Credential, HandshakeRandom, donor, pair_donor};
use socket2::{Domain, Protocol, Socket, Type};
use wire::code::Code;
use wire::handshake::M3_LEN;
use wire::message::{Message, Text};
use wire::secret::Secret;

mod world;

use world::World;

/// Always, for a donor with the right secret.
const PAIRED_WITHIN: Duration = Duration::from_secs(10);
/// Honest donors beside each crowd.
const DONORS: u32 = 4;

/// The acts of a stranger once it is connected, until the target closes.
#[derive(Clone, Copy)]
enum Act {
    /// Nothing.
    Silent,
    /// A true M1 and no M3.
    Hello,
    /// A true M1 and a wrong M3.
    Guess,
}

fn connect(from: Ipv4Addr, to: SocketAddr) -> std::io::Result<TcpStream> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP))?;
    socket.bind(&SocketAddr::from((from, 0)).into())?;
    socket.connect_timeout(&to.into(), Duration::from_secs(2))?;
    let stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(Duration::from_secs(2)))?;
    Ok(stream)
}

fn act(act: Act, mut stream: TcpStream, code: &Code) {
    let wrong = Credential::Secret(Secret::draw([0x5a; 5]));
    let (_, m1) = donor::begin(&wrong, code, HandshakeRandom::fresh().unwrap()).unwrap();
    // Each of these fails when the target has closed, which is the signal to come again.
    if !matches!(act, Act::Silent) {
        let _ = stream.write_all(&m1);
    }
    if matches!(act, Act::Guess) && stream.read(&mut [0; 600]).is_ok_and(|len| len > 0) {
        let _ = stream.write_all(&[0x5a; M3_LEN]);
    }
    while stream.read(&mut [0; 600]).is_ok_and(|len| len > 0) {}
}

/// A person at 127.0.0.1 who reads the screen. The connection ends after the pairing; code and
/// secret stay.
fn honest(to: SocketAddr, code: &Code, secret: &Credential) -> Duration {
    let begun = Instant::now();
    loop {
        assert!(begun.elapsed() < PAIRED_WITHIN, "not paired in time");
        let paired = connect(Ipv4Addr::LOCALHOST, to)
            .map_err(|_| ())
            .and_then(|stream| {
                let time = stream.set_read_timeout(Some(PAIRED_WITHIN));
                time.map_err(|_| ())?;
                let ends = pair_donor(stream.try_clone().unwrap(), stream, secret, code);
                ends.map_err(|_| ())
            });
        let Ok((mut opener, mut sealer, _)) = paired else {
            thread::sleep(Duration::from_millis(200)); // as a donor does that found the door shut
            continue;
        };
        let wait = begun.elapsed();
        let text = Text::new("no image");
        sealer.send(&Message::GiveUp { text }).unwrap();
        assert!(opener.next(&mut Vec::new()).is_err());
        assert!(wait < PAIRED_WITHIN, "{wait:?}");
        return wait;
    }
}

/// Beacons until it is over.
fn beacons(port: u16, is_over: &AtomicBool) -> (u32, Duration) {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, port)).unwrap();
    socket
        .set_read_timeout(Some(Duration::from_millis(50)))
        .unwrap();
    let (begun, mut count) = (Instant::now(), 0);
    while !is_over.load(Ordering::Relaxed) {
        count += u32::from(socket.recv(&mut [0; 64]).is_ok());
    }
    (count, begun.elapsed())
}

/// Donors beside `count` strangers at each of these addresses, who come again as soon as they were
/// reset.
fn beside(name: &str, what: Act, addresses: std::ops::Range<u8>, count: u32) {
    let world = World::start(name, Policy::Secret, Trust::default());
    let code = Code::parse(&world.code(0)).unwrap();
    let secret = Credential::Secret(Secret::parse(&world.secret(0)).unwrap());
    let (to, port, is_over) = (world.address, world.beacon_port, AtomicBool::new(false));
    let (waits, heard) = thread::scope(|scope| {
        let is_over = &is_over;
        let heard = scope.spawn(move || beacons(port, is_over));
        for last in addresses.flat_map(|last| (0..count).map(move |_| last)) {
            scope.spawn(move || {
                while !is_over.load(Ordering::Relaxed) {
                    match connect(Ipv4Addr::new(127, 0, 0, last), to) {
                        Ok(stream) => act(what, stream, &code),
                        Err(_) => thread::sleep(Duration::from_millis(50)),
                    }
                }
            });
        }
        thread::sleep(Duration::from_secs(1));
        let donors = scope.spawn(|| {
            let waits = (0..DONORS).map(|_| honest(to, &code, &secret));
            waits.collect::<Vec<_>>()
        });
        let waits = donors.join();
        is_over.store(true, Ordering::Relaxed);
        (waits, heard.join().unwrap())
    });
    let waits = waits.unwrap_or_else(|_| panic!("{name}: {:#?}", world.screen()));
    println!("{name}: paired after {waits:?}");
    let (count, time) = heard;
    assert!(
        u64::from(count) <= time.as_secs() + 2,
        "{count} in {time:?}"
    );
}

#[test]
fn donors_pair_beside_true_m1s_of_one_address() {
    beside("strangers-hello", Act::Hello, 2..3, 20);
}

#[test]
fn donors_pair_beside_true_m1s_of_many_addresses() {
    beside("strangers-many", Act::Hello, 2..14, 1);
}

#[test]
fn donors_pair_beside_guesses_in_a_row() {
    beside("strangers-guess", Act::Guess, 2..5, 2);
}

#[test]
fn donors_pair_beside_connections_held_silent() {
    beside("strangers-silent", Act::Silent, 2..4, 10);
}
