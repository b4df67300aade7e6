//! How another thread ends what a source of packages waits for: the deploy has failed, and nobody
//! wants what is still to come.

/// Ends what another thread waits for. It returns at once, may be called any number of times and in
/// any state, and keeps nothing open.
pub type Interrupter = Box<dyn Fn() + Send + Sync>;

/// The interrupter of a source that never waits for long.
#[must_use]
pub fn nothing_to_interrupt() -> Interrupter {
    Box::new(|| {})
}
