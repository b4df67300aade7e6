//! Signals as values: blocked for the whole process, read from a descriptor (`signalfd(2)`), so that no handler runs
//! between two instructions of somebody else.

use std::fs::File;
use std::io::{self, Read};
use std::mem::{MaybeUninit, size_of};
use std::os::fd::{AsFd, BorrowedFd, FromRawFd, OwnedFd};

/// The signals PID 1 acts upon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// A child has ended (`SIGCHLD`).
    Child,
    /// Ctrl-Alt-Del was pressed (`SIGINT`, after `reboot(LINUX_REBOOT_CMD_CAD_OFF)`).
    Interrupt,
    /// Somebody asks us to end (`SIGTERM`).
    Terminate,
}

impl Signal {
    const ALL: [Signal; 3] = [Signal::Child, Signal::Interrupt, Signal::Terminate];

    const fn number(self) -> libc::c_int {
        match self {
            Signal::Child => libc::SIGCHLD,
            Signal::Interrupt => libc::SIGINT,
            Signal::Terminate => libc::SIGTERM,
        }
    }
}

/// The source of signals; dropping it leaves them blocked.
#[derive(Debug)]
pub struct Signals {
    file: File,
}

impl Signals {
    /// Blocks every [`Signal`] in this thread and those it starts from now on, and returns where to read them. Call it
    /// before the first thread starts. Children that `std::process` starts get an empty mask again.
    ///
    /// # Errors
    /// No descriptor is left.
    pub fn block() -> io::Result<Self> {
        let mut set = MaybeUninit::<libc::sigset_t>::uninit();
        // SAFETY: sigemptyset(3) initialises the whole set it is given.
        unsafe { libc::sigemptyset(set.as_mut_ptr()) };
        // SAFETY: sigemptyset cannot fail with a valid pointer, so the set is initialised.
        let mut set = unsafe { set.assume_init() };
        for signal in Signal::ALL {
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

const _: () = assert!(std::mem::offset_of!(libc::signalfd_siginfo, ssi_signo) == 0);
