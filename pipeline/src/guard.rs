//! The process above a step's command: it ends the command, and all that the command has started,
//! when the build ends in whatever way, `kill -9` included.
//!
//! It comes with a pipe as its standard input, whose other end only the build has, and with the
//! lock on the output as its standard output, so that nobody else makes the same while the command
//! is still being ended. Command and guard have process groups of their own: Ctrl-C at a terminal
//! reaches the build alone.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rustix::process::{
    Pid, Signal, WaitId, WaitIdOptions, kill_process_group, test_kill_process_group, waitid,
};

use crate::cache::Lock;

/// The word by which the program becomes a guard.
pub const COMMAND: &str = "guard";

/// The time that a command has to end by itself.
const PATIENCE: Duration = Duration::from_secs(2);

/// A command, where it runs and what it leaves.
#[derive(Clone, Debug)]
pub struct Guarded<'a> {
    /// This program, which is started as the guard.
    pub program: &'a Path,
    /// The directory in which the command runs.
    pub top: &'a Path,
    /// What it says goes there.
    pub log: &'a Path,
    /// What to remove when the build has ended.
    pub part: &'a Path,
    /// Program and arguments.
    pub command: &'a [String],
}

impl Guarded<'_> {
    /// Runs the command to its end.
    ///
    /// # Errors
    /// The guard cannot be started.
    pub fn run(&self, lock: &Lock) -> io::Result<ExitStatus> {
        // Held until the guard has ended, or until this process has.
        let (reader, _held) = io::pipe()?;
        Command::new(self.program)
            .arg(COMMAND)
            .args([self.log, self.part])
            .args(self.command)
            .current_dir(self.top)
            .stdin(reader)
            .stdout(lock.0.try_clone()?)
            .process_group(0)
            .status()
    }
}

/// What the guard does: `LOG PART PROGRAM ARGUMENT...`.
pub fn guard(mut arguments: impl Iterator<Item = std::ffi::OsString>) -> ExitCode {
    let paths = (arguments.next(), arguments.next(), arguments.next());
    let (Some(log), Some(part), Some(program)) = paths else {
        eprintln!("pipeline: {COMMAND} is for the pipeline itself");
        return ExitCode::from(2);
    };
    let mut command = Command::new(&program);
    command.args(arguments);
    match run(command, Path::new(&log), PathBuf::from(part)) {
        Ok(status) => {
            let by_signal = status.signal().map(|signal| 128 + signal);
            let code = status.code().or(by_signal).unwrap_or(1);
            ExitCode::from(u8::try_from(code).unwrap_or(1))
        }
        Err(error) => {
            // Beside what the command would have said.
            let _ = fs::write(&log, format!("{}: {error}\n", program.display()));
            ExitCode::from(127)
        }
    }
}

fn run(mut command: Command, log: &Path, part: PathBuf) -> io::Result<ExitStatus> {
    let log = File::create(log)?;
    let mut child = command
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .process_group(0)
        .spawn()?;
    let group = Pid::from_child(&child);
    let build_ended = std::sync::Arc::new(AtomicBool::new(false));
    let seen = std::sync::Arc::clone(&build_ended);
    std::thread::spawn(move || {
        // Ends when the last process that has the other end of the pipe does.
        let _ = io::stdin().read(&mut [0]);
        seen.store(true, Ordering::SeqCst);
        end(group);
        // What is left is removed by the next build of it.
        let _ = fs::remove_dir_all(part);
        std::process::exit(1);
    });
    // Without collecting it, so that no other group can have its number yet.
    waitid(
        WaitId::Pid(group),
        WaitIdOptions::EXITED | WaitIdOptions::NOWAIT,
    )?;
    if build_ended.load(Ordering::SeqCst) {
        // The thread above ends this process.
        loop {
            std::thread::park();
        }
    }
    // What the command left in the background.
    let _ = kill_process_group(group, Signal::KILL);
    child.wait()
}

/// Asks a group of processes to end, and ends it. Its first process has not been collected.
fn end(group: Pid) {
    let _ = kill_process_group(group, Signal::TERM);
    let began = Instant::now();
    while began.elapsed() < PATIENCE && is_running(group) {
        std::thread::sleep(Duration::from_millis(20));
    }
    let _ = kill_process_group(group, Signal::KILL);
}

/// A group of which only the first process is left, ended but not collected, counts as running to
/// the kernel; that process says so itself.
fn is_running(group: Pid) -> bool {
    let ended = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT | WaitIdOptions::NOHANG;
    let first_runs = matches!(waitid(WaitId::Pid(group), ended), Ok(None));
    first_runs || (test_kill_process_group(group).is_ok() && has_others(group))
}

/// Whether a process besides the first is in the group.
fn has_others(group: Pid) -> bool {
    let own = group.as_raw_nonzero().get().to_string();
    let Ok(entries) = fs::read_dir("/proc") else {
        return false;
    };
    entries.filter_map(Result::ok).any(|entry| {
        let name = entry.file_name();
        let stat = fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
        // `proc_pid_stat(5)`: the name in brackets, state, parent, group.
        let fields = stat.rsplit_once(')').map(|(_, fields)| fields);
        let in_group = fields.and_then(|fields| fields.split_whitespace().nth(2));
        in_group == Some(own.as_str()) && name.to_str() != Some(own.as_str())
    })
}
