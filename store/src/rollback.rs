//! Back to what was served before: by the hand of a person, at once. A daemon that runs goes back
//! by way of a [`crate::trial`] instead.

use wire::ledger::{Failed, Ledger, Word};

use crate::generation::Held;
use crate::recover::{self, TAKEN_BACK};
use crate::shelf::{Listing, Pointer, Shelf, Target};
use crate::{StoreError, doing, flush_names, look, write_ledger};

/// What is served now.
#[derive(Debug)]
#[allow(missing_docs)] // the fields name themselves
pub struct RolledBack {
    pub target: Target,
    pub held: Held,
}

/// Points at the former generation, or at the system's own where there is no other. What was left
/// is not taken again by itself.
///
/// # Errors
/// Nothing has changed, or recovery does the rest.
pub fn rollback(shelf: &mut dyn Shelf) -> Result<RolledBack, StoreError> {
    let listing = look(shelf)?;
    let (target, held) = former(shelf, &listing)?;
    doing(
        "writing the pointer",
        shelf.point(Pointer::Current, Some(target)),
    )?;
    doing(
        "writing the pointer to the former one",
        shelf.point(Pointer::Previous, None),
    )?;
    flush_names(shelf)?;
    let mut ledger = listing.ledger();
    leave(&mut ledger);
    ledger.forgive(&held.version.digest);
    ledger.current = Some(held.version);
    ledger.previous = None;
    write_ledger(shelf, &ledger)?;
    // An older one may be left to go back to.
    recover::recover(shelf)?;
    Ok(RolledBack { target, held })
}

/// What is gone back to: the former generation, or the system's own where there is no other. It is
/// as it was signed.
pub(crate) fn former(
    shelf: &mut dyn Shelf,
    listing: &Listing,
) -> Result<(Target, Held), StoreError> {
    let current = listing.current.ok_or(StoreError::Nothing)?;
    let seed = listing.seed.map(|_| Target::Seed);
    let former = listing
        .previous
        .filter(|previous| listing.has(*previous))
        .or(seed);
    let target = former.filter(|former| *former != current);
    let target = target.ok_or(StoreError::NoFormer { target: current })?;
    let held = shelf.verify(target);
    let held = held.map_err(|source| StoreError::Rejected {
        target,
        source: Box::new(source),
    })?;
    Ok((target, held))
}

/// What is served by now is not taken again by itself.
pub(crate) fn leave(ledger: &mut Ledger) {
    if let (Some(version), Some(word)) = (ledger.current, Word::new(TAKEN_BACK)) {
        ledger.remember(Failed {
            version,
            tries: 1,
            word,
        });
    }
}
