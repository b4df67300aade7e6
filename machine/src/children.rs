//! Programs we run (mke2fs), and what PID 1 owes to everybody else's children.
//!
//! PID 1 inherits every orphan and must reap it, but a `wait` for just anybody would steal the
//! status of a program whose caller waits for it by id. A list of those ids settles it: reaping
//! looks at who has ended before it takes a status, and leaves those on the list to their callers.
//! Its lock is held for moments only, so that a program that hangs holds up nobody else.

pub mod awaited;

use std::io::{self, Read};
use std::os::fd::AsFd;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, WaitOptions, pidfd_open, waitpid};
use sys::children::next_ended;

/// Of what a program writes: an error takes a line or two.
const SAID_MAX: usize = 64 * 1024;

/// Programs whose callers wait for them.
static AWAITED: Mutex<Vec<Pid>> = Mutex::new(Vec::new());

/// Children that have ended may stand behind one of those.
static HAS_MORE: AtomicBool = AtomicBool::new(false);

/// Whole at any time.
fn awaited() -> MutexGuard<'static, Vec<Pid>> {
    AWAITED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Runs a program to its end, with nothing on its standard input and output, and returns its status
/// and what it wrote to its standard error. One that has not ended within `limit` is killed; it is
/// not waited for then, because one that hangs in the kernel does not die before its disk answers.
///
/// # Errors
/// It could not be started, or [`io::ErrorKind::TimedOut`].
pub fn run(command: &mut Command, limit: Duration) -> io::Result<Output> {
    command.stdin(Stdio::null()).stdout(Stdio::null());
    command.stderr(Stdio::piped());
    let (child, pid) = {
        // Held until its id is on the list: nobody reaps it before.
        let mut awaited = awaited();
        let child = command.spawn()?;
        let pid = Pid::from_child(&child);
        awaited.push(pid);
        (child, pid)
    };
    let ended = attend(child, Instant::now() + limit, limit);
    awaited().retain(|listed| *listed != pid);
    if HAS_MORE.swap(false, Ordering::SeqCst) {
        reap_orphans();
    }
    ended
}

/// Starts a program that goes on beside us. It may be reaped by anybody once it has ended.
///
/// # Errors
/// It could not be started.
pub fn start(command: &mut Command) -> io::Result<Child> {
    let _nobody_reaps = awaited(); // its start is watched by its status, too
    command.spawn()
}

/// Reaps every child that has ended and that nobody waits for.
pub fn reap_orphans() {
    let awaited = awaited();
    while let Ok(Some(pid)) = next_ended() {
        let Some(pid) = Pid::from_raw(pid).filter(|pid| !awaited.contains(pid)) else {
            // The kernel names the same one until it is taken: its caller goes on from here when it
            // has done so.
            HAS_MORE.store(true, Ordering::SeqCst);
            return;
        };
        if waitpid(Some(pid), WaitOptions::NOHANG).is_err() {
            return;
        }
    }
}

/// Takes what it says until it ends.
fn attend(mut child: Child, deadline: Instant, limit: Duration) -> io::Result<Output> {
    let process = pidfd_open(Pid::from_child(&child), PidfdFlags::empty())?;
    let mut errors = child.stderr.take();
    let mut said = Vec::new();
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            let _ = child.kill(); // it has ended just now
            let text = format!("it has not ended within {} s", limit.as_secs());
            return Err(io::Error::new(io::ErrorKind::TimedOut, text));
        }
        let mut ready = vec![PollFd::new(&process, PollFlags::IN)];
        if let Some(errors) = &errors {
            ready.push(PollFd::from_borrowed_fd(errors.as_fd(), PollFlags::IN));
        }
        match poll(&mut ready, Timespec::try_from(left).ok().as_ref()) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
        let is_ready = |at: usize| ready.get(at).is_some_and(|fd| !fd.revents().is_empty());
        let (has_ended, speaks) = (is_ready(0), is_ready(1));
        drop(ready);
        if speaks {
            let mut buffer = [0; 4096];
            let read = errors
                .as_mut()
                .map_or(Ok(0), |errors| errors.read(&mut buffer));
            match read {
                Ok(0) | Err(_) => errors = None, // it closed it, or has nothing more to say that could be read
                Ok(len) if said.len() < SAID_MAX => {
                    said.extend_from_slice(buffer.get(..len).unwrap_or_default());
                }
                Ok(_) => {}
            }
        } else if has_ended {
            let status: ExitStatus = child.wait()?;
            return Ok(Output {
                status,
                stdout: Vec::new(),
                stderr: said,
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{reap_orphans, run};
    use std::io::ErrorKind;
    use std::process::Command;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::time::{Duration, Instant};

    const LONG: Duration = Duration::from_secs(60);

    fn shell(script: &str) -> Command {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn reaping_never_steals_the_status_of_our_own_program() {
        let is_done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !is_done.load(Ordering::Relaxed) {
                    reap_orphans();
                    std::thread::yield_now();
                }
            });
            let codes: Vec<_> = (0..20)
                .map(|code| {
                    run(&mut shell(&format!("exit {code}")), LONG)
                        .unwrap()
                        .status
                        .code()
                })
                .collect();
            is_done.store(true, Ordering::Relaxed);
            assert_eq!(codes, (0..20).map(Some).collect::<Vec<_>>());
        });
    }

    #[test]
    fn a_program_that_hangs_holds_up_neither_reaping_nor_its_caller() {
        std::thread::scope(|scope| {
            let hangs =
                scope.spawn(|| run(&mut shell("exec sleep 600"), Duration::from_millis(500)));
            let began = Instant::now();
            while !hangs.is_finished() {
                let begun = Instant::now();
                reap_orphans();
                assert!(begun.elapsed() < Duration::from_millis(400));
                std::thread::sleep(Duration::from_millis(5));
            }
            let error = hangs.join().unwrap().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::TimedOut);
            assert!(began.elapsed() < LONG, "{error}");
        });
    }

    #[test]
    fn what_it_says_is_kept_and_bounded() {
        let said = run(&mut shell("echo one >&2; echo two >&2; exit 3"), LONG).unwrap();
        assert_eq!(
            (said.stderr.as_slice(), said.status.code()),
            (&b"one\ntwo\n"[..], Some(3))
        );
        let flood = run(&mut shell("head -c 1000000 /dev/zero >&2"), LONG).unwrap();
        assert!(flood.status.success() && flood.stderr.len() < 70_000);
    }
}
