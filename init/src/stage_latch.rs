//! The stage that the boot has reached: the console enters each one, other threads read it and wait
//! for it to change.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use wire::stage::Stage;

/// A commit is a handful of writes and flushes. A disk that needs longer is broken, and someone
/// would cut the power anyway.
const COMMIT_LIMIT: Duration = Duration::from_secs(30);

/// The last stage, and those who wait for another one.
#[derive(Debug, Default)]
pub struct StageLatch {
    stage: Mutex<Option<Stage>>,
    entered: Condvar,
}

impl StageLatch {
    /// Before the first stage.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            stage: Mutex::new(None),
            entered: Condvar::new(),
        }
    }

    /// Records the stage and wakes every thread that waits.
    pub fn enter(&self, stage: Stage) {
        *self.lock() = Some(stage);
        self.entered.notify_all();
    }

    /// Whether `stage` is the last one that was entered.
    #[must_use]
    pub fn is_at(&self, stage: Stage) -> bool {
        *self.lock() == Some(stage)
    }

    /// Returns once one of `stages` has been entered, or after `limit`.
    pub fn wait_for_any(&self, stages: &[Stage], limit: Duration) {
        self.wait_while(limit, |stage| {
            stage.is_none_or(|stage| !stages.contains(&stage))
        });
    }

    /// Returns when no commit runs: the one moment in which a polite reboot waits. After
    /// `COMMIT_LIMIT` the caller goes on all the same; either the marker or the complete system
    /// is on the disk (`disk-layout.md` 3).
    pub fn wait_for_commit(&self) {
        self.wait_while(COMMIT_LIMIT, |stage| stage == Some(Stage::Committing));
    }

    fn wait_while(&self, limit: Duration, is_early: impl Fn(Option<Stage>) -> bool) {
        let waited = self
            .entered
            .wait_timeout_while(self.lock(), limit, |stage| is_early(*stage));
        drop(waited); // in time or not, the caller goes on
    }

    /// A stage is stored in one step, so a thread that panics leaves a whole one behind.
    fn lock(&self) -> MutexGuard<'_, Option<Stage>> {
        self.stage.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::StageLatch;
    use std::sync::mpsc;
    use std::thread;
    use std::time::{Duration, Instant};
    use wire::stage::Stage;

    const SOON: Duration = Duration::from_millis(50);
    const LONG: Duration = Duration::from_secs(60);

    #[test]
    fn a_thread_waits_until_the_commit_is_over() {
        let latch = StageLatch::new();
        latch.wait_for_commit(); // nothing runs yet
        latch.enter(Stage::Committing);
        let (over, waited) = mpsc::channel();
        thread::scope(|scope| {
            scope.spawn(|| {
                latch.wait_for_commit();
                over.send(()).unwrap();
            });
            assert!(waited.recv_timeout(SOON).is_err());
            latch.enter(Stage::Installed);
            waited.recv_timeout(LONG).unwrap();
        });
    }

    #[test]
    fn a_wait_ends_with_one_of_its_stages_or_its_limit() {
        let latch = StageLatch::new();
        latch.enter(Stage::Starting);
        let began = Instant::now();
        latch.wait_for_any(&[Stage::Waiting], SOON);
        assert!(began.elapsed() >= SOON);
        latch.enter(Stage::Holding);
        latch.wait_for_any(&[Stage::Waiting, Stage::Holding], LONG);
        assert!(began.elapsed() < LONG);
        assert!(latch.is_at(Stage::Holding) && !latch.is_at(Stage::Waiting));
    }
}
