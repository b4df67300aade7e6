//! What a daemon says about itself, by `sd_notify(3)`: a datagram socket of its own for each
//! program that is started, so that nobody speaks for another one.

use std::fs::{self, Permissions};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};

use sys::handover::Identity;

/// Longest message that is read; the rest of a longer one is dropped.
const MESSAGE_MAX: usize = 4096;
/// Messages that are read at one time; more are read the next time.
const MESSAGES_MAX: usize = 16;

/// Where a program says that it is ready.
#[derive(Debug)]
pub struct Notify {
    socket: UnixDatagram,
    path: PathBuf,
}

impl Notify {
    /// Only `owner` and root may speak there.
    ///
    /// # Errors
    /// The file system.
    pub fn bind(path: PathBuf, owner: Option<&Identity>) -> io::Result<Self> {
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let notify = Self {
            socket: UnixDatagram::bind(&path)?,
            path,
        };
        notify.socket.set_nonblocking(true)?;
        fs::set_permissions(&notify.path, Permissions::from_mode(0o600))?;
        if let Some(owner) = owner {
            chown(&notify.path, Some(owner.uid), Some(owner.gid))?;
        }
        Ok(notify)
    }

    /// For `NOTIFY_SOCKET`.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Reads what has come: whether it says that it is ready.
    pub fn is_ready(&self) -> bool {
        let mut buffer = [0; MESSAGE_MAX];
        for _ in 0..MESSAGES_MAX {
            // Nothing there, or nothing that could be read.
            let Ok(len) = self.socket.recv(&mut buffer) else {
                return false;
            };
            if says_ready(buffer.get(..len).unwrap_or_default()) {
                return true;
            }
        }
        false
    }
}

impl AsFd for Notify {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl Drop for Notify {
    fn drop(&mut self) {
        // Left behind it is replaced by the next one of this name.
        let _ = fs::remove_file(&self.path);
    }
}

/// One of its lines is `READY=1` (sd_notify(3)); the others are of no use here.
#[must_use]
pub fn says_ready(message: &[u8]) -> bool {
    message
        .split(|byte| *byte == b'\n')
        .any(|line| line == b"READY=1")
}

#[cfg(test)]
mod tests {
    use super::{Notify, says_ready};
    use std::os::unix::net::UnixDatagram;

    #[test]
    fn only_the_line_says_it() {
        for message in ["READY=1", "READY=1\n", "STATUS=x\nREADY=1\nMAINPID=3"] {
            assert!(says_ready(message.as_bytes()), "{message}");
        }
        for message in [
            "",
            "READY=0",
            "STATUS=READY=1",
            "READY=1 ",
            "READY=10",
            "ready=1",
        ] {
            assert!(!says_ready(message.as_bytes()), "{message}");
        }
    }

    #[test]
    fn a_flood_does_not_hold_us_up() {
        let dir = tempfile::tempdir().unwrap();
        let notify = Notify::bind(dir.path().join("notify"), None).unwrap();
        let program = UnixDatagram::unbound().unwrap();
        program.set_nonblocking(true).unwrap();
        while program.send_to(&[b'x'; 8000], notify.path()).is_ok() {}
        assert!(!notify.is_ready());
        while notify.socket.recv(&mut [0]).is_ok() {}
        program.send_to(b"READY=1", notify.path()).unwrap();
        assert!(notify.is_ready() && !notify.is_ready());
        let path = notify.path().to_owned();
        drop(notify);
        assert!(!path.exists());
    }
}
