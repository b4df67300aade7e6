//! What a staging directory has: in a snapshot where there can be one, in the directory itself
//! where not (`upgrade.md` 4).

use std::os::fd::AsFd;
use std::path::Path;

use fetch::FetchError;
use fetch::catalog::Catalog;
use fetch::staging::{self, Staged};
use machine::snapshot::Snapshot;
use wire::chain::chain;

use super::event::Event;
use super::report::Tell;

/// What a staging directory offers, and what its chunks are read from.
pub struct Offline {
    /// Its releases.
    pub catalog: Catalog,
    /// To be kept until the last chunk was read.
    pub snapshot: Option<Snapshot>,
}

/// Opens the staging directory. A run that takes what is there, and so has the locks, reads a
/// snapshot; why there is none is said, and is no error: each chunk is hashed when it is used.
///
/// # Errors
/// It is not there, or no directory.
pub fn open(path: &Path, is_taken: bool, tell: &mut dyn Tell) -> Result<Offline, FetchError> {
    let directory = staging::open_directory(path)?;
    let snapshot = match is_taken {
        true => Snapshot::of(path, directory.as_fd()),
        false => Ok(None),
    };
    let missing = snapshot.as_ref().err();
    let missing = missing.map(|error| chain(error).to_string());
    let snapshot = snapshot.unwrap_or(None);
    if snapshot.is_some() || missing.is_some() {
        let staging = path.to_owned();
        tell.tell(&Event::Snapshot { staging, missing });
    }
    let directory = match &snapshot {
        Some(snapshot) => snapshot.directory().try_clone_to_owned(),
        None => Ok(directory),
    };
    let directory = directory.map_err(|source| FetchError::Open {
        path: path.to_owned(),
        source,
    })?;
    let staged = Staged::of(path.to_owned(), directory);
    let catalog = Catalog::staged(path.to_owned(), staged);
    Ok(Offline { catalog, snapshot })
}
