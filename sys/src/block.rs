//! Block devices: their size, and partitions that no table on the disk describes.
//!
//! A file descriptor in, a kernel fact or a partition node out. The numbers are those of
//! `linux/fs.h` and `linux/blkpg.h`.

use std::ffi::{c_int, c_void};
use std::marker::PhantomData;
use std::mem::{offset_of, size_of};
use std::os::fd::{AsFd, AsRawFd};

use rustix::io;
use rustix::ioctl::{self, Getter, Ioctl, IoctlOutput, NoArg, Opcode, Setter, opcode};

const BLKGETSIZE64: Opcode = opcode::read::<usize>(0x12, 114);
const BLKFLSBUF: Opcode = opcode::none(0x12, 97);
const BLKPG: Opcode = opcode::none(0x12, 105);
const BLKZEROOUT: Opcode = opcode::none(0x12, 127);

/// Size of the device in bytes (`BLKGETSIZE64`).
///
/// # Errors
/// `ENOTTY` when it is no block device.
pub fn size_bytes(device: impl AsFd) -> io::Result<u64> {
    // SAFETY: BLKGETSIZE64 writes one u64 through its argument (linux/fs.h), which is what this
    // getter holds.
    let request = unsafe { Getter::<BLKGETSIZE64, u64>::new() };
    // SAFETY: the request above pairs the number with the type that the kernel writes; it has no
    // other effect.
    unsafe { ioctl::ioctl(device, request) }
}

/// Writes what is dirty in the device's page cache and forgets the rest (`BLKFLSBUF`), so that the
/// next read comes from the medium. A disk and its partitions have page caches of their own; this
/// is how one learns what was written through the other.
///
/// # Errors
/// The kernel's, above all `EACCES` without `CAP_SYS_ADMIN`.
pub fn forget_cache(device: impl AsFd) -> io::Result<()> {
    // SAFETY: BLKFLSBUF takes no argument (linux/fs.h).
    let request = unsafe { NoArg::<BLKFLSBUF>::new() };
    // SAFETY: the request reads and writes no memory of this process.
    unsafe { ioctl::ioctl(device, request) }
}

/// Begins to write what is dirty in this range of the page cache, of a device or of a file, and
/// does not wait for it (sync_file_range(2)). Nothing is durable by it.
///
/// # Errors
/// The kernel's.
pub fn begin_writing(file: impl AsFd, start_bytes: u64, len_bytes: u64) -> io::Result<()> {
    let number = |bytes| i64::try_from(bytes).map_err(|_| io::Errno::INVAL);
    let (start, len) = (number(start_bytes)?, number(len_bytes)?);
    let fd = file.as_fd().as_raw_fd();
    // SAFETY: a system call on numbers alone; the descriptor is open for as long as it is borrowed.
    let status = unsafe { libc::sync_file_range(fd, start, len, libc::SYNC_FILE_RANGE_WRITE) };
    if status == 0 {
        return Ok(());
    }
    let error = std::io::Error::last_os_error();
    Err(io::Errno::from_io_error(&error).unwrap_or(io::Errno::IO))
}

/// Makes a range of the device read as zeros (`BLKZEROOUT`), by a command of the device where it
/// has one, else by writing them. What its page cache holds of the range must not be dirty.
///
/// # Errors
/// `EINVAL`: not a multiple of the sector size, or beyond the device. `EBUSY`: dirty pages. Or the
/// device failed.
pub fn zero(device: impl AsFd, start_bytes: u64, len_bytes: u64) -> io::Result<()> {
    let range = [start_bytes, len_bytes];
    // SAFETY: BLKZEROOUT reads two u64, start and length in bytes, through its argument
    // (linux/fs.h, block/ioctl.c).
    let request = unsafe { Setter::<BLKZEROOUT, [u64; 2]>::new(range) };
    // SAFETY: the request pairs the number with what the kernel reads; it writes no memory of this
    // process.
    unsafe { ioctl::ioctl(device, request) }
}

/// Makes a partition known to the kernel, as if a table described it; devtmpfs has its node when
/// this returns.
///
/// # Errors
/// `EBUSY`: the number is taken, or the range overlaps another partition. `EINVAL`: not a multiple
/// of the sector size, or beyond the disk.
pub fn add_partition(
    disk: impl AsFd,
    number: u32,
    start_bytes: u64,
    len_bytes: u64,
) -> io::Result<()> {
    const BLKPG_ADD_PARTITION: c_int = 1;
    partition_request(disk, BLKPG_ADD_PARTITION, number, start_bytes, len_bytes)
}

/// Makes the kernel forget a partition; what is on the disk stays.
///
/// # Errors
/// `EBUSY`: it is open or mounted. `ENXIO`: no partition has this number.
pub fn delete_partition(disk: impl AsFd, number: u32) -> io::Result<()> {
    const BLKPG_DEL_PARTITION: c_int = 2;
    partition_request(disk, BLKPG_DEL_PARTITION, number, 0, 0)
}

fn partition_request(
    disk: impl AsFd,
    op: c_int,
    number: u32,
    start_bytes: u64,
    len_bytes: u64,
) -> io::Result<()> {
    let partition = BlkpgPartition {
        start: i64::try_from(start_bytes).map_err(|_| io::Errno::INVAL)?,
        length: i64::try_from(len_bytes).map_err(|_| io::Errno::INVAL)?,
        number: c_int::try_from(number).map_err(|_| io::Errno::INVAL)?,
        device_name: [0; 64],
        volume_name: [0; 64],
    };
    let request = Blkpg {
        arg: BlkpgArg {
            op,
            flags: 0,
            data_len: PARTITION_LEN,
            data: (&raw const partition).cast(),
        },
        partition: PhantomData::<&BlkpgPartition>,
    };
    // SAFETY: `request` is the pair of structures BLKPG reads; `partition` lives until the call has
    // returned.
    unsafe { ioctl::ioctl(disk, request) }
}

/// `struct blkpg_partition` of `linux/blkpg.h`; offsets in bytes from the start of the disk.
#[repr(C)]
struct BlkpgPartition {
    start: i64,
    length: i64,
    number: c_int,
    device_name: [u8; 64],
    volume_name: [u8; 64],
}

/// `struct blkpg_ioctl_arg` of `linux/blkpg.h`.
#[repr(C)]
struct BlkpgArg {
    op: c_int,
    flags: c_int,
    data_len: c_int,
    data: *const c_void,
}

const PARTITION_LEN: c_int = 152;
const _: () = assert!(size_of::<BlkpgPartition>() == PARTITION_LEN as usize);
const _: () = assert!(offset_of!(BlkpgPartition, number) == 16);
const _: () = assert!(offset_of!(BlkpgPartition, device_name) == 20);
#[cfg(target_pointer_width = "64")]
const _: () = assert!(size_of::<BlkpgArg>() == 24 && offset_of!(BlkpgArg, data) == 16);

struct Blkpg<'a> {
    arg: BlkpgArg,
    partition: PhantomData<&'a BlkpgPartition>,
}

// SAFETY: BLKPG reads a `blkpg_ioctl_arg` and the `blkpg_partition` it points to, and writes
// neither (block/ioctl.c).
unsafe impl Ioctl for Blkpg<'_> {
    type Output = ();

    const IS_MUTATING: bool = false;

    fn opcode(&self) -> Opcode {
        BLKPG
    }

    fn as_ptr(&mut self) -> *mut c_void {
        let PhantomData = self.partition;
        (&raw mut self.arg).cast()
    }

    unsafe fn output_from_ptr(_: IoctlOutput, _: *mut c_void) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{
        BLKFLSBUF, BLKGETSIZE64, BLKPG, BLKZEROOUT, add_partition, begin_writing, size_bytes, zero,
    };

    #[test]
    fn request_numbers_are_those_of_the_kernel_headers() {
        assert_eq!((BLKFLSBUF, BLKPG, BLKZEROOUT), (0x1261, 0x1269, 0x127F));
        #[cfg(target_pointer_width = "64")]
        assert_eq!(BLKGETSIZE64, 0x8008_1272);
    }

    #[test]
    fn writing_begins_of_an_ordinary_file_too() {
        let path = std::env::temp_dir().join(format!("smv-writing-{}", std::process::id()));
        std::fs::write(&path, [7; 8192]).unwrap();
        let file = std::fs::File::options().write(true).open(&path).unwrap();
        assert_eq!(begin_writing(&file, 4096, 4096), Ok(()));
        let invalid = Err(rustix::io::Errno::INVAL);
        assert_eq!(begin_writing(&file, u64::MAX, 1), invalid);
        std::fs::remove_file(path).unwrap();
    }

    #[test]
    fn an_ordinary_file_is_no_block_device() {
        let file = std::fs::File::open("/proc/self/exe").unwrap();
        assert_eq!(size_bytes(&file), Err(rustix::io::Errno::NOTTY));
        assert!(add_partition(&file, 1, 0, 512).is_err());
        assert_eq!(zero(&file, 0, 512), Err(rustix::io::Errno::NOTTY));
        assert_eq!(
            add_partition(&file, 1, u64::MAX, 512),
            Err(rustix::io::Errno::INVAL)
        );
    }
}
