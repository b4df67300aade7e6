//! Signals as values: blocked for the whole process, read from a descriptor (`signalfd(2)`), so
//! that no handler runs between two instructions of somebody else.

use std::fs::File;
use std::io::{self, Read};
use std::mem::{MaybeUninit, size_of};
use std::os::fd::{AsFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::Command;

/// The signals our programs act upon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// A child has ended (`SIGCHLD`).
    Child,
    /// Ctrl-Alt-Del was pressed (`SIGINT`, after `reboot(LINUX_REBOOT_CMD_CAD_OFF)`).
    Interrupt,
    /// Somebody asks us to end (`SIGTERM`).
    Terminate,
    /// The terminal is gone (`SIGHUP`).
    HangUp,
    /// The terminal has another size (`SIGWINCH`).
    WindowSize,
}

impl Signal {
    const ALL: [Signal; 5] = [
        Signal::Child,
        Signal::Interrupt,
        Signal::Terminate,
        Signal::HangUp,
        Signal::WindowSize,
    ];

    const fn number(self) -> libc::c_int {
        match self {
            Signal::Child => libc::SIGCHLD,
            Signal::Interrupt => libc::SIGINT,
            Signal::Terminate => libc::SIGTERM,
            Signal::HangUp => libc::SIGHUP,
            Signal::WindowSize => libc::SIGWINCH,
        }
    }
}

/// The source of signals; dropping it leaves them blocked.
#[derive(Debug)]
pub struct Signals {
    file: File,
}

impl Signals {
    /// Blocks these signals in this thread and those it starts from now on, and returns where to
    /// read them. Call it before the first thread starts. Processes inherit the mask:
    /// [`unblock_in`].
    ///
    /// # Errors
    /// No descriptor is left.
    pub fn block(signals: &[Signal]) -> io::Result<Self> {
        let mut set = MaybeUninit::<libc::sigset_t>::uninit();
        // SAFETY: sigemptyset(3) initialises the whole set it is given.
        unsafe { libc::sigemptyset(set.as_mut_ptr()) };
        // SAFETY: sigemptyset cannot fail with a valid pointer, so the set is initialised.
        let mut set = unsafe { set.assume_init() };
        for signal in signals {
            // SAFETY: `set` is initialised and the number is one of the C library's own.
            unsafe { libc::sigaddset(&raw mut set, signal.number()) };
        }
        // SAFETY: both pointers are valid or null, as pthread_sigmask(3) allows.
        let error =
            unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, &raw const set, std::ptr::null_mut()) };
        if error != 0 {
            return Err(io::Error::from_raw_os_error(error));
        }
        // SAFETY: -1 asks for a new descriptor; the set is initialised (signalfd(2)).
        let fd = unsafe { libc::signalfd(-1, &raw const set, libc::SFD_CLOEXEC) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: signalfd(2) just returned this descriptor and nobody else has it.
        let fd = unsafe { OwnedFd::from_raw_fd(fd) };
        Ok(Self {
            file: File::from(fd),
        })
    }

    /// Waits for the next signal. Several of the same kind may arrive as one.
    ///
    /// # Errors
    /// Reading failed, which a signalfd does not do by itself.
    pub fn next_signal(&mut self) -> io::Result<Signal> {
        loop {
            let mut record = [0_u8; size_of::<libc::signalfd_siginfo>()];
            self.file.read_exact(&mut record)?;
            let number = record
                .first_chunk()
                .map_or(0, |bytes| u32::from_ne_bytes(*bytes)); // ssi_signo is the first field
            let known = Signal::ALL
                .into_iter()
                .find(|signal| u32::try_from(signal.number()) == Ok(number));
            if let Some(signal) = known {
                return Ok(signal);
            }
        }
    }
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

/// Has the process that `command` starts begin with no signal blocked, whatever is blocked here.
/// `std::process` leaves that as it is, and a process that has never heard of it could not be ended
/// by SIGTERM.
pub fn unblock_in(command: &mut Command) {
    let unblock = || {
        let mut set = MaybeUninit::<libc::sigset_t>::uninit();
        // SAFETY: sigemptyset(3) initialises the whole set it is given.
        unsafe { libc::sigemptyset(set.as_mut_ptr()) };
        // SAFETY: the set is initialised, and a null pointer asks for no old one (sigprocmask(2)).
        match unsafe { libc::sigprocmask(libc::SIG_SETMASK, set.as_ptr(), std::ptr::null_mut()) } {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    };
    // SAFETY: between fork and exec only async-signal-safe calls are made, which sigemptyset(3) and
    // sigprocmask(2) are (signal-safety(7)); nothing is allocated, no lock is taken.
    unsafe { command.pre_exec(unblock) };
}

const _: () = assert!(std::mem::offset_of!(libc::signalfd_siginfo, ssi_signo) == 0);

/// Asks every process but this one and init to end, and every one that is still there `after` that
/// is ended (`kill(2)` with -1). For what is about to leave this kernel: it goes on when the shell
/// that it was typed in, and with it the terminal, is gone.
///
/// # Errors
/// This program may not.
pub fn end_everybody(after: std::time::Duration) -> io::Result<()> {
    // SAFETY: no handler is installed that could run (signal(2)).
    if unsafe { libc::signal(libc::SIGHUP, libc::SIG_IGN) } == libc::SIG_ERR {
        return Err(io::Error::last_os_error());
    }
    for signal in [libc::SIGTERM, libc::SIGKILL] {
        // SAFETY: no memory is involved (kill(2)).
        if unsafe { libc::kill(-1, signal) } != 0 {
            return Err(io::Error::last_os_error());
        }
        std::thread::sleep(after);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{Signal, Signals, unblock_in};
    use std::process::Command;

    fn blocked(command: &mut Command) -> u64 {
        let output = command.output().unwrap();
        let status = String::from_utf8(output.stdout).unwrap();
        let line = status.lines().find(|line| line.starts_with("SigBlk:"));
        let mask = line.and_then(|line| line.split_whitespace().nth(1));
        u64::from_str_radix(mask.unwrap(), 16).unwrap()
    }

    #[test]
    fn a_process_begins_with_the_mask_it_should_have() {
        let status = || {
            let mut command = Command::new("cat");
            command.arg("/proc/self/status");
            command
        };
        // In a thread of its own: the mask belongs to the thread.
        let (inherited, cleared) = std::thread::spawn(move || {
            let _signals = Signals::block(&[Signal::HangUp, Signal::Terminate]).unwrap();
            let mut command = status();
            unblock_in(&mut command);
            (blocked(&mut status()), blocked(&mut command))
        })
        .join()
        .unwrap();
        assert_eq!(inherited, 1 << 14 | 1, "SIGTERM is 15, SIGHUP is 1");
        assert_eq!(cleared, 0);
    }
}
