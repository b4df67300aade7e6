//! The seam to where generations are kept: list, verify, fill, rename, point, flush. Each call is
//! one change; what it leaves behind after a power cut is anybody's guess until the flush that is
//! for it has returned.

use std::fmt::{self, Debug};
use std::io;
use std::os::fd::BorrowedFd;

use bundle::content::{self, ContentError, Taken};
use bundle::trust::Approved;
use bundle::unpack_pipeline::Resources;
use bundle::verify::ChunkSource;
use wire::ledger::{Ledger, LedgerError};
use wire::manifest::Role;

use crate::generation::{Held, Reject};

/// What a pointer may name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Target {
    /// The generation of this counter.
    Generation(u64),
    /// The one that is part of the system.
    Seed,
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Target::Generation(counter) => write!(f, "generation {counter}"),
            Target::Seed => f.write_str("the system's own"),
        }
    }
}

/// A directory among the generations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entry {
    /// Being made, or being removed.
    Part(u64),
    /// A generation.
    Generation(u64),
    /// One that was not as it was signed, kept for a person.
    Bad(u64),
}

/// A pointer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pointer {
    /// What is served.
    Current,
    /// What was served before it.
    Previous,
}

/// What there is, by name. Nothing of it is verified.
#[derive(Debug, Default)]
pub struct Listing {
    /// In ascending order.
    pub generations: Vec<u64>,
    /// In ascending order.
    pub parts: Vec<u64>,
    /// In ascending order.
    pub bad: Vec<u64>,
    /// `None` where there is no pointer, or one to something else.
    pub current: Option<Target>,
    /// Likewise.
    pub previous: Option<Target>,
    /// Generations that other links in the place name: a person wants to keep them.
    pub pinned: Vec<u64>,
    /// The counter that the system's own generation claims, if there is one.
    pub seed: Option<u64>,
    /// `None` where there is no ledger yet.
    pub ledger: Option<Result<Ledger, LedgerError>>,
    /// Who judges what is tried here.
    pub trials: Trials,
}

/// Who judges what is tried in a place.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Trials {
    /// The command that tries it: where that has ended, the trial is over.
    #[default]
    Watched,
    /// The boots that come: a trial stays in the ledger, and nothing that was never kept is served.
    Boots,
}

impl Listing {
    /// The ledger, or that of a place where nothing ever happened.
    #[must_use]
    pub fn ledger(&self) -> Ledger {
        match &self.ledger {
            Some(Ok(ledger)) => ledger.clone(),
            _ => Ledger::default(),
        }
    }

    /// Is there something of this name?
    #[must_use]
    pub fn has(&self, target: Target) -> bool {
        match target {
            Target::Generation(counter) => self.generations.contains(&counter),
            Target::Seed => self.seed.is_some(),
        }
    }
}

/// An approved bundle, and where its chunks come from.
#[derive(Debug)]
#[allow(missing_docs)] // the fields name themselves
pub struct Offer<'a> {
    pub approved: &'a Approved,
    pub role: Role,
    pub chunks: Chunks<'a>,
    pub resources: &'a Resources,
}

/// A source of chunks, without a face.
pub struct Chunks<'a>(pub &'a mut dyn ChunkSource);

impl Debug for Chunks<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Chunks")
    }
}

impl Offer<'_> {
    /// Unpacks and compares it.
    ///
    /// # Errors
    /// See [`ContentError`]; the tree is to be thrown away.
    pub fn take(&mut self, tree: BorrowedFd<'_>) -> Result<Taken, ContentError> {
        let chunks = &mut *self.chunks.0;
        content::take(self.approved, self.role, chunks, tree, self.resources)
    }
}

/// A part was not filled.
#[derive(Debug)]
pub enum FillError {
    /// The file system says no.
    Shelf(io::Error),
    /// The bundle.
    Content(ContentError),
}

impl From<io::Error> for FillError {
    fn from(error: io::Error) -> Self {
        FillError::Shelf(error)
    }
}

/// Keeps the generations of one place.
pub trait Shelf: Debug {
    /// What there is.
    ///
    /// # Errors
    /// It cannot be read.
    fn look(&mut self) -> io::Result<Listing>;

    /// Reads all of a generation and compares it with what was signed.
    ///
    /// # Errors
    /// It is not as it was signed.
    fn verify(&mut self, target: Target) -> Result<Held, Reject>;

    /// After this everything that was done before survives a power cut.
    ///
    /// # Errors
    /// Something that was written before has not reached the medium.
    fn flush(&mut self) -> io::Result<()>;

    /// Renames a directory. It does not replace another one.
    ///
    /// # Errors
    /// Nothing has changed.
    fn rename(&mut self, from: Entry, to: Entry) -> io::Result<()>;

    /// Removes a directory with what is in it.
    ///
    /// # Errors
    /// Some of it may be left.
    fn remove(&mut self, entry: Entry) -> io::Result<()>;

    /// Puts a pointer in place of the former one, at once; `None` removes it.
    ///
    /// # Errors
    /// The former one is there.
    fn point(&mut self, pointer: Pointer, target: Option<Target>) -> io::Result<()>;

    /// Puts these bytes, which are on the medium then, in place of the former ledger, at once.
    ///
    /// # Errors
    /// The former one is there.
    fn write_ledger(&mut self, text: &str) -> io::Result<()>;

    /// After this renames, removals, pointers and the ledger survive a power cut; what is in a
    /// directory needs [`Shelf::flush`].
    ///
    /// # Errors
    /// Any of them may be lost.
    fn flush_names(&mut self) -> io::Result<()>;

    /// Writes for a person why this one is bad.
    ///
    /// # Errors
    /// It stays bad without.
    fn explain(&mut self, counter: u64, why: &str) -> io::Result<()>;
}

/// Keeps generations that are made of signed bundles.
pub trait Intake: Shelf {
    /// Makes the part of the offer's counter, in place of what may be left of an earlier one.
    ///
    /// # Errors
    /// The part is to be thrown away.
    fn fill(&mut self, offer: &mut Offer<'_>) -> Result<(), FillError>;
}
