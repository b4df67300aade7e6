//! Targets that pose, stall, lie and break, against the product's donor: every deploy ends in
//! bounded time, after a bounded number of connections and with the right exit code, and a target
//! that knows the secret is paired with within 10 s whatever else sends beacons.

// The lint knows test functions only; this whole file is a test.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod hostile;

use std::io::Write;
use std::net::TcpStream;
use std::thread;
use std::time::Duration;

use donor::delivery::Limits;
use donor::options::Options;
use hostile::{
    CHUNKS, Ended, START, Session, Target, deploy, files, hold, honest, junk_m4, options,
};
use receiver::fakes::ports;
use spk_visor::exit::Exit;
use wire::message::Next;

type Act = fn(TcpStream) -> Option<String>;

const SECOND: Duration = Duration::from_secs(1);
/// The extra time on a loaded machine.
const SLACK: Duration = Duration::from_secs(6);

/// M2, a byte at a time.
fn drip(mut stream: TcpStream) -> Option<String> {
    for byte in hostile::foreign_m2(&mut stream)? {
        stream.write_all(&[byte]).ok()?;
        thread::sleep(Duration::from_millis(300));
    }
    None
}

/// Everything up to M3, and then nothing.
fn withhold_m4(mut stream: TcpStream) -> Option<String> {
    let m2 = hostile::foreign_m2(&mut stream)?;
    stream.write_all(&m2).ok()?;
    hold(stream)
}

/// One impostor at the lower address, which is looked at first, and one target.
fn beside(name: &str, impostor: Act) {
    let (port, beacons) = (ports::free(), ports::free());
    let _impostor = Target::start(2, port, move |_, stream| impostor(stream)).beacon(beacons);
    let target = Target::start(3, port, |_, stream| honest(stream)).beacon(beacons);
    let out = paired_in_time(name, port, beacons);
    assert_eq!(target.connections(), 1, "{out}");
}

/// Deploys to the honest one of those that beacon here: it is paired with within 10 s. Gives what
/// the donor said.
fn paired_in_time(name: &str, port: u16, beacons: u16) -> String {
    let dir = files(name);
    let deploy = deploy(&Options {
        beacon_port: beacons,
        stream_port: port,
        ..options(&dir)
    });
    assert_eq!(deploy.exit, Exit::Installed, "{}", deploy.out);
    let seconds = deploy.seconds_to("paired");
    assert!(seconds < 10.0, "paired after {seconds} s: {}", deploy.out);
    println!("{name}: paired after {seconds} s");
    deploy.out
}

#[test]
fn an_honest_target_is_paired_with_beside_an_impostor() {
    let impostors: [(&str, Act); 4] = [
        ("beside-drip", drip),
        ("beside-silent", hold),
        ("beside-m4", withhold_m4),
        ("beside-junk", junk_m4),
    ];
    thread::scope(|scope| {
        for (name, impostor) in impostors {
            scope.spawn(move || beside(name, impostor));
        }
    });
}

#[test]
fn an_honest_target_is_paired_with_beside_twelve_that_say_nothing() {
    let (port, beacons) = (ports::free(), ports::free());
    for host in 10..22 {
        Target::start(host, port, |_, stream| hold(stream)).beacon(beacons);
    }
    let _target = Target::start(23, port, |_, stream| honest(stream)).beacon(beacons);
    paired_in_time("beside-twelve", port, beacons);
}

/// A donor that waits for nothing much longer than it takes.
const HURRIED: Limits = Limits {
    handshake: SECOND,
    busy: Duration::from_secs(3),
    silence: SECOND,
    finishing: Duration::from_secs(2),
};
/// One that a loaded machine does not hurry.
const PATIENT: Limits = Limits {
    handshake: Duration::from_secs(10),
    busy: Duration::from_secs(3),
    silence: Duration::from_secs(20),
    finishing: Duration::from_secs(20),
};

/// A target alone, `--to`, and how often the donor connected.
fn alone<A>(name: &str, limits: Limits, retry_s: u64, act: A) -> (Ended, usize)
where
    A: Fn(usize, TcpStream) -> Option<String> + Send + Sync + 'static,
{
    let dir = files(name);
    let target = Target::start(1, ports::free(), act);
    let deploy = deploy(&Options {
        to: Some(target.at),
        retry: Duration::from_secs(retry_s),
        limits,
        ..options(&dir)
    });
    (deploy, target.connections())
}

/// The fate of a donor at such a target: exit code, part of the reason, and how much of each it
/// may have cost.
fn assert_bounded(
    (deploy, connections): (Ended, usize),
    exit: Exit,
    reason: &str,
    seconds: u64,
    most: usize,
) {
    let told = format!(
        "{:?}, {connections} connections: {}",
        deploy.took, deploy.out
    );
    assert_eq!(deploy.exit, exit, "{told}");
    assert!(deploy.out.contains(reason), "{told}");
    assert!(!deploy.out.contains("os error 11"), "{told}");
    assert!(deploy.took < Duration::from_secs(seconds) + SLACK, "{told}");
    assert!(connections <= most, "{told}");
}

#[test]
fn one_that_cannot_be_paired_with_costs_bounded_time() {
    let cases = [
        one_that_drips_has_one_deadline_for_all_of_it,
        one_that_says_nothing_is_asked_as_long_as_a_busy_one,
        one_that_withholds_its_proof_gets_one_guess,
        one_that_refuses_for_a_while_is_waited_for_also_without_beacons,
        one_that_refuses_for_ever_is_given_up,
    ];
    thread::scope(|scope| {
        for case in cases {
            scope.spawn(case);
        }
    });
}

fn one_that_drips_has_one_deadline_for_all_of_it() {
    let ended = alone("drip", HURRIED, 3, |_, stream| drip(stream));
    let reason = "waiting 1 s for M2 of the handshake from 127.0.0.1";
    assert_bounded(ended, Exit::Connection, reason, 4, 4);
}

fn one_that_says_nothing_is_asked_as_long_as_a_busy_one() {
    let ended = alone("silent", HURRIED, 3, |_, stream| hold(stream));
    assert!(ended.0.took >= 3 * SECOND);
    let reason = "waiting 1 s for M2 of the handshake from 127.0.0.1";
    assert_bounded(ended, Exit::Connection, reason, 4, 4);
}

fn one_that_withholds_its_proof_gets_one_guess() {
    let ended = alone("m4", HURRIED, 3, |_, stream| withhold_m4(stream));
    let reason = "waiting 1 s for M4 of the handshake from 127.0.0.1";
    assert_bounded(ended, Exit::Connection, reason, 1, 1);
}

fn one_that_refuses_for_a_while_is_waited_for_also_without_beacons() {
    let start = std::time::Instant::now();
    let ended = alone("pausing", PATIENT, 3, move |_, stream| {
        if start.elapsed() < 2 * SECOND {
            return hostile::refuse(stream);
        }
        honest(stream)
    });
    assert!(ended.0.out.contains(r#""event":"busy""#), "{}", ended.0.out);
    assert_bounded(ended, Exit::Installed, "installed", 4, 5);
    // Longer than four of the longest pauses of a target after wrong guesses.
    assert!(Limits::default().busy >= Duration::from_secs(120));
}

fn one_that_refuses_for_ever_is_given_up() {
    let ended = alone("refusing", PATIENT, 3, |_, stream| hostile::refuse(stream));
    assert!(ended.0.took >= 3 * SECOND, "{:?}", ended.0.took);
    assert_bounded(ended, Exit::Connection, "127.0.0.1", 4, 6);
}

#[test]
fn one_that_wants_what_there_is_not_breaks_the_protocol() {
    let ended = alone("absurd", PATIENT, 3, |_, stream| {
        let mut session = Session::begin(&stream)?;
        let absurd = Next {
            file: 7,
            chunk: 4_000_000_000,
        };
        session.accept(absurd, false, true)?;
        Some(session.hear())
    });
    let reason = "wants chunk 4000000000 of file 7, which there is not";
    assert_bounded(ended, Exit::Target, reason, 1, 1);
}

#[test]
fn installed_before_anything_was_sent_is_no_end() {
    for is_early in [true, false] {
        let ended = alone("at-once", PATIENT, 3, move |_, stream| {
            let mut session = Session::begin(&stream)?;
            if is_early {
                session.installed()?;
            }
            session.accept(START, true, true)?;
            session.consent().ok()?;
            session.installed()?;
            Some(session.hear())
        });
        let reason = "says that it is installed before everything was sent";
        assert_bounded(ended, Exit::Target, reason, 1, 1);
    }
}

#[test]
fn a_second_accept_and_a_second_installed_break_the_protocol() {
    let ended = alone("twice", PATIENT, 3, |_, stream| {
        let mut session = Session::begin(&stream)?;
        session.accept(START, true, false)?;
        session.accept(START, true, true)?;
        Some(session.hear())
    });
    // Nobody is there to say yes to a disk that is not blank: either is a reason, and nothing is
    // sent.
    let is_declined = ended.0.exit == Exit::Declined;
    assert!(
        is_declined || ended.0.exit == Exit::Target,
        "{}",
        ended.0.out
    );
    let ended = alone("twice", PATIENT, 3, |_, stream| {
        let mut session = Session::begin(&stream)?;
        session.accept(START, true, true)?;
        session.consent().ok()?;
        session.accept(START, true, true)?;
        session.take(START, CHUNKS, true).ok()?;
        session.installed();
        Some(session.hear())
    });
    assert_bounded(ended, Exit::Target, "accepts a second time", 1, 1);
}

#[test]
fn what_was_not_sent_cannot_be_acknowledged() {
    let ended = alone("ahead", PATIENT, 3, |_, stream| {
        let mut session = Session::begin(&stream)?;
        session.accept(START, true, true)?;
        session.progress(Next { file: 2, chunk: 0 });
        Some(session.hear())
    });
    assert_bounded(ended, Exit::Target, "acknowledges what was not sent", 1, 1);
}

#[test]
fn one_that_breaks_behind_the_pairing_each_time_is_given_up() {
    let before: [fn(TcpStream) -> Option<String>; 4] = [
        |stream| hostile::pair(&stream).map(|_| String::new()),
        |stream| Session::begin(&stream).map(|_| String::new()),
        |stream| {
            Session::begin(&stream)?.accept(START, true, true)?;
            None
        },
        |stream| {
            let mut session = Session::begin(&stream)?;
            session.accept(START, false, true)?;
            session.take(START, 1, false).ok()?;
            None
        },
    ];
    thread::scope(|scope| {
        for (number, act) in before.into_iter().enumerate() {
            scope.spawn(move || {
                let ended = alone(&format!("breaks-{number}"), PATIENT, 3, move |_, stream| {
                    act(stream)
                });
                let reason = "s without a connection that works";
                assert!(ended.0.took >= 3 * SECOND, "{:?}", ended.0.took);
                assert_bounded(ended, Exit::Transfer, reason, 3, 8);
            });
        }
    });
}

#[test]
fn one_that_finishes_for_longer_than_the_retries_take_is_asked_how_it_ended() {
    let end = Next { file: 2, chunk: 0 };
    let ended = alone("finishing", PATIENT, 2, move |number, stream| {
        let mut session = Session::begin(&stream)?;
        if number == 0 {
            session.accept(START, false, true)?;
            session.take(START, CHUNKS, true).ok()?;
            session.close();
            return None;
        }
        session.accept(end, false, true)?;
        if number == 1 {
            thread::sleep(3 * SECOND);
            session.close();
            return None;
        }
        session.install(end).map(|()| String::new())
    });
    assert_bounded(ended, Exit::Installed, "installed", 5, 3);
}

#[test]
fn one_that_takes_everything_and_wants_it_again_is_given_up() {
    let ended = alone("for-ever", PATIENT, 3, |_, stream| {
        let mut session = Session::begin(&stream)?;
        session.accept(START, false, true)?;
        session.take(START, CHUNKS, true).ok()?;
        None
    });
    let reason = "s without a connection that works";
    assert_bounded(ended, Exit::Transfer, reason, 4, 9);
}

#[test]
fn one_that_is_silent_is_a_broken_connection() {
    let cases: [(&str, Act); 3] = [
        ("its answer to the manifest", |stream| {
            let _session = Session::begin(&stream)?;
            hold(stream)
        }),
        ("an acknowledgement", |stream| {
            let mut session = Session::begin(&stream)?;
            session.accept(START, false, true)?;
            session.take(START, CHUNKS, false).ok()?;
            hold(stream)
        }),
        ("the end of the deploy", |stream| {
            let mut session = Session::begin(&stream)?;
            session.accept(START, false, true)?;
            session.take(START, CHUNKS, true).ok()?;
            hold(stream)
        }),
    ];
    thread::scope(|scope| {
        for (awaited, act) in cases {
            scope.spawn(move || {
                let name = format!("mute-{}", awaited.len());
                let ended = alone(&name, HURRIED, 3, move |_, stream| act(stream));
                let reason = format!("s while {awaited} was awaited");
                assert_bounded(ended, Exit::Transfer, &reason, 7, 6);
            });
        }
    });
}

#[test]
fn somebody_at_the_targets_address_delays_a_resume_and_does_not_end_it() {
    let ended = alone("junk-resume", PATIENT, 20, |number, stream| match number {
        0 => {
            let mut session = Session::begin(&stream)?;
            session.accept(START, true, true)?;
            session.consent().ok()?;
            session.take(START, 1, true).ok()?;
            session.close();
            None
        }
        1..=3 => junk_m4(stream),
        _ => {
            let mut session = Session::begin(&stream)?;
            let next = Next { file: 0, chunk: 1 };
            session.accept(next, false, true)?;
            session.install(next)?;
            None
        }
    });
    assert_bounded(ended, Exit::Installed, "installed", 4, 5);
}

#[test]
fn a_disk_that_is_not_blank_needs_a_yes_though_the_target_does_not_ask() {
    let not_asking = |next: Next| {
        move |_: usize, stream: TcpStream| {
            let mut session = Session::begin(&stream)?;
            session.accept(next, false, false)?;
            session.install(next)?;
            None
        }
    };
    let ended = alone("not-asking", PATIENT, 3, not_asking(START));
    assert_bounded(ended, Exit::Declined, "/dev/fake", 1, 1);
    // Somebody agreed before: a donor that was started again goes on.
    let next = Next { file: 0, chunk: 1 };
    let ended = alone("not-asking", PATIENT, 3, not_asking(next));
    assert_bounded(ended, Exit::Installed, "installed", 1, 1);
}
