//! Packages over `/usr`: the trees of a set in, an overlay without an upper layer out, whose lowest
//! layer is the system's own `/usr` (`node-packages.md` 4). Nothing below `/usr` is written.
//!
//! ```text
//! /run/smv/set/usr       the system's own, bound before the first overlay
//! /run/smv/set/0, 1, …   links to the trees: short names, for mount(2) takes a page of options
//! /run/smv/set/laid      what lies over it, and that this boot has been here; gone with the boot
//! ```

use std::ffi::CString;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use rustix::fs::CWD;
use rustix::mount::{
    MountFlags, MountPropagationFlags, MoveMountFlags, OpenTreeFlags, UnmountFlags, mount,
    mount_bind, mount_change, move_mount, open_tree, unmount,
};
use thiserror::Error;
use wire::files::Files;

/// Where this is kept.
const DIRECTORY: &str = "run/smv/set";
/// The source of our overlays in `/proc/mounts`.
const SOURCE: &str = "smechvisor-set";
const MOUNTS: &str = "/proc/self/mounts";

/// The packages are not laid over `/usr`.
#[derive(Debug, Error)]
#[allow(missing_docs)] // the fields name themselves
pub enum OverlayError {
    /// A directory or link below `/run/smv/set`.
    #[error("{doing} {}", path.display())]
    File {
        doing: &'static str,
        path: PathBuf,
        source: io::Error,
    },
    /// It would be hidden, with all that is in it.
    #[error("{} is a file system of its own, which packages over /usr would hide", path.display())]
    Inner { path: PathBuf },
}

/// Where the system has its `/usr`.
#[derive(Clone, Debug)]
pub struct Usr {
    usr: PathBuf,
    directory: PathBuf,
}

impl Usr {
    /// That of the system below `root`: `/` on a node.
    #[must_use]
    pub fn of(root: &Path) -> Self {
        Self {
            usr: root.join("usr"),
            directory: root.join(DIRECTORY),
        }
    }

    /// What was laid over it in this boot: `None` as long as nobody has.
    #[must_use]
    pub fn laid(&self) -> Option<String> {
        fs::read_to_string(self.note()).ok()
    }

    /// Remembers it until the machine boots again.
    ///
    /// # Errors
    /// `/run` is full.
    pub fn note_laid(&self, what: &str) -> Result<(), OverlayError> {
        let note = self.note();
        let write = || {
            fs::create_dir_all(&self.directory)?;
            let part = note.with_extension("part");
            File::create(&part)?.write_all(what.as_bytes())?;
            fs::rename(part, &note)
        };
        write().map_err(failed("writing", &note))
    }

    /// The system's own `/usr`, whatever lies over it.
    #[must_use]
    pub fn own(&self) -> PathBuf {
        let bound = self.bound();
        match is_mounted(&bound) {
            true => bound,
            false => self.usr.clone(),
        }
    }

    fn note(&self) -> PathBuf {
        self.directory.join("laid")
    }

    fn bound(&self) -> PathBuf {
        self.directory.join("usr")
    }

    /// Lays these trees over `/usr`, in place of what lay there before; no trees: nothing lies
    /// there any more. Between the two are two system calls; what programs have open stays open.
    ///
    /// # Errors
    /// What lay there before lies there, except where the last call fails.
    pub fn lay(&self, trees: &[PathBuf]) -> Result<(), OverlayError> {
        let is_laid = self.is_laid();
        if trees.is_empty() {
            return match is_laid {
                true => self.take_off(),
                false => Ok(()),
            };
        }
        if !is_laid {
            self.bind()?;
        }
        let stage = self.directory.join("stage");
        fs::create_dir_all(&stage).map_err(failed("making", &stage))?;
        let layers = self.layers(trees)?;
        let options = CString::new(format!("lowerdir={layers}"));
        let options = options.map_err(|error| failed("mounting", &stage)(error.into()))?;
        mount(SOURCE, &stage, "overlay", MountFlags::RDONLY, &*options)
            .map_err(|errno| failed("mounting the overlay on", &stage)(errno.into()))?;
        let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
        let tree = open_tree(CWD, &stage, flags);
        let taken = unmount(&stage, UnmountFlags::DETACH);
        let tree = tree.map_err(|errno| failed("opening", &stage)(errno.into()))?;
        taken.map_err(|errno| failed("unmounting", &stage)(errno.into()))?;
        if is_laid {
            self.take_off()?;
        }
        let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH;
        move_mount(&tree, "", CWD, &self.usr, flags)
            .map_err(|errno| failed("mounting the overlay on", &self.usr)(errno.into()))
    }

    fn take_off(&self) -> Result<(), OverlayError> {
        let taken = unmount(&self.usr, UnmountFlags::DETACH);
        taken.map_err(|errno| failed("taking the packages off", &self.usr)(errno.into()))
    }

    /// Keeps the system's own within reach.
    fn bind(&self) -> Result<(), OverlayError> {
        let inner = points().into_iter().find(|(_, point)| {
            point.starts_with(&self.usr) && *point != self.usr && !point.starts_with(self.bound())
        });
        if let Some((_, path)) = inner {
            return Err(OverlayError::Inner { path });
        }
        let bound = self.bound();
        if is_mounted(&bound) {
            return Ok(());
        }
        fs::create_dir_all(&bound).map_err(failed("making", &bound))?;
        let failed = |errno: rustix::io::Errno| failed("binding", &bound)(errno.into());
        mount_bind(&self.usr, &bound).map_err(failed)?;
        // What is mounted on /usr is not to appear here, too (mount_namespaces(7), shared subtrees).
        mount_change(&bound, MountPropagationFlags::PRIVATE).map_err(failed)
    }

    /// Whether the topmost mount there is such an overlay.
    fn is_laid(&self) -> bool {
        let mut points = points();
        points.reverse();
        let top = points.into_iter().find(|(_, point)| *point == self.usr);
        top.is_some_and(|(source, _)| source == SOURCE)
    }

    fn layers(&self, trees: &[PathBuf]) -> Result<String, OverlayError> {
        let mut layers = String::new();
        for (number, tree) in trees.iter().enumerate() {
            let link = self.directory.join(number.to_string());
            let linked = match fs::remove_file(&link) {
                Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
                _ => symlink(tree, &link),
            };
            linked.map_err(failed("linking", &link))?;
            layers.push_str(&format!("{}:", link.display()));
        }
        Ok(format!("{layers}{}", self.bound().display()))
    }
}

fn failed(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> OverlayError {
    let path = path.to_owned();
    move |source| OverlayError::File {
        doing,
        path,
        source,
    }
}

/// Source and place of each mount. A place with a blank is passed over.
fn points() -> Vec<(String, PathBuf)> {
    let text = fs::read_to_string(MOUNTS).unwrap_or_default();
    let mounts = text.lines().filter_map(|line| {
        let mut words = line.split(' ');
        Some((words.next()?.to_owned(), PathBuf::from(words.next()?)))
    });
    mounts.collect()
}

fn is_mounted(path: &Path) -> bool {
    points().iter().any(|(_, point)| point == path)
}

/// The first path at which these files would hide something else than a file: a file where `usr`
/// has a directory, or a directory where it has none.
#[must_use]
pub fn hidden(files: &Files<'_>, usr: &Path) -> Option<String> {
    let is_directory = |path: &str| {
        let found = fs::symlink_metadata(usr.join(path));
        found.ok().map(|found| found.is_dir())
    };
    let mut last = "";
    for line in files.lines() {
        if is_directory(line.path) == Some(true) {
            return Some(line.path.to_owned());
        }
        let above = line.path.rsplit_once('/').map_or("", |(above, _)| above);
        if above == last {
            continue;
        }
        last = above;
        let ends = above.match_indices('/').map(|(at, _)| at);
        for end in ends.chain([above.len()]) {
            let directory = above.get(..end).unwrap_or_default();
            if is_directory(directory) == Some(false) {
                return Some(directory.to_owned());
            }
        }
    }
    None
}

#[cfg(test)]
mod tests;
