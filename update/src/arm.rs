//! The next boots try what was staged. In: a [`Staged`], by value. Out: an [`Armed`], which the
//! code that leaves for the trial takes by value. The boot record is written last: it is the
//! commit of an update.

use thiserror::Error;
use wire::ledger::{Trial, Version};
use wire::outcome::Outcome;
use wire::record::{ATTEMPTS, Left, Slot};

use crate::node::{Node, NodeError};
use crate::running::NoRecord;
use crate::stage::Staged;

/// The boot record names the trial, durable and read back.
#[derive(Debug, PartialEq, Eq)]
pub struct Armed {
    slot: Slot,
    version: Version,
}

impl Armed {
    /// Which slot.
    #[must_use]
    pub const fn slot(&self) -> Slot {
        self.slot
    }

    /// What it holds.
    #[must_use]
    pub const fn version(&self) -> &Version {
        &self.version
    }
}

/// A start of the trial was counted that does not pass GRUB: this one may be made, once.
#[derive(Debug, PartialEq, Eq)]
pub struct Counted {
    slot: Slot,
    left: Left,
}

impl Counted {
    /// What is started.
    #[must_use]
    pub const fn slot(&self) -> Slot {
        self.slot
    }

    /// Starts that the trial has behind this one.
    #[must_use]
    pub const fn left(&self) -> Left {
        self.left
    }
}

/// Nothing is armed.
#[derive(Debug, Error)]
pub enum ArmError {
    /// No copy of the boot record is valid.
    #[error(transparent)]
    NoRecord(#[from] NoRecord),
    /// The record has changed since the slot was staged.
    #[error("slot {0} is the confirmed one now")]
    IsGood(Slot),
    /// Nothing is on trial any more, or it has no starts left.
    #[error("slot {0} is not on trial any more")]
    NotTried(Slot),
    /// A place could not be read or written.
    #[error(transparent)]
    Node(#[from] NodeError),
}

impl ArmError {
    /// What follows: the old version boots, and arming can be tried again.
    #[must_use]
    pub const fn outcome(&self) -> Outcome {
        match self {
            ArmError::NoRecord(error) => error.outcome(),
            ArmError::IsGood(_) | ArmError::NotTried(_) => Outcome::Refuse,
            ArmError::Node(error) => error.outcome(),
        }
    }
}

/// Arms a trial: the ledger names it, then the boot record. Cut between the two, nothing is tried.
///
/// # Errors
/// The old version boots, unless the very last flush was all that failed.
pub fn arm(node: &mut Node<'_>, staged: Staged) -> Result<Armed, ArmError> {
    let facts = node.facts()?;
    let record = facts.record().ok_or(NoRecord)?;
    let Staged {
        slot,
        version,
        key,
        again,
    } = staged;
    if record.good == slot {
        return Err(ArmError::IsGood(slot));
    }
    let mut ledger = facts.ledger.clone();
    ledger.trial = Some(Trial {
        version,
        key,
        left: ATTEMPTS,
    });
    if again.0 {
        ledger.forgive(&version.digest);
        ledger.reset_rollbacks();
    }
    if ledger != facts.ledger {
        node.write_ledger(&ledger)?;
    }
    let armed = record.armed();
    if record.trial != armed.trial {
        node.write_record(&armed)?;
    }
    Ok(Armed { slot, version })
}

/// Counts a start of the trial as GRUB does: durable, and read back, before anything is started. A
/// trial whose start was not recorded is not started.
///
/// # Errors
/// The trial stays armed; GRUB counts its next start.
pub fn count(node: &mut Node<'_>, armed: Armed) -> Result<Counted, ArmError> {
    let slot = armed.slot;
    let record = node.facts()?.record().ok_or(NoRecord)?;
    let left = record.trial.filter(|left| *left != Left::NONE);
    if record.trial_slot() != Some(slot) || left.is_none() {
        return Err(ArmError::NotTried(slot));
    }
    let counted = record.counted();
    node.write_record(&counted)?;
    let left = counted.trial.ok_or(ArmError::NotTried(slot))?;
    Ok(Counted { slot, left })
}
