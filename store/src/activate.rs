//! Points at a staged generation: from the next look on it is what is served.
//!
//! Steps: `previous`, `current` (the commit), flushed; the ledger; what nothing points at any more
//! is removed. A cut behind the commit leaves the rest to recovery.

use wire::ledger::Version;

use crate::shelf::{Pointer, Shelf, Target};
use crate::stage::Staged;
use crate::{StoreError, collect, doing, flush_names, look, target_of, write_ledger};

/// Serves a generation.
///
/// # Errors
/// What was served is served, unless even that cannot be written: then it may be what was staged.
pub fn activate(shelf: &mut dyn Shelf, staged: &Staged) -> Result<(), StoreError> {
    let listing = look(shelf)?;
    let mut ledger = listing.ledger();
    let before = listing.current.filter(|current| *current != staged.target);
    if before.is_some() {
        doing(
            "writing the pointer to the former one",
            shelf.point(Pointer::Previous, before),
        )?;
    }
    doing(
        "writing the pointer",
        shelf.point(Pointer::Current, Some(staged.target)),
    )?;
    flush_names(shelf)?;
    let is_here = |version: &Version| target_of(&listing, version) == before && before.is_some();
    if ledger.current != Some(staged.version) {
        ledger.previous = ledger.current.filter(is_here);
    }
    ledger.current = Some(staged.version);
    if let (Some(key), Target::Generation(counter)) = (staged.key, staged.target) {
        ledger.raise_floor(key, counter);
    }
    if staged.again {
        ledger.forgive(&staged.version.digest);
    }
    ledger.reset_rollbacks();
    if let Err(error) = write_ledger(shelf, &ledger) {
        // The disk is full, say: an error is to mean that what was served is served.
        let _ = shelf.point(Pointer::Current, listing.current);
        let _ = shelf.flush_names();
        return Err(error);
    }
    collect::collect(shelf)?;
    Ok(())
}
