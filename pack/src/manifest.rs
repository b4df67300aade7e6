//! `manifest`: what a directory of packages holds, written down, signed and checked.
//!
//! In: a directory. Out: `MANIFEST`, which a target can check every chunk against, its chunk lists
//! and its signature beside it; or whether all are what a target would take. Files are replaced
//! whole: a reader sees the old one or the new one.

pub mod directory;
mod image;
pub mod listing;
pub(crate) mod sign;

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::thread;

use bundle::decode::{self, DecodeError, DecodeLimits};
use bundle::trust::{self, ApproveError, Offered, Trust, TrustError, Wanted};
use bundle::unpack::{self, UnpackError, UnpackLimits};
use thiserror::Error;
use wire::human::size;
use wire::manifest::{CHUNK_LISTS, CHUNK_SIZE_DEFAULT, MANIFEST, SIGNATURE, Unpacked, is_image};
use wire::message::CHUNK_LISTS_MAX;
use wire::stream::DATA_MAX;

use crate::hash;
use crate::packages::{self, Package};
use crate::utc;
use directory::Directory;
use listing::{ListingError, Title};

/// Memory for a decoder: what `xz -9` needs, several times.
const DECODE_BYTES: u64 = 512 << 20;

/// The operation on the manifest of a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ManifestCommand {
    /// Write it.
    Create {
        /// Where the packages are.
        dir: PathBuf,
        /// For people.
        version: Option<String>,
        /// Goes up.
        counter: Option<u64>,
        /// The generation of keys.
        keyset: u32,
    },
    /// Sign it.
    Sign {
        /// Where the manifest is.
        dir: PathBuf,
        /// A minisign secret key.
        key: PathBuf,
        /// Where its password is.
        password: Option<PathBuf>,
    },
    /// Compare it with the packages.
    Verify {
        /// Where manifest and packages are.
        dir: PathBuf,
        /// A file of keys, or a key.
        trust: String,
        /// The lowest counter.
        floor: Option<u64>,
    },
}

/// Why there is no manifest, no signature or no trust in it.
#[derive(Debug, Error)]
#[allow(missing_docs)] // the fields name themselves
pub enum ManifestCommandError {
    /// The packages, or a manifest that does not fit them.
    #[error(transparent)]
    Listing(#[from] ListingError),
    /// A package that no target could decode.
    #[error("package {}", path.display())]
    Decode {
        path: PathBuf,
        /// Where and why.
        source: DecodeError,
    },
    /// A package that no target would unpack.
    #[error("package {}", path.display())]
    Unpack {
        path: PathBuf,
        /// The entry and its fault.
        source: UnpackError,
    },
    /// A file cannot be written.
    #[error("writing {}", path.display())]
    Write {
        path: PathBuf,
        /// The kernel's reason.
        source: io::Error,
    },
    /// A file cannot be read.
    #[error("reading {}", path.display())]
    Read {
        path: PathBuf,
        /// The kernel's reason.
        source: io::Error,
    },
    /// There is no manifest.
    #[error("there is no {}", path.display())]
    Missing { path: PathBuf },
    /// The secret key, or its password.
    #[error("signing with {}", path.display())]
    Sign {
        /// Where the key is.
        path: PathBuf,
        /// The error of minisign.
        source: minisign::PError,
    },
    /// No public keys.
    #[error("reading the trusted keys {from:?}")]
    Trust {
        /// The file, or the key itself.
        from: String,
        source: TrustError,
    },
    /// A target with this key would not take it.
    #[error("{}", path.display())]
    Approve { path: PathBuf, source: ApproveError },
    /// The chunk lists beside the manifest are others'.
    #[error("{} is not of these packages; spk-visor manifest create writes it", path.display())]
    ChunkLists { path: PathBuf },
    /// The image of a slot that was made for another manifest.
    #[error(
        "{} was made as version {version} counter {counter}; expected the same of its manifest: \
         --version {version} --counter {counter}",
        path.display()
    )]
    Release {
        path: PathBuf,
        version: String,
        counter: u64,
    },
    /// Standard output is gone.
    #[error("printing")]
    Print(#[source] io::Error),
}

/// Creates, signs or verifies.
///
/// # Errors
/// See [`ManifestCommandError`].
pub fn run(command: &ManifestCommand, out: &mut dyn Write) -> Result<(), ManifestCommandError> {
    let text = match command {
        ManifestCommand::Create {
            dir,
            version,
            counter,
            keyset,
        } => create(dir, title(version.as_deref(), *counter, *keyset))?,
        ManifestCommand::Sign { dir, key, password } => sign::sign(dir, key, password.as_deref())?,
        ManifestCommand::Verify { dir, trust, floor } => verify(dir, trust, *floor)?,
    };
    out.write_all(text.as_bytes())
        .map_err(ManifestCommandError::Print)
}

/// Values that were not given are taken from the clock: a later release is a higher one.
pub(crate) fn title(version: Option<&str>, counter: Option<u64>, keyset: u32) -> Title {
    let now = utc::source_date();
    let date = utc::format(now).chars().take(10).collect::<String>();
    Title {
        version: version.map_or_else(|| date.replace('-', "."), str::to_owned),
        counter: counter.unwrap_or(now.as_secs()),
        keyset,
        created: now,
    }
}

fn create(dir: &Path, title: Title) -> Result<String, ManifestCommandError> {
    let found = packages::open(dir).map_err(ListingError::from)?;
    let made = Made::of(&found.packages, &title, &mut |_| ())?;
    // The old signature does not belong to the new manifest.
    let signature = dir.join(SIGNATURE);
    match fs::remove_file(&signature) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => {
            return Err(ManifestCommandError::Write {
                path: signature,
                source,
            });
        }
        _ => {}
    }
    replace(&dir.join(CHUNK_LISTS), &made.chunk_lists)?;
    let path = dir.join(MANIFEST);
    replace(&path, &made.manifest)?;
    let mut text = made.lines;
    text.push_str(&format!(
        "{}: version {} counter {} keyset {}, sha256 {}\n",
        path.display(),
        title.version,
        title.counter,
        title.keyset,
        hash::hex(&hash::of(&made.manifest))
    ));
    Ok(text)
}

/// A new manifest, and what belongs to it.
pub(crate) struct Made {
    pub(crate) manifest: Vec<u8>,
    pub(crate) chunk_lists: Vec<u8>,
    /// For people, one for each package.
    pub(crate) lines: String,
}

impl Made {
    /// Reads every package, an archive twice: once it is unpacked to nowhere. `step` receives the
    /// bytes that were read.
    pub(crate) fn of(
        packages: &[Package],
        title: &Title,
        step: &mut (dyn FnMut(u64) + Send),
    ) -> Result<Self, ManifestCommandError> {
        let (mut files, mut chunk_lists, mut lines) = (Vec::new(), Vec::new(), String::new());
        for package in packages {
            let unpacked = match is_image(&package.name) {
                true => {
                    same_release(package, title)?;
                    Unpacked::of_image(package.len_bytes)
                }
                false => count(package, step)?,
            };
            let read = |(_, source)| ManifestCommandError::Read {
                path: package.path.clone(),
                source,
            };
            rewind(package)?;
            let chunk_bytes = match is_image(&package.name) {
                true => image::chunk_bytes(package.len_bytes),
                false => CHUNK_SIZE_DEFAULT,
            };
            let hashed = hash::file(&package.file, chunk_bytes, step).map_err(read)?;
            lines.push_str(&format!(
                "{} {} unpacks to {} in {} entries\n",
                package.name,
                size(hashed.len_bytes),
                size(unpacked.size_bytes),
                unpacked.entries
            ));
            chunk_lists.extend_from_slice(hashed.chunks.as_flattened());
            files.push(listing::line(package.name.clone(), &hashed, Some(unpacked)));
        }
        Ok(Self {
            manifest: listing::write(title, &files)?,
            chunk_lists,
            lines,
        })
    }

    /// Of files whose contents are known: reads each once.
    pub(crate) fn of_known(
        parts: &[(Package, Unpacked)],
        wanted: Wanted<'_>,
        title: &Title,
        step: &mut (dyn FnMut(u64) + Send),
    ) -> Result<Self, ManifestCommandError> {
        let (mut files, mut chunk_lists) = (Vec::new(), Vec::new());
        for (package, unpacked) in parts {
            rewind(package)?;
            let hashed = hash::file(&package.file, CHUNK_SIZE_DEFAULT, step);
            let hashed = hashed.map_err(|(_, source)| ManifestCommandError::Read {
                path: package.path.clone(),
                source,
            })?;
            chunk_lists.extend_from_slice(hashed.chunks.as_flattened());
            files.push(listing::line(
                package.name.clone(),
                &hashed,
                Some(*unpacked),
            ));
        }
        Ok(Self {
            manifest: listing::write_for(title, wanted, &files)?,
            chunk_lists,
            lines: String::new(),
        })
    }
}

/// A slot knows version and counter of its own image, a node those of the manifest.
fn same_release(package: &Package, title: &Title) -> Result<(), ManifestCommandError> {
    let path = || package.path.clone();
    let found = image::release(&package.file);
    let found = found.map_err(|source| ManifestCommandError::Read {
        path: path(),
        source,
    })?;
    match found {
        Some(found) if found.version != title.version || found.counter != title.counter => {
            Err(ManifestCommandError::Release {
                path: path(),
                version: found.version,
                counter: found.counter,
            })
        }
        _ => Ok(()),
    }
}

/// Unpacks to nowhere, under the rules of a target.
fn count(
    package: &Package,
    step: &mut (dyn FnMut(u64) + Send),
) -> Result<Unpacked, ManifestCommandError> {
    let limits = DecodeLimits {
        memory_bytes: DECODE_BYTES,
        threads: thread::available_parallelism()
            .ok()
            .and_then(|threads| u32::try_from(threads.get()).ok())
            .unwrap_or(1),
        output_cap: DATA_MAX,
    };
    let path = || package.path.clone();
    let file = package
        .file
        .try_clone()
        .map_err(|source| ManifestCommandError::Read {
            path: path(),
            source,
        })?;
    let tar = decode::decode(Counted { file, step }, limits).map_err(|source| {
        ManifestCommandError::Decode {
            path: path(),
            source,
        }
    })?;
    let unpacked =
        unpack::check(tar, &UnpackLimits::for_memory(DECODE_BYTES)).map_err(|source| {
            ManifestCommandError::Unpack {
                path: path(),
                source,
            }
        })?;
    Ok(Unpacked {
        size_bytes: unpacked.tar_bytes,
        // At most ENTRIES_MAX, four million.
        entries: u32::try_from(unpacked.entries).unwrap_or(u32::MAX),
    })
}

/// Says how much of a file was read.
struct Counted<'a> {
    file: File,
    step: &'a mut (dyn FnMut(u64) + Send),
}

impl Read for Counted<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let len = self.file.read(buf)?;
        (self.step)(len as u64);
        Ok(len)
    }
}

impl decode::Input for Counted<'_> {}

fn rewind(package: &Package) -> Result<(), ManifestCommandError> {
    use std::io::Seek as _;
    (&package.file)
        .rewind()
        .map_err(|source| ManifestCommandError::Read {
            path: package.path.clone(),
            source,
        })
}

fn verify(dir: &Path, keys: &str, floor: Option<u64>) -> Result<String, ManifestCommandError> {
    let mut trust = read_trust(keys)?;
    if let Some(floor) = floor {
        trust = trust.with_floor(floor);
    }
    let directory = Directory::open(dir)?;
    let path = dir.join(MANIFEST);
    let Some(listed) = &directory.listed else {
        return Err(ManifestCommandError::Missing { path });
    };
    let hashed = directory.hash(&mut |_| ())?;
    let chunk_lists: Vec<u8> = hashed
        .iter()
        .flat_map(|hashed| hashed.chunks.as_flattened())
        .copied()
        .collect();
    let stored = directory::read(&dir.join(CHUNK_LISTS), CHUNK_LISTS_MAX)?;
    if stored.is_some_and(|stored| stored != chunk_lists) {
        return Err(ManifestCommandError::ChunkLists {
            path: dir.join(CHUNK_LISTS),
        });
    }
    let offered = Offered {
        manifest: &listed.manifest,
        signature: &listed.signature,
        chunk_lists: &chunk_lists,
    };
    let approved = trust::approve(offered, Wanted::SYSTEM, &trust).map_err(|source| {
        ManifestCommandError::Approve {
            path: path.clone(),
            source,
        }
    })?;
    Ok(format!(
        "{}: version {} counter {}, {}, {} packages as listed\n",
        path.display(),
        approved.version(),
        approved.counter(),
        approved.voucher(),
        hashed.len()
    ))
}

/// A file of keys; or, where there is no such file, a key.
pub(crate) fn read_trust(from: &str) -> Result<Trust, ManifestCommandError> {
    /// More than all the keys that are looked through.
    const KEYS_FILE_MAX: u64 = 64 << 10;
    let text = match File::open(from) {
        Ok(file) => io::read_to_string(file.take(KEYS_FILE_MAX)).map_err(|source| {
            ManifestCommandError::Read {
                path: from.into(),
                source,
            }
        })?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => from.to_owned(),
        Err(source) => {
            return Err(ManifestCommandError::Read {
                path: from.into(),
                source,
            });
        }
    };
    Trust::parse(&text).map_err(|source| ManifestCommandError::Trust {
        from: from.to_owned(),
        source,
    })
}

/// Replaces a file by a whole one.
fn replace(path: &Path, bytes: &[u8]) -> Result<(), ManifestCommandError> {
    let failed = |source| ManifestCommandError::Write {
        path: path.to_owned(),
        source,
    };
    let mut unfinished = path.as_os_str().to_owned();
    unfinished.push(".part");
    let mut file = File::create(&unfinished).map_err(failed)?;
    file.write_all(bytes)
        .and_then(|()| file.sync_all())
        .and_then(|()| fs::rename(&unfinished, path))
        .map_err(failed)
}

#[cfg(test)]
mod tests;
