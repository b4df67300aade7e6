//! Hardware watchdogs (`Documentation/watchdog/watchdog-api.rst`): how long one waits before it
//! resets the machine.
//!
//! Opening the device starts it and closing it may leave it running; both are ordinary calls on a
//! file.

use std::ffi::c_int;
use std::os::fd::AsFd;

use rustix::io;
use rustix::ioctl::{self, Opcode, Updater, opcode};

const WDIOC_SETTIMEOUT: Opcode = opcode::read_write::<c_int>(b'W', 6);

/// Sets the time and starts it over; returns the time that the hardware made of it
/// (`WDIOC_SETTIMEOUT`).
///
/// # Errors
/// `EINVAL`: more or less than it can do. `EOPNOTSUPP`: its time is fixed. `ENOTTY`: it is no
/// watchdog.
pub fn set_timeout(watchdog: impl AsFd, seconds: u16) -> io::Result<u64> {
    let mut timeout = c_int::from(seconds);
    // SAFETY: WDIOC_SETTIMEOUT reads and writes one int through its argument (linux/watchdog.h),
    // which this updater lends.
    let request = unsafe { Updater::<WDIOC_SETTIMEOUT, c_int>::new(&mut timeout) };
    // SAFETY: the request above pairs the number with the type; it has no effect on memory beyond
    // that int.
    unsafe { ioctl::ioctl(watchdog, request) }?;
    Ok(u64::try_from(timeout).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    #[test]
    fn what_is_no_watchdog_is_refused() {
        let file = std::fs::File::open("/dev/null").unwrap();
        assert_eq!(super::set_timeout(&file, 10), Err(rustix::io::Errno::NOTTY));
    }
}
