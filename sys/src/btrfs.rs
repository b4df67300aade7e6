//! Subvolumes of btrfs: whether a directory is one, and snapshots of it.
//!
//! The numbers and structures are those of `linux/btrfs.h` and `linux/btrfs_tree.h`.

use std::ffi::CStr;
use std::io;
use std::mem::{offset_of, size_of};
use std::os::fd::{AsFd, AsRawFd};

use rustix::fs::{fstat, fstatfs};
use rustix::io::Errno;
use rustix::ioctl::{self, Getter, Opcode, Setter, opcode};

const MAGIC: u8 = 0x94;
const SNAP_DESTROY: Opcode = opcode::write::<DestroyArgs>(MAGIC, 15);
const SNAP_CREATE_V2: Opcode = opcode::write::<CreateArgs>(MAGIC, 23);
const SUBVOL_GETFLAGS: Opcode = opcode::read::<u64>(MAGIC, 25);
/// `BTRFS_SUPER_MAGIC`, of statfs(2).
const SUPER_MAGIC: u64 = 0x9123_683E;
/// `BTRFS_FIRST_FREE_OBJECTID`: the inode of the root of every subvolume, and of nothing else.
const ROOT_INODE: u64 = 256;
const SUBVOL_RDONLY: u64 = 1 << 1;
/// The kernel's limit of a name, without its NUL.
const NAME_MAX: usize = 255;

/// Is this directory the root of a subvolume?
///
/// # Errors
/// The kernel's.
pub fn is_subvolume(directory: impl AsFd) -> io::Result<bool> {
    let directory = directory.as_fd();
    let is_btrfs = fstatfs(directory)?.f_type.cast_unsigned() == SUPER_MAGIC;
    Ok(is_btrfs && fstat(directory)?.st_ino == ROOT_INODE)
}

/// Can nothing in this subvolume be changed?
///
/// # Errors
/// `EINVAL`: it is no subvolume. `ENOTTY`: nor btrfs.
pub fn is_read_only(subvolume: impl AsFd) -> io::Result<bool> {
    // SAFETY: BTRFS_IOC_SUBVOL_GETFLAGS writes one u64 through its argument, which is what this
    // getter holds.
    let request = unsafe { Getter::<SUBVOL_GETFLAGS, u64>::new() };
    // SAFETY: the request pairs the number with the type that the kernel writes; it has no other
    // effect.
    let flags = unsafe { ioctl::ioctl(subvolume, request) }?;
    Ok(flags & SUBVOL_RDONLY != 0)
}

/// Makes a snapshot of a subvolume, which nobody can change, as `name` in a directory of the same
/// file system. What was written before is in it, flushed or not.
///
/// # Errors
/// `EPERM`: the caller neither owns the subvolume nor may act for its owner. `EXDEV`: the directory
/// is on another file system. `EEXIST`: the name is taken.
pub fn snapshot(subvolume: impl AsFd, into: impl AsFd, name: &CStr) -> io::Result<()> {
    let args = CreateArgs {
        fd: subvolume.as_fd().as_raw_fd().into(),
        transid: 0,
        flags: SUBVOL_RDONLY,
        unused: [0; 4],
        name: padded(name)?,
    };
    // SAFETY: BTRFS_IOC_SNAP_CREATE_V2 reads a `struct btrfs_ioctl_vol_args_v2`, laid out below; of
    // the flags it writes one back, and only for an asynchronous snapshot, which this is not.
    let request = unsafe { Setter::<SNAP_CREATE_V2, CreateArgs>::new(args) };
    // SAFETY: the request pairs the number with the structure the kernel reads; the descriptor in
    // it is open during the call.
    Ok(unsafe { ioctl::ioctl(into, request) }?)
}

/// Removes the subvolume `name` in a directory, with all that is in it.
///
/// # Errors
/// `EPERM`: needs `CAP_SYS_ADMIN`. `ENOENT`, or `EINVAL` when it is no subvolume.
pub fn remove(directory: impl AsFd, name: &CStr) -> io::Result<()> {
    let args = DestroyArgs {
        fd: 0,
        name: padded(name)?,
    };
    // SAFETY: BTRFS_IOC_SNAP_DESTROY reads a `struct btrfs_ioctl_vol_args`, laid out below, and
    // writes nothing.
    let request = unsafe { Setter::<SNAP_DESTROY, DestroyArgs>::new(args) };
    // SAFETY: the request pairs the number with the structure the kernel reads.
    Ok(unsafe { ioctl::ioctl(directory, request) }?)
}

/// The name with zeros behind it.
fn padded<const LEN: usize>(name: &CStr) -> Result<[u8; LEN], Errno> {
    let bytes = name.to_bytes();
    let mut padded = [0; LEN];
    match padded.get_mut(..bytes.len()) {
        Some(start) if bytes.len() <= NAME_MAX => start.copy_from_slice(bytes),
        _ => return Err(Errno::NAMETOOLONG),
    }
    Ok(padded)
}

/// `struct btrfs_ioctl_vol_args`.
#[repr(C)]
struct DestroyArgs {
    fd: i64,
    name: [u8; 4088],
}

/// `struct btrfs_ioctl_vol_args_v2` with a name at its end.
#[repr(C)]
struct CreateArgs {
    fd: i64,
    transid: u64,
    flags: u64,
    unused: [u64; 4],
    name: [u8; 4040],
}

const _: () = assert!(size_of::<DestroyArgs>() == 4096 && offset_of!(DestroyArgs, name) == 8);
const _: () = assert!(size_of::<CreateArgs>() == 4096 && offset_of!(CreateArgs, name) == 56);

#[cfg(test)]
mod tests {
    use std::fs::File;

    use rustix::io::Errno;

    #[test]
    fn what_is_no_btrfs_is_no_subvolume() {
        let proc = File::open("/proc").unwrap();
        assert!(!super::is_subvolume(&proc).unwrap());
        let error = |result: std::io::Result<()>| Errno::from_io_error(&result.unwrap_err());
        let read_only = super::is_read_only(&proc).map(drop);
        assert_eq!(error(read_only), Some(Errno::NOTTY));
        let snapshot = super::snapshot(&proc, &proc, c"x");
        assert_eq!(error(snapshot), Some(Errno::NOTTY));
        assert_eq!(error(super::remove(&proc, c"x")), Some(Errno::NOTTY));
    }

    #[test]
    fn a_name_that_is_too_long_does_not_reach_the_kernel() {
        let name = std::ffi::CString::new(vec![b'x'; 256]).unwrap();
        assert_eq!(super::padded::<4040>(&name), Err(Errno::NAMETOOLONG));
    }
}
