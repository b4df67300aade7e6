//! Processes of the harness: each is ended by its own id when its value is dropped, and awaited
//! with a deadline.

use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use crate::error::{Doing, HarnessError, Result};

/// A running process, killed on drop.
#[derive(Debug)]
pub struct Process {
    child: Child,
    name: String,
    exit: OwnedFd,
}

impl Process {
    /// Starts `command`; both its outputs go to the file `log` unless the caller has redirected
    /// them before.
    ///
    /// # Errors
    /// The program is not there, or the log cannot be made.
    pub fn spawn(name: &str, command: &mut Command, log: &Path) -> Result<Self> {
        let out = File::create(log).doing("creating", log.display())?;
        let err = out
            .try_clone()
            .doing("duplicating the handle of", log.display())?;
        command.stdin(Stdio::null()).stdout(out).stderr(err);
        Self::adopt(name, command.spawn().doing("starting", name)?)
    }

    /// Takes over a child that was started elsewhere.
    ///
    /// # Errors
    /// The kernel gives no handle for it.
    pub fn adopt(name: &str, child: Child) -> Result<Self> {
        let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
        let pid = pid.ok_or_else(|| {
            HarnessError::unexpected(name, "a process id", child.id().to_string())
        })?;
        let exit = pidfd_open(pid, PidfdFlags::empty())
            .doing("opening a handle of process", pid.as_raw_nonzero())?;
        Ok(Self {
            child,
            name: name.to_owned(),
            exit,
        })
    }

    /// Waits until it has ended by itself.
    ///
    /// # Errors
    /// It has not within `patience`.
    pub fn wait(&mut self, patience: Duration) -> Result<ExitStatus> {
        if !readable(&[&self.exit], patience)?
            .first()
            .copied()
            .unwrap_or(false)
        {
            let what = format!("the end of {}", self.name);
            return Err(HarnessError::Deadline {
                what,
                patience,
                tail: String::new(),
            });
        }
        self.child.wait().doing("reaping", &self.name)
    }

    /// Whether it still runs.
    #[must_use]
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Asks it to end (SIGTERM).
    ///
    /// # Errors
    /// The kernel does not let us.
    pub fn terminate(&self) -> Result<()> {
        pidfd_send_signal(&self.exit, Signal::TERM).doing("ending", &self.name)
    }

    /// Makes it stand still (SIGSTOP), or go on (SIGCONT).
    ///
    /// # Errors
    /// The kernel does not let us.
    pub fn hold(&self, is_held: bool) -> Result<()> {
        let signal = match is_held {
            true => Signal::STOP,
            false => Signal::CONT,
        };
        pidfd_send_signal(&self.exit, signal).doing("holding", &self.name)
    }

    /// Its process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Ends it at once (SIGKILL) and reaps it.
    pub fn kill(&mut self) {
        // Already ended is fine: the goal is reached.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Readable once the process has ended.
    pub(crate) const fn exit_handle(&self) -> &OwnedFd {
        &self.exit
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The handles that can be read; returns when the first can, or after `patience` with none.
///
/// # Errors
/// poll(2) failed.
pub(crate) fn readable(handles: &[&dyn AsFdDyn], patience: Duration) -> Result<Vec<bool>> {
    let end = Instant::now() + patience;
    loop {
        let mut fds: Vec<PollFd<'_>> = handles
            .iter()
            .map(|handle| PollFd::from_borrowed_fd(handle.fd(), PollFlags::IN))
            .collect();
        let left = end.saturating_duration_since(Instant::now());
        let timeout = Timespec::try_from(left).ok();
        match poll(&mut fds, timeout.as_ref()) {
            Err(rustix::io::Errno::INTR) => continue,
            other => other.doing("polling", "handles")?,
        };
        return Ok(fds.iter().map(|fd| !fd.revents().is_empty()).collect());
    }
}

/// `AsFd` as a trait object, so that handles of several types can be polled together.
pub(crate) trait AsFdDyn {
    /// The handle.
    fn fd(&self) -> rustix::fd::BorrowedFd<'_>;
}

impl<T: AsFd> AsFdDyn for T {
    fn fd(&self) -> rustix::fd::BorrowedFd<'_> {
        self.as_fd()
    }
}

/// Runs a program of the host to its end and returns what it printed.
///
/// # Errors
/// It is not there, or it failed; then what it said on standard error is in the error.
pub fn run(command: &mut Command) -> Result<String> {
    let output = outcome(command)?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let mut text = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    if text.is_empty() {
        text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    }
    Err(HarnessError::Program {
        program: line(command),
        status: output.status,
        output: text,
    })
}

/// Runs a program of the host to its end, for callers to whom failing is an answer.
///
/// # Errors
/// It is not there.
pub fn outcome(command: &mut Command) -> Result<Output> {
    let line = line(command);
    command.stdin(Stdio::null()).output().doing("running", line)
}

fn line(command: &Command) -> String {
    let mut line = command.get_program().to_string_lossy().into_owned();
    for argument in command.get_args() {
        line.push(' ');
        line.push_str(&argument.to_string_lossy());
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_that_does_not_end_is_reported_and_killed() {
        let log = std::env::temp_dir().join(format!("qemu-process-{}.log", std::process::id()));
        let mut process = Process::spawn("sleep", Command::new("sleep").arg("600"), &log).unwrap();
        let error = process.wait(Duration::from_millis(50)).unwrap_err();
        assert!(
            error.to_string().contains("the end of sleep did not come"),
            "{error}"
        );
        assert!(process.is_running());
        process.kill();
        assert!(!process.is_running());
        std::fs::remove_file(log).unwrap();
    }

    #[test]
    fn a_failed_program_says_why() {
        let error = run(Command::new("sh").args(["-c", "echo because >&2; exit 3"]))
            .unwrap_err()
            .to_string();
        assert!(error.contains("because") && error.contains('3'), "{error}");
    }
}
