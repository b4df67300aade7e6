//! Disks come late: USB, NVMe and SCSI are probed while PID 1 already runs. The kernel announces each on a netlink socket.
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

/// The kernel's own multicast group; udev repeats the events in group 2.
const KERNEL_GROUP: u32 = 1;

/// Announcements of block devices. Open it before the inventory is read: nothing is missed in between.
#[derive(Debug)]
pub struct Uevents {
    socket: OwnedFd,
    last_block_event: Instant,
}

impl Uevents {
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
        Ok(Self {
            socket,
            last_block_event: Instant::now(),
        })
    }

    /// Waits until a block device comes, goes or changes; `false` when `limit` has passed without.
    ///
    /// # Errors
    /// The socket failed.
    pub fn wait(&mut self, limit: Option<Duration>) -> io::Result<bool> {
        let deadline = limit.map(|limit| Instant::now() + limit);
        loop {
            if self.drain()? {
                return Ok(true);
            }
            let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            if left == Some(Duration::ZERO) {
                return Ok(false);
            }
            let left = left.and_then(|left| Timespec::try_from(left).ok());
            match poll(
                &mut [PollFd::new(&self.socket, PollFlags::IN)],
                left.as_ref(),
            ) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
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
            if left.is_zero() || !self.wait(Some(left))? {
                return Ok(());
            }
        }
    }

    /// Reads what has been announced; true when a block device was among it.
    fn drain(&mut self) -> io::Result<bool> {
        let mut is_block = false;
        loop {
            let mut buffer = [0_u8; 8192];
            match recv(&self.socket, &mut buffer, RecvFlags::empty()) {
                Ok((len, _)) => is_block |= buffer.get(..len).is_some_and(is_about_a_disk),
                // Announcements were lost: as good as one of each.
                Err(Errno::NOBUFS) => is_block = true,
                Err(Errno::AGAIN) => break,
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        if is_block {
            self.last_block_event = Instant::now();
        }
        Ok(is_block)
    }
}

fn is_about_a_disk(message: &[u8]) -> bool {
    message
        .split(|byte| *byte == 0)
        .any(|field| field == b"SUBSYSTEM=block")
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
