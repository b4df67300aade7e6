//! May this image be taken now, and where to? In: an approved image and the facts. Out: an
//! [`Admitted`], or a [`Refusal`] with its numbers. Nothing is written.

use bundle::key;
use bundle::trust::{Approved, Voucher};
use disk::slots::Image;
use thiserror::Error;
use wire::digits::Hex;
use wire::ledger::{Failed, KeyId, Ledger, Version};
use wire::manifest::Content;
use wire::outcome::Outcome;
use wire::record::{Left, Slot};
use wire::running::Running;

use crate::node::Facts;
use crate::running::{NoRecord, Runs, Tried, runs};

/// What may be written, and where to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Admitted {
    /// The slot that does not run and is not the good one.
    pub slot: Slot,
    /// The image.
    pub image: Image,
    /// Its name and counter.
    pub version: Version,
    /// The key that vouches for it.
    pub key: KeyId,
}

/// An image is not taken now.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[allow(missing_docs)] // the fields name themselves
pub enum Refusal {
    /// Nothing can be decided.
    #[error(transparent)]
    NoRecord(#[from] NoRecord),
    /// The way back must not be overwritten.
    #[error("slot {slot} runs on trial, start {attempt}; it is confirmed or taken back first")]
    TrialRuns { slot: Slot, attempt: u8 },
    /// The other slot is the good one.
    #[error("slot {running} runs, but slot {} is the confirmed one; reboot first", .running.other())]
    ByHand { running: Slot },
    /// Several in a row did not last.
    #[error("updates have stopped after {rollbacks} rollbacks in a row; --again goes on")]
    Stopped { rollbacks: u8 },
    /// It has failed here.
    #[error(
        "version {} has failed here ({}, after {} starts); --again tries it once more",
        Hex(&.0.version.digest), .0.word.as_str(), .0.tries
    )]
    Failed(Box<Failed>),
    /// It waits for its next start already: a new trial would never end.
    #[error(
        "this version is on trial already, with {left} starts left; --again begins a new trial"
    )]
    OnTrial { left: u8 },
    /// It runs.
    #[error("this version runs already, with counter {counter}")]
    Current { counter: u64 },
    /// Older than what this key has confirmed here.
    #[error("the image has counter {found}; from key {key} this machine takes none below {floor}")]
    BelowFloor { found: u64, floor: u64, key: KeyId },
    /// Only a signature says what may replace a running system.
    #[error("the image is not signed by a key that this system trusts")]
    Unsigned,
    /// Packages for a single layout.
    #[error("the release has archives; a system with two slots takes one image (.img)")]
    NoImage,
}

impl Refusal {
    /// Nothing was written.
    #[must_use]
    pub const fn outcome(&self) -> Outcome {
        Outcome::Refuse
    }

    /// Is it the time that is wrong, and not the image?
    #[must_use]
    pub const fn is_not_now(&self) -> bool {
        matches!(
            self,
            Refusal::NoRecord(_)
                | Refusal::TrialRuns { .. }
                | Refusal::ByHand { .. }
                | Refusal::Stopped { .. }
                | Refusal::Failed(_)
                | Refusal::OnTrial { .. }
        )
    }
}

/// Did a person say that failures are forgiven?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Again(pub bool);

/// Decides about an image.
///
/// # Errors
/// The first reason against it.
pub fn admit(
    facts: &Facts,
    running: &Running<'_>,
    approved: &Approved,
    again: Again,
) -> Result<Admitted, Refusal> {
    let slot = other_slot(facts, running)?;
    let Voucher::Key(key) = approved.voucher() else {
        return Err(Refusal::Unsigned);
    };
    let key = key::of_public_key(key).ok_or(Refusal::Unsigned)?;
    let image = image(approved).ok_or(Refusal::NoImage)?;
    let version = Version {
        digest: image.digest,
        counter: image.counter,
    };
    let floor = floor(facts, running, key);
    if version.counter < floor {
        return Err(Refusal::BelowFloor {
            found: version.counter,
            floor,
            key,
        });
    }
    if facts.complete(running.slot) == Some(version) {
        return Err(Refusal::Current {
            counter: version.counter,
        });
    }
    again_or_not(facts, &version, again)?;
    Ok(Admitted {
        slot,
        image,
        version,
        key,
    })
}

/// The slot that may be written: what runs is the good one.
pub(crate) fn other_slot(facts: &Facts, running: &Running<'_>) -> Result<Slot, Refusal> {
    match runs(running, facts)? {
        Runs::Confirmed(slot) => Ok(slot.other()),
        Runs::Trial(tried) => Err(trial_runs(&tried)),
        Runs::ByHand(running) => Err(Refusal::ByHand { running }),
    }
}

fn trial_runs(tried: &Tried) -> Refusal {
    Refusal::TrialRuns {
        slot: tried.slot(),
        attempt: tried.attempt(),
    }
}

/// What only a person sets aside.
pub(crate) fn again_or_not(
    facts: &Facts,
    version: &Version,
    Again(again): Again,
) -> Result<(), Refusal> {
    let Facts { ledger, .. } = facts;
    if again {
        return Ok(());
    }
    if let Some(failed) = ledger.failure(&version.digest) {
        return Err(Refusal::Failed(Box::new(failed.clone())));
    }
    if ledger.is_stopped() {
        return Err(stopped(ledger));
    }
    let record = facts.record().ok_or(NoRecord)?;
    let tried = record.trial_slot().and_then(|slot| facts.complete(slot));
    match record.trial {
        // Armed and not started yet: arming it again changes nothing.
        Some(left) if left < Left::ALL && tried == Some(*version) => {
            Err(Refusal::OnTrial { left: left.get() })
        }
        _ => Ok(()),
    }
}

fn stopped(ledger: &Ledger) -> Refusal {
    Refusal::Stopped {
        rollbacks: ledger.rollbacks(),
    }
}

/// The lowest counter that is taken from this key: what was confirmed, and what runs confirmed and
/// was signed with it. A new key has no floor yet.
#[must_use]
pub fn floor(facts: &Facts, running: &Running<'_>, key: KeyId) -> u64 {
    let held = facts.held(running.slot);
    let is_of_key = held.is_some_and(|held| held.claimed_key == Some(key));
    let runs = if is_of_key { running.counter } else { 0 };
    facts.ledger.floor(key).max(runs)
}

/// The image of a manifest that has one.
fn image(approved: &Approved) -> Option<Image> {
    let file = approved.image()?;
    let Content::Hashed {
        sha256, size_bytes, ..
    } = file.content
    else {
        return None;
    };
    Some(Image {
        digest: *approved.digest(),
        counter: approved.counter(),
        image_bytes: size_bytes,
        sha256,
        chunk_bytes: file.chunk_size,
    })
}
