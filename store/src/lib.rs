//! Generations of what a node serves beside its system: a signed bundle of content in, a verified
//! directory and a pointer to it out, the one before it kept (`bundles.md` 5).
//!
//! ```text
//! Approved, chunks → stage → Staged → activate → current
//!         trial::prepare → Staged → trial::begin → Trial → switch → keep | take_back
//! ```
//!
//! A [`place`] is a role and a name, `site/www`; on a node it is a directory, which a [`shelf`]
//! stands for: list, fill, rename, point, flush. [`directory`] is the one on a file system.
//!
//! 1. [`recover`] comes first: what is listed and what the ledger says in, what has to be changed
//!    out. It is a pure function, and run twice it changes nothing the second time.
//! 2. [`stage()`](stage::stage) takes a bundle into a generation of its own. Nothing points there.
//! 3. [`activate()`](activate::activate) moves the pointer, which is the commit, and then writes
//!    the ledger. A daemon is tried first: [`trial`].
//! 4. [`rollback`] moves the pointer back, [`collect`] removes what nothing points at, and
//!    [`open`] finds the newest generation that is as it was signed. [`generation`] says whether
//!    one is.
//! 5. [`seed()`](seed::seed) makes the system's own generation, where the system is made.
//!
//! [`sets`] are generations of another kind: lists of packages, each of which is a generation, too.
//!
//! All of it runs under a lock that the caller holds, except [`open`], which changes nothing.

pub mod place;

pub mod generation;
pub mod shelf;

pub mod directory;

pub mod activate;
pub mod recover;
pub mod stage;
pub mod trial;

pub mod collect;
pub mod open;
pub mod rollback;

pub mod sets;

pub mod seed;

use std::io;

use bundle::content::ContentError;
use thiserror::Error;
use wire::ledger::{Ledger, Version};
use wire::outcome::Outcome;

use generation::Reject;
use shelf::{FillError, Listing, Shelf, Target};
use stage::Refusal;

/// Why a place was not changed, or not all the way.
#[derive(Debug, Error)]
#[allow(missing_docs)] // the fields name themselves
pub enum StoreError {
    /// The file system says no.
    #[error("{doing}")]
    Shelf {
        doing: &'static str,
        source: io::Error,
    },
    /// Not this bundle, or not now.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// What it holds.
    #[error("generation {counter} is not made")]
    Content {
        counter: u64,
        source: Box<ContentError>,
    },
    /// The file system has no room for it, or fails.
    #[error("generation {counter} is not made")]
    Filling { counter: u64, source: io::Error },
    /// A generation that is here and is not as it was signed.
    #[error("{target} rejected ({})", source.word())]
    Rejected { target: Target, source: Box<Reject> },
    /// No generation of this counter.
    #[error("generation {counter} is not here")]
    Missing { counter: u64 },
    /// Nothing here is as it was signed.
    #[error("nothing here is as it was signed")]
    Nothing,
    /// Packages that cannot be a set.
    #[error("the set is not made")]
    Set { source: Box<Reject> },
    /// `activate` without something to try.
    #[error("there is no set that was made and not kept")]
    NoSet,
    /// `keep` without a trial.
    #[error("no set is on trial")]
    NoTrial,
    /// `rollback` without a generation before.
    #[error("there is no generation before {target}")]
    NoFormer { target: Target },
}

impl StoreError {
    /// Whether to try again, to refuse the bundle, or to blame this machine.
    #[must_use]
    pub fn outcome(&self) -> Outcome {
        match self {
            StoreError::Shelf { .. } | StoreError::Filling { .. } => Outcome::Fatal,
            StoreError::Content { source, .. } => source.outcome(),
            _ => Outcome::Refuse,
        }
    }
}

/// Says what was being done.
pub(crate) fn doing<T>(doing: &'static str, result: io::Result<T>) -> Result<T, StoreError> {
    result.map_err(|source| StoreError::Shelf { doing, source })
}

/// A generation was not made.
pub(crate) fn of_fill(error: FillError, counter: u64) -> StoreError {
    match error {
        FillError::Shelf(source) => StoreError::Filling { counter, source },
        FillError::Content(source) => StoreError::Content {
            counter,
            source: Box::new(source),
        },
    }
}

/// What is there.
pub(crate) fn look(shelf: &mut dyn Shelf) -> Result<Listing, StoreError> {
    doing("listing the generations", shelf.look())
}

/// Replaces the ledger, durably.
pub(crate) fn write_ledger(shelf: &mut dyn Shelf, ledger: &Ledger) -> Result<(), StoreError> {
    doing(
        "writing the ledger",
        shelf.write_ledger(&ledger.to_string()),
    )?;
    flush_names(shelf)
}

pub(crate) fn flush_names(shelf: &mut dyn Shelf) -> Result<(), StoreError> {
    doing("flushing the directories", shelf.flush_names())
}

/// Where a version is, if it is here.
pub(crate) fn target_of(listing: &Listing, version: &Version) -> Option<Target> {
    let is_here = listing.generations.contains(&version.counter);
    let is_seed = listing.seed == Some(version.counter);
    match is_here {
        true => Some(Target::Generation(version.counter)),
        false => is_seed.then_some(Target::Seed),
    }
}
