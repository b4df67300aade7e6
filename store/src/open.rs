//! The newest generation that is as it was signed, found without changing anything: for a program
//! that reads content of its own, such as a model, and wants to know that it is whole.

use crate::generation::{Held, Reject};
use crate::shelf::{Listing, Shelf, Target};
use crate::{StoreError, look};

/// What was found.
#[derive(Debug)]
#[allow(missing_docs)] // the fields name themselves
pub struct Opened {
    pub target: Target,
    pub held: Held,
    /// Newer ones that are not as they were signed.
    pub rejected: Vec<(Target, Reject)>,
}

/// Nothing was found.
#[derive(Debug)]
#[allow(missing_docs)] // the fields name themselves
pub struct NotOpened {
    pub error: StoreError,
    pub rejected: Vec<(Target, Reject)>,
}

/// Those that may be opened, the newest first. What is on trial is not among them.
#[must_use]
pub fn candidates(listing: &Listing) -> Vec<Target> {
    let trial = listing.ledger().trial.map(|trial| trial.version.counter);
    let own = listing
        .generations
        .iter()
        .filter(|counter| Some(**counter) != trial);
    let mut found: Vec<_> = own
        .map(|counter| (*counter, Target::Generation(*counter)))
        .collect();
    found.extend(listing.seed.map(|counter| (counter, Target::Seed)));
    // Of the same counter the node's own one goes first.
    found.sort_by(|a, b| b.0.cmp(&a.0).then(a.1.cmp(&b.1)));
    found.into_iter().map(|(_, target)| target).collect()
}

/// Finds it.
///
/// # Errors
/// Nothing is as it was signed.
pub fn open(shelf: &mut dyn Shelf) -> Result<Opened, NotOpened> {
    let mut rejected = Vec::new();
    let listing = match look(shelf) {
        Ok(listing) => listing,
        Err(error) => return Err(NotOpened { error, rejected }),
    };
    let ledger = listing.ledger();
    for target in candidates(&listing) {
        match shelf.verify(target) {
            Ok(held) if ledger.failure(&held.version.digest).is_some() => {}
            Ok(held) => {
                return Ok(Opened {
                    target,
                    held,
                    rejected,
                });
            }
            Err(reject) => rejected.push((target, reject)),
        }
    }
    let error = StoreError::Nothing;
    Err(NotOpened { error, rejected })
}
