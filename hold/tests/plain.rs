//! A daemon that nobody holds, stopped and started by a script of init: kept, or taken back.

#![allow(clippy::unwrap_used, clippy::panic)]

mod world;

use std::fs;
use std::os::unix::fs::PermissionsExt;

use hold::event::{Event, Why};
use hold::place::Wanted;
use hold::plain;
use store::stage::Again;
use world::{Silent, World, short};

/// `SERVICE` of a program whose script of init is in [`world`].
const SERVICE: &str = "smechvisor-service 1\nprogram bin/d\nuser root\nready started\nhealth -\n\
                       selftest -\nmode plain\nend\n";

/// A daemon of version 1 that runs. What its script is asked for, and which version was pointed at
/// then, it writes down in `log`; a program that begins with a verb is one that this verb fails
/// for.
fn world() -> World {
    let world = World::new();
    world.generation_of(1, SERVICE, b"#!");
    world.confirm(1);
    let script = format!(
        "#!/bin/sh\ncurrent=$(readlink {0}/daemon/current)\n\
         echo \"$1 ${{current##*0}}\" >>{0}/log\n\
         ! grep -q \"^$1\" {0}/daemon/current/tree/bin/d\n",
        world.dir.path().display()
    );
    fs::create_dir_all(world.path("etc/init.d")).unwrap();
    fs::write(world.path("etc/init.d/d"), script).unwrap();
    fs::set_permissions(
        world.path("etc/init.d/d"),
        fs::Permissions::from_mode(0o755),
    )
    .unwrap();
    world
}

fn swap(world: &World, counter: u64) -> Event {
    let settings = world.settings(short());
    let wanted = version(counter);
    assert!(plain::is_for_init(&settings, wanted));
    plain::swap(&settings, wanted, &mut Silent)
}

fn version(counter: u64) -> Wanted {
    Wanted::Version {
        counter,
        again: Again(false),
    }
}

fn log(world: &World) -> Vec<String> {
    let log = fs::read_to_string(world.path("log")).unwrap();
    log.lines().map(str::to_owned).collect()
}

#[test]
fn one_that_starts_and_stays_is_kept() {
    let world = world();
    world.generation_of(2, SERVICE, b"#!");
    assert!(matches!(swap(&world, 2), Event::Swapped { counter: 2, .. }));
    let log = log(&world);
    assert_eq!(log[..3], ["stop 2", "start 2", "status 2"]);
    assert!(log[3..].iter().all(|line| line == "status 2"), "{log:?}");
    assert_eq!(world.ledger().current.unwrap().counter, 2);
    assert_eq!(world.ledger().previous.unwrap().counter, 1);
    let again = swap(&world, 2);
    assert_eq!(again, Event::Refused { why: Why::Current });
}

#[test]
fn the_one_before_is_stopped_and_started_like_any_other() {
    let world = world();
    world.generation_of(2, SERVICE, b"#!");
    assert!(matches!(swap(&world, 2), Event::Swapped { .. }));
    let before = log(&world).len();
    let back = plain::swap(&world.settings(short()), Wanted::Former, &mut Silent);
    assert!(
        matches!(back, Event::Swapped { counter: 1, .. }),
        "{back:?}"
    );
    assert_eq!(log(&world)[before..][..2], ["stop 1", "start 1"]);
    assert_eq!(world.ledger().failed()[0].word.as_str(), "taken-back");
    let again = plain::swap(&world.settings(short()), Wanted::Former, &mut Silent);
    assert_eq!(again, Event::Refused { why: Why::NoFormer });
}

#[test]
fn one_that_fails_is_taken_back_and_the_old_one_started() {
    for (verb, why, begun) in [
        ("start", Why::Service, &["stop 2", "start 2"][..]),
        ("status", Why::Unhealthy, &["stop 2", "start 2", "status 2"]),
    ] {
        let world = world();
        world.generation_of(2, SERVICE, verb.as_bytes());
        let back = swap(&world, 2);
        let Event::TakenBack {
            counter: 2,
            why: found,
            ..
        } = back
        else {
            panic!("{back:?}");
        };
        assert_eq!(found, why);
        let log = log(&world);
        assert_eq!(log[..begun.len()], *begun);
        assert_eq!(log[begun.len()..], ["stop 2", "start 1"]);
        assert_eq!(world.current(), 1);
        let ledger = world.ledger();
        assert_eq!(ledger.trial, None);
        assert_eq!(ledger.failed()[0].word.as_str(), why.to_string());
        let again = swap(&world, 2);
        assert_eq!(
            again,
            Event::Refused {
                why: Why::FailedBefore
            }
        );
    }
}

#[test]
fn what_fails_before_anything_is_stopped_disturbs_nobody() {
    let world = world();
    let service = SERVICE.replace("user root", "user nobody-here");
    world.generation_of(2, &service, b"#!");
    let back = swap(&world, 2);
    assert!(
        matches!(back, Event::TakenBack { why: Why::User, .. }),
        "{back:?}"
    );
    assert!(!world.path("log").exists());
    assert_eq!(world.current(), 1);
}

#[test]
fn without_a_service_and_in_another_mode_nothing_is_for_init() {
    let world = world();
    world.generation(2, &world.service(&["2"]));
    assert!(!plain::is_for_init(&world.settings(short()), version(2)));
    assert!(plain::is_for_init(&world.settings(short()), version(1)));
    fs::remove_file(world.path("etc/init.d/d")).unwrap();
    assert!(!plain::is_for_init(&world.settings(short()), version(1)));
}
