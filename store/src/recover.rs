//! What a power cut, a crash or damage has left is put right: what is listed, what the ledger says
//! and what verifies in, a [`Plan`] of changes out. The same facts give the same plan, and after it
//! was carried out the next one is empty.
//!
//! What `current` names stays, if it is as it was signed; else the newest generation that is, else
//! the one in the system. The one in the system wins where its counter is higher. What is not as it
//! was signed gets another name and is kept for a person. Where nothing is, there is no `current`:
//! nothing is served rather than something that nobody has signed.

use wire::chain::chain;
use wire::ledger::{Failed, Ledger, Version, Word};

use crate::generation::{Held, Reject};
use crate::shelf::{Entry, Listing, Pointer, Shelf, Target, Trials};
use crate::{StoreError, doing, flush_names, look, target_of, write_ledger};

/// Why a trial failed that nobody has judged.
const INTERRUPTED: &str = "interrupted";
/// Why a version is not taken that a person has left.
pub(crate) const TAKEN_BACK: &str = "taken-back";

/// Something that was put right.
#[derive(Debug)]
pub enum Finding {
    /// The rest of an interrupted run is gone.
    Left(u64),
    /// A generation was not as it was signed.
    Bad(Target, Reject),
    /// The pointer names this now; `None`: nothing is as it was signed.
    Current(Option<Target>),
    /// A trial was interrupted; what was served before is served again.
    Interrupted(Version),
    /// The ledger could not be read: floors and failures are forgotten.
    LedgerLost,
    /// The ledger follows the pointer.
    LedgerWritten,
}

/// What is to be done.
#[derive(Debug, Default)]
pub struct Plan {
    /// Parts to be removed.
    pub parts: Vec<u64>,
    /// A pointer that is to be moved, and where to.
    pub current: Option<Option<Target>>,
    /// Likewise.
    pub previous: Option<Option<Target>>,
    /// The new ledger.
    pub ledger: Option<Ledger>,
    /// The old one could not be read.
    pub is_ledger_lost: bool,
    /// A trial that nobody has judged.
    pub interrupted: Option<Version>,
    /// Generations that are not as they were signed.
    pub bad: Vec<(Target, Reject)>,
}

/// Decides. `judge` verifies a generation; it is asked about no more than is needed.
pub fn plan(listing: &Listing, judge: &mut dyn FnMut(Target) -> Result<Held, Reject>) -> Plan {
    let mut plan = Plan {
        parts: listing.parts.clone(),
        is_ledger_lost: matches!(listing.ledger, Some(Err(_))),
        ..Plan::default()
    };
    let mut ledger = listing.ledger();
    let old = match plan.is_ledger_lost {
        true => None,
        false => Some(ledger.clone()),
    };
    let mut wanted = listing.current;
    let tried = ledger.trial.take();
    if let (Trials::Boots, Some(trial)) = (listing.trials, &tried) {
        let target = target_of(listing, &trial.version);
        match target.is_some() && target == listing.current {
            // It was kept, and the ledger does not have it yet.
            true => ledger.reset_rollbacks(),
            false => ledger.trial = tried,
        }
    } else if let Some(trial) = tried {
        wanted = ledger
            .current
            .and_then(|current| target_of(listing, &current));
        plan.interrupted = Some(trial.version);
        // A way back stays one.
        if ledger.previous != Some(trial.version) {
            remember(&mut ledger, trial.version, INTERRUPTED);
            ledger.count_rollback();
        }
    }
    let chosen = choose(listing, &ledger, wanted, judge, &mut plan.bad);
    let target = chosen.as_ref().map(|(target, _)| *target);
    if listing.current != target {
        plan.current = Some(target);
    }
    let left = ledger
        .current
        .and_then(|current| target_of(listing, &current));
    match &chosen {
        Some((_, held)) => {
            // The pointer went back before the ledger had it: by the hand of a person.
            let is_back = wanted == target
                && ledger
                    .current
                    .is_some_and(|current| current.counter > held.version.counter);
            let is_left = is_back && left.is_some_and(|left| judge(left).is_ok());
            if let Some(current) = ledger.current.filter(|_| is_left) {
                remember(&mut ledger, current, TAKEN_BACK);
            }
            adopt(&mut ledger, held);
        }
        None => ledger.current = None,
    }
    // What was served, and what the ledger calls so, went before the one that is served now.
    let before = [wanted, left, listing.previous];
    let previous = former(listing, &ledger, target, &before, &plan.bad);
    let version = previous.and_then(|previous| {
        known(&ledger, old.as_ref(), listing, previous).or_else(|| match judge(previous) {
            Ok(held) => Some(held.version),
            Err(reject) => {
                plan.bad.push((previous, reject));
                None
            }
        })
    });
    let previous = previous.filter(|_| version.is_some());
    if listing.previous != previous {
        plan.previous = Some(previous);
    }
    ledger.previous = version;
    let is_new = listing.ledger.is_none() && ledger == Ledger::default();
    if old.as_ref() != Some(&ledger) && !is_new {
        plan.ledger = Some(ledger);
    }
    plan
}

fn remember(ledger: &mut Ledger, version: Version, word: &str) {
    // The words are of the ledger's form.
    if let Some(word) = Word::new(word) {
        ledger.remember(Failed {
            version,
            tries: 1,
            word,
        });
    }
}

/// The first that verifies: what is wanted, then the others, the newest first, then the system's.
/// What has failed here is only taken when a pointer names it.
fn choose(
    listing: &Listing,
    ledger: &Ledger,
    wanted: Option<Target>,
    judge: &mut dyn FnMut(Target) -> Result<Held, Reject>,
    bad: &mut Vec<(Target, Reject)>,
) -> Option<(Target, Held)> {
    let wanted = wanted.filter(|wanted| listing.has(*wanted));
    let others = listing
        .generations
        .iter()
        .rev()
        .map(|counter| Target::Generation(*counter));
    let known = [ledger.current, ledger.previous].into_iter().flatten();
    let known: Vec<_> = known
        .filter_map(|version| target_of(listing, &version))
        .chain(listing.previous)
        .collect();
    let may_be = |other: &Target| listing.trials == Trials::Watched || known.contains(other);
    let others = others.filter(|other| Some(*other) != wanted && may_be(other));
    let mut chosen: Option<(Target, Held)> = None;
    for target in wanted.into_iter().chain(others) {
        match judge(target) {
            Ok(held)
                if Some(target) == wanted || ledger.failure(&held.version.digest).is_none() =>
            {
                chosen = Some((target, held));
                break;
            }
            Ok(_) => {}
            Err(reject) => bad.push((target, reject)),
        }
    }
    let counter = chosen.as_ref().map(|(_, held)| held.version.counter);
    let is_newer = |seed: &u64| counter.is_none_or(|counter| *seed > counter);
    if listing.seed.as_ref().is_some_and(is_newer) && wanted != Some(Target::Seed) {
        match judge(Target::Seed) {
            Ok(held) if ledger.failure(&held.version.digest).is_none() => {
                chosen = Some((Target::Seed, held));
            }
            Ok(_) => {}
            Err(reject) => bad.push((Target::Seed, reject)),
        }
    }
    chosen
}

/// The ledger follows what is served.
fn adopt(ledger: &mut Ledger, held: &Held) {
    ledger.current = Some(held.version);
    ledger.forgive(&held.version.digest);
    if let Some(key) = held.key {
        ledger.raise_floor(key, held.version.counter);
    }
}

/// What was served before `current`: the first of `before` that may be, or the newest generation
/// below it.
fn former(
    listing: &Listing,
    ledger: &Ledger,
    current: Option<Target>,
    before: &[Option<Target>],
    bad: &[(Target, Reject)],
) -> Option<Target> {
    let is_good = |target: &Target| {
        let is_bad = bad.iter().any(|(bad, _)| bad == target);
        let has_failed = ledger
            .failed()
            .iter()
            .any(|failed| target_of(listing, &failed.version) == Some(*target));
        listing.has(*target) && Some(*target) != current && !is_bad && !has_failed
    };
    if let Some(previous) = before.iter().flatten().copied().find(is_good) {
        return Some(previous);
    }
    if listing.trials == Trials::Boots {
        return None;
    }
    let below = match current? {
        Target::Generation(counter) => counter,
        Target::Seed => listing.seed?,
    };
    let older = listing
        .generations
        .iter()
        .rev()
        .filter(|counter| **counter < below);
    older
        .map(|counter| Target::Generation(*counter))
        .find(is_good)
}

/// The version of a target, as far as a ledger has it.
fn known(
    ledger: &Ledger,
    old: Option<&Ledger>,
    listing: &Listing,
    target: Target,
) -> Option<Version> {
    let of_old = old.into_iter().flat_map(|old| [old.previous, old.current]);
    let mut versions = [ledger.previous].into_iter().chain(of_old).flatten();
    versions.find(|version| target_of(listing, version) == Some(target))
}

/// Puts right what is to be put right.
///
/// # Errors
/// The rest is done the next time.
pub fn recover(shelf: &mut dyn Shelf) -> Result<Vec<Finding>, StoreError> {
    let listing = look(shelf)?;
    let plan = plan(&listing, &mut |target| shelf.verify(target));
    carry_out(shelf, &listing, plan)
}

fn carry_out(
    shelf: &mut dyn Shelf,
    listing: &Listing,
    plan: Plan,
) -> Result<Vec<Finding>, StoreError> {
    let mut findings = Vec::new();
    for part in plan.parts {
        let removed = shelf.remove(Entry::Part(part));
        doing("removing what is left of a generation", removed)?;
        findings.push(Finding::Left(part));
    }
    if let Some(target) = plan.previous {
        doing(
            "writing the pointer to the former one",
            shelf.point(Pointer::Previous, target),
        )?;
    }
    if let Some(target) = plan.current {
        doing("writing the pointer", shelf.point(Pointer::Current, target))?;
        findings.push(Finding::Current(target));
    }
    if plan.current.is_some() || plan.previous.is_some() {
        flush_names(shelf)?;
    }
    findings.extend(plan.interrupted.map(Finding::Interrupted));
    findings.extend(plan.is_ledger_lost.then_some(Finding::LedgerLost));
    if let Some(ledger) = plan.ledger {
        write_ledger(shelf, &ledger)?;
        findings.push(Finding::LedgerWritten);
    }
    for (target, reject) in plan.bad {
        if let Target::Generation(counter) = target {
            spoil(shelf, listing, counter, &reject)?;
        }
        findings.push(Finding::Bad(target, reject));
    }
    Ok(findings)
}

/// Puts a generation aside. Nothing points there any more.
fn spoil(
    shelf: &mut dyn Shelf,
    listing: &Listing,
    counter: u64,
    reject: &Reject,
) -> Result<(), StoreError> {
    let (generation, bad) = (Entry::Generation(counter), Entry::Bad(counter));
    if listing.bad.contains(&counter) {
        doing("removing an earlier bad generation", shelf.remove(bad))?;
    }
    doing(
        "putting a bad generation aside",
        shelf.rename(generation, bad),
    )?;
    flush_names(shelf)?;
    let why = format!("{}\n", chain(reject));
    doing(
        "writing why a generation is bad",
        shelf.explain(counter, &why),
    )
}
