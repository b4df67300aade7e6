//! A directory for intermediate files, removed afterwards.

use std::fs::{DirBuilder, remove_dir_all};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use crate::output::{OutputError, Readers, replace};

/// Removed on drop; for its owner only: a private key may be in what is made.
#[derive(Debug)]
pub struct Scratch {
    path: PathBuf,
}

impl Scratch {
    /// Next to the final output, where there is room for it. The process id keeps two callers
    /// apart.
    ///
    /// # Errors
    /// The directory it would lie in is missing, not ours, or full.
    pub fn beside(output: &Path) -> Result<Self, OutputError> {
        let mut name = output.as_os_str().to_owned();
        name.push(format!(".{}.d", std::process::id()));
        let path = PathBuf::from(name);
        // A leftover of a process with our number.
        let _ = remove_dir_all(&path);
        let made = DirBuilder::new().mode(0o700).create(&path);
        match made {
            Ok(()) => Ok(Self { path }),
            Err(source) => Err(OutputError { path, source }),
        }
    }

    /// The place of a file in it.
    #[must_use]
    pub fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Puts a file there.
    ///
    /// # Errors
    /// No room.
    pub fn write(&self, name: &str, bytes: &[u8]) -> Result<PathBuf, OutputError> {
        let path = self.file(name);
        replace(&path, bytes, Readers::Owner)?;
        Ok(path)
    }

    /// Takes a file that a program has put there.
    ///
    /// # Errors
    /// It did not.
    pub fn read(&self, name: &str) -> Result<Vec<u8>, OutputError> {
        let path = self.file(name);
        std::fs::read(&path).map_err(|source| OutputError { path, source })
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // A second attempt to remove it would fail as well.
        let _ = remove_dir_all(&self.path);
    }
}

#[cfg(test)]
mod tests {
    use super::Scratch;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn files_are_private_and_gone_afterwards() {
        let output = std::env::temp_dir().join("mkinitramfs-scratch-test");
        let scratch = Scratch::beside(&output).unwrap();
        let file = scratch.write("part", b"secret").unwrap();
        let directory = file.parent().unwrap();
        for (path, mode) in [(directory, 0o700), (&*file, 0o600)] {
            let found = path.metadata().unwrap().permissions().mode() & 0o777;
            assert_eq!(found, mode, "{}", path.display());
        }
        assert_eq!(scratch.read("part").unwrap(), b"secret");
        let missing = scratch.read("other").unwrap_err();
        assert!(missing.path.ends_with("other"));
        drop(scratch);
        assert!(!file.exists());
    }
}
