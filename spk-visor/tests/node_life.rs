//! The life of a node in a directory: updates from a directory and from a bundle file, trials,
//! confirmations, the way back, and a bad version that is tried three times and never again.

// The lint knows test functions only; this whole file is a test.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod node;

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use node::{IMAGE, Node, Release, Told};
use spk_visor::command::node::confirm::Verdict;
use spk_visor::command::node::event::{Event, Phase};
use spk_visor::exit::Exit;
use wire::record::{Left, Slot};

fn is_kept(verdict: &Verdict) -> bool {
    matches!(verdict, Verdict::Kept)
}

fn names(events: &[Event]) -> Vec<String> {
    let line = |event| spk_visor::json::node::event(event, std::time::Duration::ZERO);
    let name = |event| line(event).split('"').nth(3).unwrap().to_owned();
    events.iter().map(name).collect()
}

/// Staged, armed, booted, confirmed.
fn updated_to(node: &Node, counter: u64) {
    node.update(&node.release(counter)).1.unwrap();
    node.activate(false).1.unwrap();
    assert!(is_kept(&node.boot_with_services().1.unwrap()));
}

#[test]
fn a_node_takes_a_directory_then_a_bundle_and_goes_back() {
    let node = Node::deployed();
    // From a directory, with what both have taken from the slot that runs.
    let (told, done) = node.update(&node.release(2));
    done.unwrap();
    assert_eq!(
        names(&told.events),
        ["checked", "offered", "fetching", "staged"]
    );
    let Some(Event::Staged {
        slot,
        fetched,
        reused,
        ..
    }) = told.events.last()
    else {
        panic!("{:?}", told.events);
    };
    assert_eq!(*slot, Slot::B);
    assert!(fetched < reused, "{fetched} fetched, {reused} reused");
    assert_eq!(node.boot(), Slot::A, "staged is not armed");
    let (told, done) = node.activate(false);
    done.unwrap();
    assert_eq!(names(&told.events), ["checked", "armed"]);
    let (slot, verdict) = node.boot_with_services();
    assert!(slot == Slot::B && is_kept(&verdict.unwrap()));
    assert_eq!((node.record().good, node.record().trial), (Slot::B, None));
    // From a bundle file, into the slot that is free now.
    node.update(&node.bundle(3)).1.unwrap();
    node.activate(false).1.unwrap();
    assert_eq!(node.boot_with_services().0, Slot::A);
    assert_eq!(node.record().good, Slot::A);
    // Back to version 2, which is tried like any other.
    let (told, done) = node.rollback();
    done.unwrap();
    assert_eq!(names(&told.events), ["checked", "armed"]);
    assert_eq!(node.boot_with_services().0, Slot::B);
    assert_eq!(node.record().good, Slot::B);
    // Version 3 was left by a person, and is not taken again by itself.
    let error = node.update(&node.bundle(3)).1.unwrap_err();
    assert_eq!(Exit::from(&error), Exit::NotNow, "{error:?}");
}

#[test]
fn a_bad_version_is_tried_three_times_and_never_again() {
    let node = Node::deployed();
    updated_to(&node, 2);
    node.update(&node.release(3)).1.unwrap();
    node.activate(false).1.unwrap();
    node.health_program("echo no licence; exit 1");
    for left in [2, 1, 0] {
        let (slot, verdict) = node.boot_with_services();
        let Verdict::Unhealthy(error) = verdict.unwrap() else {
            panic!("kept with {left} left");
        };
        assert_eq!((slot, Exit::from(&error)), (Slot::A, Exit::Unhealthy));
        let text = wire::chain::chain(&error).to_string();
        assert!(
            text.contains("10-test") && text.ends_with("no licence"),
            "{text}"
        );
        assert_eq!(node.record().trial, Left::new(left));
    }
    assert_eq!(node.boot(), Slot::B, "the way back");
    let (told, done) = node.recover();
    done.unwrap();
    assert_eq!(names(&told.events), ["checked", "rolled-back"]);
    let said = told.events.last().unwrap().to_string();
    assert!(
        said.ends_with(" failed: gate-programs, 3 starts; the version before it is back"),
        "{said}"
    );
    assert!(
        node.recover().0.events.len() == 1,
        "nothing the second time"
    );
    let (text, _) = node.status(false, true);
    assert!(text.contains("\"word\":\"gate-programs\""), "{text}");
    assert!(text.contains("\"standing\":\"confirmed\""), "{text}");
    let error = node.update(&node.release(3)).1.unwrap_err();
    assert_eq!(Exit::from(&error), Exit::NotNow);
    let error = node.activate(false).1.unwrap_err();
    assert_eq!(Exit::from(&error), Exit::NotNow);
    assert_eq!(node.boot(), Slot::B);
    // Until a person wants it, and it is well.
    node.health_program("exit 0");
    let told = node::Told::default();
    node.update_as(told, &node.release(3), true).1.unwrap();
    node.activate(true).1.unwrap();
    assert_eq!(node.boot_with_services().0, Slot::A);
    assert_eq!(node.record().good, Slot::A);
}

#[test]
fn two_rollbacks_in_a_row_stop_updates_until_a_person_goes_on() {
    let node = Node::deployed();
    for counter in [2, 3] {
        node.update(&node.release(counter)).1.unwrap();
        node.activate(false).1.unwrap();
        node.health_program("exit 1");
        for _ in 0..3 {
            assert_eq!(node.boot_with_services().0, Slot::B);
        }
        assert_eq!(node.boot_with_services().0, Slot::A);
    }
    let error = node.update(&node.release(4)).1.unwrap_err();
    assert_eq!(Exit::from(&error), Exit::NotNow);
    assert!(
        error.to_string().contains("stopped after 2 rollbacks"),
        "{error}"
    );
    let told = node::Told::default();
    node.update_as(told, &node.release(4), true).1.unwrap();
}

#[test]
fn a_trial_that_runs_or_waits_is_given_up_by_rollback() {
    let node = Node::deployed();
    node.update(&node.release(2)).1.unwrap();
    node.activate(false).1.unwrap();
    // Armed, not started: it is still there.
    node.rollback().1.unwrap();
    assert_eq!(node.boot(), Slot::A);
    node.activate(false).1.unwrap();
    assert_eq!(node.boot(), Slot::B);
    // It runs: nothing else is written meanwhile, and one word ends it.
    let error = node.update(&node.release(3)).1.unwrap_err();
    assert_eq!(Exit::from(&error), Exit::NotNow);
    let (told, done) = node.rollback();
    done.unwrap();
    assert_eq!(names(&told.events), ["checked", "rolled-back"]);
    assert_eq!(node.boot(), Slot::A);
    assert_eq!(node.record().trial, None);
    let error = node.rollback().1.unwrap_err();
    assert_eq!(
        Exit::from(&error),
        Exit::NotNow,
        "there was none before: {error}"
    );
}

#[test]
fn everything_may_be_run_twice() {
    let node = Node::deployed();
    let release = node.release(2);
    for _ in 0..2 {
        node.update(&release).1.unwrap();
    }
    for _ in 0..2 {
        node.activate(false).1.unwrap();
    }
    assert_eq!(node.record().trial, Some(Left::ALL));
    node.boot();
    for _ in 0..2 {
        node.recover().1.unwrap();
    }
    for _ in 0..2 {
        assert!(is_kept(&node.confirm(true).1.unwrap()));
    }
    assert_eq!(node.record().good, Slot::B);
    let error = node.update(&release).1.unwrap_err();
    assert_eq!(Exit::from(&error), Exit::Current);
}

/// Bytes that `activate` reads of the slot.
fn read_by_activate(node: &Node, is_verify: bool) -> u64 {
    let read = Arc::new(AtomicU64::new(0));
    let most = Arc::clone(&read);
    let told = Told {
        at_step: Some(Box::new(move |phase, done| {
            assert!(matches!(phase, Phase::Read));
            most.store(done, Ordering::Relaxed);
        })),
        ..Told::default()
    };
    node.activate_as(told, false, is_verify).1.unwrap();
    assert_eq!(node.record().trial, Some(Left::ALL));
    read.load(Ordering::Relaxed)
}

#[test]
fn what_update_has_read_back_activate_does_not_read_again_until_the_reboot() {
    let node = Node::deployed();
    let release = node.release(2);
    let image_bytes = Release::of(2).data.len() as u64;
    node.update(&release).1.unwrap();
    let file = node.path("run/smv/read-back");
    let text = fs::read(&file).unwrap();
    assert_eq!(read_by_activate(&node, false), 0);
    assert_eq!(read_by_activate(&node, true), image_bytes);
    node.rollback().1.unwrap();
    // It is gone with the reboot.
    assert_eq!(node.boot(), Slot::A);
    assert!(!file.exists());
    assert_eq!(read_by_activate(&node, false), image_bytes);
    node.rollback().1.unwrap();
    // One of an earlier boot, put back, says of another state of the disk that it was read.
    fs::write(&file, text).unwrap();
    assert_eq!(read_by_activate(&node, false), image_bytes);
    node.rollback().1.unwrap();
    // Staging once more only reads, and that counts.
    node.update(&release).1.unwrap();
    assert_eq!(read_by_activate(&node, false), 0);
    node.rollback().1.unwrap();
    // Another image has it forgotten before its first byte is written.
    let broken = node.release(3);
    fs::write(broken.join(IMAGE), vec![0; Release::of(3).data.len()]).unwrap();
    node.update(&broken).1.unwrap_err();
    assert!(!file.exists());
}

#[test]
fn confirm_without_wait_looks_once_and_reboots_nothing() {
    let node = Node::deployed();
    node.update(&node.release(2)).1.unwrap();
    node.activate(false).1.unwrap();
    node.boot();
    node.health_program("exit 1");
    assert!(matches!(
        node.confirm(false).1.unwrap(),
        Verdict::Unhealthy(_)
    ));
    assert_eq!(node.record().good, Slot::A);
    node.health_program("exit 0");
    assert!(is_kept(&node.confirm(false).1.unwrap()));
    assert_eq!(node.record().good, Slot::B);
}

#[test]
fn status_says_it_to_people_and_scripts_without_a_lock() {
    let node = Node::deployed();
    let _locks = node.place().lock("update elsewhere").unwrap();
    let (text, exit) = node.status(true, false);
    assert_eq!(exit, Exit::Installed);
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(lines[0], "product smv-x86_64, version 1, counter 1");
    assert_eq!(lines[1], "slot a runs: confirmed; it boots next");
    assert!(lines[2].starts_with("slot a: counter 1, "), "{text}");
    assert!(lines[2].contains(", as signed with key "), "{text}");
    assert_eq!(lines[3], "slot b: no image");
    let (text, _) = node.status(false, true);
    assert!(
        text.starts_with("{\"event\":\"status\",\"slot\":\"a\""),
        "{text}"
    );
    assert!(!node.path("var/lib/smv").exists(), "looking makes nothing");
}
