//! The request that a donor end, and whether there are targets to notify first.
//!
//! In: a call of the program that takes signals. Out: a fact that every wait of a donor looks at
//! several times a second.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

/// How often every wait looks whether it is to end.
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
    /// From now on there are targets to notify first.
    pub fn tell_targets_first(&self) {
        self.shared.has_targets.store(true, Ordering::Relaxed);
    }

    /// Whether there are targets to notify first.
    #[must_use]
    pub fn has_targets(&self) -> bool {
        self.shared.has_targets.load(Ordering::Relaxed)
    }

    /// Asks the donor to end; `false` if that was asked before.
    pub fn raise(&self) -> bool {
        self.shared.came.set(Instant::now()).is_ok()
    }

    /// When the end was asked for, if it was.
    #[must_use]
    pub fn came(&self) -> Option<Instant> {
        self.shared.came.get().copied()
    }
}
