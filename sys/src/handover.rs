//! A program that is started with sockets that somebody else keeps (`sd_listen_fds(3)`): they are
//! its descriptors 3, 4 and so on, `LISTEN_PID` is its own number, and it runs as the user that it
//! was given.
//!
//! All of that happens between fork and exec, where nothing may allocate: what has to be said is
//! made before. `std::process` alone cannot do it, because its environment is complete before there
//! is a process number to put into it.

use std::env;
use std::ffi::{CString, OsStr, OsString};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{self, Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::{Mode, OFlags, open};
use rustix::io::fcntl_dupfd_cloexec;

use crate::signals::unblock_in;

/// Sockets that a program can be handed.
pub const SOCKETS_MAX: usize = 16;
/// `SD_LISTEN_FDS_START` of `sd_listen_fds(3)`.
const FIRST: RawFd = 3;
/// The first descriptor behind those that a program is handed.
const BEHIND: RawFd = 19;
const LISTEN_PID: &[u8] = b"LISTEN_PID=";
/// Digits of a process number, and the byte that ends a string.
const PID_LEN: usize = 11;

const _: () = assert!(BEHIND as usize == FIRST as usize + SOCKETS_MAX);

/// The descriptors 3 to 18 of this process, occupied: nothing else gets one of these numbers, not
/// even the pipe by which `std::process` reports that exec has failed.
#[derive(Debug)]
pub struct Reserved {
    _descriptors: Vec<OwnedFd>,
}

impl Reserved {
    /// Occupies those that are free. What has one of them already is expected to keep it: call this
    /// before anything else is opened.
    ///
    /// # Errors
    /// No descriptor is left.
    pub fn new() -> io::Result<Self> {
        let null = open("/dev/null", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
        let mut descriptors = vec![];
        loop {
            let next = fcntl_dupfd_cloexec(&null, FIRST)?;
            if next.as_raw_fd() >= BEHIND {
                break;
            }
            descriptors.push(next);
        }
        if null.as_raw_fd() < BEHIND {
            descriptors.push(null);
        }
        Ok(Self {
            _descriptors: descriptors,
        })
    }

    /// The same descriptor under a number that no program is handed.
    ///
    /// # Errors
    /// No descriptor is left.
    pub fn aside(&self, descriptor: impl AsFd) -> io::Result<OwnedFd> {
        Ok(fcntl_dupfd_cloexec(descriptor, BEHIND)?)
    }
}

/// As whom a program runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// User.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Further groups.
    pub groups: Vec<u32>,
}

/// A program with everything that it is given.
#[derive(Debug)]
pub struct Program<'a> {
    /// The file.
    pub path: &'a Path,
    /// Behind its name.
    pub arguments: &'a [OsString],
    /// All of its environment, but for the variables of `sd_listen_fds(3)`.
    pub environment: &'a [(OsString, OsString)],
    /// Its sockets, at most [`SOCKETS_MAX`], and their names.
    pub sockets: &'a [(&'a str, BorrowedFd<'a>)],
    /// `None`: as this process.
    pub identity: Option<&'a Identity>,
}

/// Starts it, in a process group of its own, with nothing blocked, `/` as its directory and nothing
/// to read. When the thread that started it ends, it gets a SIGTERM: nobody would keep its sockets.
///
/// # Errors
/// Of the fork, of becoming the user, or of exec; a NUL in one of the texts, too many sockets.
pub fn start(_reserved: &Reserved, program: &Program<'_>) -> io::Result<Child> {
    let mut image = Image::new(program)?;
    let mut command = Command::new(program.path);
    command
        .stdin(Stdio::null())
        .current_dir("/")
        .process_group(0);
    unblock_in(&mut command);
    // SAFETY: between fork and exec `Image::become_it` makes only system calls, all of them in the
    // list of signal-safety(7) or plain wrappers (prctl(2), setgroups(2)), and allocates nothing.
    unsafe { command.pre_exec(move || Err(image.become_it())) };
    command.spawn()
}

/// The sockets that this process was handed, in their order; none when it was handed none, or a
/// second time. Programs that this one starts do not get them.
#[must_use]
pub fn taken() -> Vec<OwnedFd> {
    static IS_TAKEN: AtomicBool = AtomicBool::new(false);
    let number = |name| env::var(name).ok()?.parse::<u32>().ok();
    let is_ours = number("LISTEN_PID") == Some(process::id());
    let count = number("LISTEN_FDS").and_then(|count| i32::try_from(count).ok());
    let count = count.filter(|_| is_ours).unwrap_or(0);
    if IS_TAKEN.swap(true, Ordering::SeqCst) {
        return vec![];
    }
    let behind = FIRST.saturating_add(count);
    (FIRST..behind)
        .map_while(|number| {
            // SAFETY: only numbers; one that is not open is EBADF (F_SETFD, fcntl(2)).
            let status = unsafe { libc::fcntl(number, libc::F_SETFD, libc::FD_CLOEXEC) };
            succeeded(status).ok()?;
            // SAFETY: it is open, and `LISTEN_PID` says that it was handed to this process as its
            // own (sd_listen_fds(3)). Nothing takes it twice: that is what `IS_TAKEN` is for.
            Some(unsafe { OwnedFd::from_raw_fd(number) })
        })
        .collect()
}

/// What execve(2) gets, and what is done before.
struct Image {
    /// Path, arguments and environment; what the pointers below point to. Never changed but for
    /// the bytes behind `LISTEN_PID=`.
    _texts: Vec<CString>,
    path: CString,
    /// `LISTEN_PID=` with room for a number.
    listen_pid: Vec<u8>,
    arguments: Vec<*const libc::c_char>,
    environment: Vec<*const libc::c_char>,
    sockets: Vec<RawFd>,
    identity: Option<Identity>,
    parent: libc::pid_t,
}

// SAFETY: the pointers point into what this value itself owns, on the heap, and nothing else has
// them.
unsafe impl Send for Image {}
// SAFETY: likewise; only `become_it` uses them, by `&mut self`.
unsafe impl Sync for Image {}

impl Image {
    fn new(program: &Program<'_>) -> io::Result<Self> {
        if program.sockets.len() > SOCKETS_MAX {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let path = text(program.path.as_os_str())?;
        let mut texts = vec![];
        let mut arguments = vec![path.as_ptr()];
        for argument in program.arguments {
            arguments.push(keep(&mut texts, text(argument)?));
        }
        arguments.push(std::ptr::null());
        let mut listen_pid = LISTEN_PID.to_vec();
        listen_pid.resize(LISTEN_PID.len().saturating_add(PID_LEN), 0);
        let mut environment = vec![];
        for (name, value) in program.environment {
            environment.push(keep(&mut texts, variable(name, value)?));
        }
        if !program.sockets.is_empty() {
            let names: Vec<&str> = program.sockets.iter().map(|(name, _)| *name).collect();
            let count = program.sockets.len().to_string();
            for (name, value) in [("LISTEN_FDS", count), ("LISTEN_FDNAMES", names.join(":"))] {
                let variable = variable(name.as_ref(), value.as_ref())?;
                environment.push(keep(&mut texts, variable));
            }
            environment.push(listen_pid.as_ptr().cast());
        }
        environment.push(std::ptr::null());
        Ok(Self {
            _texts: texts,
            path,
            listen_pid,
            arguments,
            environment,
            sockets: program
                .sockets
                .iter()
                .map(|(_, fd)| fd.as_raw_fd())
                .collect(),
            identity: program.identity.cloned(),
            // SAFETY: getpid(2) has no conditions.
            parent: unsafe { libc::getpid() },
        })
    }

    /// Returns only when it failed.
    fn become_it(&mut self) -> io::Error {
        if let Err(error) = self.prepare() {
            return error;
        }
        let (path, arguments) = (self.path.as_ptr(), self.arguments.as_ptr());
        // SAFETY: path and texts are NUL-terminated and owned by `self`, and both lists end
        // with a null pointer (execve(2)).
        unsafe { libc::execve(path, arguments, self.environment.as_ptr()) };
        io::Error::last_os_error()
    }

    fn prepare(&mut self) -> io::Result<()> {
        let mut to = FIRST;
        for from in &self.sockets {
            // SAFETY: only numbers. What `to` was in this process, which is about to become another
            // program, is a placeholder of `Reserved` (dup2(2) closes it and clears close-on-exec).
            let duplicated = unsafe { libc::dup2(*from, to) };
            succeeded(duplicated)?;
            to = to.wrapping_add(1);
        }
        if let Some(identity) = &self.identity {
            let Identity { uid, gid, groups } = identity;
            // SAFETY: pointer and length are those of a vector (setgroups(2)).
            succeeded(unsafe { libc::setgroups(groups.len(), groups.as_ptr()) })?;
            // SAFETY: only numbers.
            succeeded(unsafe { libc::setresgid(*gid, *gid, *gid) })?;
            // SAFETY: only numbers.
            succeeded(unsafe { libc::setresuid(*uid, *uid, *uid) })?;
        }
        // After the change of the user, which would take it back (PR_SET_PDEATHSIG(2const)).
        // SAFETY: only numbers.
        succeeded(unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGTERM) })?;
        // SAFETY: getppid(2) has no conditions.
        if unsafe { libc::getppid() } != self.parent {
            return Err(io::Error::from_raw_os_error(libc::ESRCH));
        }
        // SAFETY: getpid(2) has no conditions.
        self.write_pid(unsafe { libc::getpid() });
        Ok(())
    }

    /// In decimal, without leading zeros, which would make it octal to systemd's own reader.
    fn write_pid(&mut self, pid: libc::pid_t) {
        let mut digits = [0_u8; PID_LEN];
        let mut left = pid.unsigned_abs();
        let mut len = 0_usize;
        for digit in digits.iter_mut().rev().skip(1) {
            *digit = b'0'.wrapping_add(u8::try_from(left % 10).unwrap_or(0));
            left /= 10;
            len = len.wrapping_add(1);
            if left == 0 {
                break;
            }
        }
        // The last byte stays the NUL that ends the string.
        let number = digits
            .iter()
            .skip(PID_LEN.wrapping_sub(1).wrapping_sub(len));
        for (to, from) in self
            .listen_pid
            .iter_mut()
            .skip(LISTEN_PID.len())
            .zip(number)
        {
            *to = *from;
        }
    }
}

fn succeeded(status: libc::c_int) -> io::Result<()> {
    match status {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}

fn text(text: &OsStr) -> io::Result<CString> {
    Ok(CString::new(text.as_bytes())?)
}

fn variable(name: &OsStr, value: &OsStr) -> io::Result<CString> {
    let mut variable = name.to_owned();
    variable.push("=");
    variable.push(value);
    Ok(CString::new(variable.into_vec())?)
}

/// Its bytes stay where they are when the vector grows: they are on the heap.
fn keep(texts: &mut Vec<CString>, text: CString) -> *const libc::c_char {
    let pointer = text.as_ptr();
    texts.push(text);
    pointer
}
