//! The directory that `media pxe` made in, a copy that every program of this machine may read
//! out.
//!
//! A copy, because the TFTP server is nobody and may not be able to enter the directory, and
//! because a directory that is rebuilt while machines boot from it must not give one of them half
//! of each. Only the names that `spk-visor media pxe` makes are taken: a wrong directory publishes
//! nothing. Links are not followed, and what not everybody on this machine may read is not
//! published: both are asked of the open file that is copied.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, openat, openat2};
use rustix::io::Errno;
use thiserror::Error;

/// The files that `spk-visor media pxe` makes, less the configurations for a dnsmasq without us.
pub const FILES: [&str; 7] = [
    "boot.ipxe",
    "grub-bios.0",
    "grub-uefi.efi",
    "grub.cfg",
    "initramfs",
    "deploy-shim.efi",
    "vmlinuz",
];
/// What it makes besides with `--secure-boot`: `grub-uefi.efi` then starts the first of them, which
/// reads the last.
pub const SIGNED_FILES: [&str; 3] = ["grubx64.efi", "mmx64.efi", "grub/grub.cfg"];
/// GRUB's menu for one machine (`grub.cfg-01-52-54-00-12-34-56`) or one part of a network: it looks
/// for it by itself.
const PER_MACHINE: &str = "grub.cfg-";
/// A name of that kind has the firmware's UUID, the card's hardware address or its address in
/// hexadecimal behind it.
const PER_MACHINE_MAX: usize = 36;
/// Enough for every kernel with every firmware; a directory with more was not made by
/// `spk-visor media pxe`.
const MAX_BYTES: u64 = 1 << 30;
/// What the archives in a file are looked at, unpacked: more than any kernel with all its modules
/// and firmware.
const UNPACKED_MAX_BYTES: u64 = 2 << 30;

/// Finds a private key in a file, or in the first so many bytes of the archives in it.
pub type HoldsKey = fn(&[u8], u64) -> bool;

/// Whether files are searched for private keys before they are served.
#[derive(Clone, Copy, Debug)]
pub enum KeySearch {
    /// A file with a key is refused.
    By(HoldsKey),
    /// Files with keys are served.
    Off,
}

impl KeySearch {
    fn finds_one(self, file: &[u8]) -> bool {
        match self {
            KeySearch::By(holds_key) => holds_key(file, UNPACKED_MAX_BYTES),
            KeySearch::Off => false,
        }
    }
}
/// Menus for single machines.
const MAX_FILES: usize = 1024;
/// Lives in memory, and a reboot forgets it.
const PLACE: &str = "/run";

/// Why there is nothing to serve.
#[derive(Debug, Error)]
#[allow(missing_docs)] // the fields name themselves
pub enum TreeError {
    /// A file is not there, or cannot be read.
    #[error("reading {} (spk-visor media pxe makes it)", path.display())]
    Read {
        path: PathBuf,
        /// The kernel's reason.
        source: io::Error,
    },
    /// A link can lead to any file.
    #[error("{} is a symbolic link; put the file itself there", path.display())]
    Link { path: PathBuf },
    /// Its mode says that it is not for everybody.
    #[error(
        "not everybody on this machine may read {}, and everybody on the network could fetch it \
         (a private key or a passphrase is in it?); if that is meant, give it the mode 0644",
        path.display()
    )]
    Secret { path: PathBuf },
    /// Its contents do.
    #[error(
        "{} holds a private key (media image --pinned), and everybody on the network could \
         fetch it; if that is meant, say --publish-pinned",
        path.display()
    )]
    Pinned { path: PathBuf },
    /// More than such a tree can be.
    #[error("{} holds more than {limit} {what}; so much is not served", path.display())]
    Large {
        path: PathBuf,
        /// `bytes` or `files`.
        what: &'static str,
        /// The limit.
        limit: u64,
    },
    /// The copy.
    #[error("writing {}", path.display())]
    Write {
        path: PathBuf,
        /// The kernel's reason.
        source: io::Error,
    },
}

/// The copy; gone when dropped.
#[derive(Debug)]
pub struct Tree {
    root: PathBuf,
    names: Vec<String>,
}

impl Tree {
    /// Copies what is served from `from`.
    ///
    /// # Errors
    /// See [`TreeError`]; nothing is left behind.
    pub fn copy(from: &Path, keys: KeySearch) -> Result<Self, TreeError> {
        Self::copy_into(from, Path::new(PLACE), keys)
    }

    pub(super) fn copy_into(from: &Path, place: &Path, keys: KeySearch) -> Result<Self, TreeError> {
        let files = look(from)?;
        let root = place.join(format!("spk-visor-boot.{}", unique()));
        let write = |path: &Path| {
            let path = path.to_owned();
            move |source| TreeError::Write { path, source }
        };
        fs::DirBuilder::new()
            .mode(0o755)
            .create(&root)
            .map_err(write(&root))?;
        // From here on dropping it cleans up.
        let tree = Self { root, names: files };
        let allow = |path: &Path, mode| {
            fs::set_permissions(path, fs::Permissions::from_mode(mode)).map_err(write(path))
        };
        // Whatever the umask says: the TFTP server is nobody.
        allow(&tree.root, 0o755)?;
        fs::create_dir(tree.files()).map_err(write(&tree.files()))?;
        allow(&tree.files(), 0o755)?;
        let mut bytes_left = MAX_BYTES;
        for name in &tree.names {
            let target = tree.files().join(name);
            let bytes = read(from, name, &mut bytes_left)?;
            if keys.finds_one(&bytes) {
                let path = from.join(name);
                return Err(TreeError::Pinned { path });
            }
            if let Some((above, _)) = name.rsplit_once('/') {
                let above = tree.files().join(above);
                fs::create_dir_all(&above).map_err(write(&above))?;
                allow(&above, 0o755)?;
            }
            fs::write(&target, bytes).map_err(write(&target))?;
            allow(&target, 0o644)?;
        }
        Ok(tree)
    }

    /// Where the files are; a path without anything odd in it.
    #[must_use]
    pub fn files(&self) -> PathBuf {
        self.root.join("files")
    }

    /// A place beside them, for what is not served.
    #[must_use]
    pub fn beside(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    /// The file of that name, when it is one that is served.
    #[must_use]
    pub fn file(&self, name: &str) -> Option<PathBuf> {
        let known = self.names.iter().find(|known| *known == name)?;
        Some(self.files().join(known))
    }
}

impl Tree {
    /// Removes the copy now, even if others still hold the value; dropping it does the same.
    pub fn remove(&self) {
        // A file that cannot be removed lies in memory and is gone with the next boot.
        let _ = fs::remove_dir_all(&self.root);
    }
}

impl Drop for Tree {
    fn drop(&mut self) {
        self.remove();
    }
}

/// Reads a file that everybody may read, of at most `bytes_left`.
fn read(from: &Path, name: &str, bytes_left: &mut u64) -> Result<Vec<u8>, TreeError> {
    let path = from.join(name);
    let failed = |source| TreeError::Read {
        path: path.clone(),
        source,
    };
    let directory = openat(CWD, from, OFlags::PATH | OFlags::CLOEXEC, Mode::empty());
    let directory = directory.map_err(|error| failed(error.into()))?;
    // A FIFO that somebody has put there is not waited for.
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let within = ResolveFlags::NO_SYMLINKS | ResolveFlags::BENEATH;
    let file = match openat2(&directory, name, flags, Mode::empty(), within) {
        Ok(file) => File::from(file),
        Err(Errno::LOOP) => return Err(TreeError::Link { path }),
        Err(error) => return Err(failed(error.into())),
    };
    let about = file.metadata().map_err(failed)?;
    if !about.is_file() {
        return Err(failed(io::ErrorKind::InvalidInput.into()));
    }
    if about.permissions().mode() & 0o004 == 0 {
        return Err(TreeError::Secret { path });
    }
    let mut bytes = Vec::new();
    file.take(bytes_left.saturating_add(1))
        .read_to_end(&mut bytes)
        .map_err(failed)?;
    *bytes_left = bytes_left
        .checked_sub(bytes.len() as u64)
        .ok_or_else(|| TreeError::Large {
            path: from.to_owned(),
            what: "bytes",
            limit: MAX_BYTES,
        })?;
    Ok(bytes)
}

/// The names that will be served; all of [`FILES`] are among them, and all of [`SIGNED_FILES`] if
/// the first is there.
fn look(from: &Path) -> Result<Vec<String>, TreeError> {
    let [first, ..] = SIGNED_FILES;
    // All of them or none.
    let is_signed = from.join(first).symlink_metadata().is_ok();
    let signed = SIGNED_FILES.iter().filter(|_| is_signed);
    let mut names: Vec<String> = FILES
        .iter()
        .chain(signed)
        .map(|name| (*name).to_owned())
        .collect();
    let read = |path: &Path| {
        let path = path.to_owned();
        move |source| TreeError::Read { path, source }
    };
    for entry in fs::read_dir(from).map_err(read(from))? {
        let name = entry.map_err(read(from))?.file_name();
        if let Some(name) = name.to_str().filter(|name| is_per_machine(name)) {
            names.push(name.to_owned());
        }
    }
    if names.len() > MAX_FILES {
        return Err(TreeError::Large {
            path: from.to_owned(),
            what: "files",
            limit: MAX_FILES as u64,
        });
    }
    Ok(names)
}

fn is_per_machine(name: &str) -> bool {
    name.strip_prefix(PER_MACHINE).is_some_and(|end| {
        (1..=PER_MACHINE_MAX).contains(&end.len())
            && end
                .bytes()
                .all(|byte| byte.is_ascii_hexdigit() || byte == b'-')
    })
}

/// A process id is not enough: several name spaces of processes may share the directory.
fn unique() -> String {
    let clock = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    format!(
        "{}.{:x}",
        std::process::id(),
        clock.map_or(0, |time| time.as_nanos())
    )
}

#[cfg(test)]
mod tests {
    use super::{FILES, KeySearch, SIGNED_FILES, Tree, TreeError, is_per_machine};
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};
    use tempfile::TempDir;

    fn full() -> TempDir {
        let dir = TempDir::new().unwrap();
        for file in FILES {
            fs::write(dir.path().join(file), file).unwrap();
        }
        fs::create_dir(dir.path().join("place")).unwrap();
        dir
    }

    #[test]
    fn only_known_names_are_served_and_the_copy_is_removed() {
        let dir = full();
        let special = "grub.cfg-01-52-54-00-09-00-01";
        for name in [special, "id_ed25519", "grub.cfg-../../x", "dnsmasq.conf"] {
            let _ = fs::write(dir.path().join(name), "x");
        }
        let place = dir.path().join("place");
        let tree = Tree::copy_into(dir.path(), &place, KeySearch::Off).unwrap();
        for name in FILES.into_iter().chain([special]) {
            let path = tree.file(name).unwrap();
            let mode = fs::metadata(&path).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o644, "{name}");
        }
        for name in [
            "id_ed25519",
            "dnsmasq.conf",
            "",
            ".",
            "..",
            "../place",
            "/etc/passwd",
        ] {
            assert_eq!(tree.file(name), None, "{name}");
        }
        assert_eq!(fs::read_dir(tree.files()).unwrap().count(), FILES.len() + 1);
        drop(tree);
        assert_eq!(fs::read_dir(place).unwrap().count(), 0);
    }

    #[test]
    fn signed_programs_are_served_together_and_no_directory_is_a_link() {
        let dir = full();
        let copy = || Tree::copy_into(dir.path(), &dir.path().join("place"), KeySearch::Off);
        let [grub, mok_manager, menu] = SIGNED_FILES;
        fs::write(dir.path().join(grub), "signed").unwrap();
        fs::write(dir.path().join(mok_manager), "keys").unwrap();
        assert!(
            matches!(copy().unwrap_err(), TreeError::Read { path, .. } if path.ends_with(menu))
        );
        let elsewhere = dir.path().join("place/elsewhere");
        fs::create_dir(&elsewhere).unwrap();
        fs::write(elsewhere.join("grub.cfg"), "a secret").unwrap();
        symlink(&elsewhere, dir.path().join("grub")).unwrap();
        assert!(matches!(copy().unwrap_err(), TreeError::Link { .. }));
        fs::remove_file(dir.path().join("grub")).unwrap();
        fs::create_dir(dir.path().join("grub")).unwrap();
        fs::write(dir.path().join(menu), "menu").unwrap();
        let tree = copy().unwrap();
        for (name, content) in [(grub, "signed"), (mok_manager, "keys"), (menu, "menu")] {
            let path = tree.file(name).unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), content);
            let above = path.parent().unwrap().metadata().unwrap().permissions();
            assert_eq!(above.mode() & 0o777, 0o755);
        }
    }

    #[test]
    fn a_later_change_of_the_directory_is_not_seen() {
        let dir = full();
        let tree = Tree::copy_into(dir.path(), &dir.path().join("place"), KeySearch::Off).unwrap();
        fs::write(dir.path().join("vmlinuz"), "another").unwrap();
        assert_eq!(
            fs::read_to_string(tree.file("vmlinuz").unwrap()).unwrap(),
            "vmlinuz"
        );
    }

    #[test]
    fn a_missing_file_and_a_private_key_are_named() {
        for name in FILES {
            let dir = full();
            let (path, place) = (dir.path().join(name), dir.path().join("place"));
            let refused = || Tree::copy_into(dir.path(), &place, KeySearch::Off).unwrap_err();
            for mode in [0o600, 0o640, 0o660, 0o750] {
                fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
                let error = refused();
                assert!(
                    matches!(&error, TreeError::Secret { .. }),
                    "{mode:o}: {error}"
                );
            }
            fs::remove_file(&path).unwrap();
            let error = refused();
            assert!(error.to_string().contains(name), "{error}");
            // Everybody may read it; it still is not what the name promises.
            fs::write(dir.path().join("other"), "x").unwrap();
            for target in ["other", "/etc/shadow", "/etc/passwd", "missing"] {
                symlink(target, &path).unwrap();
                assert!(matches!(refused(), TreeError::Link { .. }), "{target}");
                fs::remove_file(&path).unwrap();
            }
            fs::create_dir(&path).unwrap();
            assert!(matches!(refused(), TreeError::Read { .. }));
            assert_eq!(fs::read_dir(place).unwrap().count(), 0, "{name}");
        }
    }

    #[test]
    fn an_image_with_a_private_key_is_published_when_that_is_said_whatever_its_mode() {
        let dir = full();
        fs::write(dir.path().join("initramfs"), "an image with a key").unwrap();
        let place = dir.path().join("place");
        let keys = KeySearch::By(|file, _| file == b"an image with a key");
        let error = Tree::copy_into(dir.path(), &place, keys).unwrap_err();
        assert!(matches!(&error, TreeError::Pinned { path } if path.ends_with("initramfs")));
        assert_eq!(fs::read_dir(&place).unwrap().count(), 0);
        Tree::copy_into(dir.path(), &place, KeySearch::Off).unwrap();
    }

    #[test]
    fn menus_of_single_machines_are_known_by_their_names() {
        for good in [
            "grub.cfg-00000000-0000-0000-0000-000000000000",
            "grub.cfg-01-52-54-00-12-34-56",
            "grub.cfg-0A09000A",
            "grub.cfg-0",
        ] {
            assert!(is_per_machine(good), "{good}");
        }
        for bad in [
            "grub.cfg",
            "grub.cfg-",
            "grub.cfg-x",
            "grub.cfg-/",
            "grub.cfg-..",
            "xgrub.cfg-0",
        ] {
            assert!(!is_per_machine(bad), "{bad}");
        }
    }
}
