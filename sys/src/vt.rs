//! The kernel's own terminals: which one is shown, where its messages go, and a session for the
//! program that reads one (ioctl_console(2)).

use std::ffi::{c_char, c_int};
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::process::Command;

use rustix::io;
use rustix::ioctl::{self, IntegerSetter, Opcode, Updater};

const VT_ACTIVATE: Opcode = 0x5606;
const TIOCLINUX: Opcode = 0x541c;
const TIOCL_SETKMSGREDIRECT: c_char = 11;

/// Shows the virtual terminal with this number (`VT_ACTIVATE`); it may take until the one that is
/// shown lets go.
///
/// # Errors
/// `ENOTTY`: `terminal` is no virtual terminal. `EPERM`: it is not this session's. `ENXIO`: no
/// terminal has this number.
pub fn activate(terminal: impl AsFd, number: u8) -> io::Result<()> {
    // SAFETY: VT_ACTIVATE takes the number itself, as an integer (linux/vt.h); any value is valid,
    // the kernel refuses all others.
    let request = unsafe { IntegerSetter::<VT_ACTIVATE>::new_usize(usize::from(number)) };
    // SAFETY: the request above has no effect on memory.
    unsafe { ioctl::ioctl(terminal, request) }
}

/// Kernel messages go to the virtual terminal with this number, whichever is shown
/// (`TIOCL_SETKMSGREDIRECT`).
///
/// # Errors
/// `ENOTTY`: `terminal` is no virtual terminal. `EPERM`: no `CAP_SYS_ADMIN`.
pub fn redirect_messages(terminal: impl AsFd, number: u8) -> io::Result<()> {
    let mut words = [TIOCL_SETKMSGREDIRECT, c_char::from_ne_bytes([number])];
    // SAFETY: TIOCLINUX with this subcode reads two bytes through its argument (tioclinux() in
    // drivers/tty/vt/vt.c), which the updater lends.
    let request = unsafe { Updater::<TIOCLINUX, [c_char; 2]>::new(&mut words) };
    // SAFETY: the request above pairs the number with the type; it has no effect on memory beyond
    // those bytes.
    unsafe { ioctl::ioctl(terminal, request) }
}

/// Has the process that `command` starts lead a session of its own, whose terminal is its standard
/// input: Ctrl-C then interrupts what runs there, and nobody else (`setsid(2)`, `TIOCSCTTY`).
pub fn lead_session_in(command: &mut Command) {
    const STDIN: c_int = 0;
    const STEAL: c_int = 1;
    let lead = || {
        // SAFETY: setsid(2) has no argument; it fails where the process leads a group already,
        // which a new child does not.
        if unsafe { libc::setsid() } < 0 {
            return Err(std::io::Error::last_os_error());
        }
        // SAFETY: TIOCSCTTY takes an integer (ioctl_tty(2)).
        match unsafe { libc::ioctl(STDIN, libc::TIOCSCTTY as _, STEAL) } {
            0 => Ok(()),
            _ => Err(std::io::Error::last_os_error()),
        }
    };
    // SAFETY: between fork and exec only async-signal-safe calls are made: setsid(2), and ioctl(2),
    // which is a bare system call.
    unsafe { command.pre_exec(lead) };
}

#[cfg(test)]
mod tests {
    #[test]
    fn what_is_no_virtual_terminal_is_refused() {
        let file = std::fs::File::open("/dev/null").unwrap();
        assert_eq!(super::activate(&file, 2), Err(rustix::io::Errno::NOTTY));
        let refused = super::redirect_messages(&file, 1);
        assert_eq!(refused, Err(rustix::io::Errno::NOTTY));
    }

    #[test]
    fn a_process_whose_input_is_no_terminal_cannot_have_it_as_its_own() {
        let mut command = std::process::Command::new("true");
        command.stdin(std::process::Stdio::null());
        super::lead_session_in(&mut command);
        assert!(command.status().is_err());
    }
}
