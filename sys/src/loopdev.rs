//! Loop devices: a part of a file as a block device (`loop(4)`).
//!
//! A backing file and a range in, a device that detaches itself out. Every device is attached with
//! `LO_FLAGS_AUTOCLEAR`: the kernel detaches it when its last user is gone, so that not even
//! SIGKILL leaves one behind.

use std::ffi::c_int;
use std::fs::{File, OpenOptions};
use std::io;
use std::mem::{offset_of, size_of};
use std::os::fd::{AsFd, AsRawFd};
use std::path::{Path, PathBuf};

use rustix::io::Errno;
use rustix::ioctl::{self, Ioctl, IoctlOutput, NoArg, Opcode, Setter};

const LOOP_CLR_FD: Opcode = 0x4C01;
const LOOP_CONFIGURE: Opcode = 0x4C0A;
const LOOP_CTL_GET_FREE: Opcode = 0x4C82;
const LO_FLAGS_AUTOCLEAR: u32 = 4;
/// Past the page cache of the backing file: what the file system on the device writes would
/// otherwise be dirty twice, and flushed twice at the end. Where the backing file cannot do that,
/// the kernel goes on without.
const LO_FLAGS_DIRECT_IO: u32 = 16;

/// Another program may take the free device between our two calls; it will not do so this often.
const ATTEMPTS: u32 = 16;

/// An attached loop device. Dropping it detaches it; while it is still mounted elsewhere, the
/// kernel waits for that to end.
#[derive(Debug)]
pub struct LoopDevice {
    device: File,
    path: PathBuf,
}

impl LoopDevice {
    /// Shows `len_bytes` of `backing` from `offset_bytes` as a block device with `sector_bytes`
    /// logical sectors.
    ///
    /// # Errors
    /// No loop driver, no permission, or a range the kernel refuses.
    pub fn attach(
        backing: &File,
        offset_bytes: u64,
        len_bytes: u64,
        sector_bytes: u32,
    ) -> io::Result<Self> {
        let control = OpenOptions::new()
            .read(true)
            .write(true)
            .open("/dev/loop-control")?;
        for _ in 0..ATTEMPTS {
            // SAFETY: LOOP_CTL_GET_FREE has no argument; its answer is the return value (loop(4)).
            let number = unsafe { ioctl::ioctl(&control, GetFree) }?;
            let path = PathBuf::from(format!("/dev/loop{number}"));
            let device = OpenOptions::new().read(true).write(true).open(&path)?;
            match configure(&device, backing, offset_bytes, len_bytes, sector_bytes) {
                Ok(()) => return Ok(Self { device, path }),
                Err(Errno::BUSY) => {} // taken in between
                Err(error) => return Err(error.into()),
            }
        }
        Err(Errno::BUSY.into())
    }

    /// `/dev/loopN`.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The open device, to flush it.
    #[must_use]
    pub fn file(&self) -> &File {
        &self.device
    }
}

impl Drop for LoopDevice {
    fn drop(&mut self) {
        // SAFETY: LOOP_CLR_FD takes no argument (loop(4)).
        let request = unsafe { NoArg::<LOOP_CLR_FD>::new() };
        // SAFETY: the request reads and writes no memory of this process.
        // Its failure changes nothing: autoclear detaches the device when `device` is closed.
        let _ = unsafe { ioctl::ioctl(&self.device, request) };
    }
}

fn configure(
    device: &File,
    backing: &File,
    offset_bytes: u64,
    len_bytes: u64,
    sector_bytes: u32,
) -> Result<(), Errno> {
    let config = LoopConfig {
        fd: u32::try_from(backing.as_fd().as_raw_fd()).map_err(|_| Errno::BADF)?,
        block_size: sector_bytes,
        info: LoopInfo {
            device: 0,
            inode: 0,
            rdevice: 0,
            offset: offset_bytes,
            size_limit: len_bytes,
            number: 0,
            encrypt: [0; 2],
            flags: LO_FLAGS_AUTOCLEAR | LO_FLAGS_DIRECT_IO,
            names_and_key: [0; 160],
            init: [0; 2],
        },
        reserved: [0; 8],
    };
    // SAFETY: LOOP_CONFIGURE reads a `struct loop_config` (linux/loop.h), laid out below, and
    // writes nothing.
    let request = unsafe { Setter::<LOOP_CONFIGURE, LoopConfig>::new(config) };
    // SAFETY: the request pairs the number with the structure the kernel reads; the descriptor in
    // it is open during the call.
    unsafe { ioctl::ioctl(device, request) }
}

/// `struct loop_info64` of `linux/loop.h`; the fields nobody reads any more are merged.
#[repr(C)]
struct LoopInfo {
    device: u64,
    inode: u64,
    rdevice: u64,
    offset: u64,
    size_limit: u64,
    number: u32,
    encrypt: [u32; 2],
    flags: u32,
    names_and_key: [u8; 160],
    init: [u64; 2],
}

/// `struct loop_config` of `linux/loop.h`.
#[repr(C)]
struct LoopConfig {
    fd: u32,
    block_size: u32,
    info: LoopInfo,
    reserved: [u64; 8],
}

const _: () = assert!(size_of::<LoopInfo>() == 232 && offset_of!(LoopInfo, flags) == 52);
const _: () = assert!(size_of::<LoopConfig>() == 304 && offset_of!(LoopConfig, info) == 8);

struct GetFree;

// SAFETY: LOOP_CTL_GET_FREE touches no memory of the caller and answers with its return value
// (loop(4)).
unsafe impl Ioctl for GetFree {
    type Output = c_int;

    const IS_MUTATING: bool = false;

    fn opcode(&self) -> Opcode {
        LOOP_CTL_GET_FREE
    }

    fn as_ptr(&mut self) -> *mut std::ffi::c_void {
        std::ptr::null_mut()
    }

    unsafe fn output_from_ptr(
        output: IoctlOutput,
        _: *mut std::ffi::c_void,
    ) -> Result<c_int, Errno> {
        Ok(output)
    }
}
