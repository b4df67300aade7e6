//! The system in a tree as a target will see it: what would be refused there is refused before
//! anything is packed.

use std::os::fd::AsFd;

use bundle::directory::Directory;
use bundle::kernel::{self, Kernel, Ramdisk};
use rustix::fs::fstatvfs;

use super::grub::{self, Platforms};
use super::job::Job;
use super::{PackageError, node};

/// The tree, looked at as the target looks at its root; but its file systems may be several.
#[must_use]
pub fn tree(job: &Job) -> Directory<'_> {
    Directory::across_mounts(job.root.as_fd(), "in the tree")
}

/// GRUB's images where the target looks for them.
#[must_use]
pub fn grub(job: &Job) -> Platforms {
    let tree = tree(job);
    Platforms::of(|image| {
        let path = format!("{}/{image}", grub::DIRECTORY);
        tree.identity(&path).is_some()
    })
}

/// The copy needs a kernel; where `/boot` is not packed, the error says how to have it packed.
///
/// # Errors
/// The tree has no kernel, or not the ramdisk that it needs.
pub fn expect_kernel(job: &Job) -> Result<(), PackageError> {
    if is_boot_left_out(job) {
        return Err(PackageError::NoKernel {
            hint: "/boot is a file system of its own: --include-mount /boot packs it too",
        });
    }
    match kernel::find(tree(job))? {
        None => Err(PackageError::NoKernel {
            hint: "a package with one can be given with --packages DIR",
        }),
        Some(kernel) => with_ramdisk(kernel),
    }
}

/// A kernel that is packed in `/boot` needs its ramdisk. One among the modules may lack it: where
/// another package has a kernel in `/boot`, that one counts.
///
/// # Errors
/// The newest kernel has its drivers in modules and no ramdisk.
pub fn expect_ramdisk(job: &Job) -> Result<(), PackageError> {
    match kernel::find(tree(job))? {
        Some(kernel) if kernel.is_in_boot() && !is_boot_left_out(job) => with_ramdisk(kernel),
        _ => Ok(()),
    }
}

fn with_ramdisk(kernel: Kernel) -> Result<(), PackageError> {
    match kernel.ramdisk {
        Ramdisk::Missing(missing) => Err(missing.into()),
        Ramdisk::Found(_) | Ramdisk::NotNeeded => Ok(()),
    }
}

/// `/boot` is a file system of its own that is not packed.
fn is_boot_left_out(job: &Job) -> bool {
    let root = node::look_at(job.root.as_fd());
    let boot = node::look(job.root.as_fd(), b"boot");
    match (&root, &boot) {
        (Ok(root), Ok(boot)) => {
            !boot.is_beside(root) && !job.mounts.iter().any(|path| path == b"boot")
        }
        _ => false,
    }
}

/// About what will be read: the use of the file systems that are packed. `None` when the tree is
/// only a part of one, whose use says nothing about the tree's.
#[must_use]
pub fn used_bytes(job: &Job) -> Option<u64> {
    let root = node::look_at(job.root.as_fd()).ok()?;
    if !root.is_mount_root {
        return None;
    }
    let mut used = 0_u64;
    for path in [&b""[..]]
        .into_iter()
        .chain(job.mounts.iter().map(Vec::as_slice))
    {
        let directory = node::open_beneath(job.root.as_fd(), path).ok()?;
        let space = fstatvfs(directory).ok()?;
        let blocks = space.f_blocks.saturating_sub(space.f_bfree);
        used = used.saturating_add(blocks.saturating_mul(space.f_frsize));
    }
    Some(used)
}
