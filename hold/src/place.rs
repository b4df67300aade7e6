//! Where the versions of a daemon are: `/var/lib/smv/daemon/NAME` with its generations, the link to
//! the one that runs and the ledger; or a plain directory whose `current` is no link, and which has
//! one version for ever.
//!
//! The ledger is the truth and the links follow it: whatever a power cut leaves,
//! [`Place::recover`] makes of it the version that was confirmed last.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, fsync, renameat, symlinkat, unlinkat};
use rustix::io::Errno;
use sha2::{Digest, Sha256};
use thiserror::Error;
use update::ledger_file::{InDirectory, LedgerFile};
use wire::ledger::{Failed, Ledger, LedgerError, Trial, Version, Word};
use wire::service::{LEN_MAX, SERVICE};

use crate::plan::{Plan, PlanError};

/// The link to the generation that runs.
const CURRENT: &str = "current";
/// The link to the one before.
const PREVIOUS: &str = "previous";
const GENERATIONS: &str = "gen";
/// Of a generation: what its program is below.
const TREE: &str = "tree";
const MANIFEST: &str = "MANIFEST";
/// Longest signed manifest: `protocol.md` 4.
const MANIFEST_MAX: u64 = 64 * 1024;

/// A version of a daemon, ready to be started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Generation {
    /// 0 in a plain directory.
    pub counter: u64,
    /// How it is started.
    pub plan: Plan,
}

/// The directory does not hold what it should.
#[derive(Debug, Error)]
#[allow(missing_docs)] // the fields name themselves
pub enum PlaceError {
    /// Reading.
    #[error("reading {}", path.display())]
    Read {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    /// Writing.
    #[error("writing {}", path.display())]
    Write {
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
    /// The ledger.
    #[error("reading the ledger in {}", path.display())]
    Ledger {
        path: PathBuf,
        #[source]
        source: Box<LedgerError>,
    },
    /// Without generations there is nothing to change between.
    #[error("{} is no link to a generation", path.display())]
    Plain { path: PathBuf },
}

/// Whether a version may be tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// It may.
    New,
    /// It is what runs.
    Current,
    /// It was tried, and taken back.
    FailedBefore,
}

/// The directory of a daemon.
#[derive(Clone, Debug)]
pub struct Place {
    directory: PathBuf,
}

impl Place {
    /// Opens nothing yet.
    #[must_use]
    pub const fn new(directory: PathBuf) -> Self {
        Self { directory }
    }

    /// Where it is.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// What `current` is.
    ///
    /// # Errors
    /// See [`PlaceError`].
    pub fn current(&self) -> Result<Generation, PlaceError> {
        match self.counter()? {
            Some(counter) => self.generation(counter),
            None => read(&self.directory.join(CURRENT), 0),
        }
    }

    /// A generation by its counter.
    ///
    /// # Errors
    /// See [`PlaceError`].
    pub fn generation(&self, counter: u64) -> Result<Generation, PlaceError> {
        read(&self.generation_path(counter), counter)
    }

    /// The counter that the link names; `None`: it is a plain directory, or leads to one, such as
    /// the version that is part of the system.
    fn counter(&self) -> Result<Option<u64>, PlaceError> {
        let path = self.directory.join(CURRENT);
        match fs::read_link(&path) {
            Ok(target) if target.is_absolute() => Ok(None),
            Ok(target) => {
                let name = target.file_name().and_then(|name| name.to_str());
                let counter = name.and_then(|name| name.parse().ok());
                let is_ours = |counter: &u64| target == Path::new(&link_target(*counter));
                let counter = counter.filter(is_ours);
                counter.map(Some).ok_or(PlaceError::Plain { path })
            }
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => Ok(None),
            Err(source) => Err(PlaceError::Read { path, source }),
        }
    }

    fn generation_path(&self, counter: u64) -> PathBuf {
        self.directory.join(link_target(counter))
    }

    /// Whether this generation may be tried.
    ///
    /// # Errors
    /// See [`PlaceError`].
    pub fn admit(&self, counter: u64) -> Result<Admission, PlaceError> {
        if self.must_be_linked()? == counter {
            return Ok(Admission::Current);
        }
        let version = self.version(counter)?;
        let ledger = self.ledger()?;
        Ok(match ledger.failure(&version.digest) {
            Some(_) => Admission::FailedBefore,
            None => Admission::New,
        })
    }

    /// Writes down that this generation is about to be tried; durable when it returns.
    ///
    /// # Errors
    /// See [`PlaceError`].
    pub fn begin(&self, counter: u64) -> Result<(), PlaceError> {
        let current = self.version(self.must_be_linked()?)?;
        let mut ledger = self.ledger()?;
        let version = self.version(counter)?;
        ledger.forgive(&version.digest);
        ledger.current = Some(current);
        ledger.trial = Some(Trial {
            version,
            key: None,
            left: 1,
        });
        self.write(&ledger)
    }

    /// Makes `current` this generation; durable when it returns.
    ///
    /// # Errors
    /// See [`PlaceError`].
    pub fn point(&self, counter: u64) -> Result<(), PlaceError> {
        self.link(CURRENT, counter)
    }

    /// Keeps what is tried: from now on it is what a power cut comes back to.
    ///
    /// # Errors
    /// See [`PlaceError`].
    pub fn commit(&self) -> Result<(), PlaceError> {
        let mut ledger = self.ledger()?;
        let Some(trial) = ledger.trial.take() else {
            return Ok(());
        };
        let former = ledger.current.replace(trial.version);
        ledger.previous = former;
        self.write(&ledger)?;
        match former {
            Some(former) => self.link(PREVIOUS, former.counter),
            None => Ok(()),
        }
    }

    /// Gives up what is tried. With a reason it is not tried again by itself.
    ///
    /// # Errors
    /// See [`PlaceError`].
    pub fn take_back(&self, reason: Option<Word>) -> Result<(), PlaceError> {
        let mut ledger = self.ledger()?;
        let Some(trial) = ledger.trial.take() else {
            return Ok(());
        };
        if let Some(current) = ledger.current {
            self.point(current.counter)?;
        }
        if let Some(word) = reason {
            ledger.remember(Failed {
                version: trial.version,
                tries: 1,
                word,
            });
        }
        self.write(&ledger)
    }

    /// Remembers a version that was refused before anything was changed for it.
    ///
    /// # Errors
    /// See [`PlaceError`].
    pub fn remember(&self, counter: u64, word: Word) -> Result<(), PlaceError> {
        let version = self.version(counter)?;
        let mut ledger = self.ledger()?;
        ledger.remember(Failed {
            version,
            tries: 1,
            word,
        });
        self.write(&ledger)
    }

    /// Puts right what a power cut in the middle of a trial has left: what was confirmed last is
    /// current, and what was tried has failed. The counter of that one; `None` when nothing was
    /// tried. Twice is like once.
    ///
    /// # Errors
    /// See [`PlaceError`].
    pub fn recover(&self) -> Result<Option<u64>, PlaceError> {
        if self.counter()?.is_none() {
            return Ok(None);
        }
        let Some(trial) = self.ledger()?.trial else {
            return Ok(None);
        };
        self.take_back(Word::new("interrupted"))?;
        Ok(Some(trial.version.counter))
    }

    fn must_be_linked(&self) -> Result<u64, PlaceError> {
        self.counter()?.ok_or_else(|| PlaceError::Plain {
            path: self.directory.join(CURRENT),
        })
    }

    /// The digest of its manifest is the name of a version.
    fn version(&self, counter: u64) -> Result<Version, PlaceError> {
        let manifest = bytes(&self.generation_path(counter).join(MANIFEST), MANIFEST_MAX)?;
        Ok(Version {
            digest: Sha256::digest(manifest).into(),
            counter,
        })
    }

    fn open(&self) -> Result<InDirectory, PlaceError> {
        let opened = File::open(&self.directory);
        let directory = opened.map_err(|source| PlaceError::Read {
            path: self.directory.clone(),
            source,
        })?;
        Ok(InDirectory(directory.into()))
    }

    /// One that was never written is what a machine has that was never updated.
    fn ledger(&self) -> Result<Ledger, PlaceError> {
        let read = self.open()?.read();
        let bytes = read.map_err(|source| PlaceError::Read {
            path: self.directory.join("ledger"),
            source,
        })?;
        match bytes {
            None => Ok(Ledger::default()),
            Some(bytes) => Ledger::parse(&bytes).map_err(|error| PlaceError::Ledger {
                path: self.directory.clone(),
                source: Box::new(error),
            }),
        }
    }

    fn write(&self, ledger: &Ledger) -> Result<(), PlaceError> {
        let written = self.open()?.replace(ledger.to_string().as_bytes());
        written.map_err(|source| PlaceError::Write {
            path: self.directory.join("ledger"),
            source,
        })
    }

    /// A new link in place of the one there is, which names the old or the new target at any time.
    fn link(&self, name: &str, counter: u64) -> Result<(), PlaceError> {
        let part = format!(".{name}.part");
        let replace = |directory: &InDirectory| -> Result<(), Errno> {
            match unlinkat(&directory.0, &part, AtFlags::empty()) {
                Ok(()) | Err(Errno::NOENT) => {}
                Err(errno) => return Err(errno),
            }
            symlinkat(link_target(counter), &directory.0, &part)?;
            renameat(&directory.0, &part, &directory.0, name)?;
            fsync(&directory.0)
        };
        replace(&self.open()?).map_err(|errno| PlaceError::Write {
            path: self.directory.join(name),
            source: errno.into(),
        })
    }
}

fn link_target(counter: u64) -> String {
    format!("{GENERATIONS}/{counter:010}")
}

fn read(directory: &Path, counter: u64) -> Result<Generation, PlaceError> {
    let path = directory.join(SERVICE);
    let service = bytes(&path, LEN_MAX as u64)?;
    let plan = Plan::parse(&service, &directory.join(TREE));
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
