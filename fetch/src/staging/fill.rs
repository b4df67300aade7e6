//! Fills a staging directory: an approved release in, its files in the directory out. Chunks that
//! are there already are hashed and kept; what is killed goes on where it stopped.

use std::fs::{File, TryLockError};
use std::io::{self, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use bundle::trust::{Approved, Offered, Wanted};
use bundle::verify::{ChunkSource, VerifyError, verify_chunk};
use rustix::fs::{Mode, OFlags, ResolveFlags, fsync, mkdirat, openat2, renameat};
use rustix::io::Errno;
use wire::manifest::{CHUNK_LISTS, Content, File as Listed, MANIFEST, Role, SIGNATURE};

use super::{LOCK, PART_SUFFIX, Within, directory_of, names, only_of, open_directory, path_of};
use crate::{FetchError, Release};

/// What was done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Filled {
    /// Bytes that came from the source.
    pub fetched_bytes: u64,
    /// Bytes that were there.
    pub kept_bytes: u64,
}

/// A staging directory while a downloader fills it, alone.
pub struct Filling {
    top: Target,
    lock: File,
}

impl Drop for Filling {
    fn drop(&mut self) {
        // A child that another thread has just forked has the same open file until it runs its
        // program: closing ours does not give the lock back (flock(2)).
        let _ = self.lock.unlock();
    }
}

impl Filling {
    /// Nobody else fills the directory from here on.
    ///
    /// # Errors
    /// It is not there, or another downloader works.
    pub fn begin(path: &Path) -> Result<Self, FetchError> {
        let top = Target {
            path: path.to_owned(),
            handle: open_directory(path)?,
        };
        let lock = top.lock()?;
        Ok(Self { top, lock })
    }

    /// Where the release for a place is put.
    #[must_use]
    pub fn path(&self, wanted: Wanted<'_>) -> PathBuf {
        path_of(&self.top.path, wanted)
    }

    /// Puts a release where the one for its place belongs. `seen` hears of how many bytes of how
    /// many.
    ///
    /// # Errors
    /// Something else is there, a chunk does not come, or the disk is full.
    pub fn fill(
        &self,
        wanted: Wanted<'_>,
        release: Box<dyn Release>,
        approved: &Approved,
        seen: &mut dyn FnMut(u64, u64),
    ) -> Result<Filled, FetchError> {
        let target = self.target(wanted)?;
        let found = names(&target.path, &target.handle, Within::of(wanted))?;
        only_of(approved, &target.path, &found)?;
        fill(&target, release, approved, seen)
    }

    /// The directory of a release, made where it is missing.
    fn target(&self, wanted: Wanted<'_>) -> Result<Target, FetchError> {
        let path = self.path(wanted);
        let Target { path: top, handle } = &self.top;
        if wanted.role != Role::Os && directory_of(top, handle, wanted)?.is_none() {
            let made = make(handle, wanted);
            made.map_err(|errno| FetchError::Write {
                path: path.clone(),
                source: errno.into(),
            })?;
        }
        let opened = directory_of(top, handle, wanted)?;
        let handle = opened.ok_or_else(|| FetchError::Missing { path: path.clone() })?;
        Ok(Target { path, handle })
    }
}

/// The directory of a role, and in it that of a name.
fn make(top: &OwnedFd, wanted: Wanted<'_>) -> rustix::io::Result<()> {
    let mode = Mode::from_raw_mode(0o755);
    match mkdirat(top, wanted.role.name(), mode) {
        Ok(()) | Err(Errno::EXIST) => {}
        Err(errno) => return Err(errno),
    }
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::DIRECTORY;
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
    let role = openat2(top, wanted.role.name(), flags, Mode::empty(), resolve)?;
    mkdirat(role, wanted.product, mode)
}

fn fill(
    target: &Target,
    release: Box<dyn Release>,
    approved: &Approved,
    seen: &mut dyn FnMut(u64, u64),
) -> Result<Filled, FetchError> {
    target.front(release.offered())?;
    let mut chunks = release.chunks(approved)?;
    let total = approved.size_bytes().unwrap_or(0);
    let mut filled = Filled::default();
    for (index, file) in (0_u16..).zip(approved.files()) {
        let part = target.begin(file)?;
        for chunk in 0..file.chunks().unwrap_or(0) {
            let (len, is_kept) = part.chunk(approved, (index, file, chunk), &mut *chunks)?;
            let sum = match is_kept {
                true => &mut filled.kept_bytes,
                false => &mut filled.fetched_bytes,
            };
            *sum = sum.saturating_add(len);
            seen(
                filled.fetched_bytes.saturating_add(filled.kept_bytes),
                total,
            );
        }
        target.finish(&part, file.name.as_str())?;
    }
    Ok(filled)
}

/// The directory.
struct Target {
    path: PathBuf,
    handle: OwnedFd,
}

/// A file that is being filled.
struct Part {
    path: PathBuf,
    file: File,
}

impl Target {
    fn failed(&self, name: &str) -> impl Fn(io::Error) -> FetchError + use<> {
        let path = self.path.join(name);
        move |source| FetchError::Write {
            path: path.clone(),
            source,
        }
    }

    /// A file of the directory, and nothing else that has this name.
    fn open(&self, name: &str) -> io::Result<File> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::NONBLOCK;
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
        let mode = Mode::from_raw_mode(0o644);
        let opened = openat2(&self.handle, name, flags | OFlags::CLOEXEC, mode, resolve);
        let file = File::from(opened?);
        match file.metadata()?.is_file() {
            true => Ok(file),
            false => Err(io::Error::other("it is no regular file")),
        }
    }

    fn lock(&self) -> Result<File, FetchError> {
        let failed = self.failed(LOCK);
        let file = self.open(LOCK).map_err(&failed)?;
        match file.try_lock() {
            Ok(()) => Ok(file),
            Err(TryLockError::WouldBlock) => Err(FetchError::Busy {
                path: self.path.clone(),
            }),
            Err(TryLockError::Error(source)) => Err(failed(source)),
        }
    }

    /// Manifest and what belongs to it, each the old one or the new one.
    fn front(&self, offered: Offered<'_>) -> Result<(), FetchError> {
        for (name, bytes) in [
            (MANIFEST, offered.manifest),
            (SIGNATURE, offered.signature),
            (CHUNK_LISTS, offered.chunk_lists),
        ] {
            let part = format!("{name}{PART_SUFFIX}");
            let written = self.open(&part).and_then(|mut file| {
                file.set_len(0)?;
                file.write_all(bytes)?;
                file.sync_all()?;
                self.rename(&part, name)
            });
            written.map_err(self.failed(name))?;
        }
        Ok(())
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        renameat(&self.handle, from, &self.handle, to)?;
        Ok(fsync(self.handle.as_fd())?)
    }

    /// What is there of this file, whole or not, loses its name: it is looked at chunk by chunk.
    fn begin(&self, file: &Listed) -> Result<Part, FetchError> {
        let name = file.name.as_str();
        let part = format!("{name}{PART_SUFFIX}");
        let failed = self.failed(&part);
        match renameat(&self.handle, name, &self.handle, part.as_str()) {
            Ok(()) | Err(rustix::io::Errno::NOENT) => {}
            Err(errno) => return Err(failed(errno.into())),
        }
        let Content::Hashed { size_bytes, .. } = file.content else {
            return Err(FetchError::Live {
                path: self.path.clone(),
                name: name.to_owned(),
            });
        };
        let opened = self.open(&part).map_err(&failed)?;
        opened.set_len(size_bytes).map_err(&failed)?;
        Ok(Part {
            path: self.path.join(&part),
            file: opened,
        })
    }

    fn finish(&self, part: &Part, name: &str) -> Result<(), FetchError> {
        let from = format!("{name}{PART_SUFFIX}");
        let finished = part.file.sync_all().and_then(|()| self.rename(&from, name));
        finished.map_err(self.failed(name))
    }
}

impl Part {
    /// A chunk that is there, or comes; its length, and which of the two.
    fn chunk(
        &self,
        approved: &Approved,
        (index, file, chunk): (u16, &Listed, u32),
        chunks: &mut dyn ChunkSource,
    ) -> Result<(u64, bool), FetchError> {
        let failed = |source| FetchError::Write {
            path: self.path.clone(),
            source,
        };
        let Content::Hashed { size_bytes, .. } = file.content else {
            return Ok((0, true));
        };
        let at = u64::from(chunk).saturating_mul(u64::from(file.chunk_size));
        let len = size_bytes.saturating_sub(at).min(file.chunk_size.into());
        let mut bytes = vec![0; usize::try_from(len).unwrap_or(0)];
        self.file.read_exact_at(&mut bytes, at).map_err(failed)?;
        if verify_chunk(approved, index, chunk, &mut bytes).is_ok() {
            return Ok((len, true));
        }
        bytes.clear();
        let got = chunks.chunk(index, chunk, &mut bytes);
        got.map_err(|source| VerifyError::Receive {
            name: file.name.to_string(),
            chunk,
            source,
        })?;
        let verified = verify_chunk(approved, index, chunk, &mut bytes)?;
        let written = self.file.write_all_at(verified.as_slice(), at);
        written.map_err(failed)?;
        Ok((len, false))
    }
}
