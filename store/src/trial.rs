//! A daemon is served only when it has proved itself: a [`Staged`] generation in, and by way of a
//! [`Trial`] it is current, or the former one is again and the failure is remembered.
//!
//! ```text
//! prepare: verified → begin: ledger has the trial, flushed → switch: current, flushed
//!        → (the old one stops, the new one starts, is ready, stays healthy)
//!            → keep: previous, ledger: the commit
//!            → take back: current, ledger: failed
//! ```
//!
//! As long as the ledger has a trial, recovery points back to what the ledger calls current.

use wire::ledger::{self, Failed, Ledger, Word};

use crate::rollback;
use crate::shelf::{Pointer, Shelf, Target};
use crate::stage::{Again, Refusal, Staged, admit_version};
use crate::{StoreError, doing, flush_names, look, target_of, write_ledger};

/// A generation that is being tried.
#[derive(Debug)]
pub struct Trial {
    staged: Staged,
    /// What is served when it fails.
    before: Option<Target>,
}

impl Trial {
    /// What is tried.
    #[must_use]
    pub const fn staged(&self) -> &Staged {
        &self.staged
    }

    /// What is served when it fails; `None` where there was nothing before.
    #[must_use]
    pub const fn before(&self) -> Option<Target> {
        self.before
    }
}

/// A generation that is here already, and may be tried: it is as it was signed.
///
/// # Errors
/// Nothing has changed.
pub fn prepare(shelf: &mut dyn Shelf, counter: u64, again: Again) -> Result<Staged, StoreError> {
    let (listing, target) = (look(shelf)?, Target::Generation(counter));
    if !listing.has(target) {
        return Err(StoreError::Missing { counter });
    }
    let held = shelf.verify(target);
    let held = held.map_err(|source| StoreError::Rejected {
        target,
        source: Box::new(source),
    })?;
    admit_version(&listing, &held.version, held.key, again)?;
    Ok(Staged {
        target,
        version: held.version,
        key: held.key,
        again: again.0,
        is_former: false,
    })
}

/// What was served before, for a way back that proves itself: it is as it was signed. Floors and
/// failures do not count; what is kept is not taken again by itself.
///
/// # Errors
/// Nothing has changed.
pub fn prepare_former(shelf: &mut dyn Shelf) -> Result<Staged, StoreError> {
    let listing = look(shelf)?;
    let (target, held) = rollback::former(shelf, &listing)?;
    Ok(Staged {
        target,
        version: held.version,
        key: held.key,
        again: true,
        is_former: true,
    })
}

/// Remembers that this generation is about to be tried.
///
/// # Errors
/// Nothing has changed, or recovery forgets it again.
pub fn begin(shelf: &mut dyn Shelf, staged: Staged) -> Result<Trial, StoreError> {
    let listing = look(shelf)?;
    let mut ledger = listing.ledger();
    if let Some(trial) = &ledger.trial {
        let counter = trial.version.counter;
        return Err(Refusal::Trial { counter }.into());
    }
    ledger.trial = Some(ledger::Trial {
        version: staged.version,
        key: staged.key,
        left: 1,
    });
    let before = ledger
        .current
        .and_then(|current| target_of(&listing, &current));
    write_ledger(shelf, &ledger)?;
    Ok(Trial { staged, before })
}

/// Points at what is tried. The old daemon goes on until it is asked to end.
///
/// # Errors
/// The trial is to be taken back.
pub fn switch(shelf: &mut dyn Shelf, trial: &Trial) -> Result<(), StoreError> {
    let target = Some(trial.staged.target);
    doing("writing the pointer", shelf.point(Pointer::Current, target))?;
    flush_names(shelf)
}

/// It has proved itself. What nothing points at any more is left for [`crate::collect`].
///
/// # Errors
/// It is to be taken back: the ledger was not written.
pub fn keep(shelf: &mut dyn Shelf, trial: &Trial) -> Result<(), StoreError> {
    let Trial { staged, before } = trial;
    if staged.is_former {
        return keep_former(shelf, staged);
    }
    let mut ledger = look(shelf)?.ledger();
    doing(
        "writing the pointer to the former one",
        shelf.point(Pointer::Previous, *before),
    )?;
    flush_names(shelf)?;
    ledger.trial = None;
    ledger.previous = ledger.current.filter(|_| before.is_some());
    ledger.current = Some(staged.version);
    if let Some(key) = staged.key {
        ledger.raise_floor(key, staged.version.counter);
    }
    ledger.forgive(&staged.version.digest);
    ledger.reset_rollbacks();
    write_ledger(shelf, &ledger)
}

/// Nothing leads back to what a person has left. The ledger comes first: as long as it has the
/// trial, the way back has to stay.
fn keep_former(shelf: &mut dyn Shelf, staged: &Staged) -> Result<(), StoreError> {
    let mut ledger = look(shelf)?.ledger();
    ledger.trial = None;
    rollback::leave(&mut ledger);
    ledger.forgive(&staged.version.digest);
    ledger.current = Some(staged.version);
    ledger.previous = None;
    write_ledger(shelf, &ledger)?;
    // It is kept. Recovery does this as well, and finds an older one to go back to.
    let _ = shelf.point(Pointer::Previous, None);
    let _ = shelf.flush_names();
    Ok(())
}

/// It has failed, for this reason: what was served before is served again.
///
/// # Errors
/// Recovery does the rest.
pub fn take_back(shelf: &mut dyn Shelf, trial: &Trial, word: Word) -> Result<(), StoreError> {
    end(shelf, trial, |ledger| {
        fail(ledger, &trial.staged, word);
        if !trial.staged.is_former {
            ledger.count_rollback();
        }
    })
}

/// It was not judged, and may be tried again: what was served before is served again.
///
/// # Errors
/// Recovery does the rest, and takes it for interrupted.
pub fn give_up(shelf: &mut dyn Shelf, trial: &Trial) -> Result<(), StoreError> {
    end(shelf, trial, |_| {})
}

fn end(
    shelf: &mut dyn Shelf,
    trial: &Trial,
    judge: impl FnOnce(&mut Ledger),
) -> Result<(), StoreError> {
    doing(
        "writing the pointer back",
        shelf.point(Pointer::Current, trial.before),
    )?;
    flush_names(shelf)?;
    let mut ledger = look(shelf)?.ledger();
    ledger.trial = None;
    judge(&mut ledger);
    write_ledger(shelf, &ledger)
}

/// It has failed before anything was stopped for it: nothing was ever served but what is.
///
/// # Errors
/// It may be tried again.
pub fn refuse(shelf: &mut dyn Shelf, staged: &Staged, word: Word) -> Result<(), StoreError> {
    let mut ledger = look(shelf)?.ledger();
    fail(&mut ledger, staged, word);
    write_ledger(shelf, &ledger)
}

/// A way back that has failed stays one: it was kept here before, and a person may mend what keeps
/// it from starting.
fn fail(ledger: &mut Ledger, staged: &Staged, word: Word) {
    if staged.is_former {
        return;
    }
    ledger.remember(Failed {
        version: staged.version,
        tries: 1,
        word,
    });
}
