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

/// Reads the files that `directory` has, and combines them with the command line.
///
/// # Errors
/// The first thing that cannot be followed.
pub fn read(directory: &Path, settings: &Settings) -> Result<(Policy, Trust), BakedConfigError> {
    refuse_unknown(directory)?;
    // Read under every policy: a damaged file is found out by the first boot, not by the one that
    // needs it.
    let (keys, trust) = (keys(directory)?, trust(directory)?);
    let path = || directory.join(PINNED_FILE);
    // Keys in the image are the least that it asks for: who may change a command line may not take
    // the lock off.
    let asked = settings.policy;
    let policy = match (asked.unwrap_or(cmdline::Policy::Pinned), keys) {
        (cmdline::Policy::Pinned, None) if asked.is_none() => Policy::Secret,
        (cmdline::Policy::Pinned, None) => return Err(BakedConfigError::NoKeys { path: path() }),
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

fn refuse_unknown(directory: &Path) -> Result<(), BakedConfigError> {
    let failed = |source| BakedConfigError::Read {
        path: directory.to_owned(),
        source,
    };
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        // Nothing was baked in.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(failed(error)),
    };
    for entry in entries {
        let entry = entry.map_err(failed)?;
        let name = entry.file_name();
        if ![PINNED_FILE, TRUST_FILE, FLOOR_FILE, WIFI]
            .iter()
            .any(|known| name == **known)
        {
            let path = entry.path();
            return Err(BakedConfigError::Unknown { path });
        }
    }
    Ok(())
}

fn keys(directory: &Path) -> Result<Option<PinnedKeys>, BakedConfigError> {
    let path = directory.join(PINNED_FILE);
    let Some(text) = text(&path)? else {
        return Ok(None);
    };
    let keys = PinnedKeys::parse(&text).and_then(|keys| keys.for_end(End::Target));
    keys.map(Some)
        .map_err(|source| BakedConfigError::Keys { path, source })
}

fn trust(directory: &Path) -> Result<Trust, BakedConfigError> {
    let (keys, floor) = (directory.join(TRUST_FILE), directory.join(FLOOR_FILE));
    let trust = match text(&keys)? {
        None => Trust::default(),
        Some(text) => {
            Trust::parse(&text).map_err(|source| BakedConfigError::Trust { path: keys, source })?
        }
    };
    let Some(text) = text(&floor)? else {
        return Ok(trust);
    };
    let number = Trust::parse_floor(&text).map_err(|source| BakedConfigError::Trust {
        path: floor,
        source,
    })?;
    Ok(trust.with_floor(number))
}

/// A file as text; `None` where there is none.
fn text(path: &Path) -> Result<Option<String>, BakedConfigError> {
    let failed = |source| BakedConfigError::Read {
        path: path.to_owned(),
        source,
    };
    let len = match fs::metadata(path) {
        Ok(found) => found.len(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    if len > LEN_MAX {
        return Err(failed(io::ErrorKind::FileTooLarge.into()));
    }
    fs::read_to_string(path).map(Some).map_err(failed)
}

#[cfg(test)]
mod tests;
