//! What becomes of a set: `package activate`, and its part in `recover`, `confirm`, `rollback store`
//! and `collect`.

use bundle::worker::Workers;
use machine::overlay::Usr;
use store::StoreError;
use store::rollback::rollback as back;
use store::sets::change::{self, boot, held, keep as keep_set, take_back};
use store::sets::{BOOTS, packages};
use store::shelf::{Shelf, Target};
use store::stage::{Again, Refusal};
use wire::ledger::Failed;

use super::change::{collect, hides};
use super::event::{Member, SetEvent};
use super::{Sets, exist, look, number, of, parse, payload};
use crate::command::content::Tell;
use crate::command::content::error::ContentError;
use crate::command::content::event::Event;
use crate::command::content::places::Places;

/// Why a set that a person gave up is not tried again by itself.
const GIVEN_UP: &str = "given-up";
/// Why one is not that cannot be laid over `/usr`.
const NOT_LAID: &str = "not-laid";

/// Lets the next boots try the set that was made last, or lays it over `/usr` now.
///
/// # Errors
/// See [`ContentError`]; what lies over `/usr` lies there.
pub fn activate(
    places: &Places,
    now: bool,
    again: Again,
    workers: &'static dyn Workers,
    tell: &mut dyn Tell,
) -> Result<(), ContentError> {
    payload::take(places, workers, tell)?;
    let mut sets = Sets::open(places, "package activate", tell)?;
    match sets.look()?.ledger().trial {
        Some(trial) => {
            let (number, left) = (trial.version.counter, trial.left);
            let is_laid = sets.usr.laid() == Some(sets.text(Some(number))?);
            if now && is_laid && left < BOOTS {
                // This boot has counted itself, and counts once.
                tell.tell(&Event::Set(SetEvent::Tried { number, left }));
                return Ok(());
            }
            tell.tell(&Event::Set(SetEvent::Armed { number }));
        }
        None => match held(&mut sets.shelf, again) {
            Ok(staged) => {
                sets.arm(&staged, tell)?;
            }
            // Then it is what was kept that is laid.
            Err(StoreError::NoSet | StoreError::Refused(Refusal::Failed { .. })) if now => {}
            Err(error) => return of(Err(error)),
        },
    }
    match now {
        true => lay(&mut sets, tell),
        false => Ok(()),
    }
}

/// Counts, and lays over `/usr` what this boot has to.
fn lay(sets: &mut Sets, tell: &mut dyn Tell) -> Result<(), ContentError> {
    let boot = of(boot(&mut sets.shelf))?;
    if let Some(failed) = &boot.failed {
        tell.tell(&Event::Set(taken_back(failed)));
    }
    if let (Some(number), Some(left)) = (boot.mount, boot.left) {
        tell.tell(&Event::Set(SetEvent::Tried { number, left }));
    }
    let done = put(sets, boot.mount, tell);
    if done.is_ok() || boot.left.is_none() {
        return done;
    }
    // What was kept lies there, then; the error is that of the trial.
    if let Some(failed) = of(take_back(&mut sets.shelf, NOT_LAID))? {
        tell.tell(&Event::Set(taken_back(&failed)));
    }
    let current = number(sets.look()?.current);
    put(sets, current, tell)?;
    done
}

/// Pins a set and lays it over `/usr`, with what was there before taken off.
fn put(sets: &mut Sets, number: Option<u64>, tell: &mut dyn Tell) -> Result<(), ContentError> {
    let text = sets.text(number)?;
    let set = parse(&text)?;
    hides(sets, &set)?;
    let pinned = sets.shelf.pin(number);
    of(pinned.map_err(|source| StoreError::Shelf {
        doing: "naming what is mounted",
        source,
    }))?;
    let trees = of(sets.shelf.trees(&set).map_err(|source| StoreError::Set {
        source: Box::new(source),
    }))?;
    sets.usr.lay(&trees)?;
    sets.usr.note_laid(&text)?;
    let list = |member: &wire::set::Member<'_>| (member.name.to_owned(), member.version.counter);
    let members: Vec<Member> = set.members().iter().map(list).collect();
    let number = number.filter(|_| !members.is_empty());
    tell.tell(&Event::Set(SetEvent::Laid { number, members }));
    Ok(())
}

fn taken_back(failed: &Failed) -> SetEvent {
    SetEvent::TakenBack {
        number: failed.version.counter,
        word: failed.word.as_str().to_owned(),
    }
}

/// At boot, and once in it: takes what disks have, counts, and lays packages over `/usr`. Later only
/// what is wrong is put right. Nothing where there are no sets.
///
/// # Errors
/// See [`ContentError`].
pub fn recover(
    places: &Places,
    workers: &'static dyn Workers,
    tell: &mut dyn Tell,
) -> Result<(), ContentError> {
    if Usr::of(places.root()).laid().is_none() {
        payload::take(places, workers, tell)?;
    }
    if !exist(places) {
        return Ok(());
    }
    let mut sets = Sets::open(places, "recover", tell)?;
    if sets.usr.laid().is_none() {
        lay(&mut sets, tell)?;
    }
    floors(&mut sets)
}

/// The packages that were kept set the floors.
fn floors(sets: &mut Sets) -> Result<(), ContentError> {
    let current = number(sets.look()?.current);
    let text = sets.text(current)?;
    let set = parse(&text)?;
    of(packages::raise_floors(&set, &sets.state, &sets.trust))
}

/// The set that this boot tries.
///
/// # Errors
/// The sets cannot be read.
pub fn tried(places: &Places) -> Result<Option<u64>, ContentError> {
    if !exist(places) {
        return Ok(None);
    }
    let mut shelf = places.sets()?;
    let trial = look(&mut shelf)?.ledger().trial;
    let trial = trial.filter(|trial| trial.left < BOOTS);
    Ok(trial.map(|trial| trial.version.counter))
}

/// Keeps it: the gates say that this boot is healthy.
///
/// # Errors
/// See [`ContentError`]; the trial goes on, or recovery does the rest.
pub fn keep(places: &Places, tell: &mut dyn Tell) -> Result<(), ContentError> {
    let mut sets = Sets::open(places, "confirm", tell)?;
    let number = of(keep_set(&mut sets.shelf))?;
    tell.tell(&Event::Set(SetEvent::Kept { number }));
    floors(&mut sets)?;
    collect(&mut sets, tell)
}

/// Gives a trial up, or goes back to the set that was kept before. What lies over `/usr` stays there
/// until the next boot.
///
/// # Errors
/// There is nothing to go back to.
pub fn rollback(places: &Places, tell: &mut dyn Tell) -> Result<(), ContentError> {
    let mut sets = Sets::open(places, "rollback store", tell)?;
    if let Some(failed) = of(take_back(&mut sets.shelf, GIVEN_UP))? {
        tell.tell(&Event::Set(taken_back(&failed)));
        return Ok(());
    }
    let shelf: &mut dyn Shelf = &mut sets.shelf;
    let back = of(back(shelf))?;
    if let Target::Generation(number) = back.target {
        tell.tell(&Event::Set(SetEvent::RolledBack { number }));
    }
    Ok(())
}

/// Removes sets and packages that nothing needs.
///
/// # Errors
/// See [`ContentError`].
pub fn collect_all(places: &Places, tell: &mut dyn Tell) -> Result<(), ContentError> {
    if !exist(places) {
        return Ok(());
    }
    let mut sets = Sets::open(places, "collect", tell)?;
    for number in of(change::collect(&mut sets.shelf))? {
        tell.tell(&Event::Set(SetEvent::Collected { number }));
    }
    collect(&mut sets, tell)
}
