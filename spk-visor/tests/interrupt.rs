//! Ctrl-C and SIGTERM at the donor, as a process: what the target hears, what the person reads, and
//! with which exit code it ends.

// The lint knows test functions only; this whole file is a test.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod hostile;

use std::fs::File;
use std::io::Read;
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use hostile::{CODE, START, Session, Target, files};
use receiver::fakes::{PATIENCE, TestDir, ports};
use rustix::process::{Pid, Signal, kill_process};

/// The time that a loaded machine may take for an instant action.
const SOON: Duration = Duration::from_secs(8);

/// The donor's program.
struct Donor {
    child: Child,
    _dir: TestDir,
}

impl Donor {
    fn start(name: &str, args: &[&str]) -> Self {
        let dir = files(name);
        // More than sockets hold.
        let large = File::create(dir.path().join("packages/c.tar.xz")).unwrap();
        large.set_len(32 << 20).unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_spk-visor"))
            .args(["deploy-system-img-copy", CODE, "--secret-file"])
            .arg(dir.path().join("secret"))
            .arg("--packages")
            .arg(dir.path().join("packages"))
            .args(args)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        Self { child, _dir: dir }
    }

    fn at(name: &str, target: &Target) -> Self {
        Self::start(name, &["--to", &target.at.to_string()])
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Its exit code, what it said, and how long that took.
    fn end(mut self) -> (Option<i32>, String, Duration) {
        let start = Instant::now();
        let (mut out, mut errors) = (String::new(), String::new());
        let mut stdout = self.child.stdout.take().unwrap();
        stdout.read_to_string(&mut out).unwrap();
        let mut stderr = self.child.stderr.take().unwrap();
        stderr.read_to_string(&mut errors).unwrap();
        let code = self.child.wait().unwrap().code();
        (code, out + &errors, start.elapsed())
    }
}

/// A target that has taken a chunk, says so to the test, and hears what comes then.
fn half(stream: &TcpStream) -> Option<Session> {
    let mut session = Session::begin(stream)?;
    session.accept(START, true, true)?;
    session.consent().ok()?;
    session.take(START, 1, true).ok()?;
    Some(session)
}

/// The first word behind the data that is on its way.
fn last_word(session: &mut Session) -> String {
    loop {
        let text = session.hear();
        if !text.contains("Data {") {
            return text;
        }
    }
}

#[test]
fn before_a_target_is_found_nothing_is_left_behind() {
    let donor = Donor::start("sigint-early", &["--interface", "lo"]);
    // Until it listens it ends as well, and with the same code: only the words differ.
    thread::sleep(Duration::from_millis(500));
    donor.signal(Signal::INT);
    let (code, said, took) = donor.end();
    assert_eq!(code, Some(12), "{said}");
    assert!(said.contains("interrupted"), "{said}");
    assert!(took < SOON, "{took:?}");
}

#[test]
fn a_waiting_target_is_notified_and_the_person_reads_its_state() {
    for signal in [Signal::INT, Signal::TERM] {
        let (begun, begins) = std::sync::mpsc::channel();
        let target = Target::start(1, ports::free(), move |_, stream| {
            let mut session = Session::begin(&stream)?;
            session.accept(START, true, true)?;
            session.consent().ok()?;
            begun.send(()).unwrap();
            // The donor is in the middle of a chunk when it is asked to end.
            thread::sleep(Duration::from_secs(1));
            Some(last_word(&mut session))
        });
        let donor = Donor::at("sigint-data", &target);
        begins.recv().unwrap();
        thread::sleep(Duration::from_millis(500));
        donor.signal(signal);
        let (code, said, took) = donor.end();
        assert_eq!(code, Some(12), "{said}");
        assert!(said.contains("interrupted: telling the targets"), "{said}");
        let left = "the target's disk was written and does not boot; the target was notified, and \
                    waits with a new code and secret";
        assert!(said.contains(left), "{said}");
        assert!(took < SOON, "{took:?}");
        target.wait_for("the donor was interrupted");
    }
}

#[test]
fn a_target_that_is_away_cannot_be_told() {
    let target = Target::start(1, ports::free(), |number, stream| {
        if number > 0 {
            return hostile::refuse(stream);
        }
        half(&stream)?.close();
        Some("closed".to_owned())
    });
    let donor = Donor::at("sigint-away", &target);
    target.wait_for("closed");
    thread::sleep(Duration::from_millis(500));
    donor.signal(Signal::TERM);
    let (code, said, took) = donor.end();
    assert_eq!(code, Some(12), "{said}");
    let left = "the target could not be notified, and waits up to 30 minutes for a donor \
                with the same code and secret";
    assert!(said.contains(left), "{said}");
    assert!(took < SOON, "{took:?}");
}

#[test]
fn a_target_that_has_everything_needs_nobody_any_more() {
    let target = Target::start(1, ports::free(), |_, stream| {
        let mut session = Session::begin(&stream)?;
        session.accept(START, true, true)?;
        session.consent().ok()?;
        session.take(START, usize::MAX, true).ok()?;
        Some(format!("taken {}", session.hear()))
    });
    let donor = Donor::at("sigint-whole", &target);
    // It waits for Installed, and its target for an order.
    thread::sleep(Duration::from_secs(4));
    donor.signal(Signal::INT);
    let (code, said, took) = donor.end();
    assert_eq!(code, Some(12), "{said}");
    assert!(
        said.contains("has everything and finishes by itself"),
        "{said}"
    );
    assert!(took < SOON, "{took:?}");
    target.wait_for("taken Err");
}

/// Takes everything, and says nothing about it.
fn whole_in_silence(stream: &TcpStream) -> Option<Session> {
    let mut session = Session::begin(stream)?;
    session.accept(START, true, true)?;
    session.consent().ok()?;
    session.take(START, usize::MAX, false).ok()?;
    Some(session)
}

/// The message when only our kernel is known to have had the last chunks.
const NOT_KNOWN: &str = "the target could not be notified, and waits up to 30 minutes for a donor \
                with the same code and secret";

#[test]
fn a_connection_that_broke_before_the_last_acknowledgement_leaves_no_finishing_target() {
    let target = Target::start(1, ports::free(), |number, stream| {
        if number > 0 {
            return hostile::refuse(stream);
        }
        whole_in_silence(&stream)?.close();
        Some("closed".to_owned())
    });
    let donor = Donor::at("sigint-lost", &target);
    target.wait_for("closed");
    thread::sleep(Duration::from_millis(500));
    donor.signal(Signal::INT);
    let (code, said, took) = donor.end();
    assert_eq!(code, Some(12), "{said}");
    assert!(said.contains(NOT_KNOWN), "{said}");
    assert!(took < SOON, "{took:?}");
}

#[test]
fn a_target_that_does_not_say_that_it_has_everything_may_not_finish() {
    let target = Target::start(1, ports::free(), |_, stream| {
        let mut session = whole_in_silence(&stream)?;
        Some(format!("taken {}", session.hear()))
    });
    let donor = Donor::at("sigint-silent", &target);
    // Everything was given to the kernel.
    thread::sleep(Duration::from_secs(4));
    donor.signal(Signal::INT);
    target.wait_for("taken Err");
    let (code, said, took) = donor.end();
    assert_eq!(code, Some(12), "{said}");
    assert!(said.contains(NOT_KNOWN), "{said}");
    assert!(took < Duration::from_secs(10) + SOON, "{took:?}");
}

#[test]
fn a_second_signal_ends_at_once() {
    let (begun, begins) = std::sync::mpsc::channel();
    let target = Target::start(1, ports::free(), move |_, stream| {
        let mut session = Session::begin(&stream)?;
        session.accept(START, true, false)?;
        begun.send(()).unwrap();
        // It never closes.
        thread::sleep(PATIENCE);
        drop(session);
        None
    });
    let donor = Donor::start("sigint-twice", &["--to", &target.at.to_string(), "--yes"]);
    begins.recv().unwrap();
    donor.signal(Signal::INT);
    thread::sleep(Duration::from_millis(700));
    let start = Instant::now();
    donor.signal(Signal::INT);
    let (code, said, _) = donor.end();
    assert_eq!(code, Some(12), "{said}");
    assert!(said.contains("interrupted again"), "{said}");
    assert!(start.elapsed() < Duration::from_secs(3), "{said}");
}
