//! How another thread ends what a source of packages waits for, and how the source says so: the
//! deploy was cancelled or has failed, and nobody wants what is still to come.

use std::io;

use thiserror::Error;

/// Ends what another thread waits for. It returns at once, may be called any number of times and in
/// any state, and keeps nothing open.
pub type Interrupter = Box<dyn Fn() + Send + Sync>;

/// The interrupter of a source that never waits for long.
#[must_use]
pub fn nothing_to_interrupt() -> Interrupter {
    Box::new(|| {})
}

/// This end has ended the deploy: the donor is not to blame, and the machine is not either.
#[derive(Clone, Copy, Debug, Error)]
#[error("the deploy was cancelled")]
pub struct Cancelled;

impl Cancelled {
    /// The error of an interrupted read.
    #[must_use]
    pub fn error() -> io::Error {
        io::Error::other(Self)
    }

    /// Did a read fail because of it?
    #[must_use]
    pub fn is(error: &io::Error) -> bool {
        error
            .get_ref()
            .is_some_and(<dyn std::error::Error + Send + Sync>::is::<Self>)
    }
}
