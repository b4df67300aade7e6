//! Devices come late: USB, NVMe and SCSI are probed while PID 1 already runs. The kernel announces each on a netlink socket.
//!
//! sysfs raises no inotify event for a new device, and polling it would be guessing; the kernel's own announcements
//! (`Documentation/ABI/stable/sysfs-uevent`, group 1: before any udev) are what udev itself listens to.

use std::io;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::netlink::{KOBJECT_UEVENT, SocketAddrNetlink};
use rustix::net::{AddressFamily, RecvFlags, SocketFlags, SocketType, bind, recv, socket_with};

use sys::eventfd::EventFd;

/// The kernel's own multicast group; udev repeats the events in group 2.
const KERNEL_GROUP: u32 = 1;

/// Every announcement of the kernel. Open it before looking around in sysfs: nothing is missed in between.
#[derive(Debug)]
pub struct Announcements {
    socket: OwnedFd,
}

/// What was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard<'a> {
    /// `ACTION@DEVPATH` and `KEY=VALUE` fields, each ended by a NUL.
    Message(&'a [u8]),
    /// More came than the socket holds: look around again.
    Lost,
    /// That was all.
    Nothing,
}

/// Longer than any: the kernel has 2048 bytes for the fields (`UEVENT_BUFFER_SIZE`) and a path before them.
pub const MESSAGE_MAX: usize = 8192;

impl Announcements {
    /// Listens from now on.
    ///
    /// # Errors
    /// The kernel has no such socket.
    pub fn open() -> io::Result<Self> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = socket_with(
            AddressFamily::NETLINK,
            SocketType::RAW,
            flags,
            Some(KOBJECT_UEVENT),
        )?;
        bind(&socket, &SocketAddrNetlink::new(0, KERNEL_GROUP))?;
        Ok(Self { socket })
    }

    /// Waits until there is something to read, or `limit` has passed, or earlier.
    ///
    /// # Errors
    /// The socket failed.
    pub fn wait(&self, limit: Option<Duration>) -> io::Result<()> {
        self.wait_or(limit, None)
    }

    /// The same, or until `wakeup` is readable.
    fn wait_or(&self, limit: Option<Duration>, wakeup: Option<&EventFd>) -> io::Result<()> {
        let limit = limit.and_then(|limit| Timespec::try_from(limit).ok());
        let wakeup = wakeup.map(|wakeup| PollFd::new(wakeup, PollFlags::IN));
        let socket = PollFd::new(&self.socket, PollFlags::IN);
        let mut fds: Vec<_> = std::iter::once(socket).chain(wakeup).collect();
        match poll(&mut fds, limit.as_ref()) {
            Ok(_) | Err(Errno::INTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Reads the next one that is there already.
    ///
    /// # Errors
    /// The socket failed.
    pub fn read<'b>(&self, buffer: &'b mut [u8; MESSAGE_MAX]) -> io::Result<Heard<'b>> {
        loop {
            match recv(&self.socket, &mut *buffer, RecvFlags::empty()) {
                Ok((len, _)) => return Ok(Heard::Message(buffer.get(..len).unwrap_or_default())),
                Err(Errno::NOBUFS) => return Ok(Heard::Lost),
                Err(Errno::AGAIN) => return Ok(Heard::Nothing),
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

/// The value of a field, `KEY=` included in `key`.
#[must_use]
pub fn field<'a>(message: &'a [u8], key: &str) -> Option<&'a [u8]> {
    message
        .split(|byte| *byte == 0)
        .find_map(|field| field.strip_prefix(key.as_bytes()))
}

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
