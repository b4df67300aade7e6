//! The identity of a machine: a package's identity is taken away, so that the
//! installed system makes its own.
//!
//! - `/etc/machine-id` becomes an empty file. systemd fills it at boot and, unlike with a missing
//!   file or the word `uninitialized`, does not take that boot for the first one (machine-id(5),
//!   "First Boot Semantics"): it would reset every unit to its preset and ask for a root password
//!   on the console. Nothing else fills it, and D-Bus does not start with an empty one: without
//!   systemd an identity is drawn here.
//! - SSH host keys are removed, and a first-boot job of the system's init makes new ones
//!   ([`host_keys`]).
//! - The random seed is drawn from the kernel of the machine that deploys.

use thiserror::Error;
use wire::outcome::Outcome;

use bundle::directory::{Directory, DirectoryError};
use bundle::host_keys::{self, HostKeys, Init};

/// `linux/include/linux/random.h` mixes what it gets; systemd-random-seed(8) itself saves 512
/// bytes.
const SEED_BYTES: usize = 512;
const SEED: &str = "var/lib/systemd/random-seed";
/// The identity could not be reset.
#[derive(Debug, Error)]
pub enum IdentityError {
    /// A file.
    #[error(transparent)]
    File(#[from] DirectoryError),
    /// No random numbers.
    #[error("drawing random numbers for the system's identity")]
    Random(#[source] getrandom::Error),
}

impl IdentityError {
    /// As the file's error; a machine without random numbers must not install any.
    #[must_use]
    pub fn outcome(&self) -> Outcome {
        match self {
            IdentityError::File(error) => error.outcome(),
            IdentityError::Random(_) => Outcome::Fatal,
        }
    }
}

/// Resets the identity of the system in `root`; how it comes to SSH host keys.
///
/// # Errors
/// The file system failed, or a directory stands where a file should be.
pub fn reset(root: Directory<'_>) -> Result<HostKeys, IdentityError> {
    let has_systemd = host_keys::init(root)? == Some(Init::Systemd);
    reset_machine_id(root, has_systemd)?;
    let host_keys = host_keys::reset(root)?;
    if has_systemd {
        root.make_directories("var/lib/systemd")?;
        root.write(SEED, 0o600, &mut seed()?.as_slice())?;
    }
    Ok(host_keys)
}

/// A new identity, as machine-id(5) wants it, with its line feed.
///
/// # Errors
/// There are no random numbers.
pub fn machine_id() -> Result<String, IdentityError> {
    let id = uuid::Builder::from_random_bytes(random()?).into_uuid();
    Ok(format!("{}\n", id.simple()))
}

/// A random seed.
///
/// # Errors
/// There are no random numbers.
pub fn seed() -> Result<[u8; SEED_BYTES], IdentityError> {
    random()
}

fn random<const BYTES: usize>() -> Result<[u8; BYTES], IdentityError> {
    let mut bytes = [0; BYTES];
    getrandom::fill(&mut bytes).map_err(IdentityError::Random)?;
    Ok(bytes)
}

fn reset_machine_id(root: Directory<'_>, has_systemd: bool) -> Result<(), IdentityError> {
    // D-Bus's own copy; on most systems it is a link to the other file already.
    let has_copy = root.is_plain_file("var/lib/dbus/machine-id");
    let has_id = has_copy || root.open("etc/machine-id")?.is_some();
    if has_systemd || has_id {
        let id = match has_systemd {
            true => String::new(),
            false => machine_id()?,
        };
        root.make_directories("etc")?;
        root.write("etc/machine-id", 0o444, &mut id.as_bytes())?;
    }
    if has_copy {
        root.link("var/lib/dbus/machine-id", "/etc/machine-id")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::reset;
    use bundle::directory::Directory;
    use std::fs;
    use std::os::fd::AsFd;
    use std::os::unix::fs::{PermissionsExt, symlink};
    use std::path::Path;
    use tempfile::TempDir;

    fn with_root(files: &[(&str, &str)], test: impl FnOnce(&dyn Fn(), &Path)) {
        let dir = TempDir::new().unwrap();
        for (path, content) in files {
            let path = dir.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
        let handle = fs::File::open(dir.path()).unwrap();
        let reset = || {
            reset(Directory::new(handle.as_fd(), "in the test")).unwrap();
        };
        test(&reset, dir.path());
    }

    #[test]
    fn a_debian_like_root_loses_its_identity() {
        let files = [
            ("usr/lib/systemd/systemd", "x"),
            ("usr/bin/ssh-keygen", "x"),
            ("etc/machine-id", "0123456789abcdef0123456789abcdef\n"),
            (
                "var/lib/dbus/machine-id",
                "0123456789abcdef0123456789abcdef\n",
            ),
            ("var/lib/systemd/random-seed", "the same everywhere"),
            ("etc/ssh/ssh_host_ed25519_key", "secret"),
            ("etc/ssh/ssh_host_ed25519_key.pub", "public"),
            ("etc/ssh/ssh_host_rsa_key", "secret"),
            ("etc/ssh/sshd_config", "kept"),
            ("etc/ssh/moduli", "kept"),
        ];
        with_root(&files, |reset, root| {
            reset();
            assert_eq!(fs::read(root.join("etc/machine-id")).unwrap(), b"");
            assert_eq!(
                fs::read_link(root.join("var/lib/dbus/machine-id")).unwrap(),
                Path::new("/etc/machine-id")
            );
            let mut left: Vec<_> = fs::read_dir(root.join("etc/ssh"))
                .unwrap()
                .map(|entry| entry.unwrap().file_name())
                .collect();
            left.sort();
            assert_eq!(left, ["moduli", "sshd_config"]);
            let seed = fs::read(root.join("var/lib/systemd/random-seed")).unwrap();
            let mode = fs::metadata(root.join("var/lib/systemd/random-seed"))
                .unwrap()
                .permissions()
                .mode();
            assert_eq!((seed.len(), mode), (512, 0o100_600));
            let wanted = root
                .join("etc/systemd/system/multi-user.target.wants")
                .join("smechvisor-ssh-host-keys.service");
            assert!(
                fs::read_to_string(wanted)
                    .unwrap()
                    .contains("ExecStart=/usr/bin/ssh-keygen -A\n"),
                "the link leads there"
            );
            reset();
            assert_ne!(
                fs::read(root.join("var/lib/systemd/random-seed")).unwrap(),
                seed,
                "fresh each time"
            );
        });
    }

    #[test]
    fn without_systemd_a_machine_id_is_drawn_where_there_was_one() {
        let old = "0123456789abcdef0123456789abcdef\n";
        for files in [
            &[
                ("etc/machine-id", old),
                ("usr/lib/systemd/systemd", "a part"),
                ("sbin/init", "x"),
            ][..],
            &[("var/lib/dbus/machine-id", old)],
        ] {
            with_root(files, |reset, root| {
                reset();
                let id = fs::read_to_string(root.join("etc/machine-id")).unwrap();
                assert_ne!(id, old);
                assert_eq!((id.len(), id.trim().len()), (33, 32), "{id}");
                assert!(!root.join("etc/systemd").exists() && !root.join(super::SEED).exists());
                reset();
                let again = fs::read_to_string(root.join("etc/machine-id")).unwrap();
                assert_ne!(again, id, "each machine has its own");
            });
        }
        with_root(&[("etc/hostname", "x")], |reset, root| {
            reset();
            assert!(!root.join("etc/machine-id").exists() && !root.join("var").exists());
        });
    }

    #[test]
    fn links_planted_by_a_package_lead_nowhere() {
        let outside = TempDir::new().unwrap();
        let victim = outside.path().join("victim");
        fs::write(&victim, "untouched").unwrap();
        with_root(
            &[
                ("usr/lib/systemd/systemd", "x"),
                ("etc/ssh/sshd_config", ""),
            ],
            |reset, root| {
                symlink(&victim, root.join("etc/machine-id")).unwrap();
                symlink(&victim, root.join("etc/ssh/ssh_host_rsa_key")).unwrap();
                fs::create_dir_all(root.join("var/lib/systemd")).unwrap();
                symlink(&victim, root.join("var/lib/systemd/random-seed")).unwrap();
                reset();
                assert_eq!(fs::read(&victim).unwrap(), b"untouched");
                assert!(
                    root.join("etc/machine-id")
                        .symlink_metadata()
                        .unwrap()
                        .is_file()
                );
                assert!(
                    root.join("var/lib/systemd/random-seed")
                        .symlink_metadata()
                        .unwrap()
                        .is_file()
                );
                assert!(!root.join("etc/ssh/ssh_host_rsa_key").is_symlink());
            },
        );
    }
}
