//! Where the ledger is kept: a seam of two calls, and the file on the state partition behind it.
//!
//! [`LedgerFile::replace`] is atomic and durable: after a power cut the file has the old or the new
//! bytes, and when it has returned, the new ones.

use std::fmt::Debug;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{Mode, OFlags, fsync, openat, renameat};
use rustix::io::Errno;
use wire::ledger::LEN_MAX;

/// Its name in the directory.
const NAME: &str = "ledger";
/// What is being written; may be deleted at any time.
const PART: &str = ".ledger.part";

/// Keeps the ledger's bytes.
pub trait LedgerFile: Debug {
    /// The bytes, at most one more than a ledger may have; `None` where there is no file yet.
    ///
    /// # Errors
    /// Reading failed.
    fn read(&mut self) -> io::Result<Option<Vec<u8>>>;

    /// Puts these bytes in place of the former ones.
    ///
    /// # Errors
    /// Writing failed: the former ones, or these, are there.
    fn replace(&mut self, bytes: &[u8]) -> io::Result<()>;
}

/// A file in a directory: `/var/lib/smv/os`.
#[derive(Debug)]
pub struct InDirectory(pub OwnedFd);

impl LedgerFile for InDirectory {
    fn read(&mut self) -> io::Result<Option<Vec<u8>>> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = match openat(&self.0, NAME, flags, Mode::empty()) {
            Err(Errno::NOENT) => return Ok(None),
            file => File::from(file?),
        };
        let mut bytes = Vec::new();
        file.take(LEN_MAX as u64 + 1).read_to_end(&mut bytes)?;
        Ok(Some(bytes))
    }

    fn replace(&mut self, bytes: &[u8]) -> io::Result<()> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC | OFlags::NOFOLLOW;
        let mode = Mode::from_raw_mode(0o600);
        let mut file = File::from(openat(&self.0, PART, flags | OFlags::CLOEXEC, mode)?);
        file.write_all(bytes)?;
        file.sync_all()?;
        renameat(&self.0, PART, &self.0, NAME)?;
        Ok(fsync(self.0.as_fd())?)
    }
}

#[cfg(test)]
mod tests {
    use super::{InDirectory, LedgerFile, PART};
    use std::fs::{self, File};

    #[test]
    fn a_file_is_replaced_and_read_back() {
        let directory = tempfile::tempdir().unwrap();
        let mut ledger = InDirectory(File::open(directory.path()).unwrap().into());
        assert_eq!(ledger.read().unwrap(), None);
        for text in ["one", "two, longer", "3"] {
            // What a power cut has left of an earlier attempt.
            fs::write(directory.path().join(PART), "half of something long").unwrap();
            ledger.replace(text.as_bytes()).unwrap();
            assert_eq!(ledger.read().unwrap().unwrap(), text.as_bytes());
        }
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_link_in_its_place_is_not_followed() {
        let directory = tempfile::tempdir().unwrap();
        let mut ledger = InDirectory(File::open(directory.path()).unwrap().into());
        std::os::unix::fs::symlink("/etc/passwd", directory.path().join("ledger")).unwrap();
        assert!(ledger.read().is_err());
        ledger.replace(b"ours").unwrap();
        assert_eq!(ledger.read().unwrap().unwrap(), b"ours");
    }
}
