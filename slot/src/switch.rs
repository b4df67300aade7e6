//! From the initramfs into the root: its files are given back, the kernel's file systems move
//! along, and the root becomes the root directory.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::fs::statfs;
use rustix::mount::{MountFlags, mount_move, mount_remount};
use rustix::process::{chdir, chroot};
use thiserror::Error;

use crate::root::DIRECTORY;

/// What was mounted for PID 1 and belongs to the system from now on.
const MOVED: [&str; 5] = ["dev", "proc", "sys", "run", "tmp"];
/// Those that were kept small in the initramfs.
const GROWN: [&str; 2] = ["/run", "/tmp"];
/// Where the kernel asks for modules from now on: its own default.
const MODPROBE: (&str, &str) = ("/proc/sys/kernel/modprobe", "/sbin/modprobe\n");

/// File systems that an initramfs is unpacked into (`RAMFS_MAGIC`, `TMPFS_MAGIC`): nothing else is
/// ever emptied.
const MEMORY: [u32; 2] = [0x8584_58F6, 0x0102_1994];

/// The root cannot be entered.
#[derive(Debug, Error)]
#[allow(missing_docs)] // the fields name themselves
pub enum SwitchError {
    /// The image has no directory for it, most likely.
    #[error("moving /{name} into the root")]
    Move {
        name: &'static str,
        #[source]
        source: io::Error,
    },
    /// The kernel refuses.
    #[error("making {DIRECTORY} the root directory")]
    Root(#[source] io::Error),
}

/// Enters the root. Nothing of the initramfs is there any more afterwards, whether or not it works.
///
/// # Errors
/// A directory is missing in the image, or the kernel refuses.
pub fn enter() -> Result<(), SwitchError> {
    let top = Path::new("/");
    if statfs(top).is_ok_and(|what| MEMORY.contains(&(what.f_type as u32))) {
        empty(top);
    }
    for name in MOVED {
        let (from, to) = (Path::new("/").join(name), Path::new(DIRECTORY).join(name));
        mount_move(&from, &to).map_err(|errno| SwitchError::Move {
            name,
            source: errno.into(),
        })?;
    }
    chdir(DIRECTORY)
        .and_then(|()| mount_move(".", "/"))
        .and_then(|()| chroot("."))
        .and_then(|()| chdir("/"))
        .map_err(|errno| SwitchError::Root(errno.into()))?;
    for path in GROWN {
        // Small as it was, it serves too.
        let flags = MountFlags::NOSUID | MountFlags::NODEV;
        let _ = mount_remount(path, flags, c"size=20%");
    }
    let (path, program) = MODPROBE;
    let _ = fs::write(path, program); // a kernel without modules has no such file
    Ok(())
}

/// Removes what is below `directory` on its own file system: the initramfs is memory. What cannot
/// be removed stays.
fn empty(directory: &Path) {
    let device = |path: &Path| fs::symlink_metadata(path).map(|what| (what.dev(), what.is_dir()));
    let Ok((own, _)) = device(directory) else {
        return;
    };
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        let path = entry.path();
        match device(&path) {
            Ok((dev, true)) if dev == own => {
                empty(&path);
                let _ = fs::remove_dir(&path); // something is mounted in it
            }
            Ok((dev, false)) if dev == own => {
                let _ = fs::remove_file(&path);
            }
            Ok(_) | Err(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::empty;
    use std::fs;

    #[test]
    fn everything_goes_but_the_directory_itself() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("lib/modules")).unwrap();
        fs::write(dir.path().join("lib/modules/one"), "x").unwrap();
        std::os::unix::fs::symlink("/nowhere", dir.path().join("link")).unwrap();
        empty(dir.path());
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }
}
