//! A daemon of a node in a directory: bundles of its versions, and the program that holds it.

use std::error::Error;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::mpsc::{Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use bundle::fakes::archive::{Head, dir, tar};
use bundle::fakes::content::{Content, line, list};
use bundle::trust::Trust;
use hold::event::Event;
use hold::keeper::{HoldError, Settings, Tell, keep};
use hold::place::Place;
use hold::times::Times;
use sys::eventfd::EventFd;
use sys::handover::Reserved;
use wire::files::FILES;
use wire::manifest::Role;
use wire::service::SERVICE;

use super::get;

const LONG: Duration = Duration::from_secs(60);
pub const PLACE: &str = "daemon/d";
const PROGRAM: &str = "bin/x";

/// An HTTP server of Python's library on the socket that it is handed.
pub fn answers(version: u64) -> String {
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

pub fn bundle(counter: u64, address: SocketAddr, program: &str) -> Content {
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
pub struct Held {
    stop: EventFd,
    thread: Option<JoinHandle<Result<(), HoldError>>>,
}

impl Held {
    /// Returns when the daemon of the node in this directory was started.
    pub fn of(root: &Path) -> Self {
        let root = root.to_owned();
        let user = rustix::process::geteuid().as_raw();
        fs::create_dir_all(root.join("etc")).unwrap();
        let line = format!("root:x:{user}:{user}::/:/bin/sh\n");
        fs::write(root.join("etc/passwd"), line).unwrap();
        let trust = fs::read_to_string(root.join("usr/lib/smechvisor/trust")).unwrap();
        let settings = Settings {
            name: "d".to_owned(),
            place: Place::signed(
                root.join("var/lib/smv").join(PLACE),
                PLACE.parse().unwrap(),
                root.join("usr/lib/smechvisor/seed").join(PLACE),
                Trust::parse(&trust).unwrap(),
            ),
            run: root.join("run/smv"),
            root,
            // Python starts slowly beside a loaded machine; the product's times have their own
            // test.
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

pub fn ask(address: SocketAddr) -> String {
    let (status, body) = get(&mut None, address.port(), "/").unwrap();
    assert_eq!(status, 200);
    String::from_utf8(body).unwrap()
}
