//! A person at the machine steers whole deploys, at every point where a word can come.

mod cancel;

use std::fs;
use std::io::{Read, Write};
use std::time::Instant;

use disk::layout::Role;
use disk::sizes::{Sizes, Swap};
use machine::gate::{GateError, Wish};
use wire::code::Code;
use wire::message::{Message, Next};
use wire::secret::Secret;

use crate::fakes::donor::{END, FakeDonor, Image};
use crate::fakes::{ADDRESS, Lines, Plug};
use crate::operator::OperatorControl;
use crate::operator::event::ReceiverEvent;
use crate::session::paired::tests::{AT_ONCE, START, Target, assert_installed, image, pair};

/// Some of the image's chunks.
const MIDDLE: Next = Next { file: 0, chunk: 5 };

fn target(name: &str) -> (Target, OperatorControl) {
    let operator = OperatorControl::new().unwrap();
    let mut target = Target::new(&format!("steering-{name}"));
    target.lines = Lines::of(&operator);
    (target, operator)
}

/// The invitation behind the first `skip` events.
fn invited(lines: &Lines, skip: usize) -> (usize, (Code, Secret)) {
    let (at, event) = lines.wait_for_event(skip, |event| {
        matches!(event, ReceiverEvent::Inviting { .. })
    });
    let ReceiverEvent::Inviting { code, secret, .. } = event else {
        panic!("no invitation");
    };
    let code = Code::parse(&code).unwrap();
    (at + 1, (code, Secret::parse(&secret.unwrap()).unwrap()))
}

fn held(lines: &Lines, skip: usize) -> (usize, Option<String>) {
    let (at, event) =
        lines.wait_for_event(skip, |event| matches!(event, ReceiverEvent::Held { .. }));
    let ReceiverEvent::Held { refused } = event else {
        panic!("not held");
    };
    (at + 1, refused)
}

fn failed(lines: &Lines, skip: usize) -> (usize, String) {
    let (at, event) =
        lines.wait_for_event(skip, |event| matches!(event, ReceiverEvent::Failed { .. }));
    let ReceiverEvent::Failed { reason, is_fatal } = event else {
        panic!("not failed");
    };
    assert!(!is_fatal, "{reason}");
    (at + 1, reason)
}

/// A deploy that nothing disturbs, on the next invitation.
fn finish(plug: &Plug, lines: &Lines, skip: usize) {
    let (_, (code, secret)) = invited(lines, skip);
    let (mut donor, image) = (pair(plug, (&code, &secret)), image());
    let next = donor.offer(&image);
    donor.send(&image, next, END).unwrap();
    donor.last_word().unwrap().1.unwrap();
    donor.order(None).unwrap();
}

/// A donor that has sent the first chunks and no more for now.
fn half_way(plug: &Plug, lines: &Lines, image: &Image) -> (FakeDonor, usize) {
    let (skip, (code, secret)) = invited(lines, 0);
    let mut donor = pair(plug, (&code, &secret));
    donor.offer(image);
    donor.send(image, START, MIDDLE).unwrap();
    let (at, _) =
        lines.wait_for_event(skip, |event| matches!(event, ReceiverEvent::Package { .. }));
    (donor, at + 1)
}

fn first_sector(target: &Target) -> Vec<u8> {
    let mut first = vec![0; 512];
    let mut disk = fs::File::open(target.dir.path().join("disk.img")).unwrap();
    disk.read_exact(&mut first).unwrap();
    first
}

fn assert_untouched(target: &Target) {
    use std::os::unix::fs::MetadataExt;
    let disk = fs::metadata(target.dir.path().join("disk.img")).unwrap();
    assert_eq!(disk.blocks(), 0);
}

fn assert_nothing_was_refused(target: &Target) {
    let lines = target.lines.all();
    let is_refusal = |line: &String| line.contains("refused peer=");
    assert!(!lines.iter().any(is_refusal), "{lines:#?}");
}

fn names(events: &[ReceiverEvent]) -> Vec<&'static str> {
    let name = |event: &ReceiverEvent| match event {
        ReceiverEvent::Disks { .. } => "disks",
        ReceiverEvent::Inviting { .. } => "inviting",
        ReceiverEvent::Held { .. } => "held",
        ReceiverEvent::Refused { .. } => "refused",
        ReceiverEvent::Accepted { .. } => "accepted",
        ReceiverEvent::AwaitingConsent { .. } => "consent",
        ReceiverEvent::Stage { stage, .. } => stage.name(),
        ReceiverEvent::Package { .. } => "package",
        ReceiverEvent::Progress { .. } => "progress",
        ReceiverEvent::DonorLost { .. } => "lost",
        ReceiverEvent::DonorBack { .. } => "back",
        ReceiverEvent::NoDisk(_) => "no disk",
        ReceiverEvent::ReplaceByName { .. } => "replace by name",
        ReceiverEvent::AwaitingDonor { .. } => "awaiting",
        ReceiverEvent::Connected { .. } => "connected",
        ReceiverEvent::DonorAsks { .. } => "asks",
        ReceiverEvent::Resuming { .. } => "resuming",
        ReceiverEvent::Warning(_) => "warning",
        ReceiverEvent::Failed { .. } => "failed",
        ReceiverEvent::Installed { .. } => "complete",
    };
    let mut names: Vec<_> = events.iter().map(name).collect();
    names.retain(|name| *name != "progress");
    names
}

#[test]
fn a_held_target_invites_nobody_and_then_with_a_new_code() {
    let (target, operator) = target("hold");
    let (deployed, ()) = target.serve(|plug, lines| {
        let (skip, (old, _)) = invited(lines, 0);
        let begun = Instant::now();
        operator.hold();
        operator.hold();
        let (skip, refused) = held(lines, skip);
        assert!(begun.elapsed() < AT_ONCE && refused.is_none());
        assert!(
            plug.codes.lock().unwrap().len() <= 1,
            "nobody is waited for"
        );
        operator.go_on();
        operator.go_on();
        let (_, (new, _)) = invited(lines, skip);
        assert_ne!(old, new);
        finish(plug, lines, skip);
    });
    assert_installed(&target, &deployed.unwrap());
    let events = target.lines.all_events();
    let expected = ["disks", "inviting", "held", "inviting", "accepted"];
    assert_eq!(names(&events)[..5], expected, "a word said twice is one");
    let lines = target.lines.all();
    assert!(lines.iter().any(|line| line == "smv holding: by=person"));
    assert!(!lines.iter().any(|line| line.starts_with("smv failed")));
}

#[test]
fn a_waiting_stranger_does_not_delay_the_person() {
    let (target, operator) = target("stranger");
    let (deployed, ()) = target.serve(|plug, lines| {
        let (skip, _) = invited(lines, 0);
        let mut silent = plug.connect();
        silent.write_all(b"SM").unwrap();
        while plug.codes.lock().unwrap().is_empty() {
            std::thread::yield_now();
        }
        let begun = Instant::now();
        operator.hold();
        let (skip, _) = held(lines, skip);
        assert!(begun.elapsed() < AT_ONCE);
        assert!(
            !silent.read(&mut [0]).is_ok_and(|len| len > 0),
            "it was closed"
        );
        operator.go_on();
        finish(plug, lines, skip);
    });
    assert_installed(&target, &deployed.unwrap());
    assert_nothing_was_refused(&target);
}

#[test]
fn a_donor_that_has_proved_itself_and_says_nothing_more_does_not_either() {
    let (target, operator) = target("proved");
    let (deployed, ()) = target.serve(|plug, lines| {
        let (skip, (code, secret)) = invited(lines, 0);
        let mut donor = pair(plug, (&code, &secret));
        let begun = Instant::now();
        operator.hold();
        let (skip, _) = held(lines, skip);
        assert!(begun.elapsed() < AT_ONCE);
        assert!(donor.hear().is_err());
        operator.go_on();
        finish(plug, lines, skip);
    });
    assert_installed(&target, &deployed.unwrap());
    assert_nothing_was_refused(&target);
}

/// Hold and cancel while the donor is being asked: both end it before anything is written, and it
/// hears which.
#[test]
fn a_donor_at_its_question_hears_that_the_operator_took_over() {
    for (name, is_cancel, reason) in [
        (
            "asked-hold",
            false,
            "a person at the machine has taken over",
        ),
        (
            "asked-cancel",
            true,
            "cancelled at the machine; nothing was written",
        ),
    ] {
        let ((target, operator), image) = (target(name), image());
        let (deployed, ()) = target.serve(|plug, lines| {
            let (skip, (code, secret)) = invited(lines, 0);
            let mut donor = pair(plug, (&code, &secret));
            donor.is_shown_a_disk(&image);
            let (skip, _) = lines.wait_for_event(skip, |event| {
                matches!(event, ReceiverEvent::AwaitingConsent { .. })
            });
            let begun = Instant::now();
            if is_cancel {
                operator.cancel();
                operator.cancel();
                assert_eq!(failed(lines, skip).1, reason);
            } else {
                operator.hold();
                held(lines, skip);
                operator.go_on();
            }
            assert!(begun.elapsed() < AT_ONCE);
            let Message::Failed { text } = donor.hear().unwrap() else {
                panic!("not told");
            };
            assert_eq!(text.to_string(), reason);
            assert!(donor.hear().is_err());
            assert_untouched(&target);
            finish(plug, lines, skip);
        });
        assert_installed(&target, &deployed.unwrap());
        assert_nothing_was_refused(&target);
        let failures = target.lines.all();
        let failures = failures
            .iter()
            .filter(|line| line.starts_with("smv failed: "));
        assert_eq!(failures.count(), usize::from(is_cancel));
    }
}

#[test]
fn the_operators_disk_is_taken_with_the_operators_sizes() {
    let (target, operator) = target("take");
    let sizes = Sizes {
        esp_bytes: Some(256 << 20),
        swap: Swap::None,
        ..Sizes::USUAL
    };
    let (deployed, ()) = target.serve(|plug, lines| {
        let (skip, _) = invited(lines, 0);
        operator.hold();
        let (skip, _) = held(lines, skip);
        operator.take(Wish::default(), sizes);
        operator.take(Wish::default(), sizes);
        finish(plug, lines, skip);
    });
    let deployed = deployed.unwrap();
    assert_installed(&target, &deployed);
    let layout = deployed.installed.layout();
    assert!(layout.partition(Role::Swap).is_none());
    let esp = layout.partition(Role::Esp).unwrap();
    assert_eq!(layout.len_bytes(esp), 256 << 20);
    let events = target.lines.all_events();
    let invitations = names(&events);
    let invitations = invitations.iter().filter(|name| **name == "inviting");
    assert_eq!(invitations.count(), 2);
}

#[test]
fn the_operator_may_take_without_holding_and_take_again() {
    let (target, operator) = target("minds");
    let (deployed, ()) = target.serve(|plug, lines| {
        let (mut skip, _) = invited(lines, 0);
        for swap in [Swap::None, Swap::Exactly(64 << 20)] {
            let sizes = Sizes {
                esp_bytes: Some(128 << 20),
                swap,
                ..Sizes::USUAL
            };
            operator.take(Wish::default(), sizes);
            (skip, _) = invited(lines, skip);
        }
        // The machine's own sizes again.
        operator.go_on();
        finish(plug, lines, skip);
    });
    let deployed = deployed.unwrap();
    let layout = deployed.installed.layout();
    let esp = layout.partition(Role::Esp).unwrap();
    assert_eq!(layout.len_bytes(esp), 512 << 20);
    assert_eq!(plug_codes(&target), 4);
}

/// How many invitations there were.
fn plug_codes(target: &Target) -> usize {
    let events = target.lines.all_events();
    let names = names(&events);
    names.iter().filter(|name| **name == "inviting").count()
}

#[test]
fn what_the_gate_or_the_layout_refuses_is_said_and_the_machine_holds() {
    let (target, operator) = target("refused");
    let path = target.dir.path().join("disk.img");
    let mut disk = fs::File::options().write(true).open(&path).unwrap();
    disk.write_all(b"precious").unwrap();
    let wiped = |word: &str| Wish {
        wipe: Some(word.to_owned()),
        ..Wish::default()
    };
    let right = path.display().to_string();
    let (deployed, ()) = target.serve(|plug, lines| {
        // Nobody at the machine has said anything: it waits, where there would be no waiting
        // without a person.
        let (skip, event) =
            lines.wait_for_event(0, |event| matches!(event, ReceiverEvent::Disks { .. }));
        let ReceiverEvent::Disks { seen, choice } = event else {
            panic!("no disks");
        };
        assert_eq!(seen.len(), 1);
        assert!(matches!(
            choice,
            Err(GateError::NotBlank { given: None, .. })
        ));

        operator.take(wiped("wrong"), Sizes::USUAL);
        let (skip, refused) = held(lines, skip);
        let refused = refused.unwrap();
        assert!(refused.contains("wipe=wrong does not"), "{refused}");

        let esp_bytes = 32 << 30;
        let swap = Swap::None;
        let sizes = Sizes {
            esp_bytes: Some(esp_bytes),
            swap,
            ..Sizes::USUAL
        };
        operator.take(wiped(&right), sizes);
        let (skip, refused) = held(lines, skip);
        let refused = refused.unwrap();
        assert!(refused.contains("planning the layout"), "{refused}");
        assert!(plug.codes.lock().unwrap().is_empty());

        operator.take(wiped(&right), Sizes::USUAL);
        finish(plug, lines, skip);
    });
    assert_installed(&target, &deployed.unwrap());
}

#[test]
fn a_whole_deploy_reports_these_events_in_order() {
    let ((target, _), image) = (target("news"), image());
    let (deployed, ()) = target.serve(|plug, lines| {
        let (skip, (code, secret)) = invited(lines, 0);
        plug.connect().write_all(b"GET / HTTP/1.0\r\n\r\n").unwrap();
        lines.wait_for_event(skip, |event| matches!(event, ReceiverEvent::Refused { .. }));
        let (donor, skip) = half_way(plug, lines, &image);
        drop(donor);
        lines.wait_for_event(skip, |event| {
            matches!(event, ReceiverEvent::DonorLost { .. })
        });
        let mut donor = pair(plug, (&code, &secret));
        let next = donor.offer(&image);
        donor.send(&image, next, END).unwrap();
        donor.last_word().unwrap().1.unwrap();
        donor.order(None).unwrap();
    });
    let deployed = deployed.unwrap();
    let events = target.lines.all_events();
    assert_eq!(
        names(&events),
        [
            "disks",
            "inviting",
            "refused",
            "accepted",
            "consent",
            "warning",
            "planned",
            "warning",
            "formatting",
            "formatting",
            "package",
            "lost",
            "awaiting",
            "resuming",
            "back",
            "package",
            "finishing",
            "committing",
            "installed",
            "complete",
        ]
    );
    let path = target.dir.path().join("disk.img");
    for event in &events {
        match event {
            ReceiverEvent::Disks { seen, choice } => {
                assert_eq!(choice.as_deref(), Ok(&seen[0]));
                assert_eq!(seen[0].disk().path, path);
            }
            ReceiverEvent::Inviting {
                policy,
                addresses,
                disk,
                ..
            } => {
                assert_eq!(
                    (policy.as_str(), &addresses[..]),
                    ("secret", &[ADDRESS][..])
                );
                assert_eq!(disk.disk().path, path);
            }
            ReceiverEvent::Accepted {
                version,
                packages,
                total_bytes,
                ..
            } => {
                assert_eq!(version.as_deref(), Some("1"));
                assert_eq!(
                    packages[..],
                    ["smechvisor-base.tar.zst", "bootloader-grub.tar.zst"]
                );
                let sent: usize = image.all().map(|(_, _, bytes)| bytes.len()).sum();
                assert_eq!(*total_bytes, Some(sent as u64));
            }
            ReceiverEvent::Installed { disk, title } => {
                assert_eq!((title.as_str(), &disk.disk().path), ("Test", &path));
            }
            _ => {}
        }
    }
    assert_installed(&target, &deployed);
}
