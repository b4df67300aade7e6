//! Removes the generations that nothing needs: not current, not the former one, not on trial, not
//! staged for later, not pinned by a link of a person.

use wire::ledger::Ledger;

use crate::shelf::{Entry, Listing, Shelf, Target};
use crate::{StoreError, doing, look, stage};

/// What was staged for later, such as a daemon that nobody holds or a set that is not armed yet:
/// the newest generation, where it is newer than what is served and has neither failed nor been
/// left. What it has overtaken nobody waits for.
#[must_use]
pub fn staged(listing: &Listing, ledger: &Ledger) -> Option<u64> {
    let served = match listing.current {
        Some(Target::Generation(counter)) => Some(counter),
        Some(Target::Seed) => listing.seed,
        None => None,
    };
    let newest = listing.generations.last().copied()?;
    let mut failed = ledger.failed().iter();
    let has_failed = failed.any(|failed| failed.version.counter == newest);
    (Some(newest) > served && !has_failed).then_some(newest)
}

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
    kept.extend(staged(listing, ledger));
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

#[cfg(test)]
mod tests {
    use super::{garbage, staged};
    use crate::shelf::{Listing, Target};
    use wire::ledger::{Failed, Ledger, Version, Word};

    fn listing(current: Option<Target>) -> Listing {
        Listing {
            generations: vec![1, 2, 4, 6, 7],
            current,
            seed: Some(5),
            ..Listing::default()
        }
    }

    fn failed(counter: u64) -> Ledger {
        let version = Version {
            digest: [7; 32],
            counter,
        };
        let word = Word::new("not-ready").unwrap();
        let mut ledger = Ledger::default();
        ledger.remember(Failed {
            version,
            tries: 1,
            word,
        });
        ledger
    }

    #[test]
    fn the_newest_above_what_is_served_waits_unless_it_has_failed() {
        let of = |counter| Some(Target::Generation(counter));
        for (current, ledger, expected) in [
            (of(2), Ledger::default(), Some(7)),
            (of(2), failed(7), None),
            (of(2), failed(6), Some(7)),
            (of(7), Ledger::default(), None),
            (Some(Target::Seed), Ledger::default(), Some(7)),
            (None, Ledger::default(), Some(7)),
        ] {
            let found = staged(&listing(current), &ledger);
            assert_eq!(found, expected, "{current:?}, {ledger:?}");
        }
        let seeded = Listing {
            generations: vec![4],
            ..listing(Some(Target::Seed))
        };
        assert_eq!(staged(&seeded, &Ledger::default()), None);
        assert_eq!(staged(&Listing::default(), &Ledger::default()), None);
    }

    #[test]
    fn what_a_staged_one_has_overtaken_may_go() {
        let listing = Listing {
            previous: Some(Target::Generation(1)),
            ..listing(Some(Target::Generation(2)))
        };
        assert_eq!(garbage(&listing, &Ledger::default()), [4, 6]);
        assert_eq!(garbage(&listing, &failed(7)), [4, 6, 7]);
    }
}
