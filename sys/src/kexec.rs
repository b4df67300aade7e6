//! Loading the next kernel (`kexec_file_load(2)`). Jumping into it is `reboot(2)`, which rustix
//! offers.

use std::ffi::{CStr, c_long, c_ulong};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

/// `KEXEC_FILE_UNLOAD` of `linux/kexec.h`.
const UNLOAD: c_ulong = 1;
/// `KEXEC_FILE_NO_INITRAMFS` of `linux/kexec.h`.
const NO_INITRAMFS: c_ulong = 4;

/// Loads `kernel`, `initrd` and the kernel command line for a later
/// `reboot(LINUX_REBOOT_CMD_KEXEC)`. The kernel copies all three: the files may be closed and their
/// file system unmounted afterwards.
///
/// # Errors
/// `ENOEXEC`: no kernel image that this kernel can start. `EPERM`: no `CAP_SYS_BOOT`, or kexec is
/// locked. `ENOSYS`: built without it.
pub fn load(
    kernel: BorrowedFd<'_>,
    initrd: Option<BorrowedFd<'_>>,
    options: &CStr,
) -> io::Result<()> {
    let len: c_ulong = options.count_bytes() as c_ulong + 1; // with the NUL: kexec_file_load(2)
    let (initrd, flags) = initrd.map_or((-1, NO_INITRAMFS), |fd| (fd.as_raw_fd(), 0));
    // SAFETY: both descriptors are open for the whole call and `options` is `len` readable bytes
    // that end in NUL; the kernel writes nothing to our memory (kexec_file_load(2)).
    let answer: c_long = unsafe {
        libc::syscall(
            libc::SYS_kexec_file_load,
            kernel.as_raw_fd(),
            initrd,
            len,
            options.as_ptr(),
            flags,
        )
    };
    if answer == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// Gives up what was loaded; without anything loaded, nothing happens.
///
/// # Errors
/// `EPERM`, `ENOSYS`: as [`load`].
pub fn unload() -> io::Result<()> {
    // SAFETY: with KEXEC_FILE_UNLOAD the kernel looks at no other argument (kexec_file_load(2)).
    let answer: c_long = unsafe {
        libc::syscall(
            libc::SYS_kexec_file_load,
            -1,
            -1,
            0 as c_ulong,
            std::ptr::null::<u8>(),
            UNLOAD,
        )
    };
    if answer == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;

    #[test]
    fn what_is_no_kernel_is_refused() {
        let file = std::fs::File::open("/proc/self/exe").unwrap();
        assert!(super::load(file.as_fd(), None, c"ro").is_err());
    }
}
