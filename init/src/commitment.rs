//! Whether the disk is being committed right now: the one moment in which a polite reboot waits.

use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

use wire::stage::Stage;

/// A commit is a handful of writes and flushes; a disk that takes longer than this is broken, and power would be cut anyway.
const LIMIT: Duration = Duration::from_secs(30);

static IS_COMMITTING: Mutex<bool> = Mutex::new(false);
static CHANGED: Condvar = Condvar::new();

/// Takes note of the stage that was entered.
pub fn entered(stage: Stage) {
    *IS_COMMITTING.lock().unwrap_or_else(PoisonError::into_inner) = stage == Stage::Committing;
    CHANGED.notify_all();
}

/// Returns when no commit is under way.
pub fn wait_until_over() {
    let guard = IS_COMMITTING.lock().unwrap_or_else(PoisonError::into_inner);
    // Over or not, the caller goes on: the marker or the complete system is on the disk either way (`disk-layout.md` 3).
    let _ = CHANGED.wait_timeout_while(guard, LIMIT, |is_committing| *is_committing);
}
