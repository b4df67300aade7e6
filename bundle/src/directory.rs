//! Small files beneath a directory handle, read and written as the installed system will see them.
//!
//! The trees here were unpacked from packages nobody has vouched for. Every path is resolved by the
//! kernel with openat2(2) `RESOLVE_IN_ROOT`: a symbolic link to `/etc` means the tree's own `/etc`,
//! and nothing leaves the tree. What is written is a new file in place of whatever stood there, so
//! a link planted at its name is replaced, never followed. What is read is a regular file: a FIFO
//! would block, and opening a device may do something.

use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;
use thiserror::Error;
use wire::outcome::Outcome;

/// A file operation that failed: what was being done, to which path of the tree.
#[derive(Debug, Error)]
#[error("{action} {path} {place}")]
#[allow(missing_docs)] // the fields name themselves
pub struct DirectoryError {
    /// `reading`, `writing`.
    pub action: &'static str,
    /// Relative to the tree.
    pub path: String,
    /// `in the installed root`.
    pub place: &'static str,
    #[source]
    pub source: io::Error,
}

impl DirectoryError {
    /// An error that an archive can provoke refuses its package; all others are the machine's.
    #[must_use]
    pub fn outcome(&self) -> Outcome {
        match Errno::from_io_error(&self.source) {
            Some(
                Errno::NOENT
                | Errno::NOTDIR
                | Errno::ISDIR
                | Errno::EXIST
                | Errno::LOOP
                | Errno::XDEV
                | Errno::NAMETOOLONG
                | Errno::NOSPC
                | Errno::FBIG,
            )
            | None => Outcome::Refuse,
            Some(_) => Outcome::Fatal,
        }
    }
}

/// The device and inode number of a file.
pub type Identity = (u64, u64);

/// How paths are resolved: inside the tree, whatever its links say.
const INSIDE: ResolveFlags = ResolveFlags::IN_ROOT.union(ResolveFlags::NO_MAGICLINKS);

/// A tree.
#[derive(Clone, Copy, Debug)]
pub struct Directory<'a> {
    handle: BorrowedFd<'a>,
    place: &'static str,
    resolve: ResolveFlags,
}

impl<'a> Directory<'a> {
    /// `place` is for errors: `in the installed root`.
    #[must_use]
    pub const fn new(handle: BorrowedFd<'a>, place: &'static str) -> Self {
        let resolve = INSIDE.union(ResolveFlags::NO_XDEV);
        Self {
            handle,
            place,
            resolve,
        }
    }

    /// A running system's tree, to be looked at: its `/boot` may be another file system.
    #[must_use]
    pub const fn across_mounts(handle: BorrowedFd<'a>, place: &'static str) -> Self {
        Self {
            handle,
            place,
            resolve: INSIDE,
        }
    }

    /// A regular file, open for reading; `None` when there is nothing or something else.
    ///
    /// # Errors
    /// Anything but "not there".
    pub fn open(&self, path: &str) -> Result<Option<std::fs::File>, DirectoryError> {
        // Looked at before it is opened; nobody else changes the tree now.
        let file = self
            .open_at(path, OFlags::PATH)
            .and_then(|seen| Ok(FileType::from_raw_mode(rustix::fs::fstat(seen)?.st_mode)))
            .and_then(|kind| match kind {
                FileType::RegularFile => self.open_at(path, OFlags::RDONLY).map(Some),
                _ => Ok(None),
            });
        match file {
            Ok(file) => Ok(file.map(Into::into)),
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => Ok(None),
            Err(errno) => Err(self.error("reading", path, errno.into())),
        }
    }

    /// The content of a regular file of at most `max_bytes`; `None` when there is none.
    ///
    /// # Errors
    /// It is larger, or reading failed.
    pub fn read(&self, path: &str, max_bytes: u64) -> Result<Option<Vec<u8>>, DirectoryError> {
        let Some(file) = self.open(path)? else {
            return Ok(None);
        };
        let mut bytes = Vec::new();
        let read = file
            .take(max_bytes.saturating_add(1))
            .read_to_end(&mut bytes);
        read.map_err(|source| self.error("reading", path, source))?;
        if bytes.len() as u64 > max_bytes {
            return Err(self.error("reading", path, Errno::FBIG.into()));
        }
        Ok(Some(bytes))
    }

    /// Puts a new file in place of whatever is there. Its directory must exist.
    ///
    /// # Errors
    /// The directory does not exist, a directory stands there, or writing failed.
    pub fn write(
        &self,
        path: &str,
        mode: u32,
        content: &mut dyn Read,
    ) -> Result<(), DirectoryError> {
        let mut write = || -> io::Result<()> {
            let (parent, name) = self.parent(path)?;
            remove(parent.as_fd(), name)?;
            let flags =
                OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let file = rustix::fs::openat(&parent, name, flags, Mode::from_raw_mode(0o600))?;
            let mut file = std::fs::File::from(file);
            io::copy(content, &mut file)?;
            file.flush()?;
            // Whatever the umask is.
            Ok(rustix::fs::fchmod(&file, Mode::from_raw_mode(mode))?)
        };
        write().map_err(|source| self.error("writing", path, source))
    }

    /// Puts a symbolic link in place of whatever is there.
    ///
    /// # Errors
    /// As [`Directory::write`].
    pub fn link(&self, path: &str, target: &str) -> Result<(), DirectoryError> {
        let link = || -> io::Result<()> {
            let (parent, name) = self.parent(path)?;
            remove(parent.as_fd(), name)?;
            Ok(rustix::fs::symlinkat(target, &parent, name)?)
        };
        link().map_err(|source| self.error("linking", path, source))
    }

    /// Removes a file or link; nothing there is fine.
    ///
    /// # Errors
    /// A directory stands there, or the file system failed.
    pub fn remove(&self, path: &str) -> Result<(), DirectoryError> {
        let removed = match self.parent(path) {
            Ok((parent, name)) => remove(parent.as_fd(), name),
            Err(Errno::NOENT | Errno::NOTDIR) => Ok(()),
            Err(errno) => Err(errno),
        };
        removed.map_err(|errno| self.error("removing", path, errno.into()))
    }

    /// Makes the directory and those above it.
    ///
    /// # Errors
    /// Something that is no directory is in the way, or the file system failed.
    pub fn make_directories(&self, path: &str) -> Result<(), DirectoryError> {
        let mut so_far = String::new();
        for part in path.split('/').filter(|part| !part.is_empty()) {
            if !so_far.is_empty() {
                so_far.push('/');
            }
            so_far.push_str(part);
            let made = self.parent(&so_far).and_then(|(parent, name)| {
                if self
                    .open_at(&so_far, OFlags::PATH | OFlags::DIRECTORY)
                    .is_ok()
                {
                    return Ok(());
                }
                rustix::fs::mkdirat(&parent, name, Mode::from_raw_mode(0o755))
            });
            made.map_err(|errno| self.error("making directory", &so_far, errno.into()))?;
        }
        Ok(())
    }

    /// Is there a directory?
    #[must_use]
    pub fn has_directory(&self, path: &str) -> bool {
        self.open_at(path, OFlags::PATH | OFlags::DIRECTORY).is_ok()
    }

    /// What a path leads to, links followed; `None` when there is nothing.
    #[must_use]
    pub fn identity(&self, path: &str) -> Option<Identity> {
        let found = self.open_at(path, OFlags::PATH).ok()?;
        let stat = rustix::fs::fstat(found).ok()?;
        Some((stat.st_dev, stat.st_ino))
    }

    /// Is this path itself a symbolic link, or anything else that is no regular file?
    #[must_use]
    pub fn is_plain_file(&self, path: &str) -> bool {
        let Ok((parent, name)) = self.parent(path) else {
            return false;
        };
        rustix::fs::statat(&parent, name, AtFlags::SYMLINK_NOFOLLOW)
            .is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile)
    }

    /// Names in a directory, sorted; those that are not UTF-8 are left out. No such directory:
    /// none.
    ///
    /// # Errors
    /// Reading the directory failed.
    pub fn names(&self, path: &str) -> Result<Vec<String>, DirectoryError> {
        let directory = match self.open_at(path, OFlags::RDONLY | OFlags::DIRECTORY) {
            Ok(directory) => directory,
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => return Ok(Vec::new()),
            Err(errno) => return Err(self.error("listing", path, errno.into())),
        };
        let mut names = Vec::new();
        let listed = Dir::new(directory).and_then(|entries| {
            for entry in entries {
                if let Ok(name) = entry?.file_name().to_str() {
                    names.push(name.to_owned());
                }
            }
            Ok(())
        });
        listed.map_err(|errno| self.error("listing", path, errno.into()))?;
        names.retain(|name| name != "." && name != "..");
        names.sort_unstable();
        Ok(names)
    }

    fn open_at(&self, path: &str, flags: OFlags) -> Result<OwnedFd, Errno> {
        let (flags, mode) = (flags | OFlags::CLOEXEC, Mode::empty());
        loop {
            match rustix::fs::openat2(self.handle, path, flags, mode, self.resolve) {
                // A rename somewhere on the machine raced with `..`: openat2(2) asks to try again.
                Err(Errno::AGAIN) => {}
                result => return result,
            }
        }
    }

    /// The directory of a path, opened, and the path's last component.
    fn parent<'p>(&self, path: &'p str) -> Result<(OwnedFd, &'p str), Errno> {
        let (directory, name) = path.rsplit_once('/').unwrap_or((".", path));
        Ok((
            self.open_at(directory, OFlags::PATH | OFlags::DIRECTORY)?,
            name,
        ))
    }

    fn error(&self, action: &'static str, path: &str, source: io::Error) -> DirectoryError {
        DirectoryError {
            action,
            path: path.to_owned(),
            place: self.place,
            source,
        }
    }
}

fn remove(parent: BorrowedFd<'_>, name: &str) -> Result<(), Errno> {
    match rustix::fs::unlinkat(parent, name, AtFlags::empty()) {
        Err(Errno::NOENT) | Ok(()) => Ok(()),
        Err(errno) => Err(errno),
    }
}

#[cfg(test)]
mod tests {
    use super::Directory;
    use std::fs;
    use std::os::fd::AsFd;
    use std::os::unix::fs::{PermissionsExt, symlink};
    use std::sync::atomic::{AtomicBool, Ordering};
    use tempfile::TempDir;

    /// A tree, and beside it what no test may touch.
    fn with_tree(test: impl FnOnce(Directory<'_>, &std::path::Path)) {
        let dir = TempDir::new().unwrap();
        let root = dir.path().join("root");
        fs::create_dir_all(root.join("etc")).unwrap();
        fs::write(dir.path().join("outside"), "outside").unwrap();
        let handle = fs::File::open(&root).unwrap();
        test(Directory::new(handle.as_fd(), "in the test"), &root);
        assert_eq!(fs::read(dir.path().join("outside")).unwrap(), b"outside");
        assert_eq!(
            fs::read_dir(dir.path()).unwrap().count(),
            2,
            "nothing was made beside the tree"
        );
    }

    #[test]
    fn a_planted_link_is_replaced_and_never_followed() {
        with_tree(|tree, root| {
            for (name, target) in [
                ("a", "../../outside"),
                ("b", "/outside"),
                ("c", "b"),
                ("d", "/proc/self/exe"),
            ] {
                symlink(target, root.join("etc").join(name)).unwrap();
                tree.write(&format!("etc/{name}"), 0o640, &mut b"new".as_slice())
                    .unwrap();
                let path = root.join("etc").join(name);
                assert_eq!(
                    fs::symlink_metadata(&path).unwrap().permissions().mode(),
                    0o100_640
                );
                assert_eq!(fs::read(path).unwrap(), b"new");
            }
        });
    }

    #[test]
    fn directories_that_are_links_stay_inside_the_tree() {
        with_tree(|tree, root| {
            symlink("../..", root.join("up")).unwrap();
            symlink("/etc", root.join("absolute")).unwrap();
            tree.write("up/outside", 0o644, &mut b"in".as_slice())
                .unwrap();
            assert_eq!(
                fs::read(root.join("outside")).unwrap(),
                b"in",
                "up is the tree's own root"
            );
            tree.write("absolute/x", 0o644, &mut b"in".as_slice())
                .unwrap();
            assert_eq!(tree.read("etc/x", 10).unwrap().unwrap(), b"in");
            tree.make_directories("absolute/deep/er").unwrap();
            assert!(root.join("etc/deep/er").is_dir());
            assert!(tree.has_directory("absolute/deep"));
            tree.remove("up/outside").unwrap();
            tree.remove("nowhere/at/all").unwrap();
            assert!(tree.write("nowhere/x", 0o644, &mut b"".as_slice()).is_err());
        });
    }

    #[test]
    fn only_regular_files_of_bounded_size_are_read() {
        with_tree(|tree, root| {
            fs::write(root.join("etc/file"), "0123456789").unwrap();
            symlink("/etc/file", root.join("etc/link")).unwrap();
            symlink("loop", root.join("etc/loop")).unwrap();
            rustix::fs::mknodat(
                rustix::fs::CWD,
                root.join("etc/fifo"),
                rustix::fs::FileType::Fifo,
                rustix::fs::Mode::from_raw_mode(0o644),
                0,
            )
            .unwrap();
            assert_eq!(tree.read("etc/link", 10).unwrap().unwrap(), b"0123456789");
            assert!(tree.is_plain_file("etc/file") && !tree.is_plain_file("etc/link"));
            for nothing in ["etc/fifo", "etc/loop", "etc", "no", "etc/file/x"] {
                assert!(tree.read(nothing, 10).unwrap().is_none(), "{nothing}");
            }
            let text = tree.read("etc/file", 9).unwrap_err().to_string();
            assert_eq!(text, "reading etc/file in the test");
            assert_eq!(tree.names("etc").unwrap(), ["fifo", "file", "link", "loop"]);
            assert!(tree.names("nowhere").unwrap().is_empty());
        });
    }

    /// On a host that renames files all the time, `..` is resolved all the same.
    #[test]
    fn renames_elsewhere_on_the_machine_do_no_harm() {
        with_tree(|tree, root| {
            fs::write(root.join("etc/file"), "here").unwrap();
            fs::create_dir(root.join("busy")).unwrap();
            let is_over = AtomicBool::new(false);
            std::thread::scope(|scope| {
                scope.spawn(|| {
                    let [a, b] = ["busy", "busier"].map(|name| root.join(name));
                    while !is_over.load(Ordering::Relaxed) {
                        fs::rename(&a, &b).unwrap();
                        fs::rename(&b, &a).unwrap();
                    }
                });
                let way = "etc/../".repeat(200) + "etc/file";
                let failed = (0..2000).find_map(|_| tree.open(&way).err());
                is_over.store(true, Ordering::Relaxed);
                assert!(failed.is_none(), "{:?}", failed.map(|error| error.source));
            });
        });
    }
}
