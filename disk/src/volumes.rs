//! The file system seam: what needs a kernel. In production BLKPG, mke2fs and mount; in host tests
//! a plain directory.

use std::error::Error as StdError;
use std::os::fd::OwnedFd;

use thiserror::Error;
use wire::outcome::Outcome;

use crate::disk::Disk;
use crate::layout::Layout;

/// Making, mounting or unmounting failed: what was being done, to what.
#[derive(Debug, Error)]
#[error("{action} {object}")]
#[allow(missing_docs)] // the fields name themselves
pub struct VolumesError {
    /// In the -ing form: `making ext4 on`, `mounting`, `unmounting`.
    pub action: &'static str,
    /// Device or mount point.
    pub object: String,
    #[source]
    pub source: Box<dyn StdError + Send + Sync>,
}

impl VolumesError {
    /// A kernel that cannot make or mount a file system is the machine's problem, not the donor's.
    #[must_use]
    pub const fn outcome(&self) -> Outcome {
        Outcome::Fatal
    }
}

/// Lends the planned root file system as a directory; it is made here, by the real mke2fs. ESP and
/// swap need no kernel and are written through [`Disk`], also while the root is mounted.
pub trait Volumes {
    /// Makes the partitions known (no table is on the disk yet), makes the root file system and
    /// mounts it; returns its directory, the future `/`.
    ///
    /// # Errors
    /// Whatever the kernel or mke2fs said; nothing stays mounted then.
    fn mount(&mut self, disk: &mut dyn Disk, layout: &Layout) -> Result<OwnedFd, VolumesError>;

    /// Unmounts it and returns when everything in it, and everything written to `disk`, is on the
    /// medium. Also called after a failed deploy; must leave nothing mounted, and no partition
    /// known to the kernel.
    ///
    /// # Errors
    /// The disk must then not be committed.
    fn unmount(&mut self, disk: &mut dyn Disk, root: OwnedFd) -> Result<(), VolumesError>;
}
