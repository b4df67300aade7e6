//! Waiting for a descriptor, poll(2), over signals and for a time at most.

use std::io;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

/// Waits for any of `flags` on `fd`; `None` when `patience` passes first.
///
/// # Errors
/// The result of `poll(2)`.
pub fn wait_for(
    fd: &impl AsFd,
    flags: PollFlags,
    patience: Duration,
) -> io::Result<Option<PollFlags>> {
    let deadline = Instant::now() + patience;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let timeout = Timespec::try_from(left).unwrap_or(Timespec {
            tv_sec: 1,
            tv_nsec: 0,
        });
        let mut fds = [PollFd::new(fd, flags)];
        match poll(&mut fds, Some(&timeout)) {
            Ok(0) => return Ok(None),
            Ok(_) => {
                let [fd] = fds;
                return Ok(Some(fd.revents()));
            }
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
}
