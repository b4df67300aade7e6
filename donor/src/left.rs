//! The state of a target when its donor was asked to end: for a person a sentence, for a script a
//! word.

use std::fmt;

use wire::stream::RESUME_SECONDS;

/// The state of a target when its donor was asked to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Left {
    /// Not one byte of its disk.
    Untouched {
        /// Whether the target knows that nobody comes.
        is_told: bool,
    },
    /// A disk that does not boot.
    Unfinished {
        /// Whether the target knows that nobody comes.
        is_told: bool,
    },
    /// A target that has everything and needs us no more.
    Finishing,
}

impl Left {
    /// For a script: what is to be found on the disk.
    #[must_use]
    pub const fn disk(self) -> &'static str {
        match self {
            Self::Untouched { .. } => "untouched",
            Self::Unfinished { .. } => "unfinished",
            Self::Finishing => "finishing",
        }
    }

    /// Whether the target was notified.
    #[must_use]
    pub const fn is_told(self) -> bool {
        match self {
            Self::Untouched { is_told } | Self::Unfinished { is_told } => is_told,
            Self::Finishing => false,
        }
    }
}

impl fmt::Display for Left {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let minutes = RESUME_SECONDS / 60;
        match self {
            Self::Untouched { is_told: true } => f.write_str(
                "nothing was written to the target's disk; the target was notified, and waits with \
                 a new code and secret",
            ),
            Self::Untouched { is_told: false } => {
                f.write_str("nothing was written to the target's disk; it waits for a donor")
            }
            Self::Unfinished { is_told: true } => f.write_str(
                "the target's disk was written and does not boot; the target was notified, and \
                 waits with a new code and secret",
            ),
            Self::Unfinished { is_told: false } => write!(
                f,
                "the target's disk was written and does not boot; the target could not be \
                 notified, and waits up to {minutes} minutes for a donor with the same code and \
                 secret",
            ),
            Self::Finishing => f.write_str(
                "the target has everything and finishes by itself; its screen says how that ends",
            ),
        }
    }
}
