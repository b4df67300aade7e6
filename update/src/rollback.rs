//! A person, or a gate that failed for good, takes a trial back before its attempts are spent. In:
//! a [`Tried`], by value. Afterwards the good slot boots, and what was tried is not taken again by
//! itself. To go back to the former version behind a confirmation there is
//! [`stage::held`](crate::stage::held): it is tried like any other.

use wire::ledger::{Failed, Word};

use crate::confirm::ConfirmError;
use crate::node::Node;
use crate::running::{NoRecord, Tried};

/// Takes the trial back: the ledger first, then the record, as `recover` does it. The reboot is the
/// caller's.
///
/// # Errors
/// A place could not be written; the trial's attempts go on.
pub fn take_back(node: &mut Node<'_>, tried: Tried, word: Word) -> Result<(), ConfirmError> {
    let facts = node.facts()?;
    let record = facts.record().ok_or(NoRecord)?;
    if record.trial_slot() != Some(tried.slot) {
        return Err(ConfirmError::NotTried(tried.slot));
    }
    let mut ledger = facts.ledger.clone();
    // Cut behind the ledger, before the record, it was counted already.
    if ledger.trial.take().is_some() {
        ledger.count_rollback();
    }
    if let Some(version) = tried.version {
        ledger.remember(Failed {
            version,
            tries: tried.attempt(),
            word,
        });
    }
    node.write_ledger(&ledger)?;
    Ok(node.write_record(&record.disarmed())?)
}

/// Takes an armed trial out of the boot record before it has started. Nothing is held against the
/// version: it is still in its slot, and may be armed again.
///
/// # Errors
/// A place could not be written; what was armed may still be tried.
pub fn disarm(node: &mut Node<'_>) -> Result<(), ConfirmError> {
    let facts = node.facts()?;
    let record = facts.record().ok_or(NoRecord)?;
    node.write_record(&record.disarmed())?;
    let mut ledger = facts.ledger;
    ledger.trial = None;
    Ok(node.write_ledger(&ledger)?)
}
