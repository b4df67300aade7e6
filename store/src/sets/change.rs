//! What happens to sets: made, armed for the next boots, counted at each of them, kept or taken
//! back. Each step is durable before the next begins.

use wire::ledger::{Failed, Ledger, Trial, Word};
use wire::set::Set;

use super::{BOOTS, SetShelf, version};
use crate::shelf::{Entry, Listing, Pointer, Shelf, Target};
use crate::stage::{Again, Refusal, Staged};
use crate::{StoreError, collect, doing, flush_names, look, target_of, write_ledger};

/// Why a set is not kept that no boot has kept.
const NOT_KEPT: &str = "not-kept";
/// Why a set is not kept whose packages are gone.
const MISSING: &str = "missing";

/// The set that a change begins with: what is on trial, else what was kept.
#[must_use]
pub fn wanted(listing: &Listing) -> Option<u64> {
    let ledger = listing.ledger();
    let trial = ledger.trial.map(|trial| trial.version);
    let trial = trial.and_then(|version| target_of(listing, &version));
    match trial.or(listing.current)? {
        Target::Generation(number) => Some(number),
        Target::Seed => None,
    }
}

/// Makes a set. Nothing is done with it before it is armed.
///
/// # Errors
/// A trial runs, the set is here already or has failed, or its packages cannot be together.
pub fn make(shelf: &mut dyn SetShelf, set: &Set<'_>, again: Again) -> Result<Staged, StoreError> {
    let listing = look(shelf)?;
    let ledger = listing.ledger();
    is_free(&ledger)?;
    let (text, number) = (set.to_string(), next(&listing, &ledger));
    let version = version(&text, number);
    let base = wanted(&listing);
    let before = base.map_or(Ok(Set::default().to_string()), |base| shelf.text(base));
    if before.is_ok_and(|before| before == text) {
        return Err(Refusal::Same { number: base }.into());
    }
    if let (false, Some(failed)) = (again.0, ledger.failure(&version.digest)) {
        let failed = failed.clone();
        return Err(Refusal::Failed { failed }.into());
    }
    if ledger.is_stopped() && !again.0 {
        return Err(Refusal::Stopped.into());
    }
    shelf.admit(set).map_err(|source| StoreError::Set {
        source: Box::new(source),
    })?;
    doing("making a set", shelf.fill_set(number, &text))?;
    doing("flushing a set", shelf.flush())?;
    let (part, generation) = (Entry::Part(number), Entry::Generation(number));
    doing("naming a set", shelf.rename(part, generation))?;
    flush_names(shelf)?;
    Ok(Staged {
        target: Target::Generation(number),
        version,
        key: None,
        again: again.0,
        is_former: false,
    })
}

/// A trial that a boot has begun is judged first.
fn is_free(ledger: &Ledger) -> Result<(), Refusal> {
    match &ledger.trial {
        Some(trial) if trial.left < BOOTS => Err(Refusal::Trial {
            counter: trial.version.counter,
        }),
        _ => Ok(()),
    }
}

/// No number comes twice, whatever has become of its set.
fn next(listing: &Listing, ledger: &Ledger) -> u64 {
    let trial = ledger.trial.as_ref().map(|trial| trial.version);
    let versions = [ledger.current, ledger.previous, trial];
    let failed = ledger.failed().iter().map(|failed| failed.version);
    let known = versions.into_iter().flatten().chain(failed);
    let here = [&listing.generations, &listing.parts, &listing.bad];
    let here = here.into_iter().flatten().copied();
    let last = known.map(|version| version.counter).chain(here).max();
    last.unwrap_or(0).saturating_add(1)
}

/// The set that was made last and not kept, for a person who wants it tried once more.
///
/// # Errors
/// There is none.
pub fn held(shelf: &mut dyn SetShelf, again: Again) -> Result<Staged, StoreError> {
    let listing = look(shelf)?;
    let ledger = listing.ledger();
    is_free(&ledger)?;
    let current = match listing.current {
        Some(Target::Generation(number)) => number,
        _ => 0,
    };
    let newest = listing.generations.last().copied();
    let number = newest.filter(|newest| *newest > current);
    let number = number.ok_or(StoreError::NoSet)?;
    let target = Target::Generation(number);
    let held = shelf.verify(target);
    let held = held.map_err(|source| StoreError::Rejected {
        target,
        source: Box::new(source),
    })?;
    if let (false, Some(failed)) = (again.0, ledger.failure(&held.version.digest)) {
        let failed = failed.clone();
        return Err(Refusal::Failed { failed }.into());
    }
    Ok(Staged {
        target,
        version: held.version,
        key: None,
        again: again.0,
        is_former: false,
    })
}

/// Lets the next boots try a set, in place of one that was armed before.
///
/// # Errors
/// What was armed before is.
pub fn arm(shelf: &mut dyn SetShelf, staged: &Staged) -> Result<(), StoreError> {
    let mut ledger = look(shelf)?.ledger();
    ledger.trial = Some(Trial {
        version: staged.version,
        key: None,
        left: BOOTS,
    });
    if staged.again {
        ledger.forgive(&staged.version.digest);
        ledger.reset_rollbacks();
    }
    write_ledger(shelf, &ledger)?;
    collect::collect(shelf)?;
    Ok(())
}

/// What a boot lays over `/usr`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Boot {
    /// The set; `None`: nothing.
    pub mount: Option<u64>,
    /// How many boots are left to it behind this one, if it is on trial.
    pub left: Option<u8>,
    /// A trial that has ended here.
    pub failed: Option<Failed>,
}

/// Counts this boot for the set on trial, if there is one. What it says is mounted afterwards.
/// Recovery has run before.
///
/// # Errors
/// Nothing was counted, and nothing may be mounted but what was kept.
pub fn boot(shelf: &mut dyn SetShelf) -> Result<Boot, StoreError> {
    let listing = look(shelf)?;
    let mut ledger = listing.ledger();
    let current = match listing.current {
        Some(Target::Generation(number)) => Some(number),
        _ => None,
    };
    let mut boot = Boot {
        mount: current,
        ..Boot::default()
    };
    let Some(trial) = ledger.trial else {
        return Ok(boot);
    };
    let word = match target_of(&listing, &trial.version) {
        _ if trial.left == 0 => NOT_KEPT,
        None => MISSING,
        Some(target) => match shelf.verify(target) {
            Ok(_) => {
                let left = trial.left.saturating_sub(1);
                ledger.trial = Some(Trial { left, ..trial });
                write_ledger(shelf, &ledger)?;
                boot.mount = Some(trial.version.counter);
                boot.left = Some(left);
                return Ok(boot);
            }
            Err(reject) => reject.word(),
        },
    };
    boot.failed = fail(&mut ledger, word);
    write_ledger(shelf, &ledger)?;
    Ok(boot)
}

/// Keeps the set on trial: `previous`, `current` (the commit), then the ledger.
///
/// # Errors
/// Before the commit the trial goes on; behind it recovery does the rest.
pub fn keep(shelf: &mut dyn SetShelf) -> Result<u64, StoreError> {
    let listing = look(shelf)?;
    let mut ledger = listing.ledger();
    let trial = ledger.trial.take().ok_or(StoreError::NoTrial)?;
    let target = target_of(&listing, &trial.version).ok_or(StoreError::NoTrial)?;
    doing(
        "writing the pointer to the former one",
        shelf.point(Pointer::Previous, listing.current),
    )?;
    doing(
        "writing the pointer",
        shelf.point(Pointer::Current, Some(target)),
    )?;
    flush_names(shelf)?;
    ledger.previous = ledger.current.filter(|_| listing.current.is_some());
    ledger.current = Some(trial.version);
    ledger.forgive(&trial.version.digest);
    ledger.reset_rollbacks();
    write_ledger(shelf, &ledger)?;
    collect::collect(shelf)?;
    Ok(trial.version.counter)
}

/// Ends the trial, for this reason. `None`: there is none.
///
/// # Errors
/// The trial goes on.
pub fn take_back(shelf: &mut dyn SetShelf, word: &str) -> Result<Option<Failed>, StoreError> {
    let mut ledger = look(shelf)?.ledger();
    if ledger.trial.is_none() {
        return Ok(None);
    }
    let failed = fail(&mut ledger, word);
    write_ledger(shelf, &ledger)?;
    Ok(failed)
}

fn fail(ledger: &mut Ledger, word: &str) -> Option<Failed> {
    let trial = ledger.trial.take()?;
    let failed = Failed {
        version: trial.version,
        tries: BOOTS.saturating_sub(trial.left),
        // All of them are of the ledger's form.
        word: Word::new(word)?,
    };
    ledger.remember(failed.clone());
    ledger.count_rollback();
    Some(failed)
}

/// What nothing needs of the sets, also those that were put aside.
///
/// # Errors
/// Some are left.
pub fn collect(shelf: &mut dyn SetShelf) -> Result<Vec<u64>, StoreError> {
    let shelf: &mut dyn Shelf = shelf;
    let mut gone = collect::collect(shelf)?;
    gone.extend(collect::collect_bad(shelf)?);
    Ok(gone)
}
