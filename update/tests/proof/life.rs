//! The life of an update on one node, from the offer to the confirmed version and back, with the
//! refusals on the way.

use update::admit::{Again, Refusal, floor};
use update::arm::{ArmError, Armed, arm};
use update::confirm::{confirm, note_failure};
use update::node::Facts;
use update::recover::{Finding, plan, recover};
use update::rollback::take_back;
use update::running::{Runs, runs};
use update::stage::{Progress, ReadAll, StageError, held, stage};
use update::status::{Standing, Status};
use wire::ledger::{Failed, Version, Word};
use wire::record::{BootRecord, Left, Slot};

use bundle::fakes::image::{CHUNK, HEAD};
use disk::slots::SlotError;

use crate::flows::{SLOT_BYTES, V0, V1, V2, ledger, on_trial, record, stage_and_arm, tried, word};
use crate::images::{Release, SIGNER, key};
use crate::world::{State, World, healthy, put_copies, running};

fn world(state: State) -> World {
    World::new(state)
}

/// Version 1 in slot A, confirmed; slot B is empty.
fn fresh() -> State {
    let state = State::new(SLOT_BYTES).with(Slot::A, &V1);
    state.with_record(&record(None)).with_ledger(&ledger(None))
}

fn facts(world: &World) -> Facts {
    world.node(|node| node.facts()).unwrap()
}

fn try_stage(
    world: &World,
    from: (Slot, &Release),
    to: &Release,
    again: bool,
) -> Result<Armed, StageError> {
    let (approved, running) = (to.approved(), running(from.0, from.1, None));
    world.node(|node| {
        let staged = stage(
            node,
            &running,
            &approved,
            &mut to.source(),
            Again(again),
            &mut |_| (),
        )?;
        Ok(arm(node, staged).unwrap())
    })
}

fn refusal(result: Result<Armed, StageError>) -> Refusal {
    match result {
        Err(StageError::Refused(refusal)) => refusal,
        other => panic!("{other:?}"),
    }
}

/// GRUB boots once; which slot, and is it a trial?
fn boot(world: &World) -> (World, Slot, Option<Left>) {
    let mut state = world.state();
    let mut copies = state.copies();
    let pick = copies.boot();
    put_copies(&mut state, &copies);
    let left = copies.record().unwrap().0.trial.filter(|_| pick.is_trial);
    (World::new(state), pick.slot, left)
}

fn recovered(world: &World, slot: Slot, release: &Release) -> Vec<Finding> {
    let running = running(slot, release, None);
    world.node(|node| recover(node, &running)).unwrap()
}

/// Three boots of a trial that never says anything, then the good slot and its recovery.
fn in_vain(world: World, good: (Slot, &Release)) -> (World, Vec<Finding>) {
    let mut world = world;
    for left in [2, 1, 0] {
        let (booted, slot, found) = boot(&world);
        assert_eq!((slot, found), (good.0.other(), Left::new(left)));
        world = booted;
    }
    let (world, slot, left) = boot(&world);
    assert_eq!((slot, left), (good.0, None));
    let findings = recovered(&world, good.0, good.1);
    (world, findings)
}

#[test]
fn a_healthy_trial_is_confirmed_and_the_floor_rises() {
    let world = world(fresh());
    let armed = stage_and_arm(&world, &V1, &V2).unwrap();
    assert_eq!((armed.slot(), *armed.version()), (Slot::B, V2.version));
    let status = Status::of(facts(&world), &running(Slot::A, &V1, None));
    let version = Some(V2.version);
    assert_eq!(
        status.standing,
        Standing::Armed {
            left: Left::ALL,
            version
        }
    );
    let (world, slot, left) = boot(&world);
    assert_eq!((slot, left), (Slot::B, Left::new(2)));
    let now = running(Slot::B, &V2, left);
    assert_eq!(
        floor(&facts(&world), &now, key()),
        418,
        "what runs was signed with it"
    );
    assert_eq!(
        facts(&world).ledger.floor(key()),
        417,
        "not before it is confirmed"
    );
    let tried = tried(&world, 2);
    assert_eq!((tried.attempt(), tried.version()), (1, Some(&V2.version)));
    let confirmed = world.node(|node| confirm(node, tried, healthy())).unwrap();
    assert_eq!(
        (confirmed.slot(), confirmed.version()),
        (Slot::B, Some(&V2.version))
    );
    let facts = facts(&world);
    assert_eq!(facts.ledger.floor(key()), 418);
    assert_eq!(facts.ledger.current, Some(V2.version));
    assert_eq!(facts.ledger.previous, Some(V1.version));
    assert_eq!(plan(&facts, &now).findings, []);
    assert!(matches!(runs(&now, &facts), Ok(Runs::Confirmed(Slot::B))));
    let older = refusal(try_stage(&world, (Slot::B, &V2), &V1, true));
    let (found, floor) = (417, 418);
    assert_eq!(
        older,
        Refusal::BelowFloor {
            found,
            floor,
            key: key()
        }
    );
    let same = refusal(try_stage(&world, (Slot::B, &V2), &V2, true));
    assert_eq!(same, Refusal::Current { counter: 418 });
}

/// Three starts, of which none left a reason.
fn in_vain_finding(release: &Release, is_stopped: bool) -> Finding {
    let word = Word::new("not-confirmed").unwrap();
    Finding::RolledBack {
        failed: Some(Failed {
            version: release.version,
            tries: 3,
            word,
        }),
        is_stopped,
    }
}

#[test]
fn what_failed_is_not_tried_again_by_itself() {
    let world = world(fresh());
    stage_and_arm(&world, &V1, &V2).unwrap();
    let (world, findings) = in_vain(world, (Slot::A, &V1));
    assert_eq!(findings, [in_vain_finding(&V2, false)]);
    assert_eq!(recovered(&world, Slot::A, &V1), [], "once is enough");
    let refused = refusal(try_stage(&world, (Slot::A, &V1), &V2, false));
    let Refusal::Failed(failed) = &refused else {
        panic!("{refused:?}")
    };
    assert_eq!((failed.tries, failed.word.as_str()), (3, "not-confirmed"));
    assert!(refused.is_not_now());
    assert_eq!(
        facts(&world).record().unwrap().trial,
        None,
        "nothing was changed"
    );
    try_stage(&world, (Slot::A, &V1), &V2, true).unwrap();
    assert_eq!(facts(&world).ledger.failed(), []);
}

#[test]
fn two_rollbacks_in_a_row_stop_updates_until_a_person_goes_on() {
    let third = Release::new(419, 4, &[(2, 77)]);
    let fourth = Release::new(420, 4, &[(2, 78)]);
    let mut world = world(fresh());
    for (release, stops) in [(&*V2, false), (&third, true)] {
        stage_and_arm(&world, &V1, release).unwrap();
        let (booted, findings) = in_vain(world, (Slot::A, &V1));
        assert_eq!(findings, [in_vain_finding(release, stops)]);
        world = booted;
    }
    let refused = refusal(try_stage(&world, (Slot::A, &V1), &fourth, false));
    assert_eq!(refused, Refusal::Stopped { rollbacks: 2 });
    try_stage(&world, (Slot::A, &V1), &fourth, true).unwrap();
    let ledger = facts(&world).ledger;
    assert_eq!((ledger.rollbacks(), ledger.failed().len()), (0, 2));
}

#[test]
fn the_reason_that_an_attempt_gave_is_kept() {
    let world = world(on_trial(2));
    let first = tried(&world, 2);
    world
        .node(|node| note_failure(node, &first, word()))
        .unwrap();
    let now = World::new(world.state().with_record(&record(Some(0))));
    let running = running(Slot::A, &V1, None);
    now.node(|node| recover(node, &running)).unwrap();
    let ledger = facts(&now).ledger;
    let failed = ledger.failure(&V2.version.digest).unwrap();
    assert_eq!((failed.tries, failed.word.as_str()), (3, "health"));
    assert_eq!(ledger.rollbacks(), 1, "the note alone is none");
}

#[test]
fn a_trial_is_taken_back_and_a_stale_tried_confirms_nothing() {
    let world = world(on_trial(1));
    let (first, stale) = (tried(&world, 1), tried(&world, 1));
    world.node(|node| take_back(node, first, word())).unwrap();
    let facts = facts(&world);
    assert_eq!(facts.record().unwrap().trial, None);
    assert_eq!(facts.ledger.failure(&V2.version.digest).unwrap().tries, 2);
    assert_eq!(facts.ledger.rollbacks(), 1);
    assert!(world.node(|node| confirm(node, stale, healthy())).is_err());
    assert_eq!(boot(&world).1, Slot::A);
}

#[test]
fn the_former_version_is_tried_like_any_other_and_the_newer_one_stays_away() {
    let world = World::new(crate::flows::back().start);
    (crate::flows::back().run)(&world);
    let (world, slot, left) = boot(&world);
    assert_eq!((slot, left), (Slot::A, Left::new(2)));
    let now = running(Slot::A, &V1, left);
    let found = facts(&world);
    let Ok(Runs::Trial(tried)) = runs(&now, &found) else {
        panic!("no trial")
    };
    world.node(|node| confirm(node, tried, healthy())).unwrap();
    let ledger = facts(&world).ledger;
    assert_eq!(
        (ledger.current, ledger.floor(key())),
        (Some(V1.version), 418)
    );
    let refused = refusal(try_stage(&world, (Slot::A, &V1), &V2, false));
    assert!(matches!(refused, Refusal::Failed(failed) if failed.word.as_str() == "taken-back"));
}

#[test]
fn nothing_is_written_while_a_trial_runs_or_a_person_chose_the_slot() {
    let world = world(on_trial(1));
    let refused = refusal(try_stage(&world, (Slot::B, &V2), &V0, true));
    let (slot, attempt) = (Slot::B, 2);
    assert_eq!(refused, Refusal::TrialRuns { slot, attempt });
    let by_hand = World::new(world.state().with_record(&record(None)));
    let refused = refusal(try_stage(&by_hand, (Slot::B, &V2), &V0, true));
    assert_eq!(refused, Refusal::ByHand { running: Slot::B });
    assert!(world.log().is_empty() && by_hand.log().is_empty());
}

/// GRUB could not start it and fell back in the same boot: its attempts are not renewed for ever.
#[test]
fn a_trial_that_waits_is_not_armed_anew_by_itself() {
    let world = world(on_trial(2));
    let refused = refusal(try_stage(&world, (Slot::A, &V1), &V2, false));
    assert_eq!(refused, Refusal::OnTrial { left: 2 });
    try_stage(&world, (Slot::A, &V1), &V2, true).unwrap();
    assert_eq!(facts(&world).record().unwrap().trial, Some(Left::ALL));
    let lens = world.log().len();
    try_stage(&world, (Slot::A, &V1), &V2, false).unwrap();
    assert_eq!(world.log().len(), lens, "armed already: nothing to write");
}

#[test]
fn an_image_larger_than_the_slot_is_refused_with_both_sizes() {
    let world = world(fresh());
    let large = Release::new(500, 6, &[(0, 5)]);
    let error = try_stage(&world, (Slot::A, &V1), &large, false).unwrap_err();
    let StageError::Slot {
        source: SlotError::TooLarge {
            image_bytes,
            room_bytes,
        },
        ..
    } = error
    else {
        panic!("{error:?}")
    };
    assert_eq!((image_bytes, room_bytes), (6 * 65_536, 5 * 65_536));
    assert!(world.log().is_empty());
}

#[test]
fn chunks_that_the_running_slot_has_are_not_fetched() {
    let world = world(fresh());
    let (approved, running) = (V2.approved(), running(Slot::A, &V1, None));
    let mut source = V2.source();
    let mut reused = 0;
    let mut seen = |progress| {
        if let Progress::Written { is_reused, .. } = progress {
            reused += u32::from(is_reused);
        }
    };
    let again = Again(false);
    let staged = world.node(|node| stage(node, &running, &approved, &mut source, again, &mut seen));
    staged.unwrap();
    assert_eq!((source.asked, reused), (2, 2));
    assert!(V2.is_in(&world.state().b));
}

#[test]
fn with_state_full_nothing_is_armed_and_a_confirmation_is_finished_later() {
    let full = world(fresh());
    let (approved, now) = (V2.approved(), running(Slot::A, &V1, None));
    let staged = full.node(|node| {
        stage(
            node,
            &now,
            &approved,
            &mut V2.source(),
            Again(false),
            &mut |_| (),
        )
    });
    full.fill_state();
    let armed = full.node(|node| arm(node, staged.unwrap()));
    assert!(matches!(armed, Err(ArmError::Node(_))), "{armed:?}");
    assert_eq!(facts(&full).record().unwrap().trial, None);

    let full = world(on_trial(2));
    let tried = tried(&full, 2);
    full.fill_state();
    let confirmed = full.node(|node| confirm(node, tried, healthy())).unwrap();
    assert!(confirmed.warning().is_some());
    let later = World::new(full.state());
    assert_eq!(boot(&later).1, Slot::B);
    let findings = recovered(&later, Slot::B, &V2);
    assert_eq!(findings, [Finding::ConfirmationFinished(V2.version)]);
    let ledger = facts(&later).ledger;
    assert_eq!(
        (ledger.current, ledger.floor(key())),
        (Some(V2.version), 418)
    );
}

#[test]
fn with_a_read_only_esp_nothing_is_armed() {
    let world = world(fresh());
    world.protect_esp();
    let (approved, now) = (V2.approved(), running(Slot::A, &V1, None));
    let armed = world.node(|node| {
        let source = &mut V2.source();
        let staged = stage(node, &now, &approved, source, Again(false), &mut |_| ()).unwrap();
        arm(node, staged)
    });
    assert!(matches!(armed, Err(ArmError::Node(_))), "{armed:?}");
    assert_eq!(facts(&world).record().unwrap().trial, None);
    // What was noted for nothing is forgotten.
    let later = World::new(world.state());
    assert_eq!(
        recovered(&later, Slot::A, &V1),
        [Finding::TrialForgotten(V2.version)]
    );
}

#[test]
fn without_any_record_what_runs_is_good_unless_it_is_on_trial() {
    for (state, slot, release, trial, expected) in [
        (fresh(), Slot::A, &*V1, None, BootRecord::new(Slot::A)),
        (on_trial(1), Slot::A, &*V1, None, BootRecord::new(Slot::A)),
        (on_trial(1), Slot::B, &*V2, Left::new(1), record(Some(1))),
        // slot-init found no record either, but the ledger knows that it was not confirmed.
        (on_trial(1), Slot::B, &*V2, None, record(Some(0))),
    ] {
        let mut state = state;
        let mut copies = state.copies();
        (copies.e1, copies.e2) = ([0; 1024], [0xFF; 1024]);
        put_copies(&mut state, &copies);
        let world = World::new(state);
        let now = running(slot, release, trial);
        assert_eq!(Status::of(facts(&world), &now).standing, Standing::NoRecord);
        world.node(|node| recover(node, &now)).unwrap();
        assert_eq!(facts(&world).record(), Some(expected));
        assert_eq!(plan(&facts(&world), &now).record, None);
    }
}

#[test]
fn a_good_slot_that_fell_is_remembered() {
    let mut known = ledger(None);
    known.current = Some(V2.version);
    let fallen = BootRecord::new(Slot::B).fallen().unwrap();
    let world = world(on_trial(0).with_record(&fallen).with_ledger(&known));
    let findings = recovered(&world, Slot::A, &V1);
    assert_eq!(findings, [Finding::Fell(V2.version)]);
    let ledger = facts(&world).ledger;
    assert_eq!(
        ledger.failure(&V2.version.digest).unwrap().word.as_str(),
        "not-started"
    );
    assert!(
        facts(&world).record().unwrap().fell,
        "until the next confirmation"
    );
}

#[test]
fn a_damaged_ledger_is_begun_again_and_nothing_else_changes() {
    let mut state = fresh();
    state.ledger = Some(b"smechvisor-ledger 1\nhalf".to_vec());
    let world = World::new(state);
    let findings = recovered(&world, Slot::A, &V1);
    assert_eq!(findings, [Finding::LedgerLost]);
    let facts = facts(&world);
    assert_eq!(facts.ledger_fault, None);
    assert_eq!(facts.ledger.current, Some(V1.version));
    let now = running(Slot::A, &V1, None);
    assert_eq!(floor(&facts, &now, key()), 417, "what runs is a floor, too");
    assert_eq!(facts.record(), Some(record(None)));
}

#[test]
fn a_new_key_begins_anew() {
    let world = world(fresh());
    let now = running(Slot::A, &V1, None);
    let other = wire::ledger::KeyId(1);
    assert_eq!(floor(&facts(&world), &now, other), 0);
}

#[test]
fn staged_before_and_activated_later_is_read_back() {
    let world = world(fresh());
    let (approved, now) = (V2.approved(), running(Slot::A, &V1, None));
    world
        .node(|node| {
            stage(
                node,
                &now,
                &approved,
                &mut V2.source(),
                Again(false),
                &mut |_| (),
            )
        })
        .unwrap();
    let trust = SIGNER.trust();
    let staged = world.node(|node| {
        held(
            node,
            &now,
            &trust,
            Again(false),
            ReadAll(false),
            &mut |_| (),
        )
    });
    let staged = staged.unwrap();
    let expected: &Version = &V2.version;
    assert_eq!((staged.slot(), staged.version()), (Slot::B, expected));
    let empty = World::new(fresh());
    let none = empty.node(|node| {
        held(
            node,
            &now,
            &trust,
            Again(false),
            ReadAll(false),
            &mut |_| (),
        )
    });
    assert!(matches!(
        none,
        Err(StageError::NotComplete { slot: Slot::B })
    ));
}

#[test]
fn archives_and_unsigned_images_are_refused() {
    let world = world(fresh());
    let now = running(Slot::A, &V1, None);
    let packages = bundle::fakes::image::Image::small();
    let signature = SIGNER.sign(&packages.manifest);
    let archives = packages.approve(&signature, &SIGNER.trust()).unwrap();
    let nobody = bundle::trust::Trust::default();
    let unsigned = bundle::trust::approve(V2.offered(), bundle::trust::Wanted::SYSTEM, &nobody);
    for (approved, expected) in [
        (archives, Refusal::NoImage),
        (unsigned.unwrap(), Refusal::Unsigned),
    ] {
        let source = &mut V2.source();
        let result = world
            .node(|node| stage(node, &now, &approved, source, Again(true), &mut |_| ()).map(drop));
        assert!(matches!(result, Err(StageError::Refused(found)) if found == expected));
    }
    assert!(world.log().is_empty());
    assert_eq!((HEAD.counter, CHUNK), (417, 65_536));
}
