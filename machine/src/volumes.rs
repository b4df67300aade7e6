//! `install`'s file systems on a real kernel: partitions by [`Slice`], ext4 by mke2fs, mounts
//! without a mount point.
//!
//! A mount here is a descriptor (`fsopen`, `fsmount`: `Documentation/filesystems/mount_api.rst`)
//! and is attached to no directory: nobody else sees it, and it ends with the descriptor, even
//! under SIGKILL.
//!
//! A disk and its partitions have page caches of their own. ESP and swap are only ever written
//! through the disk, the root only through its partition. What the disk's cache holds of the root's
//! place is older than what the partition wrote there; it is dropped ([`sys::block::forget_cache`])
//! before the commit, because a write of less than a page next to it would put the stale rest of
//! the page back. An image file has one page cache: a loop device reads and writes through the
//! file.

use std::error::Error as StdError;
use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use disk::disk::Disk;
use disk::layout::{Layout, Partition, Role};
use disk::volumes::{Volumes, VolumesError};
use rustix::fs::{Mode, OFlags, openat, syncfs};
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, fsconfig_create, fsconfig_set_flag,
    fsconfig_set_string, fsmount, fsopen,
};

use crate::blockdisk::{BlockDisk, Claim, Kind};
use crate::children;
use crate::slice::{Slice, forget_partitions};
use crate::writeout::WriteOut;

/// The real mke2fs of e2fsprogs, carried in the image.
const MKE2FS: &str = "/sbin/mke2fs";

/// It writes some tens of MiB, whatever the size of the disk.
const MKE2FS_TIME: Duration = Duration::from_secs(600);

/// Besides, it discards the whole partition, 2 GiB at a time: a thin volume of an array takes 1 to
/// 3 s for each. Against a disk that hangs there is the kernel's own limit on a request, and the
/// watchdog (`boot.md` 9).
const MKE2FS_TIME_PER_GIB: Duration = Duration::from_secs(2);

/// The features that every ext4 driver and e2fsck since e2fsprogs 1.43 (2016) understands, whatever
/// a newer mke2fs makes by default or a configuration file says: the deployed system checks this
/// file system with tools of its own age.
const EXT4_FEATURES: &str = "none,sparse_super,large_file,filetype,resize_inode,dir_index,ext_attr,\
has_journal,extent,huge_file,flex_bg,metadata_csum,64bit,dir_nlink,extra_isize";

/// Inode tables are left to the installed system, which zeroes them in the background of its first
/// boot: they are 1.6 % of the disk, and their block groups are marked uninitialised under a
/// checksum, so nothing reads them before. The journal is zeroed now: it is small, and old
/// transactions found in it after a crash would be replayed. Discarding stays on: it tells an SSD
/// that the old contents are gone, and makes the zeroing cheap.
const EXT4_EXTENDED: &str = "lazy_itable_init=1,lazy_journal_init=0";

/// ext4 during a deploy. `noinit_itable`: the background zeroing must not compete with it.
/// `barrier=0`: a disk cut off now is marked incomplete and made again; the flush that counts comes
/// after unmounting.
const EXT4_OPTIONS: [(&str, Option<&str>); 2] = [("barrier", Some("0")), ("noinit_itable", None)];

/// Makes, mounts and unmounts the file systems of one disk.
#[derive(Debug)]
pub struct KernelVolumes {
    disk: BlockDisk,
    claim: Option<Claim>,
    live: Option<Live>,
}

/// The mount first: fields are dropped in this order, and a mounted slice cannot be taken back.
#[derive(Debug)]
struct Live {
    writing: WriteOut,
    mount: OwnedFd,
    root: Slice,
}

impl KernelVolumes {
    /// For the file systems of `disk`, whose claim is shared.
    ///
    /// # Errors
    /// Its device cannot be opened a second time.
    pub fn new(disk: &BlockDisk) -> Result<Self, VolumesError> {
        let again = disk
            .try_clone()
            .map_err(|source| error("opening", disk.path(), source))?;
        Ok(Self {
            disk: again,
            claim: disk.claim().cloned(),
            live: None,
        })
    }

    /// Gives the claim back and clears the kernel of old partitions.
    fn prepare(&mut self) -> Result<(), VolumesError> {
        if let Some(claim) = &self.claim {
            claim.lend();
        }
        forget_partitions(&self.disk)
            .map_err(|source| error("forgetting old partitions of", self.disk.path(), source))
    }

    fn make_and_mount(&self, layout: &Layout) -> Result<Live, VolumesError> {
        let plan = layout.files().ok_or_else(|| {
            let none = io::Error::new(io::ErrorKind::NotFound, "the layout has none");
            error("finding the root partition of", self.disk.path(), none)
        })?;
        let root = Slice::expose(&self.disk, layout, plan)
            .map_err(|source| error("adding a partition to", self.disk.path(), source))?;
        make_ext4(root.path(), plan, layout.len_bytes(plan))?;
        let mount = mount_ext4(root.path())?;
        let writing = WriteOut::begin(directory(&mount, root.path())?)
            .map_err(|source| error("writing early to", root.path(), source))?;
        Ok(Live {
            writing,
            mount,
            root,
        })
    }

    /// After the last partition is gone: no stale page may stay, and the disk is ours alone again.
    fn close_up(&self) -> Result<(), VolumesError> {
        if self.disk.kind() == Kind::Device {
            let file = self
                .disk
                .try_clone_file()
                .map_err(|source| error("opening", self.disk.path(), source))?;
            file.sync_all()
                .map_err(|source| error("flushing", self.disk.path(), source))?;
            sys::block::forget_cache(&file)
                .map_err(|errno| error("rereading", self.disk.path(), errno))?;
        }
        self.claim
            .as_ref()
            .map_or(Ok(()), Claim::take)
            .map_err(|source| error("claiming", self.disk.path(), source))
    }
}

impl Volumes for KernelVolumes {
    fn mount(&mut self, disk: &mut dyn Disk, layout: &Layout) -> Result<OwnedFd, VolumesError> {
        disk.flush().map_err(|source| VolumesError {
            action: "flushing",
            object: disk.name().to_owned(),
            source: Box::new(source),
        })?;
        self.prepare()?;
        let live = self.make_and_mount(layout)?;
        let root = directory(&live.mount, live.root.path())?;
        self.live = Some(live);
        Ok(root)
    }

    fn unmount(&mut self, disk: &mut dyn Disk, root: OwnedFd) -> Result<(), VolumesError> {
        let written = syncfs(&root); // also reports background writes that failed, of any process
        drop(root);
        let Some(Live {
            writing,
            mount,
            root,
        }) = self.live.take()
        else {
            return Ok(());
        };
        drop(writing);
        drop(mount);
        // Everything is taken back before the first error is looked at.
        let path = root.path().to_owned();
        let taken_back = root.finish();
        let closed = self.close_up();
        written.map_err(|errno| error("writing back", &path, errno))?;
        taken_back.map_err(|source| error("unmounting", &path, source))?;
        closed?;
        disk.flush().map_err(|source| VolumesError {
            action: "flushing",
            object: disk.name().to_owned(),
            source: Box::new(source),
        })
    }
}

/// How long mke2fs may take. One that has not ended by then fails.
fn mke2fs_time(len_bytes: u64) -> Duration {
    let gib = u32::try_from(len_bytes.div_ceil(1 << 30)).unwrap_or(u32::MAX);
    MKE2FS_TIME.saturating_add(MKE2FS_TIME_PER_GIB.saturating_mul(gib))
}

/// Makes the root file system. Blocks are 4096 bytes whatever the size: mke2fs would choose 1024
/// below 512 MiB.
fn make_ext4(device: &Path, plan: &Partition, len_bytes: u64) -> Result<(), VolumesError> {
    let failed = |source| error("making ext4 on", device, source);
    let mut command = Command::new(MKE2FS);
    command.args([
        "-F",
        "-q",
        "-t",
        "ext4",
        "-b",
        "4096",
        "-I",
        "256",
        "-L",
        label(plan.role),
        "-O",
        EXT4_FEATURES,
        "-E",
        EXT4_EXTENDED,
    ]);
    command
        .arg("-U")
        .arg(plan.content_id.to_string())
        .arg(device);
    let output = children::run(&mut command, mke2fs_time(len_bytes))
        .map_err(|source| error("starting", Path::new(MKE2FS), source))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let last = said
        .lines()
        .rev()
        .find(|line| !line.trim().is_empty())
        .unwrap_or("nothing on standard error");
    Err(failed(io::Error::other(format!(
        "mke2fs: {}: {last}",
        output.status
    ))))
}

/// The file system's own name; at most 16 bytes.
const fn label(role: Role) -> &'static str {
    match role {
        Role::State => "smechvisor-state",
        _ => "smechvisor",
    }
}

/// Mounts without attaching; the mount lives as long as the descriptor.
fn mount_ext4(device: &Path) -> Result<OwnedFd, VolumesError> {
    let failed = |source| error("mounting", device, source);
    let context = fsopen("ext4", FsOpenFlags::FSOPEN_CLOEXEC)
        .map_err(|errno| failed(io::Error::other(format!("ext4: {errno}"))))?;
    let attributes = MountAttrFlags::MOUNT_ATTR_NOATIME;
    configure(&context, device)
        .and_then(|()| fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, attributes))
        .map_err(|errno| failed(explained(context, errno)))
}

fn configure(context: &OwnedFd, device: &Path) -> rustix::io::Result<()> {
    fsconfig_set_string(context, "source", device)?;
    for (key, value) in EXT4_OPTIONS {
        match value {
            Some(value) => fsconfig_set_string(context, key, value)?,
            None => fsconfig_set_flag(context, key)?,
        }
    }
    fsconfig_create(context)
}

/// Adds what the file system driver itself says; it can be read from the context (`mount_api.rst`).
fn explained(context: OwnedFd, errno: rustix::io::Errno) -> io::Error {
    let mut message = [0_u8; 256];
    let len = std::fs::File::from(context).read(&mut message).unwrap_or(0); // no message is no news
    let said = String::from_utf8_lossy(message.get(..len).unwrap_or_default());
    let said = said.trim_start_matches("e ").trim();
    let cause = io::Error::from(errno);
    io::Error::new(
        cause.kind(),
        if said.is_empty() {
            format!("ext4: {cause}")
        } else {
            format!("ext4: {said}: {cause}")
        },
    )
}

/// `fsmount` gives an `O_PATH` handle; a directory that is written and synced needs a real one.
fn directory(mount: &OwnedFd, device: &Path) -> Result<OwnedFd, VolumesError> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    openat(mount.as_fd(), ".", flags, Mode::empty())
        .map_err(|errno| error("opening the root of", device, errno))
}

fn error(
    action: &'static str,
    object: &Path,
    source: impl Into<Box<dyn StdError + Send + Sync>>,
) -> VolumesError {
    VolumesError {
        action,
        object: object.display().to_string(),
        source: source.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::mke2fs_time;
    use std::time::Duration;

    #[test]
    fn mke2fs_has_time_to_discard_a_partition_of_any_size() {
        for (len_bytes, seconds) in [
            (0, 600),
            (1 << 20, 602),
            (40 << 30, 680),
            (4 << 40, 600 + 8192),
            (16 << 40, 600 + 32768),
        ] {
            assert_eq!(mke2fs_time(len_bytes), Duration::from_secs(seconds));
        }
        assert!(mke2fs_time(u64::MAX) > mke2fs_time(16 << 40));
    }
}
