//! A bundle into a generation of its own: an approved bundle in, a [`Staged`] out that is on the
//! medium, under its counter, and that nothing points at.
//!
//! Steps, each durable before the next: the part with all that is in it; its name.

use bundle::key;
use bundle::trust::{Approved, Voucher};
use thiserror::Error;
use wire::ledger::{Failed, KeyId, Version};

use crate::generation::Held;
use crate::shelf::{Entry, Intake, Listing, Offer, Shelf, Target};
use crate::{StoreError, doing, flush_names, look, of_fill};

/// Did a person say that what failed before may be taken?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Again(pub bool);

/// A bundle is not taken, or not now.
#[derive(Debug, Error)]
#[allow(missing_docs)] // the fields name themselves
pub enum Refusal {
    /// It is what is served.
    #[error("counter {counter} is current already")]
    Current { counter: u64 },
    /// Lower than what this key has signed before, or than the system's own.
    #[error("the bundle has counter {counter}; this place takes none below {floor}")]
    BelowFloor { counter: u64, floor: u64 },
    /// Another bundle of that counter.
    #[error("another bundle with counter {counter} is here already")]
    Counter { counter: u64 },
    /// It was tried here.
    #[error(
        "counter {} failed here before ({}); --again takes it all the same",
        failed.version.counter, failed.word.as_str()
    )]
    Failed { failed: Failed },
    /// No set but the one that is here.
    #[error("nothing changes: {} has just these packages", match number {
        Some(number) => format!("set {number}"),
        None => "the empty set".to_owned(),
    })]
    Same { number: Option<u64> },
    /// A daemon or a set is being tried.
    #[error("counter {counter} is being tried")]
    Trial { counter: u64 },
    /// Two rollbacks in a row.
    #[error("two versions in a row were taken back; --again goes on")]
    Stopped,
}

impl Refusal {
    /// May it be taken later, or when a person says so?
    #[must_use]
    pub const fn is_not_now(&self) -> bool {
        matches!(
            self,
            Refusal::Failed { .. } | Refusal::Trial { .. } | Refusal::Stopped
        )
    }
}

/// A generation that is here, as it was signed, and durable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Staged {
    pub(crate) target: Target,
    pub(crate) version: Version,
    pub(crate) key: Option<KeyId>,
    /// It may have failed before.
    pub(crate) again: bool,
    /// It was served before, and a person leaves what is served for it.
    pub(crate) is_former: bool,
}

impl Staged {
    /// Its name.
    #[must_use]
    pub const fn version(&self) -> &Version {
        &self.version
    }

    /// Where it is.
    #[must_use]
    pub const fn target(&self) -> Target {
        self.target
    }
}

/// May this bundle be taken? Its signature, role and name have been approved.
///
/// # Errors
/// The first reason against it.
pub fn admit(listing: &Listing, approved: &Approved, again: Again) -> Result<(), Refusal> {
    let version = Version {
        digest: *approved.digest(),
        counter: approved.counter(),
    };
    admit_version(listing, &version, key_of(approved), again)
}

/// Likewise, of a generation that is here.
pub(crate) fn admit_version(
    listing: &Listing,
    version: &Version,
    key: Option<KeyId>,
    again: Again,
) -> Result<(), Refusal> {
    let (ledger, counter) = (listing.ledger(), version.counter);
    if let Some(trial) = &ledger.trial {
        let counter = trial.version.counter;
        return Err(Refusal::Trial { counter });
    }
    let is_current = ledger
        .current
        .is_some_and(|current| current.digest == version.digest);
    if is_current && listing.current.is_some() {
        return Err(Refusal::Current { counter });
    }
    let of_key = key.map_or(0, |key| ledger.floor(key));
    let floor = of_key.max(listing.seed.unwrap_or(0));
    if counter < floor {
        return Err(Refusal::BelowFloor { counter, floor });
    }
    if again.0 {
        return Ok(());
    }
    if ledger.is_stopped() {
        return Err(Refusal::Stopped);
    }
    match ledger.failure(&version.digest) {
        Some(failed) => Err(Refusal::Failed {
            failed: failed.clone(),
        }),
        None => Ok(()),
    }
}

/// The key that has signed it.
#[must_use]
pub fn key_of(approved: &Approved) -> Option<KeyId> {
    match approved.voucher() {
        Voucher::Key(base64) => key::of_public_key(base64),
        Voucher::Sender { .. } => None,
    }
}

/// Takes a bundle. What an interrupted run has made whole is used.
///
/// # Errors
/// What is served stays as it is.
pub fn stage(
    shelf: &mut dyn Intake,
    offer: &mut Offer<'_>,
    again: Again,
) -> Result<Staged, StoreError> {
    let listing = look(shelf)?;
    admit(&listing, offer.approved, again)?;
    let counter = offer.approved.counter();
    let target = Target::Generation(counter);
    let version = Version {
        digest: *offer.approved.digest(),
        counter,
    };
    let staged = Staged {
        target,
        version,
        key: key_of(offer.approved),
        again: again.0,
        is_former: false,
    };
    if listing.has(target) {
        match shelf.verify(target) {
            Ok(Held { version: held, .. }) if held == version => return Ok(staged),
            Ok(_) => return Err(Refusal::Counter { counter }.into()),
            // Damaged, and so it is made once more. What is served is recovery's to judge.
            Err(source) if listing.current == Some(target) => {
                let source = Box::new(source);
                return Err(StoreError::Rejected { target, source });
            }
            Err(_) => remove(shelf, counter)?,
        }
    }
    let filled = shelf.fill(offer);
    filled.map_err(|error| of_fill(error, counter))?;
    doing("flushing a generation", shelf.flush())?;
    let (part, generation) = (Entry::Part(counter), Entry::Generation(counter));
    doing("naming a generation", shelf.rename(part, generation))?;
    flush_names(shelf)?;
    Ok(staged)
}

/// Removes a generation: first its name, so that no half of one is ever called so.
pub(crate) fn remove(shelf: &mut dyn Shelf, counter: u64) -> Result<(), StoreError> {
    let (generation, part) = (Entry::Generation(counter), Entry::Part(counter));
    doing("removing what is left of a generation", shelf.remove(part))?;
    doing("removing a generation", shelf.rename(generation, part))?;
    flush_names(shelf)?;
    doing("removing a generation", shelf.remove(part))
}
