//! `publish`: signed releases in, a directory that any web server of static files can serve out
//! (`own-update-server.md`).
//!
//! Each release gets a directory of its own, whole and durable under its name or not there, and its
//! name says which it is: nothing that a node reads while it is being served ever changes.
//! `CHANNEL` alone does, by a rename, so that a node sees the old release or the new one.

mod served;

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use bundle::trust::{Approved, Trust, approve};
use fetch::{FetchError, Release};
use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use thiserror::Error;
use wire::channel::{self, Entry};
use wire::field::FieldError;
use wire::manifest::{MANIFEST, Manifest, ManifestError, Role};

use crate::bundle_file::{BundleFileError, Facts, Watch, drain, wanted_by};
use crate::manifest::read_trust;
use served::Served;

/// Of a release's digest, in its directory's name: nobody finds two with one beginning.
const DIGEST_DIGITS: usize = 16;

/// What to do with a directory that is served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Publish {
    /// What a web server serves.
    pub dir: PathBuf,
    /// Releases that it gets: directories, bundle files.
    pub releases: Vec<PathBuf>,
    /// Keys, of which one must have signed each.
    pub trust: Option<String>,
    /// Nodes do not see them yet.
    pub is_later: bool,
    /// A release that is there becomes the one that nodes see.
    pub promoted: Option<String>,
}

/// A release that is served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Published {
    /// Its directory.
    pub name: String,
    /// What it is.
    pub facts: Facts,
    /// Do nodes see it?
    pub is_current: bool,
}

/// Nothing that is served has changed.
#[derive(Debug, Error)]
#[allow(missing_docs)] // the fields name themselves
pub enum PublishError {
    /// A release that cannot be read, or is not what it says.
    #[error(transparent)]
    Release(Box<BundleFileError>),
    /// Nodes take signed releases only.
    #[error("{} is not signed; spk-visor bundle sign and manifest sign do that", path.display())]
    Unsigned { path: PathBuf },
    /// Two programs would overwrite each other's list.
    #[error("another program is publishing into {}", path.display())]
    Busy { path: PathBuf },
    /// The directory.
    #[error("writing {}", path.display())]
    Write {
        path: PathBuf,
        /// The kernel's reason.
        source: io::Error,
    },
    /// The list of a former run, or of somebody else.
    #[error("reading {}", path.display())]
    Channel {
        path: PathBuf,
        /// What and where.
        source: Box<FieldError>,
    },
    /// Nodes would not take it.
    #[error(
        "{role} {name} is served with counter {served}, and this release has {counter}: nodes \
         take no lower one"
    )]
    Lower {
        role: Role,
        name: String,
        served: u64,
        counter: u64,
    },
    /// `--promote` of something else.
    #[error("{} is no release that was published here", path.display())]
    Foreign { path: PathBuf },
    /// A manifest that was approved, and cannot be read.
    #[error("reading the manifest of {}", path.display())]
    Manifest {
        path: PathBuf,
        source: ManifestError,
    },
}

impl From<BundleFileError> for PublishError {
    fn from(error: BundleFileError) -> Self {
        PublishError::Release(Box::new(error))
    }
}

impl From<FetchError> for PublishError {
    fn from(error: FetchError) -> Self {
        BundleFileError::from(error).into()
    }
}

/// Copies releases into the directory and lists them, or lists one that is there.
///
/// # Errors
/// See [`PublishError`].
pub fn publish(options: &Publish, watch: Watch<'_>) -> Result<Vec<Published>, PublishError> {
    let trust = match &options.trust {
        Some(trust) => read_trust(trust).map_err(BundleFileError::from)?,
        None => Trust::default(),
    };
    let served = Served::open(&options.dir)?;
    let _lock = lock(&served)?;
    let mut list = served.list()?;
    let mut published = Vec::new();
    if let Some(name) = &options.promoted {
        let path = served.path(name);
        // A name leads to a directory of this one and nowhere else.
        if name.contains('/') || !path.join(MANIFEST).is_file() {
            return Err(PublishError::Foreign { path });
        }
        let found = Found::open(&path, &trust)?;
        list.put(found.entry(name))?;
        published.push(found.published(name.clone(), true));
    }
    for path in &options.releases {
        let found = Found::open(path, &trust)?;
        let name = found.name();
        let mut listed = list.clone();
        listed.put(found.entry(&name))?;
        let shown = found.published(name.clone(), !options.is_later);
        found.copy(&served, &name, watch)?;
        if !options.is_later {
            list = listed;
        }
        published.push(shown);
    }
    served.replace_list(&list)?;
    Ok(published)
}

/// A release that may be served.
struct Found {
    path: PathBuf,
    release: Box<dyn Release>,
    approved: Approved,
    role: Role,
    product: String,
    facts: Facts,
}

impl Found {
    fn open(path: &Path, trust: &Trust) -> Result<Self, PublishError> {
        let release = fetch::open(path)?;
        let offered = release.offered();
        if offered.signature.is_empty() {
            let path = path.to_owned();
            return Err(PublishError::Unsigned { path });
        }
        let wanted = wanted_by(offered.manifest);
        let approved = approve(offered, wanted, trust);
        let approved = approved.map_err(|source| BundleFileError::Approve {
            path: path.to_owned(),
            source,
        })?;
        let manifest = Manifest::parse(offered.manifest);
        let head = manifest.map_err(|source| PublishError::Manifest {
            path: path.to_owned(),
            source,
        })?;
        let (role, product) = (head.head().role, head.head().product.to_owned());
        let facts = Facts::of(&approved, wanted);
        Ok(Self {
            path: path.to_owned(),
            release,
            approved,
            role,
            product,
            facts,
        })
    }

    /// The directory that it gets: for people first, and then unmistakable.
    fn name(&self) -> String {
        let Facts {
            counter, digest, ..
        } = &self.facts;
        let digest = digest.get(..DIGEST_DIGITS).unwrap_or(digest);
        format!("{}-{}-{counter}-{digest}", self.role, self.product)
    }

    fn entry(&self, name: &str) -> served::Line {
        served::Line {
            role: self.role,
            name: self.product.clone(),
            counter: self.facts.counter,
            manifest: format!("{name}/{MANIFEST}"),
        }
    }

    fn published(&self, name: String, is_current: bool) -> Published {
        Published {
            name,
            facts: self.facts.clone(),
            is_current,
        }
    }

    /// Every chunk, verified on its way.
    fn copy(self, served: &Served, name: &str, watch: Watch<'_>) -> Result<(), PublishError> {
        if served.path(name).exists() {
            // Whole, as everything that has its name.
            return Ok(());
        }
        let mut copy = served.begin(name, self.release.offered())?;
        let mut chunks = self.release.chunks(&self.approved)?;
        let (path, approved) = (&self.path, &self.approved);
        drain(
            "writing",
            path,
            approved,
            &mut *chunks,
            Some(&mut copy),
            watch,
        )?;
        copy.finish()
    }
}

/// Until the directory is closed.
fn lock(served: &Served) -> Result<File, PublishError> {
    let path = served.dir().to_owned();
    let failed = |source| PublishError::Write {
        path: path.clone(),
        source,
    };
    let directory = File::open(&path).map_err(failed)?;
    match flock(&directory, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(directory),
        Err(Errno::WOULDBLOCK) => Err(PublishError::Busy { path }),
        Err(errno) => Err(failed(errno.into())),
    }
}

/// The list of what is there, to be written.
fn emit(lines: &[served::Line]) -> String {
    let mut text = String::new();
    // Writing to a String does not fail.
    let _ = channel::emit(lines.iter().map(entry), &mut text);
    text
}

fn entry(line: &served::Line) -> Entry<'_> {
    Entry {
        role: line.role,
        name: &line.name,
        counter: line.counter,
        manifest: &line.manifest,
    }
}

#[cfg(test)]
mod tests;
