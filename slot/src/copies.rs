//! What an image brings below a writable directory and a node lacks (`slot.md 6.3`).
//!
//! In: the image's directory and the node's. Out: everything that only the image had is in both.
//! What the node has stays as it is, also where the image has something else of that name, and no
//! symbolic link of the node is followed. Each file appears under its name when it is whole, so a
//! power cut leaves nothing that a second run would take for the node's own.

use std::fs::{self, File, FileTimes, Metadata};
use std::io;
use std::os::unix::fs::{self as unix, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{XattrFlags, lgetxattr, llistxattr, lsetxattr};
use rustix::io::Errno;
use thiserror::Error;

/// Longest list of attributes, and longest attribute (`xattr(7)`).
const ATTRIBUTE_MAX: usize = 64 * 1024;

/// Something could not be copied.
#[derive(Debug, Error)]
#[error("copying {} of the image to the state partition", path.display())]
pub struct CopyError {
    /// Where the image has it.
    pub path: PathBuf,
    /// The kernel's reason.
    #[source]
    pub source: io::Error,
}

/// How to copy.
#[derive(Clone, Copy, Debug)]
pub struct Copies<'a> {
    /// A name on the node's file system for what is not whole yet.
    pub unfinished: &'a Path,
    /// Paths below the image's directory that stay the image's.
    pub left_out: &'a [PathBuf],
}

impl Copies<'_> {
    /// Copies what `node` lacks of `image`; both are directories. Returns how many files,
    /// directories and links that were. Devices, pipes and sockets are left out: a node makes its
    /// own.
    ///
    /// # Errors
    /// The first thing that could not be copied.
    pub fn missing(&self, image: &Path, node: &Path) -> Result<u64, CopyError> {
        self.below(image, node, Path::new(""))
    }

    fn below(&self, image: &Path, node: &Path, relative: &Path) -> Result<u64, CopyError> {
        let directory = image.join(relative);
        let failed = |source| CopyError {
            path: directory.clone(),
            source,
        };
        let mut copied = 0_u64;
        for entry in fs::read_dir(&directory).map_err(failed)? {
            let relative = relative.join(entry.map_err(failed)?.file_name());
            if !self.left_out.contains(&relative) {
                copied = copied.saturating_add(self.one(image, node, &relative)?);
            }
        }
        Ok(copied)
    }

    fn one(&self, image: &Path, node: &Path, relative: &Path) -> Result<u64, CopyError> {
        let (from, to) = (image.join(relative), node.join(relative));
        let failed = |source| CopyError {
            path: from.clone(),
            source,
        };
        let what = fs::symlink_metadata(&from).map_err(failed)?;
        let there = match fs::symlink_metadata(&to) {
            Ok(there) => Some(there.is_dir()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(failed(error)),
        };
        let kind = what.file_type();
        match there {
            Some(true) if kind.is_dir() => self.below(image, node, relative),
            Some(_) => Ok(0),
            None if kind.is_dir() => {
                fs::create_dir(&to)
                    .and_then(|()| adorn(&from, &to, &what))
                    .map_err(failed)?;
                self.below(image, node, relative)
                    .map(|below| below.saturating_add(1))
            }
            None if kind.is_file() || kind.is_symlink() => {
                self.whole(&from, &to, &what).map_err(failed)?;
                Ok(1)
            }
            None => Ok(0),
        }
    }

    /// A file or a link: under another name until it is whole.
    fn whole(&self, from: &Path, to: &Path, what: &Metadata) -> io::Result<()> {
        match fs::remove_file(self.unfinished) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
        if what.is_symlink() {
            unix::symlink(fs::read_link(from)?, self.unfinished)?;
        } else {
            let mut file = File::create_new(self.unfinished)?;
            io::copy(&mut File::open(from)?, &mut file)?;
            file.set_times(FileTimes::new().set_modified(what.modified()?))?;
        }
        adorn(from, self.unfinished, what)?;
        fs::rename(self.unfinished, to)
    }
}

/// Owner, permissions and attributes. In this order: a change of owner takes the bits that give
/// rights.
fn adorn(from: &Path, to: &Path, what: &Metadata) -> io::Result<()> {
    unix::lchown(to, Some(what.uid()), Some(what.gid()))?;
    if !what.is_symlink() {
        fs::set_permissions(to, fs::Permissions::from_mode(what.mode()))?;
    }
    let mut names = vec![0; ATTRIBUTE_MAX];
    let len = match llistxattr(from, names.as_mut_slice()) {
        Ok(len) => len,
        Err(Errno::NOTSUP) => 0,
        Err(errno) => return Err(errno.into()),
    };
    let names = names.get(..len).unwrap_or_default();
    for name in names
        .split(|byte| *byte == 0)
        .filter(|name| !name.is_empty())
    {
        let mut value = vec![0; ATTRIBUTE_MAX];
        let len = lgetxattr(from, name, value.as_mut_slice())?;
        let value = value.get(..len).unwrap_or_default();
        lsetxattr(to, name, value, XattrFlags::empty())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::Copies;
    use std::fs;
    use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
    use std::path::{Path, PathBuf};

    struct Trees {
        dir: tempfile::TempDir,
    }

    impl Trees {
        fn new() -> Self {
            let trees = Self {
                dir: tempfile::tempdir().unwrap(),
            };
            for name in ["image", "node"] {
                fs::create_dir(trees.at(name)).unwrap();
            }
            trees
        }

        fn at(&self, path: &str) -> PathBuf {
            self.dir.path().join(path)
        }

        fn put(&self, path: &str, content: &str) {
            let path = self.at(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }

        fn read(&self, path: &str) -> String {
            fs::read_to_string(self.at(path)).unwrap()
        }

        fn copy(&self, left_out: &[&str]) -> u64 {
            let left_out: Vec<_> = left_out.iter().map(PathBuf::from).collect();
            let copies = Copies {
                unfinished: &self.at("unfinished"),
                left_out: &left_out,
            };
            copies.missing(&self.at("image"), &self.at("node")).unwrap()
        }
    }

    #[test]
    fn only_what_the_node_lacks_is_copied() {
        let trees = Trees::new();
        trees.put("image/lib/new/file", "new");
        trees.put("image/lib/kept", "the image's");
        trees.put("node/lib/kept", "the node's");
        trees.put("node/lib/own", "own");
        trees.put("image/lib/dpkg/status", "packages");
        symlink("../lib/kept", trees.at("image/link")).unwrap();
        assert_eq!(
            trees.copy(&["lib/dpkg"]),
            3,
            "a directory, a file and a link"
        );
        assert_eq!(trees.read("node/lib/new/file"), "new");
        assert_eq!(trees.read("node/lib/kept"), "the node's");
        assert_eq!(trees.read("node/lib/own"), "own");
        assert_eq!(
            fs::read_link(trees.at("node/link")).unwrap(),
            Path::new("../lib/kept")
        );
        assert!(!trees.at("node/lib/dpkg").exists() && !trees.at("unfinished").exists());
        assert_eq!(
            trees.copy(&["lib/dpkg"]),
            0,
            "a second time nothing is left to do"
        );
    }

    #[test]
    fn a_copy_has_the_permissions_and_the_age_of_the_original() {
        let trees = Trees::new();
        trees.put("image/spool/tool", "x");
        let modes = [("spool/tool", 0o4750), ("spool", 0o1777)];
        for (path, mode) in modes {
            let permissions = fs::Permissions::from_mode(mode);
            fs::set_permissions(trees.at("image").join(path), permissions).unwrap();
        }
        trees.copy(&[]);
        for (path, mode) in modes {
            let copy = fs::metadata(trees.at("node").join(path)).unwrap();
            assert_eq!(copy.mode() & 0o7777, mode, "{path}");
        }
        let age = |path: &str| fs::metadata(trees.at(path)).unwrap().modified().unwrap();
        assert_eq!(age("node/spool/tool"), age("image/spool/tool"));
    }

    #[test]
    fn no_link_of_the_node_is_followed_and_nothing_of_another_kind_is_replaced() {
        let trees = Trees::new();
        trees.put("image/cache/file", "x");
        trees.put("image/log/file", "x");
        trees.put("node/log", "a file");
        fs::create_dir(trees.at("elsewhere")).unwrap();
        symlink(trees.at("elsewhere"), trees.at("node/cache")).unwrap();
        assert_eq!(trees.copy(&[]), 0);
        assert_eq!(fs::read_dir(trees.at("elsewhere")).unwrap().count(), 0);
        assert_eq!(trees.read("node/log"), "a file");
    }

    #[test]
    fn what_a_power_cut_left_is_replaced() {
        let trees = Trees::new();
        trees.put("image/a", "whole");
        trees.put("unfinished", "ha");
        assert_eq!(trees.copy(&[]), 1);
        assert_eq!(trees.read("node/a"), "whole");
    }

    #[test]
    fn an_error_names_what_could_not_be_copied() {
        let trees = Trees::new();
        trees.put("image/a", "x");
        let copies = Copies {
            unfinished: &trees.at("missing/unfinished"),
            left_out: &[],
        };
        let error = copies
            .missing(&trees.at("image"), &trees.at("node"))
            .unwrap_err();
        assert!(
            error
                .to_string()
                .ends_with("image/a of the image to the state partition"),
            "{error}"
        );
    }
}
