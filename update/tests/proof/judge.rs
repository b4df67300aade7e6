//! What must be true of every state that a power cut leaves, whatever was being done. The judge
//! reads the medium: GRUB as a model, the bytes of the slots, the labels, the ledger. Then it lets
//! the node boot and recover, and looks again.

use sha2::{Digest, Sha256};
use update::recover::{self, plan, recover};
use wire::label::{Label, State as LabelState};
use wire::ledger::{Ledger, Version};
use wire::record::{Left, Slot};

use crate::images::{Release, key};
use crate::world::{State, World, running};
use disk::slots::SlotArea;

/// What a flow allows.
pub struct Rules {
    /// Every release that may be in a slot.
    pub releases: &'static [&'static Release],
    /// Slots that may be the good one.
    pub good: &'static [Slot],
    /// The floor at the beginning.
    pub floor: u64,
    /// Once nothing is tried any more, this version is on the list of failures, unless it is good.
    pub remembered: Option<Version>,
}

type Verdict = Result<(), String>;

/// The releases that the slots hold as a whole.
#[derive(Clone, Copy)]
struct Wholes([Option<&'static Release>; 2]);

impl Wholes {
    fn of(state: &State, rules: &Rules) -> Self {
        Self(Slot::ALL.map(|slot| whole(state, slot, rules)))
    }

    const fn at(self, slot: Slot) -> Option<&'static Release> {
        match slot {
            Slot::A => self.0[0],
            Slot::B => self.0[1],
        }
    }
}

/// The release that a slot holds as a whole.
pub fn whole(state: &State, slot: Slot, rules: &Rules) -> Option<&'static Release> {
    let slot = state.slot(slot);
    rules
        .releases
        .iter()
        .copied()
        .find(|release| release.is_in(slot))
}

fn ensure(is_so: bool, what: impl FnOnce() -> String) -> Verdict {
    if is_so { Ok(()) } else { Err(what()) }
}

/// Judges the medium, and the medium again after a boot and its recovery.
pub fn judge(state: &State, rules: &Rules) -> Verdict {
    // No boot and no recovery writes to a slot.
    let wholes = Wholes::of(state, rules);
    medium(state, rules, wholes)?;
    let recovered = recovered(state, wholes)?;
    medium(&recovered, rules, wholes).map_err(|why| format!("recovered, {why}"))
}

fn medium(state: &State, rules: &Rules, wholes: Wholes) -> Verdict {
    let copies = state.copies();
    let (record, _) = copies
        .record()
        .map_err(|error| format!("the record is lost: {error}"))?;
    ensure(rules.good.contains(&record.good), || {
        format!("slot {} is the good one", record.good)
    })?;
    boots(state, wholes)?;
    for slot in Slot::ALL {
        label(state, slot, wholes)?;
    }
    let ledger = state
        .ledger
        .as_deref()
        .map_or(Ok(Ledger::default()), Ledger::parse);
    let ledger = ledger.map_err(|error| format!("the ledger is damaged: {error}"))?;
    let good = wholes
        .at(record.good)
        .map_or(0, |release| release.version.counter);
    let (floor, most) = (ledger.floor(key()), rules.floor.max(good));
    ensure(floor <= most, || {
        format!("the floor is {floor}, and {most} was confirmed")
    })?;
    if record.trial.is_some_and(|left| left > Left::NONE) {
        let slot = record.good.other();
        let version = wholes.at(slot).map(|release| release.version);
        let version = version.ok_or("a trial of nothing")?;
        let is_known = ledger.trial.map(|trial| trial.version) == Some(version)
            || ledger.failure(&version.digest).is_some();
        ensure(is_known, || "the ledger does not know the trial".to_owned())?;
    }
    if let Some(version) = rules.remembered.filter(|_| record.trial.is_none()) {
        let is_good = wholes.at(record.good).map(|release| release.version);
        let is_remembered = ledger.failure(&version.digest).is_some();
        ensure(is_good == Some(version) || is_remembered, || {
            "a failure is forgotten".to_owned()
        })?;
    }
    Ok(())
}

/// Every boot starts a whole slot; after three of a trial the good one, for good.
fn boots(state: &State, wholes: Wholes) -> Verdict {
    let mut copies = state.copies();
    let mut trials = 0;
    for boot in 1..=6 {
        let pick = copies.boot();
        ensure(pick.from.is_some(), || format!("boot {boot} has no record"))?;
        ensure(wholes.at(pick.slot).is_some(), || {
            format!("boot {boot} starts slot {}, which is not whole", pick.slot)
        })?;
        trials += u32::from(pick.is_trial);
        ensure(pick.is_trial || trials <= 3, || {
            "more than three".to_owned()
        })?;
    }
    ensure(trials <= 3, || format!("{trials} trials"))
}

/// A label that says complete tells the truth about image, manifest and name.
fn label(state: &State, slot: Slot, wholes: Wholes) -> Verdict {
    let mut disk = state.slot(slot).clone();
    let area = SlotArea::whole(&disk);
    let Ok(label) = area.label(&mut disk).unwrap() else {
        return Ok(());
    };
    let Label {
        state: LabelState::Complete,
        digest,
        ..
    } = label
    else {
        return Ok(());
    };
    let release = wholes.at(slot);
    ensure(
        release.is_some_and(|release| release.version.digest == digest),
        || format!("the label of slot {slot} lies"),
    )?;
    let (manifest, _) = area.raw_release(&mut disk).unwrap();
    ensure(
        <[u8; 32]>::from(Sha256::digest(&manifest)) == digest,
        || format!("no manifest stands behind the label of slot {slot}"),
    )
}

/// One boot by GRUB's model, then `recover` as the service runs it; once more changes nothing.
fn recovered(state: &State, wholes: Wholes) -> Result<State, String> {
    let mut state = state.clone();
    let mut copies = state.copies();
    let pick = copies.boot();
    crate::world::put_copies(&mut state, &copies);
    let release = wholes.at(pick.slot).ok_or("nothing boots")?;
    let left = copies.record().ok().and_then(|(record, _)| record.trial);
    let running = running(pick.slot, release, left.filter(|_| pick.is_trial));
    let world = World::new(state);
    world
        .node(|node| recover(node, &running))
        .map_err(|error| format!("recovery: {error}"))?;
    let facts = world.node(|node| node.facts()).unwrap();
    let again = plan(&facts, &running);
    ensure(again == recover::Recovery::default(), || {
        format!("recovery is not done after once: {again:?}")
    })?;
    Ok(world.state())
}
