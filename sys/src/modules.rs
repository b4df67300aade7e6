//! Loading a kernel module (`finit_module(2)`).

use std::ffi::{CStr, c_int, c_long};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

/// Loads the module in `file` with `options` (`name=value` words) and returns when its start has
/// come to an end, which for a driver includes the devices that it probes at once.
///
/// # Errors
/// `EEXIST`: it is loaded already. `ENODEV`: it finds nothing to do. `ENOEXEC`: no module, or one
/// for another kernel. `ENOENT`: a symbol that no loaded module has. `EPERM`: no `CAP_SYS_MODULE`,
/// or loading is locked.
pub fn load(file: BorrowedFd<'_>, options: &CStr) -> io::Result<()> {
    const NO_FLAGS: c_int = 0;
    // SAFETY: the descriptor is open for the whole call and `options` is readable up to its NUL;
    // the kernel writes nothing to our memory (finit_module(2)).
    let answer: c_long = unsafe {
        libc::syscall(
            libc::SYS_finit_module,
            file.as_raw_fd(),
            options.as_ptr(),
            NO_FLAGS,
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
    fn what_is_no_module_is_refused() {
        let file = std::fs::File::open("/proc/self/exe").unwrap();
        assert!(super::load(file.as_fd(), c"").is_err());
    }
}
