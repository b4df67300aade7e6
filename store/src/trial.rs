//! A daemon is served only when it has proved itself: a [`Staged`] generation in, and by way of a
//! [`Trial`] it is current, or the former one is again and the failure is remembered.
//!
//! ```text
//! begin: ledger has the trial, flushed → (the old one stops) → switch: current, flushed
//!        → (the new one starts, is ready, stays healthy) → keep: previous, ledger: the commit
//!                                                        → take back: current, ledger: failed
//! ```
//!
//! As long as the ledger has a trial, recovery points back to what the ledger calls current.

use wire::ledger::{self, Failed, Ledger, Word};

use crate::shelf::{Pointer, Shelf, Target};
use crate::stage::{Refusal, Staged};
use crate::{StoreError, collect, doing, flush_names, look, target_of, write_ledger};

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

/// Points at what is tried. The old daemon has stopped, or goes on beside the new one.
///
/// # Errors
/// The trial is to be taken back.
pub fn switch(shelf: &mut dyn Shelf, trial: &Trial) -> Result<(), StoreError> {
    let target = Some(trial.staged.target);
    doing("writing the pointer", shelf.point(Pointer::Current, target))?;
    flush_names(shelf)
}

/// It has proved itself.
///
/// # Errors
/// As long as the ledger was not written, recovery points back.
pub fn keep(shelf: &mut dyn Shelf, trial: Trial) -> Result<(), StoreError> {
    let Trial { staged, before } = trial;
    let mut ledger = look(shelf)?.ledger();
    doing(
        "writing the pointer to the former one",
        shelf.point(Pointer::Previous, before),
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
    write_ledger(shelf, &ledger)?;
    collect::collect(shelf)?;
    Ok(())
}

/// It has failed, for this reason: what was served before is served again.
///
/// # Errors
/// Recovery does the rest.
pub fn take_back(shelf: &mut dyn Shelf, trial: Trial, word: Word) -> Result<(), StoreError> {
    let Trial { staged, before } = trial;
    doing(
        "writing the pointer back",
        shelf.point(Pointer::Current, before),
    )?;
    flush_names(shelf)?;
    let mut ledger = look(shelf)?.ledger();
    fail(&mut ledger, &staged, word);
    write_ledger(shelf, &ledger)
}

fn fail(ledger: &mut Ledger, staged: &Staged, word: Word) {
    ledger.trial = None;
    ledger.remember(Failed {
        version: staged.version,
        tries: 1,
        word,
    });
    ledger.count_rollback();
}
