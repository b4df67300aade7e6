//! The kernel's announcements of devices that come, change and go: a netlink socket.
//!
//! sysfs raises no inotify event for a new device, and polling it would be guessing; the kernel's
//! own announcements (`Documentation/ABI/stable/sysfs-uevent`, group 1: before any udev) are what
//! udev itself listens to.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::netlink::{KOBJECT_UEVENT, SocketAddrNetlink};
use rustix::net::{AddressFamily, RecvFlags, SocketFlags, SocketType, bind, recv, socket_with};

use crate::eventfd::EventFd;

/// The kernel's own multicast group; udev repeats the events in group 2.
const KERNEL_GROUP: u32 = 1;

/// Every announcement of the kernel. Open it before looking around in sysfs: nothing is missed in
/// between.
#[derive(Debug)]
pub struct Announcements {
    socket: OwnedFd,
}

/// The message that was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard<'a> {
    /// `ACTION@DEVPATH` and `KEY=VALUE` fields, each ended by a NUL.
    Message(&'a [u8]),
    /// More came than the socket holds: look around again.
    Lost,
    /// That was all.
    Nothing,
}

/// Longer than any: the kernel has 2048 bytes for the fields (`UEVENT_BUFFER_SIZE`) and a path
/// before them.
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
    ///
    /// # Errors
    /// The socket failed.
    pub fn wait_or(&self, limit: Option<Duration>, wakeup: Option<&EventFd>) -> io::Result<()> {
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

impl AsFd for Announcements {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// The value of a field, `KEY=` included in `key`.
#[must_use]
pub fn field<'a>(message: &'a [u8], key: &str) -> Option<&'a [u8]> {
    message
        .split(|byte| *byte == 0)
        .find_map(|field| field.strip_prefix(key.as_bytes()))
}
