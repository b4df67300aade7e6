//! A disk that the gate has cleared: the only key to open it for writing.

use super::Candidate;

/// A disk that [`choose`](super::choose) has cleared. Nothing else makes one, and
/// [`BlockDisk::open_to_write`](crate::blockdisk::BlockDisk::open_to_write) takes nothing else:
///
/// ```
/// use machine::blockdisk::BlockDisk;
/// use machine::disks::{Disks, IMAGE_SECTOR};
/// use machine::gate::{Cleared, Wish, choose};
///
/// let image = tempfile::NamedTempFile::new()?;
/// image.as_file().set_len(1 << 20)?;
/// let seen = Disks::One(image.path().to_owned()).look()?;
/// let cleared: Cleared = choose(&seen, &Wish::default())?;
/// BlockDisk::open_to_write(&cleared, IMAGE_SECTOR)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// A disk that was only seen cannot be opened for writing:
///
/// ```compile_fail,E0308
/// use machine::blockdisk::BlockDisk;
/// use machine::disks::{Disks, IMAGE_SECTOR};
///
/// let seen = Disks::Machine.look()?;
/// BlockDisk::open_to_write(&seen[0], IMAGE_SECTOR)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// Nor can anybody but the gate declare it cleared:
///
/// ```compile_fail,E0451
/// use machine::disks::Disks;
/// use machine::gate::Cleared;
///
/// let candidate = Disks::Machine.look()?.remove(0);
/// let cleared = Cleared { candidate };
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// Nor can anybody make up a disk for the gate to clear:
///
/// ```compile_fail,E0451
/// use machine::disks::Disks;
/// use machine::gate::Candidate;
///
/// let seen = Disks::Machine.look()?.remove(0);
/// let made_up = Candidate { ..seen };
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// Two are equal when they are the same disk with the same contents.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cleared {
    candidate: Candidate,
}

impl Cleared {
    /// By the gate alone.
    pub(super) fn new(candidate: &Candidate) -> Self {
        Self {
            candidate: candidate.clone(),
        }
    }

    /// The disk as it was judged.
    #[must_use]
    pub const fn candidate(&self) -> &Candidate {
        &self.candidate
    }

    /// The disk as it was judged, without the clearance: to be shown.
    #[must_use]
    pub fn into_candidate(self) -> Candidate {
        self.candidate
    }
}
