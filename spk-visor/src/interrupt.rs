//! Ctrl-C and SIGTERM at a donor: the first one lets it tell its targets that it gives up, the
//! second one ends it at once.
//!
//! In: signals, and whether there are targets to tell. Out: a fact that whatever waits looks at
//! several times a second. Before there are targets, and in the original stream, which has no words
//! for it, the first signal ends the process.

use std::io::{self, Write};
use std::process;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

use sys::signals::{Signal, Signals};

use crate::exit::Exit;

/// How often whatever waits looks whether it is to end.
pub const LOOK: Duration = Duration::from_millis(200);

/// Whether somebody wants this donor to end; clones share the answer.
#[derive(Clone, Debug, Default)]
pub struct Interrupt {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    has_targets: AtomicBool,
    came: OnceLock<Instant>,
}

impl Interrupt {
    /// Takes SIGINT and SIGTERM. Called before the first thread starts: those that exist already
    /// are not asked.
    ///
    /// # Errors
    /// No descriptor or no thread is left.
    pub fn listen() -> io::Result<Self> {
        let interrupt = Self::default();
        let mut signals = Signals::block(&[Signal::Interrupt, Signal::Terminate])?;
        let shared = Arc::clone(&interrupt.shared);
        thread::Builder::new()
            .name("signals".into())
            .spawn(move || {
                while signals.next_signal().is_ok() {
                    shared.signal();
                }
            })?;
        Ok(interrupt)
    }

    /// From now on there are targets that have to be told first.
    pub fn tell_targets_first(&self) {
        self.shared.has_targets.store(true, Ordering::Relaxed);
    }

    /// When the first signal came, if it has.
    #[must_use]
    pub fn came(&self) -> Option<Instant> {
        self.shared.came.get().copied()
    }

    /// What the first signal does.
    #[cfg(test)]
    pub fn raise(&self) {
        let _ = self.shared.came.set(Instant::now());
    }
}

impl Shared {
    fn signal(&self) {
        let what = if !self.has_targets.load(Ordering::Relaxed) {
            "interrupted"
        } else if self.came.set(Instant::now()).is_err() {
            "interrupted again: targets that were not told wait for a donor"
        } else {
            return;
        };
        // Nobody is left to tell when standard error is closed; the exit code still says it.
        let _ = writeln!(io::stderr(), "\nspk-visor: {what}");
        process::exit(Exit::Interrupted.code().into());
    }
}
