//! The daemon, held while its versions change under constant requests: no connection is refused or
//! reset, and no client waits for long.
//!
//! 200 swaps, or as many as `SMV_SWAPS` says (`./prove swaps`). Half of them start the new one
//! beside the old one (`overlap`), half one after the other (`queue`); every tenth version fails,
//! and one in twenty-five is left again for the one before.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::error::Error;
use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use bundle::trust::Trust;
use hold::client;
use hold::event::{Event, Request};
use hold::keeper::{Settings, Tell, keep};
use hold::place::Place;
use hold::times::Times;
use store::place::Place as Name;
use sys::eventfd::EventFd;
use sys::handover::Reserved;
use wire::chain::chain;
use wire::manifest::Role;

#[path = "../../../hold/tests/world/generation.rs"]
mod generation;

const CLIENTS: usize = 4;
const LONG: Duration = Duration::from_secs(60);

struct Silent;

impl Tell for Silent {
    fn tell(&mut self, _: &Event) {}

    fn fail(&mut self, error: &dyn Error) {
        eprintln!("hold: {}", chain(error));
    }
}

fn generation(daemon: &Path, counter: u64, mode: &str, address: SocketAddr) {
    let is_bad = counter.is_multiple_of(10);
    // One that makes no sense of its arguments ends at once.
    let more = if is_bad {
        "argument --no-such-option\n"
    } else {
        ""
    };
    let service = format!(
        "smechvisor-service 1\nprogram d\nargument --release\nargument {counter}\n{more}\
         user root\nlisten http tcp {address}\nready notify\nhealth http://{address}/health\n\
         selftest -\nmode {mode}\nend\n"
    );
    let program = fs::read(env!("CARGO_BIN_EXE_smechvisor-daemon")).unwrap();
    generation::make(daemon, ("d", counter), &service, ("d", &program)).unwrap();
}

/// The release that answers.
fn ask(address: SocketAddr) -> std::io::Result<u64> {
    let mut client = TcpStream::connect(address)?;
    client.set_read_timeout(Some(LONG))?;
    client.write_all(b"GET /health HTTP/1.1\r\nHost: a\r\n\r\n")?;
    let mut answer = String::new();
    client.read_to_string(&mut answer)?;
    let release = answer.split("\"version\":\"").nth(1);
    let release = release.and_then(|rest| rest.split('"').next()?.parse().ok());
    release.ok_or_else(|| std::io::Error::other(answer))
}

#[test]
fn swaps_under_constant_requests() {
    let swaps: u64 = std::env::var("SMV_SWAPS").map_or(200, |swaps| swaps.parse().unwrap());
    let dir = tempfile::tempdir().unwrap();
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr();
    let (address, daemon) = (free.unwrap(), dir.path().join("daemon"));
    generation(&daemon, 1, "queue", address);
    symlink("gen/0000000001", daemon.join("current")).unwrap();
    fs::create_dir(dir.path().join("etc")).unwrap();
    let uid = rustix::process::geteuid().as_raw();
    fs::write(
        dir.path().join("etc/passwd"),
        format!("root:x:{uid}:{uid}::/:\n"),
    )
    .unwrap();
    let settings = Settings {
        name: "d".to_owned(),
        place: Place::signed(
            daemon,
            Name::new(Role::Daemon, "d").unwrap(),
            dir.path().join("seed"),
            Trust::default(),
        ),
        run: dir.path().join("run"),
        root: dir.path().to_owned(),
        times: Times {
            healthy: Duration::from_millis(20),
            ..Times::default()
        },
    };
    let stop = EventFd::new().unwrap();
    let is_done = AtomicBool::new(false);
    let reserved = Reserved::new().unwrap();
    let (mut waits, pauses) = thread::scope(|scope| {
        let held = scope.spawn(|| keep(&settings, &reserved, &stop, &mut Silent));
        while ask(address).is_err() {
            thread::sleep(Duration::from_millis(10));
        }
        let clients: Vec<_> = (0..CLIENTS)
            .map(|_| scope.spawn(|| demand(address, &is_done)))
            .collect();
        let pauses = swap_all(&settings, swaps, address);
        is_done.store(true, Ordering::SeqCst);
        let waits = clients
            .into_iter()
            .flat_map(|client| client.join().unwrap());
        let waits: Vec<Duration> = waits.collect();
        stop.notify();
        held.join().unwrap().unwrap();
        (waits, pauses)
    });
    waits.sort_unstable();
    let p99 = *waits.get(waits.len() * 99 / 100).unwrap();
    let longest = waits.last().unwrap();
    println!(
        "{swaps} swaps, {} requests of {CLIENTS} clients: 0 refused or reset; p99 {p99:?}, longest \
         {longest:?}; longest pause {} ms",
        waits.len(),
        pauses.iter().max().unwrap()
    );
    assert!(p99 < Duration::from_secs(1), "{p99:?}");
    assert!(*longest < Duration::from_secs(3), "{longest:?}");
}

/// How long each answer took. One that does not come fails the test.
fn demand(address: SocketAddr, is_done: &AtomicBool) -> Vec<Duration> {
    let mut waits = vec![];
    while !is_done.load(Ordering::SeqCst) {
        let began = Instant::now();
        ask(address).unwrap();
        waits.push(began.elapsed());
    }
    waits
}

/// The pause of each.
fn swap_all(settings: &Settings, swaps: u64, address: SocketAddr) -> Vec<u64> {
    let mut runs = 1;
    (2..swaps + 2)
        .map(|counter| {
            let mode = if counter <= swaps / 2 {
                "queue"
            } else {
                "overlap"
            };
            generation(settings.place.directory(), counter, mode, address);
            let request = Request::Swap {
                counter,
                is_again: false,
            };
            let asked = |request| client::ask(&settings.run, "d", request, &mut |_| {}).unwrap();
            let (before, ended) = (runs, asked(request));
            let pause_ms = match ended {
                Event::Swapped { pause_ms, .. } if !counter.is_multiple_of(10) => {
                    runs = counter;
                    pause_ms
                }
                Event::TakenBack { pause_ms, .. } if counter.is_multiple_of(10) => pause_ms,
                other => panic!("{counter}: {other:?}"),
            };
            assert_eq!(ask(address).unwrap(), runs);
            if counter % 25 == 3 {
                let back = asked(Request::Back);
                let is_back = matches!(back, Event::Swapped { counter, .. } if counter == before);
                assert!(is_back, "{counter}: {back:?}");
                runs = before;
                assert_eq!(ask(address).unwrap(), runs);
            }
            pause_ms
        })
        .collect()
}
