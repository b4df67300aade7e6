//! What makes one machine different from the next: a package's identity is taken away, so that the installed system makes
//! its own.
//!
//! - `/etc/machine-id` becomes an empty file. systemd fills it at boot and, unlike with a missing file or the word
//!   `uninitialized`, does not take that boot for the first one (machine-id(5), "First Boot Semantics"): it would reset
//!   every unit to its preset and ask for a root password on the console.
//! - SSH host keys are removed; a systemd unit makes new ones before the server starts. Debian's server does not do so by
//!   itself. A system without systemd must run `ssh-keygen -A` itself (`disk-layout.md` 6).
//! - The random seed is drawn from the kernel of the machine that deploys.

use std::io;

use thiserror::Error;
use wire::outcome::Outcome;

use crate::directory::{Directory, DirectoryError};

/// `linux/include/linux/random.h` mixes what it gets; systemd-random-seed(8) itself saves 512 bytes.
const SEED_BYTES: usize = 512;
const SEED: &str = "var/lib/systemd/random-seed";
const UNIT: &str = "smechvisor-ssh-host-keys.service";
const UNIT_TEXT: &str = "[Unit]\n\
    Description=Make SSH host keys of this machine's own\n\
    ConditionPathExistsGlob=!/etc/ssh/ssh_host_*_key\n\
    After=systemd-random-seed.service\n\
    Before=ssh.service sshd.service ssh.socket sshd.socket\n\
    \n\
    [Service]\n\
    Type=oneshot\n\
    RemainAfterExit=yes\n\
    ExecStart=/usr/bin/ssh-keygen -A\n\
    \n\
    [Install]\n\
    WantedBy=multi-user.target\n";

/// The identity could not be reset.
#[derive(Debug, Error)]
pub enum IdentityError {
    /// A file.
    #[error(transparent)]
    File(#[from] DirectoryError),
    /// No random numbers.
    #[error("drawing {SEED_BYTES} bytes for the random seed")]
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

/// Resets the identity of the system in `root`.
///
/// # Errors
/// The file system failed, or a directory stands where a file should be.
pub fn reset(root: Directory<'_>) -> Result<(), IdentityError> {
    let has_systemd = ["usr/lib/systemd/systemd", "lib/systemd/systemd"]
        .iter()
        .any(|path| matches!(root.open(path), Ok(Some(_))));
    reset_machine_id(root, has_systemd)?;
    reset_ssh(root, has_systemd)?;
    if has_systemd {
        root.make_directories("var/lib/systemd")?;
        let mut seed = [0; SEED_BYTES];
        getrandom::fill(&mut seed).map_err(IdentityError::Random)?;
        root.write(SEED, 0o600, &mut seed.as_slice())?;
    }
    Ok(())
}

fn reset_machine_id(root: Directory<'_>, has_systemd: bool) -> Result<(), DirectoryError> {
    let has_id = root.open("etc/machine-id")?.is_some();
    if has_id || has_systemd {
        root.make_directories("etc")?;
        root.write("etc/machine-id", 0o444, &mut io::empty())?;
    }
    // D-Bus's own copy; on most systems it is a link to the file above already.
    if root.is_plain_file("var/lib/dbus/machine-id") {
        root.link("var/lib/dbus/machine-id", "/etc/machine-id")?;
    }
    Ok(())
}

fn reset_ssh(root: Directory<'_>, has_systemd: bool) -> Result<(), DirectoryError> {
    for name in root.names("etc/ssh")? {
        let key = name.strip_suffix(".pub").unwrap_or(&name);
        if key.starts_with("ssh_host_") && key.ends_with("_key") {
            root.remove(&format!("etc/ssh/{name}"))?;
        }
    }
    if has_systemd && root.open("usr/bin/ssh-keygen")?.is_some() && root.has_directory("etc/ssh") {
        let wants = "etc/systemd/system/multi-user.target.wants";
        root.make_directories(wants)?;
        root.write(
            &format!("etc/systemd/system/{UNIT}"),
            0o644,
            &mut UNIT_TEXT.as_bytes(),
        )?;
        root.link(&format!("{wants}/{UNIT}"), &format!("../{UNIT}"))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{UNIT, reset};
    use crate::directory::Directory;
    use crate::test_dir::TestDir;
    use std::fs;
    use std::os::fd::AsFd;
    use std::os::unix::fs::{PermissionsExt, symlink};
    use std::path::Path;

    fn with_root(files: &[(&str, &str)], test: impl FnOnce(&dyn Fn(), &Path)) {
        let dir = TestDir::new("identity");
        for (path, content) in files {
            let path = dir.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
        let handle = fs::File::open(dir.path()).unwrap();
        let reset = || reset(Directory::new(handle.as_fd(), "in the test")).unwrap();
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
                .join(UNIT);
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
    fn a_root_without_systemd_gets_nothing_it_does_not_know() {
        with_root(
            &[
                ("etc/ssh/ssh_host_rsa_key", "secret"),
                ("usr/bin/ssh-keygen", "x"),
            ],
            |reset, root| {
                reset();
                assert!(!root.join("etc/ssh/ssh_host_rsa_key").exists());
                assert!(!root.join("etc/machine-id").exists() && !root.join("var").exists());
                assert!(!root.join("etc/systemd").exists());
            },
        );
    }

    #[test]
    fn links_planted_by_a_package_lead_nowhere() {
        let outside = TestDir::new("identity-outside");
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
