//! The locks of a node that updates itself: one for what takes seconds, boot record and ledger, one
//! for writing a slot, which takes as long as its download, and one for each place of content.
//!
//! `flock(2)`: the kernel lets go when the process ends, however it ends. What the file says is for
//! people: who holds it.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::process;
use std::thread;
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use thiserror::Error;

/// Where the locks of a node are.
pub const DIRECTORY: &str = "/run/smv";
/// What is held for seconds is waited for.
pub const CHANGE_PATIENCE: Duration = Duration::from_secs(20);
const PAUSE: Duration = Duration::from_millis(100);
/// Of what the holder says about itself.
const HOLDER_MAX: u64 = 200;

/// What is locked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    /// Boot record and ledger.
    Change,
    /// The slot that does not run.
    Slot,
    /// A place of content: in its own directory, for as long as it is changed.
    Place,
}

impl Which {
    /// Its file.
    const fn name(self) -> &'static str {
        match self {
            Which::Change => "change.lock",
            Which::Slot => "slot.lock",
            Which::Place => ".lock",
        }
    }
}

/// A lock that is held until this is dropped.
#[derive(Debug)]
pub struct Lock {
    file: File,
}

impl Drop for Lock {
    fn drop(&mut self) {
        // Closing alone would not do: a program that is just being started has the file, too, until
        // it is its own (flock(2): the lock is on the open file, not on the descriptor).
        let _ = flock(&self.file, FlockOperation::Unlock);
    }
}

/// The lock is not held.
#[derive(Debug, Error)]
#[allow(missing_docs)] // the fields name themselves
pub enum LockError {
    /// Somebody else has it.
    #[error("{} is held by {holder}", path.display())]
    Busy {
        path: PathBuf,
        /// Its command and process.
        holder: String,
    },
    /// Without `/run/smv` this is no node with two slots.
    #[error("locking {}", path.display())]
    File {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
}

/// Takes a lock in `directory` for `command`, waiting no longer than `patience`.
///
/// # Errors
/// See [`LockError`].
pub fn take(
    directory: &Path,
    which: Which,
    command: &str,
    patience: Duration,
) -> Result<Lock, LockError> {
    let path = directory.join(which.name());
    match try_take(&path, command, patience) {
        Ok(Ok(file)) => Ok(Lock { file }),
        Ok(Err(holder)) => Err(LockError::Busy { path, holder }),
        Err(source) => Err(LockError::File { path, source }),
    }
}

/// The file, or its holder.
fn try_take(path: &Path, command: &str, patience: Duration) -> io::Result<Result<File, String>> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    let mut file = options.open(path)?;
    let deadline = Instant::now() + patience;
    loop {
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => break,
            Err(Errno::AGAIN) if Instant::now() < deadline => thread::sleep(PAUSE),
            Err(Errno::AGAIN) => return Ok(Err(holder(&file))),
            Err(errno) => return Err(errno.into()),
        }
    }
    file.set_len(0)?;
    file.rewind()?;
    writeln!(file, "spk-visor {command} (process {})", process::id())?;
    Ok(Ok(file))
}

/// What the holder wrote; it may be about to.
fn holder(file: &File) -> String {
    let mut text = String::new();
    // Whatever cannot be read is no name.
    let _ = file.take(HOLDER_MAX).read_to_string(&mut text);
    match text.trim() {
        "" => "another program".to_owned(),
        text => text.chars().filter(|letter| !letter.is_control()).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::{LockError, Which, take};
    use std::path::Path;
    use std::process;
    use std::thread;
    use std::time::Duration;

    #[test]
    fn the_second_learns_who_was_first() {
        let dir = tempfile::tempdir().unwrap();
        let take = |which, command| take(dir.path(), which, command, Duration::ZERO);
        let first = take(Which::Slot, "update /srv/release").unwrap();
        let other = take(Which::Change, "confirm").unwrap();
        let error = take(Which::Slot, "update x").unwrap_err();
        let LockError::Busy { holder, .. } = &error else {
            panic!("{error}");
        };
        let pid = process::id();
        assert_eq!(
            *holder,
            format!("spk-visor update /srv/release (process {pid})")
        );
        drop(first);
        take(Which::Slot, "update x").unwrap();
        drop(other);
    }

    #[test]
    fn a_lock_that_a_program_has_inherited_is_let_go_of_all_the_same() {
        let dir = tempfile::tempdir().unwrap();
        let first = take(dir.path(), Which::Slot, "update", Duration::ZERO).unwrap();
        // As between fork and exec.
        let inherited = first.file.try_clone().unwrap();
        drop(first);
        take(dir.path(), Which::Slot, "activate", Duration::ZERO).unwrap();
        drop(inherited);
    }

    #[test]
    fn what_is_held_for_moments_is_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        let first = take(dir.path(), Which::Change, "confirm", Duration::ZERO).unwrap();
        thread::scope(|scope| {
            let second = scope.spawn(|| {
                let long = Duration::from_secs(60);
                take(dir.path(), Which::Change, "recover", long).map(drop)
            });
            drop(first);
            second.join().unwrap().unwrap();
        });
    }

    #[test]
    fn without_the_directory_there_is_no_lock() {
        let nowhere = Path::new("/nonexistent");
        let error = take(nowhere, Which::Slot, "update", Duration::ZERO).unwrap_err();
        assert_eq!(error.to_string(), "locking /nonexistent/slot.lock");
    }
}
