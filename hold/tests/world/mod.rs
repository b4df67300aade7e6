//! A node in a directory: generations of a daemon, and a thread that holds it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, dead_code)]

pub mod generation;

use std::error::Error;
use std::fmt::Write as _;
use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use bundle::trust::Trust;
use hold::client;
use hold::event::{Event, Request};
use hold::keeper::{HoldError, Settings, Tell, keep};
use hold::place::Place;
use hold::times::Times;
use store::place::Place as Name;
use sys::eventfd::EventFd;
use sys::handover::Reserved;
use wire::ledger::Ledger;
use wire::manifest::Role;

/// Nothing here takes so long by itself.
pub const LONG: Duration = Duration::from_secs(60);

/// Times for tests that do not try the product's own.
pub fn short() -> Times {
    Times {
        healthy: Duration::from_millis(100),
        pause: Duration::from_millis(20),
        ..Times::default()
    }
}

/// A daemon's directory, before and while it is held.
pub struct World {
    pub dir: tempfile::TempDir,
    pub address: SocketAddr,
    pub program: PathBuf,
    pub mode: &'static str,
    pub ready: &'static str,
    pub is_asked: bool,
}

impl World {
    pub fn new() -> Self {
        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("etc")).unwrap();
        let root = rustix::process::geteuid().as_raw();
        let passwd = format!("root:x:{root}:{root}::/:/bin/sh\n");
        fs::write(dir.path().join("etc/passwd"), passwd).unwrap();
        Self {
            dir,
            address: free.local_addr().unwrap(),
            program: env!("CARGO_BIN_EXE_held-daemon").into(),
            mode: "queue",
            ready: "notify",
            is_asked: true,
        }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn daemon(&self) -> PathBuf {
        self.path("daemon")
    }

    /// `SERVICE` of a program with these arguments.
    pub fn service(&self, arguments: &[&str]) -> String {
        let mut text = "smechvisor-service 1\nprogram bin/d\n".to_owned();
        for argument in arguments {
            writeln!(text, "argument {argument}").unwrap();
        }
        let (address, ready, mode) = (self.address, self.ready, self.mode);
        let health = match self.is_asked {
            true => format!("http://{address}/health"),
            false => "-".to_owned(),
        };
        write!(
            text,
            "user root\nlisten http tcp {address}\nready {ready}\nhealth {health}\nselftest -\n\
             mode {mode}\nend\n"
        )
        .unwrap();
        text
    }

    /// Makes a generation; its tree has the program.
    pub fn generation(&self, counter: u64, service: &str) {
        self.generation_of(counter, service, &fs::read(&self.program).unwrap());
    }

    /// Likewise, with another program.
    pub fn generation_of(&self, counter: u64, service: &str, program: &[u8]) {
        let program = ("bin/d", program);
        generation::make(&self.daemon(), ("d", counter), service, program).unwrap();
    }

    pub fn place(&self) -> Place {
        let name = Name::new(Role::Daemon, "d").unwrap();
        Place::signed(self.daemon(), name, self.path("seed"), Trust::default())
    }

    /// The generation that is confirmed, its release is `1`.
    pub fn first(&self) {
        self.generation(1, &self.service(&["1"]));
        self.confirm(1);
    }

    /// It is what runs.
    pub fn confirm(&self, counter: u64) {
        let target = format!("gen/{counter:010}");
        symlink(target, self.daemon().join("current")).unwrap();
    }

    pub fn ledger(&self) -> Ledger {
        Ledger::parse(&fs::read(self.daemon().join("ledger")).unwrap()).unwrap()
    }

    pub fn settings(&self, times: Times) -> Settings {
        Settings {
            name: "d".to_owned(),
            place: self.place(),
            run: self.path("run"),
            root: self.path("."),
            times,
        }
    }

    pub fn hold(&self, times: Times) -> Held {
        let settings = self.settings(times);
        let run = settings.run.clone();
        let stop = EventFd::new().unwrap();
        let (to, events) = channel();
        let stopped = stop.clone();
        let thread = thread::spawn(move || {
            let reserved = Reserved::new().unwrap();
            keep(&settings, &reserved, &stopped, &mut Heard(to))
        });
        Held {
            stop,
            events: Mutex::new(events),
            run,
            thread: Some(thread),
        }
    }

    pub fn current(&self) -> u64 {
        self.place().current().unwrap().counter
    }

    /// What the daemon answers; a client that waits for longer fails the test.
    pub fn ask(&self) -> String {
        request(self.address).unwrap()
    }
}

/// One request, on a connection of its own: the body of its answer.
pub fn request(address: SocketAddr) -> std::io::Result<String> {
    let mut client = TcpStream::connect_timeout(&address, LONG)?;
    client.set_read_timeout(Some(LONG))?;
    client.write_all(b"GET /health HTTP/1.1\r\nHost: a\r\n\r\n")?;
    let mut answer = String::new();
    client.read_to_string(&mut answer)?;
    let body = answer
        .split_once("\r\n\r\n")
        .map(|(_, body)| body.to_owned());
    body.ok_or_else(|| std::io::ErrorKind::UnexpectedEof.into())
}

struct Heard(Sender<Event>);

impl Tell for Heard {
    fn tell(&mut self, event: &Event) {
        let _ = self.0.send(event.clone()); // the test is over
    }

    fn fail(&mut self, error: &dyn Error) {
        eprintln!("hold: {}", wire::chain::chain(error));
    }
}

/// Nobody hears what happens.
pub struct Silent;

impl Tell for Silent {
    fn tell(&mut self, _: &Event) {}

    fn fail(&mut self, error: &dyn Error) {
        eprintln!("hold: {}", wire::chain::chain(error));
    }
}

/// A daemon that is held.
pub struct Held {
    stop: EventFd,
    events: Mutex<Receiver<Event>>,
    run: PathBuf,
    thread: Option<JoinHandle<Result<(), HoldError>>>,
}

impl Held {
    /// Waits for an event.
    pub fn until(&self, is_it: impl Fn(&Event) -> bool) -> Event {
        let deadline = Instant::now() + LONG;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let event = self
                .events
                .lock()
                .unwrap()
                .recv_timeout(left)
                .expect("an event");
            if is_it(&event) {
                return event;
            }
        }
    }

    pub fn started(&self) -> u32 {
        match self.until(|event| matches!(event, Event::Started { .. })) {
            Event::Started { pid, .. } => pid,
            _ => 0,
        }
    }

    pub fn swap(&self, counter: u64) -> Event {
        self.ask(Request::Swap {
            counter,
            is_again: false,
        })
    }

    pub fn ask(&self, request: Request) -> Event {
        client::ask(&self.run, "d", request, &mut |_| {}).unwrap()
    }

    /// Likewise, where nobody may answer.
    pub fn try_swap(&self, counter: u64) -> Option<Event> {
        let request = Request::Swap {
            counter,
            is_again: false,
        };
        client::ask(&self.run, "d", request, &mut |_| {}).ok()
    }

    /// As by a SIGTERM.
    pub fn stop(&self) {
        self.stop.notify();
    }

    /// Ends it; true: as it should.
    pub fn end(mut self) -> bool {
        self.stop.notify();
        self.thread.take().unwrap().join().unwrap().is_ok()
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.stop.notify();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join(); // a test that fails has said why
        }
    }
}

/// Whether there is such a process, and it is no zombie.
pub fn runs(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let state = stat
        .rsplit(')')
        .next()
        .and_then(|rest| rest.split_whitespace().next());
    state.is_some_and(|state| state != "Z")
}
