//! Configuration baked into the image that says who may install this machine: the files of
//! `/etc/smv` and the command line in, the policy and the trusted keys out (`protocol.md` 3.1 and
//! 4.3).
//!
//! `spk-visor media` writes these files. Anything that cannot be read or parsed is fatal: a machine
//! that guesses would accept a system from the wrong donor.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use bundle::trust::{Trust, TrustError};
use receiver::Policy;
use session::PinnedKeys;
use session::keys::KeysError;
use thiserror::Error;
use wire::message::End;
use wire::names::{FLOOR_FILE, PINNED_FILE, TRUST_FILE};
use wire::outcome::Outcome;

use crate::cmdline::{self, Settings};

/// No lock: the network that the image knows (`wifi::known`).
const WIFI: &str = "wifi";
/// Longer than any of them; read into memory.
const LEN_MAX: u64 = 64 * 1024;

/// The image or the command line leaves open who may install this machine.
#[derive(Debug, Error)]
#[allow(missing_docs)] // the fields name themselves
pub enum BakedConfigError {
    /// A file, or the directory.
    #[error("reading {}", path.display())]
    Read {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    /// Something that this version does not know may be a lock that it would leave open.
    #[error("this version does not know {}", path.display())]
    Unknown { path: PathBuf },
    /// `smv.policy=pinned` and no keys.
    #[error(
        "smv.policy=pinned needs {}: make the image with media image --pinned",
        path.display()
    )]
    NoKeys {
        /// Where they should be.
        path: PathBuf,
    },
    /// Keys in the image, and less asked for.
    #[error(
        "{} pins this image to one donor: expected smv.policy=pinned, or no smv.policy",
        path.display()
    )]
    Lowered {
        /// Where they are.
        path: PathBuf,
    },
    /// The pinned keys.
    #[error("reading the keys in {}", path.display())]
    Keys {
        path: PathBuf,
        #[source]
        source: KeysError,
    },
    /// The donor's key on the command line.
    #[error("reading smv.donor-key")]
    DonorKey(#[source] KeysError),
    /// Trusted keys or the floor.
    #[error("reading {}", path.display())]
    Trust {
        path: PathBuf,
        #[source]
        source: TrustError,
    },
}

impl BakedConfigError {
    /// The next boot would read the same.
    #[must_use]
    pub const fn outcome(&self) -> Outcome {
        Outcome::Fatal
    }
}

/// The files as they lie in the image, of which any may be missing.
#[derive(Default)]
pub struct Files {
    directory: PathBuf,
    pinned: Option<String>,
    trust: Option<String>,
    floor: Option<String>,
}

impl Files {
    /// Reads what `directory` has.
    ///
    /// # Errors
    /// A file that cannot be read, or one that this version does not know.
    pub fn read(directory: &Path) -> Result<Self, BakedConfigError> {
        let mut files = Self::of(directory);
        let failed = |source| BakedConfigError::Read {
            path: directory.to_owned(),
            source,
        };
        let entries = match fs::read_dir(directory) {
            Ok(entries) => entries,
            // Nothing was baked in.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(files),
            Err(error) => return Err(failed(error)),
        };
        for entry in entries {
            let path = entry.map_err(failed)?.path();
            let name = path.file_name().and_then(|name| name.to_str());
            match files.place(name.unwrap_or_default()) {
                Place::Setting(setting) => *setting = Some(text(&path)?),
                Place::Elsewhere => {}
                Place::None => return Err(BakedConfigError::Unknown { path }),
            }
        }
        Ok(files)
    }

    /// Those of an image that lies somewhere else; [`Files::add`] brings them.
    #[must_use]
    pub fn of(directory: &Path) -> Self {
        Self {
            directory: directory.to_owned(),
            ..Self::default()
        }
    }

    /// Adds the file of this name.
    ///
    /// # Errors
    /// This version does not know it.
    pub fn add(&mut self, name: &str, text: String) -> Result<(), BakedConfigError> {
        match self.place(name) {
            Place::Setting(setting) => *setting = Some(text),
            Place::Elsewhere => {}
            Place::None => {
                let path = self.directory.join(name);
                return Err(BakedConfigError::Unknown { path });
            }
        }
        Ok(())
    }

    fn place(&mut self, name: &str) -> Place<'_> {
        match name {
            PINNED_FILE => Place::Setting(&mut self.pinned),
            TRUST_FILE => Place::Setting(&mut self.trust),
            FLOOR_FILE => Place::Setting(&mut self.floor),
            WIFI => Place::Elsewhere,
            _ => Place::None,
        }
    }

    /// Combines them with the command line.
    ///
    /// # Errors
    /// The first thing that cannot be followed.
    pub fn decide(&self, settings: &Settings) -> Result<(Policy, Trust), BakedConfigError> {
        // Parsed under every policy: a damaged file is found out by the first boot, not by the one
        // that needs it.
        let (keys, trust) = (self.keys()?, self.trust()?);
        let path = || self.directory.join(PINNED_FILE);
        // Keys in the image are the least that it asks for: who may change a command line may not
        // take the lock off.
        let asked = settings.policy;
        let policy = match (asked.unwrap_or(cmdline::Policy::Pinned), keys) {
            (cmdline::Policy::Pinned, None) if asked.is_none() => Policy::Secret,
            (cmdline::Policy::Pinned, None) => {
                return Err(BakedConfigError::NoKeys { path: path() });
            }
            (cmdline::Policy::Secret, None) => Policy::Secret,
            (cmdline::Policy::Legacy, None) => Policy::Legacy,
            (cmdline::Policy::Secret | cmdline::Policy::Legacy, Some(_)) => {
                return Err(BakedConfigError::Lowered { path: path() });
            }
            (cmdline::Policy::Pinned, Some(keys)) => {
                let keys = match &settings.donor_key {
                    Some(key) => keys.with_peer(key).map_err(BakedConfigError::DonorKey)?,
                    None => keys,
                };
                Policy::Pinned(Box::new(keys))
            }
        };
        Ok((policy, trust))
    }

    fn keys(&self) -> Result<Option<PinnedKeys>, BakedConfigError> {
        let Some(text) = &self.pinned else {
            return Ok(None);
        };
        let keys = PinnedKeys::parse(text).and_then(|keys| keys.for_end(End::Target));
        keys.map(Some).map_err(|source| BakedConfigError::Keys {
            path: self.directory.join(PINNED_FILE),
            source,
        })
    }

    fn trust(&self) -> Result<Trust, BakedConfigError> {
        let failed = |name| {
            let path = self.directory.join(name);
            |source| BakedConfigError::Trust { path, source }
        };
        let trust = match &self.trust {
            None => Trust::default(),
            Some(text) => Trust::parse(text).map_err(failed(TRUST_FILE))?,
        };
        let Some(text) = &self.floor else {
            return Ok(trust);
        };
        let number = Trust::parse_floor(text).map_err(failed(FLOOR_FILE))?;
        Ok(trust.with_floor(number))
    }
}

/// Where a file belongs.
enum Place<'a> {
    Setting(&'a mut Option<String>),
    /// Others read it.
    Elsewhere,
    None,
}

fn text(path: &Path) -> Result<String, BakedConfigError> {
    let failed = |source| BakedConfigError::Read {
        path: path.to_owned(),
        source,
    };
    let len = fs::metadata(path).map_err(failed)?.len();
    if len > LEN_MAX {
        return Err(failed(io::ErrorKind::FileTooLarge.into()));
    }
    fs::read_to_string(path).map_err(failed)
}

#[cfg(test)]
mod tests;
