//! What this boot is: the confirmed slot, a trial, or neither. In: what slot-init wrote and the
//! boot record. Out: [`Runs`]; a [`Tried`] is made here and nowhere else.

use thiserror::Error;
use wire::ledger::{KeyId, Version};
use wire::outcome::Outcome;
use wire::record::{ATTEMPTS, Left, Slot};
use wire::running::Running;

use crate::node::Facts;

/// A slot that runs on trial. Confirming takes it by value, together with a `Healthy`.
#[derive(Debug, PartialEq, Eq)]
pub struct Tried {
    pub(crate) slot: Slot,
    pub(crate) version: Option<Version>,
    pub(crate) key: Option<KeyId>,
    pub(crate) left: Left,
}

impl Tried {
    /// Which slot.
    #[must_use]
    pub const fn slot(&self) -> Slot {
        self.slot
    }

    /// What it holds; `None` when neither ledger nor label can tell.
    #[must_use]
    pub const fn version(&self) -> Option<&Version> {
        self.version.as_ref()
    }

    /// Which start this is, from 1.
    #[must_use]
    pub fn attempt(&self) -> u8 {
        ATTEMPTS.saturating_sub(self.left.get())
    }

    /// Starts that are left behind this one.
    #[must_use]
    pub const fn left(&self) -> Left {
        self.left
    }
}

/// What runs, as the boot record sees it.
#[derive(Debug, PartialEq, Eq)]
pub enum Runs {
    /// The slot that was confirmed.
    Confirmed(Slot),
    /// The one on trial.
    Trial(Tried),
    /// The one that was not confirmed, and that nothing tries: a person chose it in GRUB's menu.
    ByHand(Slot),
}

/// Neither copy of the boot record is valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("no copy of the boot record is valid; spk-visor recover writes it again")]
pub struct NoRecord;

impl NoRecord {
    /// It can be repaired, but not here.
    #[must_use]
    pub const fn outcome(self) -> Outcome {
        Outcome::Refuse
    }
}

/// Compares what slot-init wrote with the boot record.
///
/// # Errors
/// There is no valid boot record.
pub fn runs(running: &Running<'_>, facts: &Facts) -> Result<Runs, NoRecord> {
    let record = facts.record().ok_or(NoRecord)?;
    let slot = running.slot;
    if record.good == slot {
        return Ok(Runs::Confirmed(slot));
    }
    let Some(left) = record.trial else {
        return Ok(Runs::ByHand(slot));
    };
    // The updater wrote the ledger behind everything that it had verified; the label is a hint.
    let is_it = |version: &Version| version.counter == running.counter;
    let armed = facts.ledger.trial.filter(|trial| is_it(&trial.version));
    let labelled = || facts.complete(slot).filter(is_it);
    Ok(Runs::Trial(Tried {
        slot,
        version: armed.map(|trial| trial.version).or_else(labelled),
        key: armed.and_then(|trial| trial.key),
        left,
    }))
}
