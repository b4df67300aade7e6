//! The consequence of an error: every error enum of the product answers `outcome()`.

/// Control flow matches on this, never on an error's text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    /// The network failed; the same peer may try again.
    Retry,
    /// This donor or its packages are refused; listen again for another.
    Refuse,
    /// The machine itself is the problem: report, keep the console readable, reboot after a delay.
    Fatal,
}
