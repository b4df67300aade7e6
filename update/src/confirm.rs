//! A healthy trial becomes the good version. In: a [`Tried`] and a `Healthy`, by value. Out: a
//! [`Confirmed`]. The boot record is the commit, then the ledger's floor rises; the owner of the
//! watchdog gives it back when it holds a `Confirmed`, and not before.

use machine::health::Healthy;
use thiserror::Error;
use wire::ledger::{Failed, Version, Word};
use wire::outcome::Outcome;
use wire::record::Slot;

use crate::node::{Node, NodeError};
use crate::recover;
use crate::running::{NoRecord, Tried};

/// The record names this slot as the good one, durable and read back.
#[derive(Debug)]
pub struct Confirmed {
    slot: Slot,
    version: Option<Version>,
    warning: Option<NodeError>,
}

impl Confirmed {
    /// Which slot.
    #[must_use]
    pub const fn slot(&self) -> Slot {
        self.slot
    }

    /// What it holds, where that can be told.
    #[must_use]
    pub const fn version(&self) -> Option<&Version> {
        self.version.as_ref()
    }

    /// What went wrong behind the commit: the version is confirmed nevertheless, and the next
    /// recovery does the rest.
    #[must_use]
    pub const fn warning(&self) -> Option<&NodeError> {
        self.warning.as_ref()
    }
}

/// The trial is not confirmed.
#[derive(Debug, Error)]
pub enum ConfirmError {
    /// No copy of the boot record is valid.
    #[error(transparent)]
    NoRecord(#[from] NoRecord),
    /// Somebody has taken the trial back meanwhile.
    #[error("the boot record does not name slot {0} as its trial any more")]
    NotTried(Slot),
    /// A place could not be read or written.
    #[error(transparent)]
    Node(#[from] NodeError),
}

impl ConfirmError {
    /// What follows: the trial's attempts go on.
    #[must_use]
    pub const fn outcome(&self) -> Outcome {
        match self {
            ConfirmError::NoRecord(error) => error.outcome(),
            ConfirmError::NotTried(_) => Outcome::Refuse,
            ConfirmError::Node(error) => error.outcome(),
        }
    }
}

/// Confirms what runs. A failure behind the commit does not take it back.
///
/// # Errors
/// The record could not be written: both stay what they were, or the next boot finds the new one.
pub fn confirm(
    node: &mut Node<'_>,
    tried: Tried,
    _healthy: Healthy,
) -> Result<Confirmed, ConfirmError> {
    let facts = node.facts()?;
    let record = facts.record().ok_or(NoRecord)?;
    let Tried { slot, version, .. } = tried;
    if record.trial_slot() != Some(slot) {
        return Err(ConfirmError::NotTried(slot));
    }
    node.write_record(&record.confirmed(slot))?;
    let mut ledger = facts.ledger;
    let trial = ledger.trial.take();
    match version {
        Some(version) => recover::confirmed(&mut ledger, version, trial),
        None => ledger.reset_rollbacks(),
    }
    Ok(Confirmed {
        slot,
        version,
        warning: node.write_ledger(&ledger).err(),
    })
}

/// Notes why this attempt failed, before the reboot that ends it: the reason stays when all
/// attempts are spent. A version that cannot be told is not noted.
///
/// # Errors
/// The ledger could not be read or written.
pub fn note_failure(node: &mut Node<'_>, tried: &Tried, word: Word) -> Result<(), NodeError> {
    let Some(version) = tried.version else {
        return Ok(());
    };
    let mut ledger = node.facts()?.ledger;
    ledger.remember(Failed {
        version,
        tries: tried.attempt(),
        word,
    });
    node.write_ledger(&ledger)
}
