//! A daemon for the tests of `hold`, never shipped: answers each request with its release, and has
//! the faults that its arguments name.
//!
//! `held-daemon RELEASE [FAULT]...`

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

use std::env;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixDatagram;
use std::process::{self, Command};
use std::thread;
use std::time::{Duration, Instant};

use sys::handover;
use sys::signals::{Signal, Signals};

const LONG: Duration = Duration::from_secs(600);

fn main() {
    let args: Vec<String> = env::args().skip(1).collect();
    let has = |fault: &str| args.iter().skip(1).any(|arg| arg == fault);
    if args[0] == "selftest-fails" {
        process::exit(1);
    }
    if has("exit") {
        process::exit(3);
    }
    if has("crash") {
        process::abort();
    }
    if has("fork") {
        let mut child = Command::new("sleep").arg("60").spawn().unwrap();
        assert!(child.try_wait().unwrap().is_none());
        process::exit(0);
    }
    let mut signals = Signals::block(&[Signal::Terminate]).unwrap();
    let sockets = handover::taken();
    assert_eq!(sockets.len(), 1, "LISTEN_FDS");
    let listener = TcpListener::from(sockets.into_iter().next().unwrap());
    if has("close") {
        drop(listener);
        thread::sleep(LONG);
        return;
    }
    if has("shut") {
        rustix::net::shutdown(&listener, rustix::net::Shutdown::Both).unwrap();
        thread::sleep(LONG);
        return;
    }
    if has("child") {
        let mut child = Command::new("sleep").arg("60").spawn().unwrap();
        std::fs::write(env::var("HELD_CHILD").unwrap(), child.id().to_string()).unwrap();
        thread::spawn(move || child.wait());
    }
    let release = args[0].clone();
    let (is_bad, since) = (has("bad"), Instant::now());
    let bad_after = if has("bad-later") {
        Duration::from_secs(1)
    } else {
        LONG
    };
    thread::spawn(move || {
        for client in listener.incoming() {
            let is_bad = is_bad || since.elapsed() > bad_after;
            answer(client.unwrap(), &release, is_bad);
        }
    });
    if !has("silent") {
        let socket = env::var("NOTIFY_SOCKET").unwrap();
        UnixDatagram::unbound()
            .unwrap()
            .send_to(b"READY=1", socket)
            .unwrap();
    }
    loop {
        signals.next_signal().unwrap();
        if !has("hang") {
            return;
        }
    }
}

fn answer(mut client: TcpStream, release: &str, is_bad: bool) {
    // Closing with bytes that nobody has read would be a reset.
    let (mut request, mut byte) = (vec![], [0]);
    while !request.ends_with(b"\r\n\r\n") && matches!(client.read(&mut byte), Ok(1)) {
        request.push(byte[0]);
    }
    let status = if is_bad { "503 Unwell" } else { "200 OK" };
    let _ = write!(
        client,
        "HTTP/1.1 {status}\r\nConnection: close\r\n\r\n{release}"
    );
}
