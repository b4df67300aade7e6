//! What this boot has read back is not read again, and only that: a reboot, a write to the slot by
//! anybody, another update or a person's wish has all of it read.

use update::admit::Again;
use update::arm::arm;
use update::node::NodeError;
use update::stage::{ReadAll, StageError, Staged, held, stage};
use wire::record::Slot;

use crate::flows::{self, V1, V2};
use crate::images::{Release, SIGNER};
use crate::judge::judge;
use crate::world::{World, running};

fn staged(world: &World, to: &Release) -> Result<Staged, StageError> {
    let (approved, now) = (to.approved(), running(Slot::A, &V1, None));
    let (source, again) = (&mut to.source(), Again(false));
    world.node(|node| stage(node, &now, &approved, source, again, &mut |_| ()))
}

/// What `activate` does; and how many bytes of the slot it reads.
fn activated(world: &World, all: bool) -> (Result<Staged, StageError>, u64) {
    let (trust, now) = (SIGNER.trust(), running(Slot::A, &V1, None));
    let (before, again) = (world.read_bytes(), Again(false));
    let held = world.node(|node| held(node, &now, &trust, again, ReadAll(all), &mut |_| ()));
    (held, world.read_bytes() - before)
}

fn updated() -> World {
    let world = World::new(flows::update().start);
    staged(&world, &V2).unwrap();
    assert_eq!(world.read_bytes(), V2.data.len() as u64, "each byte once");
    world
}

#[test]
fn what_update_has_read_back_activate_does_not_read_again() {
    let world = updated();
    let (held, read) = activated(&world, false);
    assert_eq!((held.unwrap().version(), read), (&V2.version, 0));
    let (held, read) = activated(&world, true);
    assert_eq!(read, V2.data.len() as u64, "unless a person wants it");
    world.node(|node| arm(node, held.unwrap())).unwrap();
    judge(&world.state(), &flows::update().rules).unwrap();
}

#[test]
fn a_second_update_with_the_same_image_only_reads_and_is_a_witness_too() {
    let world = World::new(updated().state());
    let log = world.log().len();
    staged(&world, &V2).unwrap();
    assert_eq!((world.log().len(), world.has_seen()), (log, true));
    assert_eq!(activated(&world, false).1, 0);
}

#[test]
fn behind_a_reboot_all_of_it_is_read() {
    let world = World::new(updated().state());
    let (held, read) = activated(&world, false);
    assert_eq!((held.is_ok(), read), (true, V2.data.len() as u64));
}

#[test]
fn what_somebody_has_written_since_is_found() {
    for at in (0..V2.data.len() as u64).step_by(9973) {
        let world = updated();
        world.scribble(at);
        let (held, _) = activated(&world, false);
        let part = "image";
        assert!(
            matches!(held, Err(StageError::Lies { part: found, .. }) if found == part),
            "{held:?}"
        );
    }
}

/// The mistake: a witness that does not notice that the slot was written. The judge sees it.
#[test]
fn a_witness_that_is_stale_is_caught() {
    let flow = flows::update();
    let world = updated();
    world.remember_for_ever();
    world.scribble(70_000);
    let held = activated(&world, false).0.unwrap();
    world.node(|node| arm(node, held)).unwrap();
    let error = judge(&world.state(), &flow.rules).unwrap_err();
    assert!(error.contains("which is not whole"), "{error}");
}

/// It forgets before the first write, so an update that fails leaves nothing behind.
#[test]
fn another_update_has_it_forget_at_once() {
    let world = updated();
    let other = Release::new(419, 4, &[(0, 77)]);
    let mut source = other.source();
    source.ends_at = 0;
    let (approved, now) = (other.approved(), running(Slot::A, &V1, None));
    let again = Again(false);
    let failed = world.node(|node| stage(node, &now, &approved, &mut source, again, &mut |_| ()));
    assert!(matches!(failed, Err(StageError::Source(_))), "{failed:?}");
    assert!(!world.has_seen());
    let (held, _) = activated(&world, false);
    assert!(matches!(held, Err(StageError::NotComplete { .. })));
}

#[test]
fn where_it_cannot_forget_nothing_is_written() {
    let world = updated();
    world.remember_for_ever();
    let log = world.log().len();
    let failed = staged(&world, &Release::new(419, 4, &[(0, 77)]));
    let witness = matches!(
        failed,
        Err(StageError::Node(NodeError::Witness { slot: Slot::B, .. }))
    );
    assert!(witness, "{failed:?}");
    assert_eq!(world.log().len(), log);
}

/// Nor is it asked about the signature: that is verified in any case.
#[test]
fn it_vouches_for_bytes_and_not_for_their_maker() {
    let world = updated();
    let (trust, now) = (
        bundle::fakes::image::Signer::new().trust(),
        running(Slot::A, &V1, None),
    );
    let again = Again(false);
    let held = world.node(|node| held(node, &now, &trust, again, ReadAll(false), &mut |_| ()));
    assert!(held.is_err());
}
