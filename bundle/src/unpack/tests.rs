//! Archives that are unpacked or refused; neither leaves the root.

mod gnu;
mod kept;
mod malicious;
mod sparse;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicU64;

use super::{Owners, UnpackError, UnpackLimits, Unpacked, unpack};
use tempfile::TempDir;

/// Gives one byte at a time.
pub(in crate::unpack) struct OneByte<'a>(pub(in crate::unpack) &'a [u8]);

impl Read for OneByte<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.0.read(into.get_mut(..1).unwrap_or_default())
    }
}

/// Asked by making a file: /proc belongs to root also where a process does not.
fn is_root() -> bool {
    let own = TempDir::new().unwrap();
    fs::metadata(own.path()).unwrap().uid() == 0
}

pub(in crate::unpack) fn limits() -> UnpackLimits {
    let owners = if is_root() {
        Owners::AsPackaged
    } else {
        Owners::Caller
    };
    UnpackLimits {
        entries: 10_000,
        owners,
        content: None,
    }
}

/// A root to unpack into, with things around it that must stay as they are.
struct Fenced {
    dir: TempDir,
    before: BTreeMap<PathBuf, Seen>,
}

impl Fenced {
    fn new() -> Self {
        let dir = TempDir::new().unwrap();
        fs::create_dir(dir.path().join("root")).unwrap();
        fs::create_dir(dir.path().join("outside")).unwrap();
        fs::write(dir.path().join("outside/canary"), "alive").unwrap();
        fs::write(dir.path().join("canary"), "alive").unwrap();
        let before = Self::outside(dir.path());
        Fenced { dir, before }
    }

    fn root(&self) -> PathBuf {
        self.dir.path().join("root")
    }

    fn unpack(&self, tar: impl Read) -> Result<Unpacked, UnpackError> {
        let root = File::open(self.root()).unwrap();
        unpack(tar, root.as_fd(), &limits(), &AtomicU64::new(0))
    }

    fn outside(dir: &Path) -> BTreeMap<PathBuf, Seen> {
        let mut seen = walk(dir);
        seen.retain(|path, _| !path.starts_with("root"));
        // Unpacking changes nothing of the directory that holds the root, not even its time.
        assert!(seen.contains_key(Path::new("canary")));
        seen
    }

    #[track_caller]
    fn assert_fence_holds(&self) {
        assert_eq!(Self::outside(self.dir.path()), self.before);
    }
}

/// One file, as a walk over the tree finds it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Seen {
    mode: u32,
    owner: (u32, u32),
    mtime: (i64, i64),
    device: u64,
    links: u64,
    content: Vec<u8>,
    /// The first path with the same inode.
    first: PathBuf,
    xattrs: Vec<(Vec<u8>, Vec<u8>)>,
}

/// Everything beneath `top`, by path; links are not followed.
fn walk(top: &Path) -> BTreeMap<PathBuf, Seen> {
    let mut seen = BTreeMap::new();
    let mut paths = vec![top.to_path_buf()];
    let mut inodes = BTreeMap::new();
    while let Some(path) = paths.pop() {
        let meta = fs::symlink_metadata(&path).unwrap();
        let kind = meta.file_type();
        let content = if kind.is_file() {
            fs::read(&path).unwrap()
        } else if kind.is_symlink() {
            fs::read_link(&path)
                .unwrap()
                .as_os_str()
                .as_bytes()
                .to_vec()
        } else {
            Vec::new()
        };
        if kind.is_dir() {
            let mut children: Vec<_> = fs::read_dir(&path)
                .unwrap()
                .map(|child| child.unwrap().path())
                .collect();
            children.sort();
            paths.extend(children.into_iter().rev());
        }
        let relative = path.strip_prefix(top).unwrap().to_path_buf();
        let first = inodes
            .entry(meta.ino())
            .or_insert_with(|| relative.clone())
            .clone();
        let entry = Seen {
            mode: meta.mode(),
            owner: (meta.uid(), meta.gid()),
            mtime: (meta.mtime(), meta.mtime_nsec()),
            device: meta.rdev(),
            links: if kind.is_dir() { 0 } else { meta.nlink() },
            content,
            first,
            xattrs: xattrs(&path),
        };
        seen.insert(relative, entry);
    }
    seen
}

fn xattrs(path: &Path) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut list = [0; 4096];
    let len = rustix::fs::llistxattr(path, &mut list[..]).unwrap_or(0);
    let names = list[..len]
        .split(|byte| *byte == 0)
        .filter(|name| !name.is_empty());
    let mut all: Vec<_> = names
        .map(|name| {
            let mut value = [0; 4096];
            let len = rustix::fs::lgetxattr(path, name, &mut value[..]).unwrap();
            (name.to_vec(), value[..len].to_vec())
        })
        .collect();
    all.sort();
    all
}
