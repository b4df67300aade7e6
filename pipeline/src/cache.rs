//! What steps have made, outside the source tree: `steps/NAME/KEY/out`, beside it `record` with the
//! inputs, time and size. A directory gets its name KEY once it is whole. Everything here may be
//! deleted at any time.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use crate::inputs::Inputs;

/// The directory of all steps.
#[derive(Clone, Debug)]
pub struct Cache {
    top: PathBuf,
}

/// What a step has made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Made {
    /// Its name in the cache.
    pub key: String,
    /// The directory that the command filled.
    pub output: PathBuf,
    /// Of what it was made.
    pub inputs: Inputs,
    /// The hash of the output, by which steps behind know it.
    pub digest: String,
    /// The size of the output.
    pub bytes: u64,
    /// How long the command ran.
    pub took: Duration,
    /// When it was made.
    pub at: SystemTime,
}

/// There is no place for a cache.
#[derive(Debug, thiserror::Error)]
#[error("none of SPK_VISOR_CACHE, XDG_CACHE_HOME and HOME names a directory for the cache")]
pub struct NoCache;

/// A lock on one output, until it is dropped and every process that inherited it has ended.
#[derive(Debug)]
pub struct Lock(pub File);

impl Cache {
    /// The one that the environment names.
    ///
    /// # Errors
    /// It names none.
    pub fn of_environment() -> Result<Self, NoCache> {
        let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty());
        let own = variable("SPK_VISOR_CACHE").map(PathBuf::from);
        let shared = || Some(PathBuf::from(variable("XDG_CACHE_HOME")?).join("spk-visor"));
        let home = || Some(PathBuf::from(variable("HOME")?).join(".cache/spk-visor"));
        let cache = own.or_else(shared).or_else(home).ok_or(NoCache)?;
        Ok(Self::at(&cache))
    }

    /// The steps' part of a cache.
    #[must_use]
    pub fn at(cache: &Path) -> Self {
        let cache = std::path::absolute(cache).unwrap_or_else(|_| cache.to_owned());
        Self {
            top: cache.join("steps"),
        }
    }

    /// The directory of one step, made where it is missing.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn directory(&self, step: &str) -> io::Result<PathBuf> {
        let directory = self.top.join(step);
        fs::create_dir_all(&directory)?;
        Ok(directory)
    }

    /// What a step has made of these inputs, if it is here and whole.
    #[must_use]
    pub fn find(&self, step: &str, key: &str) -> Option<Made> {
        let directory = self.top.join(step).join(key);
        let record = directory.join("record");
        let text = fs::read_to_string(&record).ok()?;
        let at = record.metadata().ok()?.modified().ok()?;
        let output = directory.join("out");
        if !output.is_dir() {
            return None;
        }
        let (head, inputs) = text.split_once("\n\n")?;
        let field = |name: &str| {
            let value = |line: &str| Some(line.strip_prefix(name)?.strip_prefix('\t')?.to_owned());
            head.lines().find_map(value)
        };
        Some(Made {
            key: key.to_owned(),
            output,
            inputs: Inputs::parse(inputs),
            digest: field("digest")?,
            bytes: field("bytes")?.parse().ok()?,
            took: Duration::from_millis(field("milliseconds")?.parse().ok()?),
            at,
        })
    }

    /// The last that a step has made, of whatever inputs.
    #[must_use]
    pub fn newest(&self, step: &str) -> Option<Made> {
        let entries = fs::read_dir(self.top.join(step)).ok()?;
        let made = entries.filter_map(|entry| {
            let name = entry.ok()?.file_name();
            let key = name.to_str().filter(|name| !name.contains('.'))?;
            self.find(step, key)
        });
        made.max_by_key(|made| made.at)
    }
}

impl Made {
    /// As it lies beside the output.
    #[must_use]
    pub fn record(&self) -> String {
        format!(
            "digest\t{}\nbytes\t{}\nmilliseconds\t{}\n\n{}",
            self.digest,
            self.bytes,
            self.took.as_millis(),
            self.inputs.text()
        )
    }
}

impl Lock {
    /// Takes the lock in a file; calls `waits` before it waits for another build.
    ///
    /// # Errors
    /// The file cannot be made or locked.
    pub fn take(path: &Path, waits: impl FnOnce()) -> io::Result<Self> {
        let file = File::options().create(true).append(true).open(path)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                waits();
                file.lock()?;
            }
            Err(TryLockError::Error(error)) => return Err(error),
        }
        Ok(Self(file))
    }
}
