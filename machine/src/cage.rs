//! The worker that decodes packages and reads their archives, in a process of its own that shuts
//! itself in before it looks at the first byte: this program once more, under a name that nobody
//! types, between two pipes (`trust.md` 8).
//!
//! Its first byte says which walls it has. A machine that demands them gives a package to no worker
//! without.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Command, ExitCode, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};

use bundle::decode::{DecodeError, DecodeLimits};
use bundle::worker::{Ending, PipeEnd, Process, Worker, Workers, work};
use rustix::fs::{FileType, fstat};
use rustix::pipe::fcntl_setpipe_size;
use rustix::stdio::{stdin, stdout};
use sys::cage::{self, Walls};

use crate::children::awaited::Awaited;

/// The name under which this program is the worker.
const NAME: &str = "smv-decoder";
/// This program, wherever it is, also when it was replaced since.
const OWN_PROGRAM: &str = "/proc/self/exe";
/// The most that a user without privileges may ask for (`pipe(7)`).
const PIPE_BYTES: usize = 1 << 20;
/// Beside what the decoder has for itself: the buffers at both ends, the longest header of an
/// archive, the program's own.
const BESIDE_BYTES: u64 = 8 << 20;
/// The stack of each of its threads: the C library's own choice for a stack (8 MiB in glibc, 128
/// KiB in musl), and a guard.
const THREAD_BYTES: u64 = if cfg!(target_env = "musl") {
    256 << 10
} else {
    9 << 20
};

/// Address space for each of them beside its memory: what glibc's malloc reserves is twice a heap,
/// of which it keeps the aligned half. musl's needs guard pages, and the first thread's stack.
const RESERVED_BYTES: u64 = if cfg!(target_env = "musl") {
    1 << 20
} else {
    128 << 20
};

/// Starts caged workers.
#[derive(Debug)]
pub struct Caged {
    program: &'static str,
    demands_walls: bool,
    is_told: AtomicBool,
}

impl Caged {
    /// For a machine that demands both walls; a worker without one of them is an error.
    #[must_use]
    pub const fn demanding() -> Self {
        Caged {
            program: OWN_PROGRAM,
            demands_walls: true,
            is_told: AtomicBool::new(false),
        }
    }

    /// For whatever kernel runs here: a wall that it does not have is said once.
    #[must_use]
    pub const fn where_possible() -> Self {
        Caged {
            demands_walls: false,
            ..Self::demanding()
        }
    }

    /// The same out of another program, which must hand its arguments to [`run_if_asked`].
    #[must_use]
    pub const fn of(self, program: &'static str) -> Self {
        Caged { program, ..self }
    }

    /// The warnings about a worker with these walls.
    fn judge(&self, walls: Walls) -> io::Result<Option<String>> {
        let missing = match (walls.no_files, walls.only_computing) {
            (true, true) => return Ok(None),
            (false, true) => "Landlock",
            (true, false) => "seccomp",
            (false, false) => "Landlock and seccomp",
        };
        if self.demands_walls {
            let text = format!("this kernel has no {missing}");
            return Err(io::Error::new(io::ErrorKind::Unsupported, text));
        }
        let is_first = !self.is_told.swap(true, Ordering::Relaxed);
        Ok(is_first.then(|| {
            format!("this kernel has no {missing}: what decodes the packages is shut in less well")
        }))
    }
}

impl Workers for Caged {
    fn start(&self, limits: DecodeLimits) -> io::Result<Worker> {
        let mut command = Command::new(self.program);
        let words = [
            limits.memory_bytes,
            limits.threads.into(),
            limits.output_cap,
        ];
        command
            .arg0(NAME)
            .args(words.map(|word| word.to_string()))
            .env_clear()
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        let mut process = Box::new(Decoder(Awaited::start(&mut command)?));
        let (Some(input), Some(output)) = (
            process.0.child().stdin.take(),
            process.0.child().stdout.take(),
        ) else {
            return Err(io::ErrorKind::BrokenPipe.into());
        };
        let (input, mut output) = (
            File::from(OwnedFd::from(input)),
            File::from(OwnedFd::from(output)),
        );
        for pipe in [&input, &output] {
            // A smaller one makes both ends wait for each other more often, and that is all.
            let _ = fcntl_setpipe_size(pipe, PIPE_BYTES);
        }
        let mut walls = [0];
        if output.read_exact(&mut walls).is_err() {
            let how = match process.wait() {
                Ending::InOrder => "ended before it began".to_owned(),
                Ending::Died(how) => how,
            };
            return Err(io::Error::other(DecodeError::Died { how }));
        }
        let [walls] = walls;
        let walls = Walls::from_byte(walls).ok_or(io::ErrorKind::InvalidData)?;
        Ok(Worker {
            input,
            output,
            warning: self.judge(walls)?,
            process,
        })
    }
}

/// The worker's process. Dropped, it is killed and reaped.
#[derive(Debug)]
struct Decoder(Awaited);

impl Process for Decoder {
    fn kill(&mut self) {
        let _ = self.0.child().kill(); // it has ended just now
    }

    fn wait(mut self: Box<Self>) -> Ending {
        match self.0.wait() {
            Ok(status) => ending(status),
            Err(error) => Ending::Died(format!("was lost: {error}")),
        }
    }
}

fn ending(status: ExitStatus) -> Ending {
    let Some(signal) = status.signal() else {
        return match status.code() {
            Some(0) => Ending::InOrder,
            code => Ending::Died(format!("ended with code {}", code.unwrap_or(-1))),
        };
    };
    let signal = match rustix::process::Signal::from_named_raw(signal) {
        Some(rustix::process::Signal::SYS) => {
            "SIGSYS, for a system call that it may not make".to_owned()
        }
        Some(rustix::process::Signal::KILL) => "SIGKILL".to_owned(),
        Some(rustix::process::Signal::SEGV) => "SIGSEGV".to_owned(),
        Some(rustix::process::Signal::ABORT) => "SIGABRT".to_owned(),
        Some(rustix::process::Signal::BUS) => "SIGBUS".to_owned(),
        _ => format!("signal {signal}"),
    };
    Ending::Died(format!("was killed by {signal}"))
}

/// The worker's whole life, when this program was started as one; nothing otherwise. Both `main`s
/// call it first.
#[must_use]
pub fn run_if_asked(arguments: impl IntoIterator<Item = OsString>) -> Option<ExitCode> {
    let mut arguments = arguments.into_iter();
    if arguments.next().as_deref() != Some(OsStr::new(NAME)) {
        return None;
    }
    let numbers: Vec<u64> = arguments
        .filter_map(|word| word.to_str()?.parse().ok())
        .collect();
    Some(match numbers.as_slice() {
        [memory_bytes, threads, output_cap] if is_between_pipes() => live(DecodeLimits {
            memory_bytes: *memory_bytes,
            threads: u32::try_from(*threads).unwrap_or(1),
            output_cap: *output_cap,
        }),
        _ => ExitCode::from(2),
    })
}

fn is_between_pipes() -> bool {
    [stdin(), stdout()].into_iter().all(|end| {
        fstat(end).is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Fifo)
    })
}

fn live(limits: DecodeLimits) -> ExitCode {
    let threads = THREAD_BYTES.saturating_mul(limits.threads.into());
    let data_bytes = limits
        .memory_bytes
        .saturating_add(BESIDE_BYTES)
        .saturating_add(threads);
    let reserved_bytes = RESERVED_BYTES.saturating_mul(limits.threads.into());
    let lived = cage::enter(data_bytes, reserved_bytes).and_then(|walls| {
        PipeEnd(stdout()).write_all(&[walls.to_byte()])?;
        work(PipeEnd(stdin()), PipeEnd(stdout()), limits)
    });
    ExitCode::from(u8::from(lived.is_err()))
}

#[cfg(test)]
mod tests {
    use super::{Caged, Ending, ending, run_if_asked};
    use std::os::unix::process::ExitStatusExt;
    use std::process::ExitStatus;
    use sys::cage::Walls;

    #[test]
    fn only_its_own_name_makes_a_worker() {
        for words in [
            &["spk-visor"][..],
            &[],
            &["/init", "smv-decoder", "1", "1", "1"],
        ] {
            assert!(
                run_if_asked(words.iter().map(Into::into)).is_none(),
                "{words:?}"
            );
        }
    }

    #[test]
    fn a_missing_wall_is_refused_or_said_once() {
        let whole = Walls {
            no_files: true,
            only_computing: true,
        };
        let without = Walls {
            no_files: false,
            ..whole
        };
        let (strict, lenient) = (Caged::demanding(), Caged::where_possible());
        assert_eq!(strict.judge(whole).unwrap(), None);
        let error = strict.judge(without).unwrap_err();
        assert_eq!(error.to_string(), "this kernel has no Landlock");
        assert_eq!(lenient.judge(whole).unwrap(), None);
        assert!(
            lenient
                .judge(without)
                .unwrap()
                .unwrap()
                .contains("Landlock")
        );
        assert_eq!(lenient.judge(without).unwrap(), None);
    }

    #[test]
    fn the_signal_that_ended_a_worker_is_reported() {
        let of = |raw| ending(ExitStatus::from_raw(raw));
        assert_eq!(of(0), Ending::InOrder);
        assert_eq!(of(3 << 8), Ending::Died("ended with code 3".to_owned()));
        let text = "was killed by SIGSYS, for a system call that it may not make";
        assert_eq!(of(31), Ending::Died(text.to_owned()));
        assert_eq!(of(9), Ending::Died("was killed by SIGKILL".to_owned()));
    }
}
