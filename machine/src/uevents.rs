//! Block devices come late: USB, NVMe and SCSI are probed while PID 1 already runs. The kernel's
//! announcements in, out when a disk came or went and when no more are coming.

use std::io;
use std::time::{Duration, Instant};

use sys::eventfd::EventFd;
use sys::uevents::{Announcements, Heard, MESSAGE_MAX, field};

/// Announcements of block devices.
#[derive(Debug)]
pub struct Uevents {
    all: Announcements,
    last_block_event: Instant,
}

impl Uevents {
    /// Listens from now on.
    ///
    /// # Errors
    /// The kernel has no such socket.
    pub fn open() -> io::Result<Self> {
        Ok(Self {
            all: Announcements::open()?,
            last_block_event: Instant::now(),
        })
    }

    /// Waits until a block device comes, goes or changes, or `wakeup` is notified, which is taken
    /// back; `false` when `limit` has passed without.
    ///
    /// # Errors
    /// The socket failed.
    pub fn wait_or(
        &mut self,
        limit: Option<Duration>,
        wakeup: Option<&EventFd>,
    ) -> io::Result<bool> {
        let deadline = limit.map(|limit| Instant::now() + limit);
        loop {
            if self.drain()? || wakeup.is_some_and(EventFd::clear) {
                return Ok(true);
            }
            let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            if left == Some(Duration::ZERO) {
                return Ok(false);
            }
            self.all.wait_or(left, wakeup)?;
        }
    }

    /// Waits until no block device has been announced for `quiet`, at most for `limit`.
    ///
    /// # Errors
    /// The socket failed.
    pub fn settle(&mut self, quiet: Duration, limit: Duration) -> io::Result<()> {
        let deadline = Instant::now() + limit;
        loop {
            self.drain()?;
            let left = (self.last_block_event + quiet)
                .min(deadline)
                .saturating_duration_since(Instant::now());
            if left.is_zero() || !self.wait_or(Some(left), None)? {
                return Ok(());
            }
        }
    }

    /// Reads what has been announced; true when a block device was among it.
    fn drain(&mut self) -> io::Result<bool> {
        let mut is_block = false;
        let mut buffer = [0; MESSAGE_MAX];
        loop {
            match self.all.read(&mut buffer)? {
                Heard::Message(message) => is_block |= is_about_a_disk(message),
                Heard::Lost => is_block = true, // as good as one of each
                Heard::Nothing => break,
            }
        }
        if is_block {
            self.last_block_event = Instant::now();
        }
        Ok(is_block)
    }
}

fn is_about_a_disk(message: &[u8]) -> bool {
    field(message, "SUBSYSTEM=") == Some(b"block")
}

#[cfg(test)]
mod tests {
    use super::{Uevents, is_about_a_disk};
    use std::time::{Duration, Instant};

    #[test]
    fn only_block_devices_count() {
        assert!(is_about_a_disk(b"add@/devices/x/block/vda\0ACTION=add\0DEVPATH=/devices/x/block/vda\0SUBSYSTEM=block\0"));
        assert!(!is_about_a_disk(
            b"add@/devices/x/net/eth0\0ACTION=add\0SUBSYSTEM=net\0"
        ));
        assert!(!is_about_a_disk(b""));
    }

    #[test]
    fn settling_ends_at_its_limit() {
        let begin = Instant::now();
        Uevents::open()
            .unwrap()
            .settle(Duration::from_secs(60), Duration::from_millis(20))
            .unwrap();
        assert!(
            begin.elapsed() >= Duration::from_millis(20)
                && begin.elapsed() < Duration::from_secs(30)
        );
    }
}
