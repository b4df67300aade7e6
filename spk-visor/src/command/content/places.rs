//! Where a node has its content: a root directory in, `/` on a real node; shelves, keys and locks
//! of its places out.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::time::Duration;

use bundle::trust::Trust;
use hold::keeper::Settings;
use hold::place::Place as Versions;
use hold::times::Times;
use machine::locks::{self, Lock, Which};
use store::directory::Directory;
use store::place::{Place, ROLES, SEED, STATE};
use store::sets::directory::SetDirectory;
use wire::manifest::Role;

use super::error::ContentError;
use crate::command::node::place::TRUST;

/// Keys for one role each, in place of those of the system.
pub const TRUST_OF_ROLES: &str = "/etc/smechvisor/trust.d";

/// The content of a node.
#[derive(Clone, Debug)]
pub struct Places {
    root: PathBuf,
}

impl Default for Places {
    fn default() -> Self {
        Self::at("/")
    }
}

impl Places {
    /// A node whose paths are below this directory.
    pub fn at(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// Where daemons that are held are asked.
    #[must_use]
    pub fn run(&self) -> PathBuf {
        self.path(locks::DIRECTORY)
    }

    /// How the daemon of a place is held; in `directory`, if not where daemons are. One version that
    /// is part of the system needs no keys.
    ///
    /// # Errors
    /// No keys.
    pub fn held(
        &self,
        place: &Place,
        directory: Option<PathBuf>,
    ) -> Result<Settings, ContentError> {
        let directory = directory.unwrap_or_else(|| place.below(&self.path(STATE)));
        let seed = place.below(&self.path(SEED));
        let versions = match Versions::is_plain(&directory, &seed) {
            true => Versions::plain(directory),
            false => Versions::signed(directory, place.clone(), seed, self.trust(place.role())?),
        };
        Ok(Settings {
            name: place.name().to_owned(),
            place: versions,
            run: self.run(),
            root: self.root.clone(),
            times: Times::default(),
        })
    }

    /// The directory that all paths are below.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    pub(super) fn path(&self, path: &str) -> PathBuf {
        self.root.join(path.trim_start_matches('/'))
    }

    /// The keys that content of this role may be signed with: `trust.d/ROLE`, else the system's.
    ///
    /// # Errors
    /// There are none, or the file is wrong: without keys nothing can be taken.
    pub fn trust(&self, role: Role) -> Result<Trust, ContentError> {
        let own = self.path(TRUST_OF_ROLES).join(role.name());
        let path = match own.exists() {
            true => own,
            false => self.path(TRUST),
        };
        let text = fs::read_to_string(&path).map_err(|source| ContentError::Read {
            path: path.clone(),
            source,
        })?;
        Trust::parse(&text).map_err(|source| ContentError::Trust { path, source })
    }

    /// A place for somebody who only looks.
    ///
    /// # Errors
    /// No keys.
    pub fn look(&self, place: &Place) -> Result<Directory, ContentError> {
        let trust = self.trust(place.role())?;
        Ok(Directory::of(
            place,
            &self.path(STATE),
            &self.path(SEED),
            trust,
        ))
    }

    /// The sets of packages, for somebody who only looks.
    ///
    /// # Errors
    /// No keys.
    pub fn sets(&self) -> Result<SetDirectory, ContentError> {
        let trust = self.trust(Role::Store)?;
        Ok(SetDirectory::look(&self.path(STATE), trust))
    }

    /// A place that is going to be changed, made where it is missing, and its lock.
    ///
    /// # Errors
    /// No keys, no room, or another command changes it.
    pub fn change(&self, place: &Place, command: &str) -> Result<(Directory, Lock), ContentError> {
        let (trust, state) = (self.trust(place.role())?, self.path(STATE));
        let shelf = Directory::create(place, &state, &self.path(SEED), trust);
        let shelf = shelf.map_err(|source| ContentError::State {
            path: place.below(&state),
            source,
        })?;
        let lock = locks::take(shelf.top(), Which::Place, command, Duration::ZERO)?;
        Ok((shelf, lock))
    }

    /// Free on the file system of the state, where that can be told.
    #[must_use]
    pub fn room_bytes(&self) -> Option<u64> {
        let state = self.path(STATE);
        let there = state.ancestors().find(|path| path.exists())?;
        let found = rustix::fs::statvfs(there).ok()?;
        Some(found.f_bavail.saturating_mul(found.f_frsize))
    }

    /// Every place that the node or its system has content for, role by role, in the order of
    /// their names.
    ///
    /// # Errors
    /// A directory cannot be read.
    pub fn list(&self) -> Result<Vec<Place>, ContentError> {
        let mut places: Vec<Place> = Vec::new();
        for role in ROLES {
            let mut names = Vec::new();
            for top in [STATE, SEED] {
                let path = self.path(top).join(role.name());
                let found = directories(&path);
                names.extend(found.map_err(|source| ContentError::Read { path, source })?);
            }
            names.sort();
            names.dedup();
            // A directory of another name is no place.
            places.extend(names.iter().filter_map(|name| Place::new(role, name).ok()));
        }
        Ok(places)
    }
}

/// None where there is no such directory.
fn directories(path: &Path) -> io::Result<Vec<String>> {
    let entries = match fs::read_dir(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            names.push(entry.file_name().to_string_lossy().into_owned());
        }
    }
    Ok(names)
}
