//! How a deploy ended, for one target or for all of them together.
//!
//! In: the errors of a donor. Out: the class each belongs to, from which the command line takes its
//! exit code. Targets that ended alike end alike together; otherwise it is [`Ending::Mixed`].

/// How a deploy ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// The target installed everything and said so.
    Installed,
    /// The code was not heard, or was heard from several machines.
    NotFound,
    /// No connection to the target.
    Unreachable,
    /// The connection broke, or the target went silent, while packages were sent.
    Broken,
    /// The target refused the packages, or failed to install them.
    Refused,
    /// The packages cannot be sent.
    Unsendable,
    /// The two ends do not know each other: wrong secret, wrong key, or somebody else answers.
    Unpaired,
    /// Several targets, and they did not all end alike.
    Mixed,
    /// Nobody on the donor's side agreed.
    Declined,
    /// Somebody ended the donor.
    Interrupted,
}

impl Ending {
    /// One ending for all targets.
    #[must_use]
    pub fn together(ends: &[Ending]) -> Ending {
        match ends.split_first() {
            Some((first, others)) if others.iter().all(|other| other == first) => *first,
            _ => Ending::Mixed,
        }
    }
}
