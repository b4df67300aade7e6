//! A program of others that knows socket activation: systemd-socket-proxyd, which passes what comes
//! on its socket to somewhere else.

#![allow(clippy::unwrap_used, clippy::panic)]

mod world;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::thread;

use hold::event::{Event, Why};
use hold::times::Times;
use world::World;

const PROXY: &str = "/usr/lib/systemd/systemd-socket-proxyd";

/// Somebody who answers every request with this, as long as the test runs.
fn backend(said: &'static str) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for client in listener.incoming() {
            let mut client = client.unwrap();
            // Closing with bytes that nobody has read would be a reset.
            let (mut request, mut byte) = (vec![], [0]);
            while !request.ends_with(b"\r\n\r\n") && client.read(&mut byte).unwrap() == 1 {
                request.extend(byte);
            }
            let _ = write!(client, "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{said}");
        }
    });
    address
}

#[test]
#[ignore = "needs root, and systemd-socket-proxyd"]
fn a_proxy_of_systemd_serves_on_a_socket_that_is_kept() {
    let world = World {
        program: PROXY.into(),
        ready: "health",
        ..World::new()
    };
    let (one, two) = (backend("one").to_string(), backend("two").to_string());
    let nobody = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .to_string();
    world.generation(1, &world.service(&[&one]));
    world.generation(2, &world.service(&[&two]));
    world.confirm(1);
    let held = world.hold(Times::default());
    held.started();
    assert_eq!(world.ask(), "one");
    assert!(matches!(held.swap(2), Event::Swapped { counter: 2, .. }));
    assert_eq!(world.ask(), "two");
    // Kept versions remove what nothing points at.
    world.generation(3, &world.service(&[&nobody]));
    let back = held.swap(3);
    assert!(
        matches!(
            back,
            Event::TakenBack {
                why: Why::NotReady,
                ..
            }
        ),
        "{back:?}"
    );
    assert_eq!(world.ask(), "two");
    assert!(held.end());
}
