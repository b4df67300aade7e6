//! Ways in which a new version fails, each with a real program and the product's own times: the old
//! one is back within 3 s, the new one is on the list of failures, and no client is refused.

#![allow(clippy::unwrap_used, clippy::panic)]

mod world;

use std::time::{Duration, Instant};

use hold::event::{Event, Request, Why};
use hold::times::Times;
use world::{LONG, World, request};

/// The old one is back, at the latest.
const BACK: Duration = Duration::from_secs(3);

/// Lets version 2 fail, which `make` makes.
fn fails(mode: &'static str, why: Why, make: impl Fn(&World)) {
    let world = World {
        mode,
        ..World::new()
    };
    world.first();
    make(&world);
    let held = world.hold(Times::default());
    held.started();
    assert_eq!(world.ask(), "1");
    let (held, world) = (&held, &world);
    let (answered, back) = std::thread::scope(|scope| {
        let swap = scope.spawn(|| held.swap(2));
        let mut longest = Duration::ZERO;
        while !swap.is_finished() {
            let began = Instant::now();
            // One that was accepted by what then crashed is not answered; the next one is.
            let _ = request(world.address);
            longest = longest.max(began.elapsed());
        }
        (swap.join().unwrap(), longest)
    });
    let Event::TakenBack {
        counter: 2,
        why: was,
        pause_ms,
    } = answered
    else {
        panic!("{answered:?}");
    };
    assert_eq!(was, why);
    assert!(Duration::from_millis(pause_ms) < BACK, "{pause_ms} ms");
    assert!(back < BACK + Duration::from_secs(1), "{back:?}");
    assert_eq!(world.ask(), "1");
    assert_eq!(world.current(), 1);
    let ledger = world.ledger();
    assert_eq!(ledger.trial, None);
    let failed = ledger.failed().first().unwrap();
    assert_eq!(failed.version.counter, 2);
    assert_eq!(failed.word.as_str(), why.to_string());
    let again = held.swap(2);
    assert_eq!(
        again,
        Event::Refused {
            why: Why::FailedBefore
        }
    );
}

fn program_fails(arguments: &[&str], why: Why) {
    fails("queue", why, |world| {
        world.generation(2, &world.service(arguments));
    });
}

/// Its program consists of these bytes.
fn bytes_fail(program: &[u8], why: Why) {
    fails("queue", why, |world| {
        world.generation_of(2, &world.service(&["2"]), program);
    });
}

/// A line of its `SERVICE` is another one.
fn service_fails(line: &str, other: &str, why: Why) {
    fails("queue", why, |world| {
        let service = world.service(&["2"]).replace(line, other);
        world.generation(2, &service);
    });
}

#[test]
fn it_exits_at_once() {
    program_fails(&["2", "exit"], Why::Exit(3));
}

#[test]
fn it_crashes_with_a_signal() {
    program_fails(&["2", "crash"], Why::Signal(6));
}

#[test]
fn it_forks_and_exits() {
    program_fails(&["2", "fork"], Why::Exit(0));
}

#[test]
fn it_is_never_ready() {
    program_fails(&["2", "silent"], Why::NotReady);
}

#[test]
fn it_closes_its_socket() {
    program_fails(&["2", "close"], Why::NotReady);
}

#[test]
fn it_shuts_the_socket_down() {
    program_fails(&["2", "shut"], Why::NotReady);
}

#[test]
fn it_is_not_healthy() {
    program_fails(&["2", "bad"], Why::Unhealthy);
}

#[test]
fn it_is_unhealthy_after_a_second() {
    program_fails(&["2", "bad-later"], Why::Unhealthy);
}

#[test]
fn it_is_never_ready_and_hangs_on_sigterm() {
    program_fails(&["2", "silent", "hang"], Why::NotReady);
}

#[test]
fn it_is_made_for_another_machine() {
    bytes_fail(b"\x7fELF\x02\x01\x01\0no", Why::Exec);
}

#[test]
fn its_interpreter_is_missing() {
    bytes_fail(b"#!/nonexistent\n", Why::Exec);
}

#[test]
fn its_file_is_missing() {
    service_fails("program bin/d", "program bin/e", Why::Missing);
}

#[test]
fn its_user_does_not_exist() {
    service_fails("user root", "user nobody-here", Why::User);
}

#[test]
fn its_test_of_itself_fails() {
    service_fails("selftest -", "selftest selftest-fails", Why::Selftest);
}

#[test]
fn with_overlap_the_old_one_never_left() {
    for (arguments, why) in [
        (&["2", "exit"][..], Why::Exit(3)),
        (&["2", "silent"], Why::NotReady),
    ] {
        fails("overlap", why, |world| {
            world.generation(2, &world.service(arguments));
        });
    }
}

#[test]
fn an_old_one_that_hangs_on_sigterm_is_killed_and_the_new_one_stays() {
    let world = World::new();
    world.generation(1, &world.service(&["1", "hang"]));
    world.confirm(1);
    world.generation(2, &world.service(&["2"]));
    let held = world.hold(Times::default());
    let old = held.started();
    let began = Instant::now();
    let Event::Swapped {
        counter: 2,
        pause_ms,
    } = held.swap(2)
    else {
        panic!();
    };
    assert!(Duration::from_millis(pause_ms) < BACK, "{pause_ms} ms");
    assert!(began.elapsed() < LONG && !world::runs(old));
    assert_eq!(world.ask(), "2");
    assert_eq!(world.ledger().previous.unwrap().counter, 1);
    assert_eq!(held.ask(Request::Status), held.ask(Request::Status));
    assert!(held.end());
}
