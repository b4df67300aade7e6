//! Removes the generations that nothing needs: not current, not the former one, not on trial, not
//! pinned by a link of a person.

use wire::ledger::Ledger;

use crate::shelf::{Entry, Listing, Shelf, Target};
use crate::{StoreError, doing, look, stage};

/// The generations that may go.
#[must_use]
pub fn garbage(listing: &Listing, ledger: &Ledger) -> Vec<u64> {
    let pointed = [listing.current, listing.previous].into_iter().flatten();
    let pointed = pointed.filter_map(|target| match target {
        Target::Generation(counter) => Some(counter),
        Target::Seed => None,
    });
    let trial = ledger.trial.as_ref().map(|trial| trial.version);
    let versions = [ledger.current, ledger.previous, trial]
        .into_iter()
        .flatten();
    let mut kept: Vec<u64> = versions
        .map(|version| version.counter)
        .chain(pointed)
        .collect();
    kept.extend(&listing.pinned);
    let all = listing.generations.iter().copied();
    all.filter(|counter| !kept.contains(counter)).collect()
}

/// Removes them, and says which.
///
/// # Errors
/// Some are left.
pub fn collect(shelf: &mut dyn Shelf) -> Result<Vec<u64>, StoreError> {
    let listing = look(shelf)?;
    let garbage = garbage(&listing, &listing.ledger());
    for counter in &garbage {
        stage::remove(shelf, *counter)?;
    }
    Ok(garbage)
}

/// Also those that were put aside.
///
/// # Errors
/// Some are left.
pub fn collect_bad(shelf: &mut dyn Shelf) -> Result<Vec<u64>, StoreError> {
    let bad = look(shelf)?.bad;
    for counter in &bad {
        doing(
            "removing a bad generation",
            shelf.remove(Entry::Bad(*counter)),
        )?;
    }
    Ok(bad)
}
