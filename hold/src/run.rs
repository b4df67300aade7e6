//! A program that was started: its process, and where it says that it is ready.

use std::env;
use std::ffi::OsString;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Child, ExitStatus};
use std::time::Instant;

use crate::event::Why;
use crate::notify::Notify;
use crate::plan::Plan;
use crate::user::User;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use sys::handover::{Program, Reserved, start};

/// For programs that look for others, where our own environment has none.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// What belongs to this program and not to those that it starts.
const OWN: [&str; 7] = [
    "LISTEN_FDS",
    "LISTEN_PID",
    "LISTEN_FDNAMES",
    "NOTIFY_SOCKET",
    "WATCHDOG_USEC",
    "WATCHDOG_PID",
    "INVOCATION_ID",
];

/// A program that runs, or has ended and was not seen to.
#[derive(Debug)]
pub struct Run {
    /// Of its generation.
    pub counter: u64,
    /// When it was started.
    pub since: Instant,
    child: Child,
    process: OwnedFd,
    notify: Notify,
}

/// What a program is started with.
#[derive(Debug)]
pub struct Start<'a> {
    /// Of its generation.
    pub counter: u64,
    /// How.
    pub plan: &'a Plan,
    /// As whom.
    pub user: &'a User,
    /// On what.
    pub sockets: &'a [(&'a str, BorrowedFd<'a>)],
    /// Where it will say that it is ready.
    pub notify: PathBuf,
}

impl Run {
    /// Starts the program of a plan.
    ///
    /// # Errors
    /// Of the file system or of [`start`].
    pub fn start(what: Start<'_>, reserved: &Reserved) -> io::Result<Self> {
        Self::spawn(what, None, reserved)
    }

    /// Lets the program test itself, without sockets.
    ///
    /// # Errors
    /// As for [`Run::start`].
    pub fn selftest(what: Start<'_>, argument: &OsString, reserved: &Reserved) -> io::Result<Self> {
        Self::spawn(what, Some(argument), reserved)
    }

    fn spawn(what: Start<'_>, only: Option<&OsString>, reserved: &Reserved) -> io::Result<Self> {
        let is_root = rustix::process::geteuid().is_root();
        // Without root there is one user only.
        let identity = is_root.then_some(&what.user.identity);
        let notify = Notify::bind(what.notify, identity)?;
        let mut environment = environment(what.user);
        environment.push(("NOTIFY_SOCKET".into(), notify.path().into()));
        let since = Instant::now();
        let child = start(
            reserved,
            &Program {
                path: &what.plan.program,
                arguments: only.map_or(what.plan.arguments.as_slice(), std::slice::from_ref),
                environment: &environment,
                sockets: what.sockets,
                identity,
            },
        )?;
        let process = pidfd_open(Pid::from_child(&child), PidfdFlags::empty())?;
        Ok(Self {
            counter: what.counter,
            since,
            child,
            process,
            notify,
        })
    }

    /// Its number.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Asks it to end (`SIGTERM`). Nothing else gets the signal: what the program has started goes
    /// on.
    pub fn terminate(&self) {
        // It may have ended.
        let _ = pidfd_send_signal(&self.process, Signal::TERM);
    }

    /// Ends it.
    pub fn kill(&self) {
        // Likewise.
        let _ = pidfd_send_signal(&self.process, Signal::KILL);
    }

    /// How it has ended, if it has.
    pub fn ended(&mut self) -> Option<Why> {
        // Nobody else takes its status: this process has no other children.
        self.child.try_wait().ok()?.map(how)
    }

    /// Whether it has just said that it is ready.
    #[must_use]
    pub fn says_ready(&self) -> bool {
        self.notify.is_ready()
    }

    /// Readable when it has ended, and when it says something.
    #[must_use]
    pub fn descriptors(&self) -> [BorrowedFd<'_>; 2] {
        [self.process.as_fd(), self.notify.as_fd()]
    }
}

fn how(status: ExitStatus) -> Why {
    // Both are 8 bits and less (wait(2)).
    let byte = |number: i32| u8::try_from(number).unwrap_or(u8::MAX);
    match (status.code(), status.signal()) {
        (Some(code), _) => Why::Exit(byte(code)),
        (None, signal) => Why::Signal(byte(signal.unwrap_or(0))),
    }
}

fn environment(user: &User) -> Vec<(OsString, OsString)> {
    let is_ours = |name: &OsString| OWN.iter().any(|own| name == own);
    let theirs = ["HOME", "USER", "LOGNAME", "PATH"];
    let kept = env::vars_os()
        .filter(|(name, _)| !is_ours(name) && !theirs.iter().any(|their| name == their));
    let path = env::var_os("PATH").unwrap_or_else(|| PATH.into());
    let mut environment: Vec<(OsString, OsString)> = kept.collect();
    environment.extend([
        ("HOME".into(), user.home.clone().into()),
        ("USER".into(), user.name.clone().into()),
        ("LOGNAME".into(), user.name.clone().into()),
        ("PATH".into(), path),
    ]);
    environment
}
