//! A deploy is cancelled, or held, while it runs: at once, while its donor is away, and too late.

use super::{MIDDLE, failed, finish, first_sector, half_way, held, invited, target};
use crate::fakes::donor::END;
use crate::operator::event::ReceiverEvent;
use crate::session::paired::tests::{AT_ONCE, assert_installed, image};
use crate::{Deployed, Policy, SessionError};
use std::io::{Read, Write};
use std::time::Instant;
use wire::message::{After, Next};

#[test]
fn a_deploy_is_cancelled_at_once_and_the_next_one_begins() {
    let ((target, operator), image) = (target("cancel"), image());
    let (deployed, ()) = target.serve(|plug, lines| {
        let (mut donor, skip) = half_way(plug, lines, &image);
        let begun = Instant::now();
        operator.cancel();
        operator.cancel();
        let (skip, reason) = failed(lines, skip);
        assert!(begun.elapsed() < AT_ONCE, "{:?}", begun.elapsed());
        assert_eq!(
            reason,
            "cancelled at the machine; the disk does not boot now"
        );
        let (log, word) = donor.last_word().unwrap();
        assert_eq!(word, Err(reason));
        assert!(!log.iter().any(|line| line.contains("lost")), "{log:#?}");
        assert!(donor.hear().is_err());
        assert_ne!(first_sector(&target)[510..], [0x55, 0xAA]);
        drop(donor);
        finish(plug, lines, skip);
        assert_eq!(plug.endings.lock().unwrap()[0], "fin");
    });
    assert_installed(&target, &deployed.unwrap());
}

#[test]
fn a_deploy_that_waits_for_its_donor_to_come_back_is_cancelled() {
    let ((target, operator), image) = (target("away"), image());
    let (deployed, ()) = target.serve(|plug, lines| {
        let (donor, skip) = half_way(plug, lines, &image);
        drop(donor);
        let (skip, _) = lines.wait_for_event(skip, |event| {
            matches!(event, ReceiverEvent::DonorLost { .. })
        });
        let begun = Instant::now();
        operator.cancel();
        let (skip, reason) = failed(lines, skip);
        assert!(begun.elapsed() < AT_ONCE, "{:?}", begun.elapsed());
        assert!(reason.starts_with("cancelled at the machine"), "{reason}");
        finish(plug, lines, skip);
    });
    assert_installed(&target, &deployed.unwrap());
}

#[test]
fn a_cancel_that_nothing_runs_for_means_nothing() {
    let (target, operator) = target("nothing");
    let (deployed, ()) = target.serve(|plug, lines| {
        operator.cancel();
        let (skip, _) = invited(lines, 0);
        operator.cancel();
        assert_eq!(skip, lines.all_events().len());
        finish(plug, lines, 0);
    });
    assert_installed(&target, &deployed.unwrap());
}

#[test]
fn a_cancel_behind_the_commit_is_too_late_and_says_so() {
    let ((target, operator), image) = (target("late"), image());
    let (deployed, ()) = target.serve(|plug, lines| {
        let (mut donor, skip) = half_way(plug, lines, &image);
        donor.send(&image, MIDDLE, END).unwrap();
        lines.wait_for_event(skip, |event| {
            matches!(event, ReceiverEvent::Installed { .. })
        });
        operator.cancel();
        // The donor is heard all the same.
        donor.last_word().unwrap().1.unwrap();
        donor.order(Some(After::Kexec)).unwrap();
        assert!(donor.hear().is_err());
        assert_eq!(*plug.endings.lock().unwrap(), ["fin"]);
    });
    let deployed: Deployed = deployed.unwrap();
    assert_eq!(deployed.order, Some(After::Kexec));
    assert_installed(&target, &deployed);
    let events = target.lines.all_events();
    let Some(ReceiverEvent::Warning(text)) = events.last() else {
        panic!("{events:#?}");
    };
    assert!(text.starts_with("cancelled too late: "), "{text}");
}

#[test]
fn a_hold_while_the_disk_is_written_waits_until_that_is_over() {
    let ((target, operator), image) = (target("writing"), image());
    let (deployed, ()) = target.serve(|plug, lines| {
        let (mut donor, skip) = half_way(plug, lines, &image);
        operator.hold();
        donor
            .send(&image, MIDDLE, Next { file: 0, chunk: 7 })
            .unwrap();
        // It does not end the deploy, and the deploy does not end it.
        operator.cancel();
        let (skip, _) = failed(lines, skip);
        let (skip, refused) = held(lines, skip);
        assert_eq!(refused, None);
        assert_eq!(plug.codes.lock().unwrap().len(), 1);
        operator.go_on();
        finish(plug, lines, skip);
    });
    assert_installed(&target, &deployed.unwrap());
}

#[test]
fn an_original_stream_is_held_off_and_cancelled_too() {
    let (mut target, operator) = target("legacy");
    target.options.policy = Policy::Legacy;
    let is_waiting = |event: &ReceiverEvent| match event {
        ReceiverEvent::Inviting { policy, .. } => policy == "legacy",
        _ => false,
    };
    let (error, ()) = target.serve(|plug, lines| {
        let (at, _) = lines.wait_for_event(0, is_waiting);
        operator.hold();
        let (skip, _) = held(lines, at);
        operator.go_on();
        let (skip, _) = lines.wait_for_event(skip, is_waiting);
        let mut donor = plug.connect();
        let package = crate::fakes::package(&[("etc/hostname", b"x")]);
        let name = b"base.tar.zst";
        let mut bytes = u32::try_from(name.len()).unwrap().to_be_bytes().to_vec();
        bytes.extend(name);
        bytes.extend((package.len() as u64).to_be_bytes());
        bytes.extend(&package[..20]);
        donor.write_all(&bytes).unwrap();
        let (skip, _) =
            lines.wait_for_event(skip, |event| matches!(event, ReceiverEvent::Package { .. }));
        let begun = Instant::now();
        operator.cancel();
        let (skip, reason) = failed(lines, skip);
        assert!(begun.elapsed() < AT_ONCE, "{:?}", begun.elapsed());
        assert_eq!(
            reason,
            "cancelled at the machine; the disk does not boot now"
        );
        assert!(!donor.read(&mut [0]).is_ok_and(|len| len > 0));
        lines.wait_for_event(skip, is_waiting);
        assert_eq!(*plug.endings.lock().unwrap(), ["rst"]);
    });
    assert!(matches!(error, Err(SessionError::Network(_))));
    assert_ne!(first_sector(&target)[510..], [0x55, 0xAA]);
}
