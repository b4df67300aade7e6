//! A word from another thread to one that sleeps in poll(2).

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::event::{EventfdFlags, eventfd};

/// Rung by any thread; readable from then on until it is hushed. A clone is the same one.
#[derive(Clone, Debug)]
pub struct Bell(Arc<Rung>);

#[derive(Debug)]
struct Rung {
    is_rung: AtomicBool,
    fd: OwnedFd,
}

impl Bell {
    /// Silent.
    ///
    /// # Errors
    /// No descriptor.
    pub fn new() -> io::Result<Self> {
        let fd = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        let is_rung = AtomicBool::new(false);
        Ok(Self(Arc::new(Rung { is_rung, fd })))
    }

    /// Never waits.
    pub fn ring(&self) {
        self.0.is_rung.store(true, Ordering::SeqCst);
        // It counts to 2^64 before it would block.
        let _ = rustix::io::write(&self.0.fd, &1_u64.to_ne_bytes());
    }

    /// Was it rung since [`Bell::hush`]?
    #[must_use]
    pub fn is_rung(&self) -> bool {
        self.0.is_rung.load(Ordering::SeqCst)
    }

    /// Was it rung? It is silent afterwards.
    #[must_use]
    pub fn hush(&self) -> bool {
        // In this order: a ring in between is heard twice and not lost.
        let _ = rustix::io::read(&self.0.fd, &mut [0; 8]); // empty when it was not rung
        self.0.is_rung.swap(false, Ordering::SeqCst)
    }
}

impl AsFd for Bell {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.fd.as_fd()
    }
}
