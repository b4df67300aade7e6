//! A wake-up across threads (`eventfd(2)`).
//!
//! In: notifications from any thread. Out: a descriptor for `poll(2)` or `epoll(7)` that stays
//! readable until the thread that sleeps there clears it.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::event::{EventfdFlags, eventfd};
use rustix::io;

/// An eventfd that any thread may notify. Clones share it.
#[derive(Clone, Debug)]
pub struct EventFd(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    /// Whether it was notified, for a reader that does not want to ask the kernel.
    is_notified: AtomicBool,
    fd: OwnedFd,
}

impl EventFd {
    /// Makes one that is not notified. Its descriptor never blocks and is closed on exec.
    ///
    /// # Errors
    /// `EMFILE`, `ENFILE`, `ENOMEM`.
    pub fn new() -> io::Result<Self> {
        let fd = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        let is_notified = AtomicBool::new(false);
        Ok(Self(Arc::new(Shared { is_notified, fd })))
    }

    /// Makes the descriptor readable, and so wakes the thread that polls it. Never waits.
    pub fn notify(&self) {
        self.0.is_notified.store(true, Ordering::SeqCst);
        // It only fails when the counter is full (2^64 - 2), and then the descriptor is readable.
        let _ = io::write(&self.0.fd, &1_u64.to_ne_bytes());
    }

    /// Whether it was notified since it was last cleared. No system call.
    #[must_use]
    pub fn is_notified(&self) -> bool {
        self.0.is_notified.load(Ordering::SeqCst)
    }

    /// Makes the descriptor unreadable again; returns whether it was notified. A notification that
    /// arrives meanwhile may be seen twice, but is not lost: the flag is taken after the counter.
    pub fn clear(&self) -> bool {
        // It fails with EAGAIN when it was not notified.
        let _ = io::read(&self.0.fd, &mut [0; 8]);
        self.0.is_notified.swap(false, Ordering::SeqCst)
    }
}

impl AsFd for EventFd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.fd.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use rustix::event::{PollFd, PollFlags, Timespec, poll};

    use super::EventFd;

    fn is_readable(wakeup: &EventFd) -> bool {
        let mut fds = [PollFd::new(wakeup, PollFlags::IN)];
        poll(&mut fds, Some(&Timespec::default())).unwrap() == 1
    }

    #[test]
    fn notified_twice_is_cleared_once() {
        let wakeup = EventFd::new().unwrap();
        assert!(!is_readable(&wakeup) && !wakeup.is_notified() && !wakeup.clear());
        wakeup.notify();
        wakeup.notify();
        assert!(is_readable(&wakeup) && wakeup.is_notified());
        assert!(wakeup.clear());
        assert!(!is_readable(&wakeup) && !wakeup.is_notified() && !wakeup.clear());
    }

    #[test]
    fn a_clone_wakes_a_thread_that_sleeps() {
        let wakeup = EventFd::new().unwrap();
        let waker = wakeup.clone();
        let thread = thread::spawn(move || waker.notify());
        let mut fds = [PollFd::new(&wakeup, PollFlags::IN)];
        assert_eq!(poll(&mut fds, None).unwrap(), 1);
        thread.join().unwrap();
        assert!(wakeup.clear());
    }
}
