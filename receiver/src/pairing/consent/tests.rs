//! Before anything is written: the donor sees the disk and agrees, or does not, or goes away over
//! it.

use crate::SessionError;
use crate::fakes;
use crate::fakes::donor::{END, FakeDonor, Image, read_screen};
use crate::fakes::{Lines, Plug};
use crate::session::paired::tests::{START, Target, assert_installed, finish, image, pair};
use std::fs;
use std::io::{Read, Write};
use std::net::Shutdown;
use std::time::Duration;
use wire::message::{After, Answer, Message, Next, RejectCode, Text};

const OLD: &[u8] = b"precious";

/// A target whose disk holds something and may be wiped all the same.
fn used(name: &str) -> Target {
    let mut target = Target::new(name);
    let path = target.dir.path().join("disk.img");
    let mut disk = fs::File::options().write(true).open(&path).unwrap();
    disk.write_all(OLD).unwrap();
    target.options.wish.wipe = Some(path.display().to_string());
    target
}

/// The disk is as `used` has left it.
fn assert_kept(target: &Target) {
    use std::os::unix::fs::MetadataExt;
    let mut disk = fs::File::open(target.dir.path().join("disk.img")).unwrap();
    let mut first = vec![0; OLD.len()];
    disk.read_exact(&mut first).unwrap();
    assert_eq!(first, OLD);
    assert!(disk.metadata().unwrap().blocks() <= 8);
}

/// A donor that has been shown the disk and has said nothing yet.
fn shown(plug: &Plug, lines: &Lines, skip: usize, image: &Image) -> (FakeDonor, usize) {
    let (code, secret, skip) = read_screen(lines, skip);
    let mut donor = pair(plug, (&code, &secret));
    let (next, asks, contents) = donor.is_shown_a_disk(image);
    assert_eq!((next, asks), (START, true));
    assert!(!contents.is_empty());
    (donor, skip)
}

#[test]
fn a_used_disk_is_shown_and_kept_until_the_donor_agrees() {
    let (target, image) = (used("agrees"), image());
    let (deployed, ()) = target.serve(|plug, lines| {
        let (mut donor, _) = shown(plug, lines, 0, &image);
        for _ in 0..3 {
            donor.agree(Answer::Asking).unwrap();
        }
        let (_, line) = lines.wait_for(0, "asks=person");
        assert!(
            line.starts_with("smv accepted: ") && line.contains("contents="),
            "{line}"
        );
        assert_kept(&target);
        donor.agree(Answer::Yes).unwrap();
        donor.send(&image, START, END).unwrap();
        donor.last_word().unwrap().1.unwrap();
        donor.order(Some(After::Reboot)).unwrap();
    });
    assert_installed(&target, &deployed.unwrap());
    let asked = target.lines.all();
    let asked = asked.iter().filter(|line| line.contains("asks=person"));
    assert_eq!(asked.count(), 1, "a console is not flooded");
}

#[test]
fn a_donor_that_gives_up_is_heard_and_another_one_is_waited_for_at_once() {
    let (target, image) = (used("declines"), image());
    let (deployed, ()) = target.serve(|plug, lines| {
        let (mut donor, skip) = shown(plug, lines, 0, &image);
        let (old_code, old_secret, _) = read_screen(lines, 0);
        let text = Text::new("not this one\u{1b}[2J");
        donor.say(&Message::GiveUp { text }).unwrap();
        let (at, line) = lines.wait_for(skip, "smv failed: ");
        assert!(line.ends_with("gives up: not this one\\u{1b}[2J"), "{line}");
        assert!(donor.hear().is_err());
        assert_eq!(*plug.endings.lock().unwrap(), ["fin"]);
        assert_kept(&target);
        let (code, secret, _) = read_screen(lines, at);
        assert_ne!(code, old_code);
        assert_ne!(secret.as_bytes(), old_secret.as_bytes());
        finish(plug, lines, at);
    });
    assert_installed(&target, &deployed.unwrap());
}

#[test]
fn a_donor_that_goes_away_over_the_question_may_ask_again_with_the_same_secret() {
    let (target, first) = (used("away"), image());
    let (deployed, ()) = target.serve(|plug, lines| {
        let (code, secret, _) = read_screen(lines, 0);
        let (mut donor, skip) = shown(plug, lines, 0, &first);
        donor.agree(Answer::Asking).unwrap();
        donor.stream.shutdown(Shutdown::Both).unwrap();
        let (at, _) = lines.wait_for(skip, "refused peer=");
        assert_kept(&target);
        let (same_code, same_secret, _) = read_screen(lines, at);
        assert_eq!(
            (same_code, same_secret.as_bytes()),
            (code, secret.as_bytes())
        );
        // Nothing has begun: it may bring something else.
        let other = Image::new(&fakes::system(900_000), "2");
        let mut donor = pair(plug, (&code, &secret));
        assert_eq!(donor.offer(&other), START);
        donor.send(&other, START, END).unwrap();
        donor.last_word().unwrap().1.unwrap();
        donor.order(Some(After::Reboot)).unwrap();
    });
    assert_installed(&target, &deployed.unwrap());
}

#[test]
fn a_donor_that_sends_before_consent_is_closed_and_nothing_is_written() {
    let (target, image) = (used("hasty"), image());
    let (deployed, ()) = target.serve(|plug, lines| {
        let (mut donor, skip) = shown(plug, lines, 0, &image);
        donor
            .send(&image, START, Next { file: 0, chunk: 1 })
            .unwrap();
        let (at, line) = lines.wait_for(skip, "refused peer=");
        assert!(
            line.contains("it sent Data where its consent belongs"),
            "{line}"
        );
        assert!(donor.hear().is_err());
        assert_kept(&target);
        finish(plug, lines, at);
    });
    assert_installed(&target, &deployed.unwrap());
}

#[test]
fn nobody_is_waited_for_longer_than_patience_allows() {
    let (mut target, image) = (used("patience"), image());
    target.options.patience.consent = Duration::from_millis(300);
    let (deployed, ()) = target.serve(|plug, lines| {
        let (mut donor, skip) = shown(plug, lines, 0, &image);
        while donor.agree(Answer::Asking).is_ok() && lines.all().len() < 1000 {
            if lines.all()[skip..]
                .iter()
                .any(|line| line.starts_with("smv failed: "))
            {
                break;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        let reason = donor.last_word().unwrap().1.unwrap_err();
        assert!(
            reason.contains("has not agreed to this disk within 0 s"),
            "{reason}"
        );
        assert_kept(&target);
        let (at, _) = lines.wait_for(skip, "smv failed: ");
        finish(plug, lines, at);
    });
    assert_installed(&target, &deployed.unwrap());
}

#[test]
fn a_disk_that_changes_while_somebody_thinks_is_kept() {
    let (target, image) = (Target::new("changes"), image());
    let (error, ()) = target.serve(|plug, lines| {
        let (mut donor, _) = shown(plug, lines, 0, &image);
        donor.agree(Answer::Asking).unwrap();
        lines.wait_for(0, "asks=person");
        let path = target.dir.path().join("disk.img");
        let mut disk = fs::File::options().write(true).open(path).unwrap();
        disk.write_all(OLD).unwrap();
        donor.agree(Answer::Yes).unwrap();
        let Message::Reject { code, text } = donor.hear().unwrap() else {
            panic!("not rejected");
        };
        assert_eq!(code, RejectCode::NoDisk);
        assert!(text.to_string().contains("wipe="), "{text}");
    });
    assert!(matches!(error, Err(SessionError::Gate(_))));
    assert_kept(&target);
}

#[test]
fn a_resumed_deploy_asks_nobody() {
    let (target, image) = (used("resumed"), image());
    let third = Next { file: 0, chunk: 2 };
    let (deployed, ()) = target.serve(|plug, lines| {
        let (code, secret, _) = read_screen(lines, 0);
        let (mut donor, skip) = shown(plug, lines, 0, &image);
        donor.agree(Answer::Yes).unwrap();
        donor.send(&image, START, third).unwrap();
        donor.stream.shutdown(Shutdown::Both).unwrap();
        lines.wait_for(skip, "resume file=0 chunk=2");
        let mut donor = pair(plug, (&code, &secret));
        let (next, asks, _) = donor.is_shown_a_disk(&image);
        assert_eq!((next, asks), (third, false));
        donor.send(&image, third, END).unwrap();
        donor.last_word().unwrap().1.unwrap();
        donor.order(Some(After::Reboot)).unwrap();
    });
    assert_installed(&target, &deployed.unwrap());
}

#[test]
fn a_donor_that_gives_up_half_way_ends_the_deploy() {
    let (target, image) = (Target::new("gives-up"), image());
    let (deployed, ()) = target.serve(|plug, lines| {
        let (mut donor, skip) = shown(plug, lines, 0, &image);
        donor.agree(Answer::Yes).unwrap();
        donor
            .send(&image, START, Next { file: 0, chunk: 3 })
            .unwrap();
        let text = Text::new("a package has changed");
        donor.say(&Message::GiveUp { text }).unwrap();
        let (at, line) = lines.wait_for(skip, "smv failed: ");
        for part in ["which does not boot now", "gives up: a package has changed"] {
            assert!(line.contains(part), "{line}");
        }
        finish(plug, lines, at);
    });
    assert_installed(&target, &deployed.unwrap());
}

#[test]
fn a_donor_that_stays_away_is_not_waited_for_for_ever() {
    let (mut target, image) = (Target::new("stays-away"), image());
    target.options.patience.resume = Duration::from_millis(300);
    let (deployed, ()) = target.serve(|plug, lines| {
        let (old_code, _, _) = read_screen(lines, 0);
        let (mut donor, skip) = shown(plug, lines, 0, &image);
        donor.agree(Answer::Yes).unwrap();
        donor
            .send(&image, START, Next { file: 0, chunk: 3 })
            .unwrap();
        donor.stream.shutdown(Shutdown::Both).unwrap();
        let (at, line) = lines.wait_for(skip, "smv failed: ");
        assert!(line.contains("nobody has within 0 s"), "{line}");
        let (code, _, _) = read_screen(lines, at);
        assert_ne!(code, old_code);
        finish(plug, lines, at);
    });
    assert_installed(&target, &deployed.unwrap());
}
