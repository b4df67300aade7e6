//! Writing to the disk early: what arrives is on its way to the disk while more arrives.
//!
//! The kernel begins by itself when a tenth of the memory is unwritten or half a minute old: on
//! most machines never, and all of it would have to be flushed at the end of a deploy, with nothing
//! else left to do. A thread that flushes meanwhile took a tenth to a fifth off a deploy of 3 to 5
//! s.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use rustix::fs::syncfs;

/// Between one flush and the next. Of 100 and 250 ms the shorter left less to the end, and cost
/// nothing that could be measured.
const PAUSE: Duration = Duration::from_millis(100);

/// Flushes a file system again and again until dropped.
#[derive(Debug)]
pub(crate) struct WriteOut {
    /// Gone first: that ends the thread.
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl WriteOut {
    /// Of the file system that `directory` is in. The handle must be opened for this alone: the
    /// kernel tells each once of writes that failed (syncfs(2)), and who flushes last must hear of
    /// it.
    ///
    /// # Errors
    /// No thread could be started.
    pub(crate) fn begin(directory: OwnedFd) -> io::Result<Self> {
        let (stop, stopped) = channel();
        let thread = Builder::new().name("write-out".into()).spawn(move || {
            while stopped.recv_timeout(PAUSE) == Err(RecvTimeoutError::Timeout) {
                // The last flush returns the error.
                let _ = syncfs(&directory);
            }
        })?;
        Ok(Self {
            stop: Some(stop),
            thread: Some(thread),
        })
    }
}

impl Drop for WriteOut {
    /// Returns when the file system is in nobody's hands here.
    fn drop(&mut self) {
        self.stop = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join(); // it does not panic
        }
    }
}
