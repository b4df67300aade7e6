//! Programs we run (mke2fs), and what PID 1 owes to everybody else's children.
//!
//! PID 1 inherits every orphan and must reap it, but a `wait` for just anybody would steal the
//! status of a program whose caller waits for it by id. A list of those ids settles it: reaping
//! looks at who has ended before it takes a status, and leaves those on the list to their callers.
//! Its lock is held for moments only, so that a program that hangs holds up nobody else.

pub mod awaited;

use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{
    Pid, PidfdFlags, Signal, WaitOptions, kill_process_group, pidfd_open, waitpid,
};
use sys::children::next_ended;

/// Of what a program writes: an error takes a line or two.
const SAID_MAX: usize = 64 * 1024;

/// What was killed is waited for so long.
const DYING: Duration = Duration::from_secs(1);

/// Programs whose callers wait for them.
static AWAITED: Mutex<Vec<Pid>> = Mutex::new(Vec::new());

/// Children that have ended may stand behind one of those.
static HAS_MORE: AtomicBool = AtomicBool::new(false);

/// Whole at any time.
fn awaited() -> MutexGuard<'static, Vec<Pid>> {
    AWAITED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How a program ended that was run with all that it starts.
#[derive(Debug)]
pub struct GroupRun {
    /// `None`: it had not ended within its time.
    pub status: Option<ExitStatus>,
    /// What it wrote to its standard output and error, as one stream; the first 64 KiB.
    pub said: Vec<u8>,
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
    expecting(command, |child| {
        let process = pidfd_open(Pid::from_child(child), PidfdFlags::empty())?;
        let (has_ended, said) = attend(&process, child.stderr.take(), limit)?;
        if !has_ended {
            let _ = child.kill(); // it has ended just now
            let text = format!("it has not ended within {} s", limit.as_secs());
            return Err(io::Error::new(io::ErrorKind::TimedOut, text));
        }
        Ok(Output {
            status: child.wait()?,
            stdout: Vec::new(),
            stderr: said,
        })
    })
}

/// Runs a program to its end, with nothing on its standard input, output and error: what it leaves
/// running keeps no pipe of this program. `None`: it has not ended within `limit`, and was killed.
///
/// # Errors
/// It could not be started.
pub fn run_silently(command: &mut Command, limit: Duration) -> io::Result<Option<ExitStatus>> {
    command.stdin(Stdio::null());
    command.stdout(Stdio::null()).stderr(Stdio::null());
    expecting(command, |child| {
        let process = pidfd_open(Pid::from_child(child), PidfdFlags::empty())?;
        let silent = || None::<io::PipeReader>;
        let (has_ended, _) = attend(&process, silent(), limit)?;
        if has_ended {
            return child.wait().map(Some);
        }
        child.kill()?;
        let _ = attend(&process, silent(), DYING);
        let _ = child.try_wait(); // one that hangs in the kernel stays
        Ok(None)
    })
}

/// Runs a program and all that it starts, as a process group of its own: when it ends, or at the
/// latest after `limit`, the whole group is killed. Its standard input is empty.
///
/// # Errors
/// It could not be started.
pub fn run_group(command: &mut Command, limit: Duration) -> io::Result<GroupRun> {
    let (said, saying) = io::pipe()?;
    command.stdin(Stdio::null()).process_group(0);
    command.stdout(saying.try_clone()?).stderr(saying);
    expecting(command, |child| {
        let pid = Pid::from_child(child);
        let process = pidfd_open(pid, PidfdFlags::empty())?;
        let attended = attend(&process, Some(said), limit);
        // Until its status is taken its number belongs to no other group.
        let _ = kill_process_group(pid, Signal::KILL); // nobody may be left in it
        let (has_ended, said) = attended?;
        let status = match has_ended {
            true => Some(child.wait()?),
            false => {
                let _ = attend(&process, None::<io::PipeReader>, DYING);
                let _ = child.try_wait(); // one that hangs in the kernel stays
                None
            }
        };
        Ok(GroupRun { status, said })
    })
}

/// Starts a program that nobody else reaps while `attend` has it.
fn expecting<T>(
    command: &mut Command,
    attend: impl FnOnce(&mut Child) -> io::Result<T>,
) -> io::Result<T> {
    let (mut child, pid) = {
        // Held until its id is on the list: nobody reaps it before.
        let mut awaited = awaited();
        let child = command.spawn();
        close_pipes(command);
        let child = child?;
        let pid = Pid::from_child(&child);
        awaited.push(pid);
        (child, pid)
    };
    let ended = attend(&mut child);
    awaited().retain(|listed| *listed != pid);
    if HAS_MORE.swap(false, Ordering::SeqCst) {
        reap_orphans();
    }
    ended
}

/// A command keeps what it hands to its program, and so would keep a pipe's end open.
fn close_pipes(command: &mut Command) {
    command.stdout(Stdio::null()).stderr(Stdio::null());
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

/// Takes what it says until it ends or `limit` has passed: whether it has ended, and what it said.
fn attend<R: Read + AsFd>(
    process: &OwnedFd,
    mut says: Option<R>,
    limit: Duration,
) -> io::Result<(bool, Vec<u8>)> {
    let deadline = Instant::now() + limit;
    let mut said = Vec::new();
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok((false, said));
        }
        let mut ready = vec![PollFd::new(process, PollFlags::IN)];
        if let Some(says) = &says {
            ready.push(PollFd::from_borrowed_fd(says.as_fd(), PollFlags::IN));
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
            let read = says.as_mut().map_or(Ok(0), |says| says.read(&mut buffer));
            match read {
                Ok(0) | Err(_) => says = None, // it closed it, or has nothing more to say that could be read
                Ok(len) if said.len() < SAID_MAX => {
                    said.extend_from_slice(buffer.get(..len).unwrap_or_default());
                }
                Ok(_) => {}
            }
        } else if has_ended {
            return Ok((true, said));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{reap_orphans, run, run_group};
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

    #[test]
    fn a_group_is_ended_with_everything_that_it_started() {
        let began = Instant::now();
        // The one in the background keeps the pipe open, and outlives the shell.
        let ended = run_group(&mut shell("echo $$; sleep 600 & exit 3"), LONG).unwrap();
        assert_eq!(ended.status.and_then(|status| status.code()), Some(3));
        assert_gone(&ended.said);
        let limit = Duration::from_millis(300);
        let hung = run_group(&mut shell("echo $$; sleep 600 & sleep 600"), limit).unwrap();
        assert_eq!(hung.status, None);
        assert_gone(&hung.said);
        assert!(began.elapsed() < LONG);
    }

    /// Nobody of the group whose number was said is left, but for what has not been reaped yet.
    fn assert_gone(said: &[u8]) {
        let group = str::from_utf8(said).unwrap().trim();
        let deadline = Instant::now() + Duration::from_secs(10);
        loop {
            let alive = std::fs::read_dir("/proc").unwrap().flatten().any(|entry| {
                let stat = std::fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
                let fields = stat.rsplit(')').next().unwrap_or_default();
                let fields: Vec<_> = fields.split_whitespace().collect();
                fields.get(2) == Some(&group) && fields.first() != Some(&"Z")
            });
            if !alive {
                return;
            }
            assert!(Instant::now() < deadline, "group {group} is still there");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    #[test]
    fn a_group_speaks_on_one_stream_that_is_bounded() {
        let said = run_group(&mut shell("echo one; echo two >&2; echo three"), LONG).unwrap();
        assert_eq!(said.said, b"one\ntwo\nthree\n");
        let flood = shell("head -c 1000000 /dev/zero; echo end");
        let flood = run_group(&mut { flood }, LONG).unwrap();
        assert!(flood.status.unwrap().success() && flood.said.len() < 70_000);
        // A writer that never stops is ended by its time.
        let limit = Duration::from_millis(300);
        let endless = run_group(&mut shell("while :; do echo x; done"), limit).unwrap();
        assert!(endless.status.is_none() && endless.said.len() < 70_000);
        assert!(run_group(&mut Command::new("/nonexistent"), LONG).is_err());
    }
}
