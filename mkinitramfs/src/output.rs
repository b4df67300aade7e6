//! Bytes in, a file with all of them out; on failure the previous file stays.

use std::fs::Permissions;
use std::io::Write;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// The users that may read the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Readers {
    /// Everybody, whatever the umask: nothing in it is secret, and a boot server publishes only
    /// what everybody may read.
    Everybody,
    /// Its owner: a private key is inside.
    Owner,
}

/// The file could not be written.
#[derive(Debug, thiserror::Error)]
#[error("writing {}", path.display())]
#[allow(missing_docs)] // the fields name themselves
pub struct OutputError {
    pub path: PathBuf,
    pub source: std::io::Error,
}

/// Writes next to the target and renames, so that no machine ever boots half a file. The process id
/// keeps two callers apart.
///
/// # Errors
/// The directory is missing, not ours, or full.
pub fn replace(path: &Path, bytes: &[u8], readers: Readers) -> Result<(), OutputError> {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{}", std::process::id()));
    let beside = PathBuf::from(name);
    let mode = match readers {
        Readers::Everybody => 0o644,
        Readers::Owner => 0o600,
    };
    // A leftover of a process with our number would keep its own mode.
    let _ = std::fs::remove_file(&beside);
    let mut options = std::fs::OpenOptions::new();
    let file = options.write(true).create_new(true).mode(mode);
    file.open(&beside)
        .and_then(|mut file| {
            file.write_all(bytes)?;
            // The umask may have taken more away.
            file.set_permissions(Permissions::from_mode(mode))
        })
        .and_then(|()| std::fs::rename(&beside, path))
        .map_err(|source| {
            // Nothing to do about a leftover that cannot be removed: the first error is the one to
            // tell.
            let _ = std::fs::remove_file(&beside);
            OutputError {
                path: path.to_owned(),
                source,
            }
        })
}

#[cfg(test)]
mod tests {
    use super::{Readers, replace};
    use crate::test_dir::TestDir;
    use std::os::unix::fs::PermissionsExt;
    use std::process::Command;

    /// Set in the process that has another umask: it is the whole process's.
    const INSIDE: &str = "MKINITRAMFS_TEST_UMASK";

    #[test]
    fn the_mode_says_who_may_read_whatever_the_umask() {
        if std::env::var_os(INSIDE).is_none() {
            for umask in ["000", "022", "027", "077"] {
                let again = Command::new("sh")
                    .args(["-c", &format!("umask {umask} && exec \"$0\" \"$@\"")])
                    .arg(std::env::current_exe().unwrap())
                    .args([
                        "--exact",
                        "output::tests::the_mode_says_who_may_read_whatever_the_umask",
                    ])
                    .env(INSIDE, umask)
                    .output()
                    .unwrap();
                let said = String::from_utf8_lossy(&again.stdout);
                assert!(said.contains("1 passed"), "{umask}: {said}");
            }
            return;
        }
        let dir = TestDir::new("output-umask");
        let path = dir.path().join("image");
        for (readers, mode) in [(Readers::Everybody, 0o644), (Readers::Owner, 0o600)] {
            replace(&path, b"x", readers).unwrap();
            let found = path.metadata().unwrap().permissions().mode() & 0o777;
            assert_eq!(found, mode, "{readers:?}: {found:o}");
        }
    }
}
