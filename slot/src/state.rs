//! The state partition (`slot.md 6.1`): checked by the e2fsck of the root, then mounted.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use machine::children;
use machine::partitions::Partition;
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};
use thiserror::Error;
use wire::state::PARTITION_NAME;

use crate::console;

/// Where it is mounted while its directories are put in place.
pub const DIRECTORY: &str = "/run/smv/state";
/// Where a root has it.
const E2FSCK: [&str; 3] = ["/sbin/e2fsck", "/usr/sbin/e2fsck", "/usr/bin/e2fsck"];
/// Repairing a large file system reads all of it.
const E2FSCK_TIME: Duration = Duration::from_secs(3600);
/// Of its exit status (`e2fsck(8)`): errors were corrected, and the machine had to be restarted if
/// the file system had been mounted.
const CORRECTED: i32 = 1 | 2;

/// The state partition cannot be used.
#[derive(Debug, Error)]
#[allow(missing_docs)] // the fields name themselves
pub enum StateError {
    /// No such partition.
    #[error("the disk {disk} has no partition {PARTITION_NAME}")]
    None { disk: String },
    /// It could not be run.
    #[error("checking {} with e2fsck", node.display())]
    Check {
        node: PathBuf,
        #[source]
        source: io::Error,
    },
    /// It needs a person.
    #[error(
        "e2fsck cannot repair {} by itself (status {status}: {said}); start with smv.state=empty \
         to run without what is on it",
        node.display()
    )]
    Damaged {
        node: PathBuf,
        status: i32,
        said: String,
    },
    /// The kernel refuses it.
    #[error("mounting the state partition {}", node.display())]
    Mount {
        node: PathBuf,
        #[source]
        source: io::Error,
    },
}

/// The one on `disk`.
///
/// # Errors
/// It has none.
pub fn find(partitions: &[Partition], disk: &str) -> Result<PathBuf, StateError> {
    let is_it = |one: &&Partition| one.disk == disk && one.name == PARTITION_NAME;
    let found = partitions.iter().find(is_it);
    found
        .map(|one| one.node.clone())
        .ok_or_else(|| StateError::None {
            disk: disk.to_owned(),
        })
}

/// Repairs what can be repaired without a person. A root without e2fsck leaves it to the journal.
///
/// # Errors
/// It cannot be repaired so.
pub fn check(node: &Path) -> Result<(), StateError> {
    let Some(program) = E2FSCK.into_iter().find(|path| Path::new(path).exists()) else {
        console::warning("the root has no e2fsck; the state partition was not checked");
        return Ok(());
    };
    let output = children::run(Command::new(program).arg("-p").arg(node), E2FSCK_TIME);
    let output = output.map_err(|source| StateError::Check {
        node: node.to_owned(),
        source,
    })?;
    let status = output.status.code().unwrap_or(i32::MAX);
    if status & !CORRECTED != 0 {
        return Err(StateError::Damaged {
            node: node.to_owned(),
            status,
            said: reason(&output.stderr),
        });
    }
    if status != 0 {
        console::warning(&format!("e2fsck repaired {}", node.display()));
    }
    Ok(())
}

/// The line that says why; what a person could do stands below it.
fn reason(said: &[u8]) -> String {
    let text = String::from_utf8_lossy(said);
    let mut lines = text.lines().map(str::trim);
    let first = lines.find(|line| !line.is_empty()).unwrap_or_default();
    first.to_owned()
}

/// Mounts it on [`DIRECTORY`].
///
/// # Errors
/// It is no ext4, or it is damaged.
pub fn attach(node: &Path) -> Result<(), StateError> {
    mount_at(node, "ext4", MountFlags::NOATIME, c"")
}

/// Memory in its place: everything is lost with this boot.
///
/// # Errors
/// The kernel has no tmpfs.
pub fn attach_empty() -> Result<(), StateError> {
    mount_at(
        Path::new("tmpfs"),
        "tmpfs",
        MountFlags::NOATIME,
        c"mode=0755",
    )
}

fn mount_at(
    node: &Path,
    kind: &str,
    flags: MountFlags,
    options: &std::ffi::CStr,
) -> Result<(), StateError> {
    let failed = |source: io::Error| StateError::Mount {
        node: node.to_owned(),
        source,
    };
    fs::create_dir_all(DIRECTORY).map_err(failed)?;
    mount(node, DIRECTORY, kind, flags, options).map_err(|errno| failed(errno.into()))
}

/// Hides it again: its directories stay where they were put.
pub fn hide() {
    // It would be seen twice, and nothing else.
    let _ = unmount(DIRECTORY, UnmountFlags::DETACH);
    let _ = fs::remove_dir(DIRECTORY);
}

#[cfg(test)]
mod tests {
    use super::reason;

    #[test]
    fn of_what_e2fsck_says_the_reason_is_kept() {
        // Of e2fsprogs 1.47, status 4 and 8.
        let inconsistent = b"\n\n/dev/vda6: UNEXPECTED INCONSISTENCY; RUN fsck MANUALLY.\n\t\
            (i.e., without -a or -p options)\n";
        let expected = "/dev/vda6: UNEXPECTED INCONSISTENCY; RUN fsck MANUALLY.";
        assert_eq!(reason(inconsistent), expected);
        let none =
            b"/sbin/e2fsck: Bad magic number in super-block while trying to open /dev/vda6\n";
        assert!(reason(none).starts_with("/sbin/e2fsck: Bad magic number"));
        assert_eq!(reason(b""), "");
    }
}
