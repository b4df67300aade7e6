//! A daemon of a signed bundle is changed while it serves, by whoever holds it; one that does not
//! get ready is taken back, and one that nobody holds is only made ready.

// The lint knows test functions only; this whole file is a test.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod content;

use std::error::Error;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::mpsc::{Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use bundle::fakes::archive::{Head, dir, tar};
use bundle::fakes::content::{Content, line, list};
use content::{Node, get};
use hold::event::Event;
use hold::keeper::{HoldError, Settings, Tell, keep};
use hold::place::Place;
use hold::times::Times;
use receiver::fakes::ports;
use spk_visor::exit::Exit;
use sys::eventfd::EventFd;
use sys::handover::Reserved;
use wire::files::FILES;
use wire::manifest::Role;
use wire::service::SERVICE;

const LONG: Duration = Duration::from_secs(60);
const PLACE: &str = "daemon/d";
const PROGRAM: &str = "bin/x";

/// An HTTP server of Python's library on the socket that it is handed.
fn answers(version: u64) -> String {
    format!(
        r#"#!/usr/bin/python3
import http.server, os, socket
class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", "1")
        self.end_headers()
        self.wfile.write(b"{version}")
    def log_message(self, *words):
        pass
server = http.server.ThreadingHTTPServer(("", 0), Answer, bind_and_activate=False)
server.socket.close()
server.socket = socket.socket(fileno=3)
ready = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
ready.sendto(b"READY=1", os.environ["NOTIFY_SOCKET"])
server.serve_forever()
"#
    )
}

fn bundle(counter: u64, address: SocketAddr, program: &str) -> Content {
    let service = format!(
        "smechvisor-service 1\nprogram {PROGRAM}\nuser root\nlisten http tcp {address}\n\
         ready notify\nhealth http://{address}/health\nselftest -\nmode queue\nend\n"
    );
    let program = program.as_bytes();
    let member = Head::new(b'0', PROGRAM).mode(0o755).with(program);
    Content {
        role: Role::Daemon,
        product: "d",
        counter,
        texts: vec![
            (FILES, list(&[line(PROGRAM, "755", program)])),
            (SERVICE, service.into_bytes()),
        ],
        tar: tar(&[dir("bin/"), member]),
        ..Content::daemon()
    }
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

/// Holds the daemon of a node until it is dropped.
struct Held {
    stop: EventFd,
    thread: Option<JoinHandle<Result<(), HoldError>>>,
}

impl Held {
    /// Returns when the daemon was started.
    fn of(node: &Node) -> Self {
        let root = node.dir.path().to_owned();
        let user = rustix::process::geteuid().as_raw();
        fs::create_dir_all(root.join("etc")).unwrap();
        let line = format!("root:x:{user}:{user}::/:/bin/sh\n");
        fs::write(root.join("etc/passwd"), line).unwrap();
        let settings = Settings {
            name: "d".to_owned(),
            place: Place::new(node.top(PLACE)),
            run: root.join("run/smv"),
            root,
            // Python starts slowly beside a loaded machine; the product's times have their own test.
            times: Times {
                ready: LONG,
                dark: LONG,
                healthy: Duration::from_millis(100),
                ..Times::default()
            },
        };
        let stop = EventFd::new().unwrap();
        let (to, events) = channel();
        let stopped = stop.clone();
        let thread = thread::spawn(move || {
            let reserved = Reserved::new().map_err(HoldError::Wait)?;
            keep(&settings, &reserved, &stopped, &mut Heard(to))
        });
        while !matches!(events.recv_timeout(LONG), Ok(Event::Started { .. })) {}
        Self {
            stop,
            thread: Some(thread),
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.stop.notify();
        let ended = self.thread.take().unwrap().join().unwrap();
        ended.unwrap();
    }
}

fn ask(address: SocketAddr) -> String {
    let (status, body) = get(&mut None, address.port(), "/").unwrap();
    assert_eq!(status, 200);
    String::from_utf8(body).unwrap()
}

#[test]
fn a_daemon_that_is_held_is_changed_by_apply() {
    let node = Node::new();
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, ports::free()));
    node.apply(&bundle(1, address, &answers(1))).unwrap();
    // Nobody holds it: the second one is only made ready.
    node.apply(&bundle(2, address, &answers(2))).unwrap();
    assert_eq!(node.current(PLACE), "gen/0000000001");

    let held = Held::of(&node);
    assert_eq!(ask(address), "1");
    node.apply(&bundle(2, address, &answers(2))).unwrap();
    assert_eq!(node.current(PLACE), "gen/0000000002");
    assert_eq!(ask(address), "2");

    let error = node.apply(&bundle(3, address, "#!/bin/sh\nexit 3\n"));
    let error = error.unwrap_err();
    assert_eq!(Exit::from(&error), Exit::Unhealthy, "{error}");
    assert!(error.to_string().contains("exit-3"), "{error}");
    assert_eq!(node.current(PLACE), "gen/0000000002");
    assert_eq!(ask(address), "2");
    let error = node.apply(&bundle(3, address, "#!/bin/sh\nexit 3\n"));
    assert_eq!(Exit::from(&error.unwrap_err()), Exit::NotNow);

    node.apply(&bundle(4, address, &answers(4))).unwrap();
    assert_eq!(ask(address), "4");
    drop(held);
}
