//! The packages of a directory, opened and measured, in the order in which they are sent.
//!
//! In: a directory. Out: open files with valid names and lengths, `smechvisor-base` first; what was
//! passed over, with the reason. A file is opened once: its length is that of the open file,
//! whatever happens to its name later.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};
use thiserror::Error;
use wire::manifest::{IMAGE_SUFFIX, is_image};
use wire::stream::{DATA_MAX, PackageName, StreamError};

/// The package that carries kernel and root: everything else is unpacked over it.
pub const BASE: &str = "smechvisor-base";

/// One package to send.
#[derive(Debug)]
pub struct Package {
    /// As it goes on the wire: the file's name.
    pub name: PackageName,
    /// For messages.
    pub path: PathBuf,
    /// The open file.
    pub file: File,
    /// Its length when it was opened, in bytes.
    pub len_bytes: u64,
}

/// The packages of a directory.
#[derive(Debug)]
pub struct Packages {
    /// In the order of sending.
    pub packages: Vec<Package>,
    /// Names that are no packages, and why.
    pub ignored: Vec<(OsString, &'static str)>,
}

impl Packages {
    /// All packages together, in bytes.
    #[must_use]
    pub fn total_bytes(&self) -> u64 {
        self.packages
            .iter()
            .fold(0, |sum, package| sum.saturating_add(package.len_bytes))
    }
}

/// Why the packages cannot be sent.
#[derive(Debug, Error)]
#[allow(missing_docs)] // the fields name themselves
pub enum PackagesError {
    /// The directory cannot be listed.
    #[error("listing packages in {}", path.display())]
    List {
        path: PathBuf,
        /// The kernel's reason.
        source: io::Error,
    },
    /// Nothing in it is a package.
    #[error("no package in {}: {seen} entries, none is a *.tar.xz, *.tar.zst or *.img file", path.display())]
    Empty {
        path: PathBuf,
        /// The other files that there are.
        seen: usize,
    },
    /// It cannot be opened.
    #[error("opening package {}", path.display())]
    Open {
        path: PathBuf,
        /// The kernel's reason.
        source: io::Error,
    },
    /// The wire has no such name.
    #[error("naming package {}", path.display())]
    Name {
        path: PathBuf,
        /// The fault.
        source: StreamError,
    },
    /// The wire has no such length.
    #[error("package {} has {len_bytes} bytes; 1 to {DATA_MAX} can be sent", path.display())]
    Length {
        path: PathBuf,
        /// Its length.
        len_bytes: u64,
    },
    /// An image is a whole system.
    #[error("{} is an image and {} is another package; an image is sent alone", image.display(), other.display())]
    ImageAndOthers {
        image: PathBuf,
        /// The first of the others.
        other: PathBuf,
    },
    /// Two files are one package.
    #[error("{} and {} are the same package; remove one", first.display(), second.display())]
    Twice {
        /// The one that would be sent first.
        first: PathBuf,
        /// The one that would be sent later.
        second: PathBuf,
    },
}

/// Opens every package of `dir`.
///
/// # Errors
/// The first file that has a package's suffix and cannot be sent; or an empty directory.
pub fn open(dir: &Path) -> Result<Packages, PackagesError> {
    let mut packages = Vec::new();
    let mut ignored = Vec::new();
    let names = list(dir)?;
    for name in &names {
        if !has_suffix(name) {
            ignored.push((name.clone(), "no .tar.xz, .tar.zst or .img"));
        } else if let Some(package) = open_one(&dir.join(name), name)? {
            packages.push(package);
        } else {
            ignored.push((name.clone(), "not a file"));
        }
    }
    if packages.is_empty() {
        return Err(PackagesError::Empty {
            path: dir.to_owned(),
            seen: names.len(),
        });
    }
    Ok(Packages {
        packages: in_order(packages)?,
        ignored,
    })
}

/// Opens these packages, wherever they are.
///
/// # Errors
/// The first one that cannot be sent.
pub fn open_files(paths: &[PathBuf]) -> Result<Vec<Package>, PackagesError> {
    let open = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_owned();
        open_one(path, &name)?.ok_or_else(|| PackagesError::Open {
            path: path.clone(),
            source: io::Error::other("it is not a file"),
        })
    };
    in_order(paths.iter().map(open).collect::<Result<_, _>>()?)
}

/// What can be sent together, in the order of sending.
fn in_order(mut packages: Vec<Package>) -> Result<Vec<Package>, PackagesError> {
    refuse_twice(&packages)?;
    refuse_image_and_others(&packages)?;
    packages.sort_by(|a, b| order(a).cmp(&order(b)));
    Ok(packages)
}

/// Opens exactly these packages of `dir`, in this order; others are passed over.
///
/// # Errors
/// The first one that is not there or cannot be sent.
pub fn open_listed(dir: &Path, wanted: &[PackageName]) -> Result<Packages, PackagesError> {
    let mut packages = Vec::new();
    for name in wanted {
        let (path, file_name) = (dir.join(name.as_str()), OsString::from(name.as_str()));
        let package = open_one(&path, &file_name)?;
        packages.push(package.ok_or_else(|| PackagesError::Open {
            path,
            source: io::Error::other("it is not a file"),
        })?);
    }
    let is_wanted = |name: &OsString| wanted.iter().any(|wanted| wanted.as_str() == name);
    let mut ignored: Vec<_> = list(dir)?
        .into_iter()
        .filter(|name| has_suffix(name) && !is_wanted(name))
        .map(|name| (name, "not in MANIFEST"))
        .collect();
    ignored.sort();
    Ok(Packages { packages, ignored })
}

fn order(package: &Package) -> (bool, &str) {
    let name = package.name.package();
    (name != BASE, name)
}

fn list(dir: &Path) -> Result<Vec<OsString>, PackagesError> {
    let failed = |source| PackagesError::List {
        path: dir.to_owned(),
        source,
    };
    let mut names = Vec::new();
    for entry in fs::read_dir(dir).map_err(failed)? {
        names.push(entry.map_err(failed)?.file_name());
    }
    names.sort();
    Ok(names)
}

fn has_suffix(name: &OsString) -> bool {
    let name = name.as_bytes();
    // A hidden file is an unfinished download or an editor's, whatever its suffix is.
    let suffixes = [".tar.xz", ".tar.zst", IMAGE_SUFFIX];
    let has = |suffix: &str| name.ends_with(suffix.as_bytes());
    !name.starts_with(b".") && suffixes.into_iter().any(has)
}

/// `None` for what is not a regular file.
fn open_one(path: &Path, name: &OsString) -> Result<Option<Package>, PackagesError> {
    let failed = |source| PackagesError::Open {
        path: path.to_owned(),
        source,
    };
    // NONBLOCK: a FIFO with a package's name must not hang us before we see what it is. Files do
    // not care.
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let fd = rustix::fs::open(path, flags, Mode::empty()).map_err(|errno| failed(errno.into()))?;
    let file = File::from(fd);
    let metadata = file.metadata().map_err(failed)?;
    if !metadata.is_file() {
        return Ok(None);
    }
    let name = PackageName::parse(name.as_bytes()).map_err(|source| PackagesError::Name {
        path: path.to_owned(),
        source,
    })?;
    let len_bytes = metadata.len();
    if len_bytes == 0 || len_bytes > DATA_MAX {
        return Err(PackagesError::Length {
            path: path.to_owned(),
            len_bytes,
        });
    }
    // Only advice: it cannot fail in a way that matters.
    let _ = rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::Sequential);
    Ok(Some(Package {
        name,
        path: path.to_owned(),
        file,
        len_bytes,
    }))
}

fn refuse_twice(packages: &[Package]) -> Result<(), PackagesError> {
    let mut seen: BTreeMap<&str, &Path> = BTreeMap::new();
    for package in packages {
        if let Some(first) = seen.insert(package.name.package(), &package.path) {
            return Err(PackagesError::Twice {
                first: first.to_owned(),
                second: package.path.clone(),
            });
        }
    }
    Ok(())
}

fn refuse_image_and_others(packages: &[Package]) -> Result<(), PackagesError> {
    let image = packages.iter().position(|one| is_image(&one.name));
    let Some((at, image)) = image.and_then(|at| Some((at, packages.get(at)?))) else {
        return Ok(());
    };
    let other = packages.iter().enumerate().find(|(other, _)| *other != at);
    other.map_or(Ok(()), |(_, other)| {
        Err(PackagesError::ImageAndOthers {
            image: image.path.clone(),
            other: other.path.clone(),
        })
    })
}

#[cfg(test)]
mod tests {
    use super::{PackagesError, open};
    use std::fs;
    use std::path::Path;
    use tempfile::TempDir;

    fn dir(files: &[(&str, &str)]) -> TempDir {
        let dir = tempfile::tempdir().unwrap();
        for (file, data) in files {
            fs::write(dir.path().join(file), data).unwrap();
        }
        dir
    }

    fn refused(dir: &Path) -> String {
        wire::chain::chain(&open(dir).unwrap_err()).to_string()
    }

    #[test]
    fn base_goes_first_and_the_others_by_name() {
        let dir = dir(&[
            ("kernel-modules.tar.zst", "1"),
            ("bootloader-grub.tar.xz", "22"),
            ("smechvisor-base.tar.zst", "333"),
            ("a.tar.xz", "4"),
        ]);
        let found = open(dir.path()).unwrap();
        let names: Vec<_> = found
            .packages
            .iter()
            .map(|package| package.name.as_str())
            .collect();
        assert_eq!(
            names,
            [
                "smechvisor-base.tar.zst",
                "a.tar.xz",
                "bootloader-grub.tar.xz",
                "kernel-modules.tar.zst"
            ]
        );
        assert_eq!(found.total_bytes(), 7);
    }

    #[test]
    fn other_files_are_passed_over_with_a_reason() {
        let dir = dir(&[
            ("a.tar.xz", "1"),
            ("README", "2"),
            ("b.tar.xz.part", ""),
            (".c.tar.xz", "3"),
        ]);
        fs::create_dir(dir.path().join("d.tar.xz")).unwrap();
        let found = open(dir.path()).unwrap();
        assert_eq!(found.packages.len(), 1);
        let ignored: Vec<_> = found
            .ignored
            .iter()
            .map(|(name, why)| (name.to_str().unwrap(), *why))
            .collect();
        let no_suffix = "no .tar.xz, .tar.zst or .img";
        let expected = [
            (".c.tar.xz", no_suffix),
            ("README", no_suffix),
            ("b.tar.xz.part", no_suffix),
            ("d.tar.xz", "not a file"),
        ];
        assert_eq!(ignored, expected);
    }

    #[test]
    fn a_fifo_with_a_packages_name_does_not_hang() {
        let dir = dir(&[("a.tar.xz", "1")]);
        let path = dir.path().join("f.tar.xz");
        rustix::fs::mknodat(
            rustix::fs::CWD,
            &path,
            rustix::fs::FileType::Fifo,
            0o600.into(),
            0,
        )
        .unwrap();
        assert_eq!(
            open(dir.path()).unwrap().ignored,
            [("f.tar.xz".into(), "not a file")]
        );
    }

    #[test]
    fn two_files_of_one_package_are_refused() {
        let dir = dir(&[("x.tar.xz", "1"), ("x.tar.zst", "2")]);
        let text = refused(dir.path());
        assert!(
            text.contains("/x.tar.xz and ") && text.contains("/x.tar.zst are the same package"),
            "{text}"
        );
    }

    #[test]
    fn an_image_is_sent_alone() {
        let dir = dir(&[("system.img", "1"), ("README", "2")]);
        let found = open(dir.path()).unwrap();
        assert_eq!(found.packages[0].name.as_str(), "system.img");
        for other in ["a.tar.xz", "other.img"] {
            fs::write(dir.path().join(other), "3").unwrap();
            let text = refused(dir.path());
            assert!(text.contains("an image is sent alone"), "{text}");
            fs::remove_file(dir.path().join(other)).unwrap();
        }
    }

    #[test]
    fn nothing_to_send_is_refused() {
        let dir = dir(&[("README", "x")]);
        assert!(refused(dir.path()).contains("1 entries"));
        let missing = dir.path().join("nowhere");
        assert!(matches!(open(&missing), Err(PackagesError::List { .. })));
        assert!(refused(&missing).contains("nowhere: No such file"));
    }

    #[test]
    fn an_empty_file_is_refused() {
        let dir = dir(&[("a.tar.xz", "")]);
        assert!(refused(dir.path()).contains("a.tar.xz has 0 bytes"));
    }

    #[test]
    fn more_than_a_tebibyte_is_refused() {
        let dir = dir(&[]);
        let file = fs::File::create(dir.path().join("a.tar.xz")).unwrap();
        // Sparse. A file system that cannot hold it cannot hold such a package either.
        if file.set_len((1 << 40) + 1).is_ok() {
            assert!(refused(dir.path()).contains("1099511627777"));
        } else {
            assert!(refused(dir.path()).contains("has 0 bytes"));
        }
    }

    #[test]
    fn names_the_wire_has_not_are_refused() {
        for name in ["a b.tar.xz", "-x.tar.xz", "ä.tar.xz"] {
            let dir = dir(&[(name, "1")]);
            assert!(
                matches!(open(dir.path()), Err(PackagesError::Name { .. })),
                "{name}"
            );
        }
    }

    #[test]
    fn the_longest_name_a_file_can_have_is_sent() {
        let name = format!("{}.tar.xz", "x".repeat(248));
        let dir = dir(&[(&name, "1")]);
        assert_eq!(
            open(dir.path()).unwrap().packages[0].name.as_str().len(),
            255
        );
    }

    #[test]
    fn a_dangling_link_is_an_error_not_a_gap() {
        let dir = dir(&[("a.tar.xz", "1")]);
        std::os::unix::fs::symlink("nowhere", dir.path().join("b.tar.xz")).unwrap();
        assert!(matches!(open(dir.path()), Err(PackagesError::Open { .. })));
    }
}
