//! Exit codes of the donor, as its help promises them; written here once more, so that a change is
//! noticed.

/// How `spk-visor` ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// The arguments, or a secret that nobody can have shown.
    Usage = 2,
    /// The target refused what was sent, or failed to install it.
    Target = 5,
    /// The packages cannot be sent.
    Packages = 6,
    /// The two ends do not know each other.
    Pairing = 9,
    /// Several targets, and they did not all end alike.
    Partly = 10,
    /// Nobody there said yes to erasing a disk.
    Declined = 11,
}
