//! Where the versions of a daemon are: `/var/lib/smv/daemon/NAME` with its signed generations,
//! which `store` verifies, points at and remembers; or a plain directory whose `current` is no link
//! to one of them, and which has one version for ever.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use bundle::trust::Trust;
use store::StoreError;
use store::directory::Directory;
use store::place::Place as Name;
use store::recover::{self, Finding};
use store::shelf::{Shelf, Target};
use store::stage::{Again, Refusal, Staged};
use store::trial::{self, Trial};
use store::{collect, generation};
use thiserror::Error;
use wire::ledger::Word;
use wire::service::{LEN_MAX, SERVICE};

use crate::event::Why;
use crate::plan::{Plan, PlanError};

/// The link to the generation that runs.
const CURRENT: &str = "current";

/// A version of a daemon, ready to be started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Generation {
    /// 0 in a plain directory.
    pub counter: u64,
    /// How it is started.
    pub plan: Plan,
}

/// A version that may be tried: it is as it was signed.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// How it is started.
    pub generation: Generation,
    /// For the ledger.
    pub staged: Staged,
}

/// What is to run in place of what runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// The generation with this counter.
    Version {
        /// Of its manifest.
        counter: u64,
        /// Also one that has failed before.
        again: Again,
    },
    /// The one that was kept before.
    Former,
}

/// The directory does not hold what it should.
#[derive(Debug, Error)]
#[allow(missing_docs)] // the fields name themselves
pub enum PlaceError {
    /// Making or reading.
    #[error("reading {}", path.display())]
    Read {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    /// `SERVICE`.
    #[error("in {}", path.display())]
    Plan {
        path: PathBuf,
        #[source]
        source: PlanError,
    },
    /// Generations, pointers, ledger.
    #[error("in {}", path.display())]
    Store {
        path: PathBuf,
        #[source]
        source: Box<StoreError>,
    },
    /// Without generations there is nothing to change between.
    #[error("{} is no link to a generation", path.display())]
    Plain { path: PathBuf },
}

impl PlaceError {
    /// Why a version was not even tried.
    #[must_use]
    pub fn why(&self) -> Why {
        let source = match self {
            PlaceError::Store { source, .. } => source,
            _ => return Why::NoGeneration,
        };
        match &**source {
            StoreError::Shelf { .. } => Why::Ledger,
            StoreError::Rejected { .. } => Why::Rejected,
            StoreError::Refused(refusal) => match refusal {
                Refusal::Current { .. } | Refusal::Same { .. } => Why::Current,
                Refusal::BelowFloor { .. } => Why::BelowFloor,
                Refusal::Failed { .. } => Why::FailedBefore,
                Refusal::Trial { .. } => Why::Busy,
                Refusal::Stopped => Why::Stopped,
                Refusal::Counter { .. } => Why::Rejected,
            },
            StoreError::NoFormer { .. } => Why::NoFormer,
            _ => Why::NoGeneration,
        }
    }
}

/// The directory of a daemon.
#[derive(Clone, Debug)]
pub struct Place {
    directory: PathBuf,
    /// `None`: a plain directory.
    signed: Option<Signed>,
}

#[derive(Clone, Debug)]
struct Signed {
    name: Name,
    /// The system's own generation.
    seed: PathBuf,
    trust: Trust,
}

impl Place {
    /// Signed generations of this name in `directory`; the system's own one is in `seed`, where
    /// there is one.
    #[must_use]
    pub const fn signed(directory: PathBuf, name: Name, seed: PathBuf, trust: Trust) -> Self {
        let signed = Some(Signed { name, seed, trust });
        Self { directory, signed }
    }

    /// One version, in `current`, which nobody has to have signed.
    #[must_use]
    pub const fn plain(directory: PathBuf) -> Self {
        let signed = None;
        Self { directory, signed }
    }

    /// Whether `current` is there and leads to no generation: a directory, or a link to one
    /// elsewhere than in `seed`.
    #[must_use]
    pub fn is_plain(directory: &Path, seed: &Path) -> bool {
        let current = directory.join(CURRENT);
        match fs::read_link(&current) {
            Ok(target) => target.is_absolute() && target != seed,
            Err(_) => current.is_dir(),
        }
    }

    /// Where it is.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Makes the directory of a daemon that has run nowhere yet.
    ///
    /// # Errors
    /// See [`PlaceError`].
    pub fn make(&self) -> Result<(), PlaceError> {
        let Some(mut shelf) = self.shelf() else {
            return Ok(());
        };
        let made = shelf.make();
        made.map_err(|source| PlaceError::Read {
            path: self.directory.clone(),
            source,
        })
    }

    fn shelf(&self) -> Option<Directory> {
        let Signed { name, seed, trust } = self.signed.as_ref()?;
        let (top, seed) = (self.directory.clone(), seed.clone());
        Some(Directory::at(name, top, seed, trust.clone()))
    }

    fn must_be_signed(&self) -> Result<Directory, PlaceError> {
        self.shelf().ok_or_else(|| PlaceError::Plain {
            path: self.directory.join(CURRENT),
        })
    }

    fn of<T>(&self, result: Result<T, StoreError>) -> Result<T, PlaceError> {
        result.map_err(|source| PlaceError::Store {
            path: self.directory.clone(),
            source: Box::new(source),
        })
    }

    /// Puts right what a power cut or damage has left (`bundles.md` 5): what was confirmed last is
    /// current, if it is as it was signed, and what was tried has failed.
    ///
    /// # Errors
    /// See [`PlaceError`].
    pub fn recover(&self) -> Result<Vec<Finding>, PlaceError> {
        match self.shelf() {
            Some(mut shelf) => self.of(recover::recover(&mut shelf)),
            None => Ok(vec![]),
        }
    }

    /// What `current` is.
    ///
    /// # Errors
    /// See [`PlaceError`].
    pub fn current(&self) -> Result<Generation, PlaceError> {
        let Some(mut shelf) = self.shelf() else {
            return read(&self.directory.join(CURRENT), 0);
        };
        let listing = shelf.look().map_err(|source| PlaceError::Read {
            path: self.directory.clone(),
            source,
        })?;
        match listing.current {
            Some(target) => read_target(&shelf, target),
            None => self.of(Err(StoreError::Nothing)),
        }
    }

    /// A generation by its counter. Nothing of it is verified.
    ///
    /// # Errors
    /// See [`PlaceError`].
    pub fn generation(&self, counter: u64) -> Result<Generation, PlaceError> {
        read_target(&self.must_be_signed()?, Target::Generation(counter))
    }

    /// A generation that may be tried. Reads all of it: that takes as long as it is large.
    ///
    /// # Errors
    /// See [`PlaceError`].
    pub fn prepare(&self, counter: u64, again: Again) -> Result<Candidate, PlaceError> {
        let mut shelf = self.must_be_signed()?;
        let staged = self.of(trial::prepare(&mut shelf, counter, again))?;
        let generation = read_target(&shelf, staged.target())?;
        Ok(Candidate { generation, staged })
    }

    /// The version that was kept before this one, to be gone back to. Reads all of it, too.
    ///
    /// # Errors
    /// See [`PlaceError`].
    pub fn prepare_former(&self) -> Result<Candidate, PlaceError> {
        let mut shelf = self.must_be_signed()?;
        let staged = self.of(trial::prepare_former(&mut shelf))?;
        let generation = read_target(&shelf, staged.target())?;
        Ok(Candidate { generation, staged })
    }

    /// What somebody wants, if it may be tried.
    ///
    /// # Errors
    /// See [`PlaceError`].
    pub fn candidate(&self, wanted: Wanted) -> Result<Candidate, PlaceError> {
        match wanted {
            Wanted::Version { counter, again } => self.prepare(counter, again),
            Wanted::Former => self.prepare_former(),
        }
    }

    /// Writes down that this one is tried, and points at it; durable when it returns.
    ///
    /// # Errors
    /// See [`PlaceError`]; `current` is what it was.
    pub fn begin(&self, staged: Staged) -> Result<Trial, PlaceError> {
        let mut shelf = self.must_be_signed()?;
        let trial = self.of(trial::begin(&mut shelf, staged))?;
        match self.of(trial::switch(&mut shelf, &trial)) {
            Ok(()) => Ok(trial),
            Err(error) => {
                self.of(trial::give_up(&mut shelf, &trial))?;
                Err(error)
            }
        }
    }

    /// Keeps what is tried: from now on it is what a power cut comes back to.
    ///
    /// # Errors
    /// See [`PlaceError`]; it is to be taken back.
    pub fn keep(&self, trial: &Trial) -> Result<(), PlaceError> {
        self.of(trial::keep(&mut self.must_be_signed()?, trial))
    }

    /// Removes the generations that nothing needs any more.
    ///
    /// # Errors
    /// See [`PlaceError`]; some are left.
    pub fn collect(&self) -> Result<(), PlaceError> {
        let collected = collect::collect(&mut self.must_be_signed()?);
        self.of(collected).map(drop)
    }

    /// What was current before is current again. With a reason what was tried is not tried again
    /// by itself.
    ///
    /// # Errors
    /// See [`PlaceError`]; recovery does the rest.
    pub fn take_back(&self, trial: &Trial, reason: Option<Word>) -> Result<(), PlaceError> {
        let mut shelf = self.must_be_signed()?;
        self.of(match reason {
            Some(word) => trial::take_back(&mut shelf, trial, word),
            None => trial::give_up(&mut shelf, trial),
        })
    }

    /// Remembers a version that failed before anything was changed for it.
    ///
    /// # Errors
    /// See [`PlaceError`].
    pub fn refuse(&self, staged: &Staged, word: Word) -> Result<(), PlaceError> {
        self.of(trial::refuse(&mut self.must_be_signed()?, staged, word))
    }
}

fn read_target(shelf: &Directory, target: Target) -> Result<Generation, PlaceError> {
    let path = shelf.path(target);
    let counter = match target {
        Target::Generation(counter) => counter,
        Target::Seed => {
            let opened = File::open(&path).map_err(|source| PlaceError::Read {
                path: path.clone(),
                source,
            })?;
            generation::claimed_counter(opened.as_fd()).unwrap_or(0)
        }
    };
    read(&path, counter)
}

fn read(directory: &Path, counter: u64) -> Result<Generation, PlaceError> {
    let path = directory.join(SERVICE);
    let service = bytes(&path, LEN_MAX as u64)?;
    let plan = Plan::parse(&service, &directory.join(generation::TREE));
    let plan = plan.map_err(|source| PlaceError::Plan { path, source })?;
    Ok(Generation { counter, plan })
}

/// One byte more than the most, so that too long is seen.
fn bytes(path: &Path, most: u64) -> Result<Vec<u8>, PlaceError> {
    let mut bytes = Vec::new();
    let read =
        File::open(path).and_then(|file| file.take(most.saturating_add(1)).read_to_end(&mut bytes));
    read.map_err(|source| PlaceError::Read {
        path: path.to_owned(),
        source,
    })?;
    Ok(bytes)
}

#[cfg(test)]
mod tests;
