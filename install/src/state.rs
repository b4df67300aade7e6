//! A node of its own, in the empty state partition of a disk with two slots: what differs from one
//! machine to the next stands above the image's `/etc`, and below its `/var` (`slot.md` 6).
//!
//! The image itself is not looked into: it is one sealed file system, and the next one may have
//! another init. So what is made here suits every system: a mount table with swap alone, an
//! identity, a random seed. SSH host keys are made by a job of the image at the first boot.

use bundle::directory::{Directory, DirectoryError};
use disk::layout::{Layout, Role};
use thiserror::Error;
use wire::outcome::Outcome;
use wire::state::{ETC_UPPER, ETC_WORK, OWN};

use crate::identity::{self, IdentityError};

const FSTAB: &str = "# Written when this disk was deployed. The slots and the state partition need \
     no line.\n";
/// Where systemd looks for it; others leave it alone.
const SEED: &str = "var/lib/systemd/random-seed";

/// The state cannot be made.
#[derive(Debug, Error)]
pub enum StateError {
    /// A file.
    #[error(transparent)]
    File(#[from] DirectoryError),
    /// Random numbers.
    #[error(transparent)]
    Identity(#[from] IdentityError),
}

impl StateError {
    /// As the file's error.
    #[must_use]
    pub fn outcome(&self) -> Outcome {
        match self {
            StateError::File(error) => error.outcome(),
            StateError::Identity(error) => error.outcome(),
        }
    }
}

/// Fills the top of the state partition.
///
/// # Errors
/// The file system failed, or there are no random numbers.
pub fn fill(top: Directory<'_>, layout: &Layout) -> Result<(), StateError> {
    for path in [ETC_UPPER, ETC_WORK, OWN, "var/lib/systemd"] {
        top.make_directories(path)?;
    }
    let mut fstab = FSTAB.to_owned();
    if let Some(swap) = layout.partition(Role::Swap) {
        fstab.push_str(&format!("UUID={} none swap sw 0 0\n", swap.content_id));
    }
    let etc = |name: &str| format!("{ETC_UPPER}/{name}");
    top.write(&etc("fstab"), 0o644, &mut fstab.as_bytes())?;
    let id = identity::machine_id()?;
    top.write(&etc("machine-id"), 0o444, &mut id.as_bytes())?;
    top.write(SEED, 0o600, &mut identity::seed()?.as_slice())?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{SEED, fill};
    use bundle::directory::Directory;
    use disk::disk::SectorSize;
    use disk::layout::{Layout, plan};
    use disk::sizes::{LayoutKind, Sizes};
    use std::fs;
    use std::os::fd::AsFd;
    use std::os::unix::fs::PermissionsExt;
    use tempfile::TempDir;
    use uuid::Uuid;

    fn layout(mib: u64) -> Layout {
        let sizes = Sizes {
            layout: LayoutKind::Ab { slot_bytes: None },
            ..Sizes::USUAL
        };
        plan(mib << 20, SectorSize::B512, sizes, &mut || {
            Uuid::from_u128(7)
        })
        .unwrap()
    }

    #[test]
    fn each_node_gets_an_identity_and_its_swap() {
        let mut ids = Vec::new();
        for (mib, lines) in [(8192, 2), (1700, 1)] {
            let dir = TempDir::new().unwrap();
            let handle = fs::File::open(dir.path()).unwrap();
            fill(Directory::new(handle.as_fd(), "in the test"), &layout(mib)).unwrap();
            let read = |path: &str| fs::read_to_string(dir.path().join(path)).unwrap();
            let fstab = read("etc/upper/fstab");
            assert_eq!(fstab.lines().count(), lines, "{fstab}");
            let swap = "UUID=00000000-0000-0000-0000-000000000007 none swap sw 0 0\n";
            assert_eq!(fstab.ends_with(swap), lines == 2);
            let id = read("etc/upper/machine-id");
            assert_eq!((id.len(), id.trim().len()), (33, 32), "{id}");
            ids.push(id);
            let seed = dir.path().join(SEED);
            let mode = fs::metadata(&seed).unwrap().permissions().mode();
            assert_eq!((fs::read(seed).unwrap().len(), mode), (512, 0o100_600));
            assert!(dir.path().join("etc/work").is_dir() && dir.path().join("smv").is_dir());
        }
        assert_ne!(ids.first(), ids.last());
    }
}
