//! The kernel's own file systems for a PID 1: rows with reasons.

use std::fs;
use std::path::Path;

use rustix::io::Errno;
use rustix::mount::{MountFlags, mount};
use thiserror::Error;
use wire::outcome::Outcome;

/// One file system.
struct Row {
    kind: &'static str,
    target: &'static str,
    flags: MountFlags,
    options: &'static core::ffi::CStr,
    /// A kernel that has not got it can still deploy.
    is_optional: bool,
}

const PLAIN: MountFlags = MountFlags::NOSUID
    .union(MountFlags::NODEV)
    .union(MountFlags::NOEXEC);

/// In this order: `/dev` first, because the console comes from it.
const ROWS: [Row; 6] = [
    // Disks, partitions, consoles and the kernel's log as nodes; the kernel makes them as devices
    // come.
    Row {
        kind: "devtmpfs",
        target: "/dev",
        flags: MountFlags::NOSUID.union(MountFlags::NOEXEC),
        options: c"mode=0755",
        is_optional: false,
    },
    // The kernel command line, memory, the console's level.
    Row {
        kind: "proc",
        target: "/proc",
        flags: PLAIN,
        options: c"",
        is_optional: false,
    },
    // sysfs, for disks and interfaces.
    Row {
        kind: "sysfs",
        target: "/sys",
        flags: PLAIN,
        options: c"",
        is_optional: false,
    },
    // Init keeps nothing here; the programs that it runs may. Small, because it is the machine's
    // memory.
    Row {
        kind: "tmpfs",
        target: "/run",
        flags: PLAIN,
        options: c"mode=0755,size=2m",
        is_optional: false,
    },
    Row {
        kind: "tmpfs",
        target: "/tmp",
        flags: PLAIN,
        options: c"mode=1777,size=2m",
        is_optional: false,
    },
    // Whether the kernel is locked down, which kexec has to know.
    Row {
        kind: "securityfs",
        target: "/sys/kernel/security",
        flags: PLAIN,
        options: c"",
        is_optional: true,
    },
];

/// Boot order (UEFI 2.10 3.3): only where the kernel was started by UEFI. A kernel that has it as a
/// module asks for it when it is mounted.
const FIRMWARE: Row = Row {
    kind: "efivarfs",
    target: EFIVARS,
    flags: PLAIN,
    options: c"",
    is_optional: true,
};

/// Where the firmware's variables are, when there is UEFI.
pub const EFIVARS: &str = "/sys/firmware/efi/efivars";

/// A file system the shim cannot live without.
#[derive(Debug, Error)]
#[error("mounting {kind} on {target}")]
pub struct MountsError {
    kind: &'static str,
    target: &'static str,
    #[source]
    source: std::io::Error,
}

impl MountsError {
    /// The next donor would find the same kernel.
    #[must_use]
    pub const fn outcome(&self) -> Outcome {
        Outcome::Fatal
    }
}

/// Mounts every row. What is mounted already (a kernel with `CONFIG_DEVTMPFS_MOUNT`) stays as it
/// is.
///
/// # Errors
/// All that failed, the first first; the others have been mounted.
pub fn mount_all() -> Result<(), Vec<MountsError>> {
    let failed: Vec<MountsError> = ROWS.iter().filter_map(|row| mount_row(row).err()).collect();
    if failed.is_empty() {
        Ok(())
    } else {
        Err(failed)
    }
}

/// Mounts the firmware's variables, if there are any. Drivers must be at hand by
/// then: the kernel may ask for one that is a module.
pub fn mount_firmware() {
    let _ = mount_row(&FIRMWARE); // optional: it never fails
}

fn mount_row(row: &Row) -> Result<(), MountsError> {
    if row.is_optional && !Path::new(row.target).exists() {
        return Ok(());
    }
    let failed = |source| MountsError {
        kind: row.kind,
        target: row.target,
        source,
    };
    if !row.is_optional {
        fs::create_dir_all(row.target).map_err(failed)?;
    }
    match mount(row.kind, row.target, row.kind, row.flags, row.options) {
        Ok(()) | Err(Errno::BUSY) => Ok(()),
        Err(_) if row.is_optional => Ok(()),
        Err(errno) => Err(failed(errno.into())),
    }
}
