//! The real donor as a process.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use crate::actors::exit::Exit;
use crate::actors::policy::{Credential, Shown};
use crate::error::{Doing, HarnessError, Result};
use crate::eyes::transcript::{self, Printer};
use crate::process::{Process, readable};

/// The deploy that a donor makes.
#[derive(Clone, Debug)]
pub struct Order {
    /// On the targets' screens.
    pub codes: Vec<String>,
    /// How it proves itself.
    pub credential: Credential,
    /// The directory that it sends.
    pub packages: PathBuf,
    /// More words for its command line.
    pub more: Vec<String>,
}

impl Order {
    /// The codes that a person in front of that screen would ask for.
    #[must_use]
    pub fn new(shown: &Shown, packages: &Path) -> Self {
        Self {
            codes: vec![shown.code.clone()],
            credential: Credential::of(shown),
            packages: packages.to_owned(),
            more: Vec::new(),
        }
    }

    /// The same with another credential.
    #[must_use]
    pub fn with(mut self, credential: Credential) -> Self {
        self.credential = credential;
        self
    }

    /// The same with more words on its command line.
    #[must_use]
    pub fn and(mut self, words: &[&str]) -> Self {
        self.more
            .extend(words.iter().map(|word| (*word).to_owned()));
        self
    }
}

/// `spk-visor deploy-system-img-copy`, running.
#[derive(Debug)]
pub struct Donor {
    process: Process,
    log: PathBuf,
}

impl Donor {
    /// Starts the real donor. What it prints goes to `log`, or live to standard output behind a
    /// prefix. The secret goes into a file beside the log.
    ///
    /// # Errors
    /// The program is not there.
    pub fn start(program: &Path, order: &Order, log: &Path, live: Option<String>) -> Result<Self> {
        let mut command = Command::new(program);
        command.arg("deploy-system-img-copy").args(&order.codes);
        order
            .credential
            .put(&mut command, &log.with_extension("secret"))?;
        command.arg("--packages").arg(&order.packages);
        command.args(&order.more);
        let process = match live {
            None => Process::spawn("the donor", &mut command, log)?,
            Some(prefix) => live_donor(&mut command, prefix)?,
        };
        Ok(Self {
            process,
            log: log.to_owned(),
        })
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// It has not ended in time.
    pub fn wait(&mut self, patience: Duration) -> Result<ExitStatus> {
        self.process.wait(patience)
    }

    /// Waits for its end, which must be a success.
    ///
    /// # Errors
    /// It failed, or did not end.
    pub fn must_succeed(&mut self, patience: Duration) -> Result<()> {
        let status = self.wait(patience)?;
        if status.success() {
            Ok(())
        } else {
            Err(self.unexpected("success", &status.to_string()))
        }
    }

    /// Waits for its end, which must be a failure it noticed.
    ///
    /// # Errors
    /// It took the deploy for a success, was killed, or did not end.
    pub fn must_fail(&mut self, patience: Duration) -> Result<()> {
        let status = self.wait(patience)?;
        match status.code() {
            Some(code) if code != 0 => Ok(()),
            _ => Err(self.unexpected("an exit code that is not 0", &status.to_string())),
        }
    }

    /// Waits for its end, which must be this one.
    ///
    /// # Errors
    /// It ended otherwise, or did not.
    pub fn must_exit(&mut self, exit: Exit, patience: Duration) -> Result<()> {
        let status = self.wait(patience)?;
        if status.code() == Some(exit as i32) {
            Ok(())
        } else {
            let expected = format!("exit code {} ({exit:?})", exit as i32);
            Err(self.unexpected(&expected, &status.to_string()))
        }
    }

    /// [`Donor::must_fail`], and it must have said why.
    ///
    /// # Errors
    /// It did not fail, or said something else.
    pub fn must_fail_saying(&mut self, reason: &str, patience: Duration) -> Result<()> {
        self.must_fail(patience)?;
        if self.said().contains(reason) {
            Ok(())
        } else {
            Err(self.unexpected(&format!("{reason:?} among its words"), "other words"))
        }
    }

    /// Its output so far.
    #[must_use]
    pub fn said(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Waits until `find` finds something in what it prints.
    ///
    /// # Errors
    /// It did not in time, or the donor ended without it.
    pub fn await_said<T>(
        &mut self,
        what: &str,
        patience: Duration,
        find: impl Fn(&str) -> Option<T>,
    ) -> Result<T> {
        let end = Instant::now() + patience;
        loop {
            let has_ended = !self.process.is_running();
            let said = self.said();
            if let Some(found) = find(&said) {
                return Ok(found);
            }
            if has_ended || Instant::now() >= end {
                return Err(HarnessError::Deadline {
                    what: format!("{what} from the donor"),
                    patience,
                    tail: transcript::tail(&said, 10),
                });
            }
            // A plain file cannot be awaited; the process can, and its end cuts this short.
            readable(&[self.process.exit_handle()], Duration::from_millis(50))?;
        }
    }

    /// Makes it stand still in the middle of whatever it does, its connections open, or go on.
    ///
    /// # Errors
    /// The kernel does not let us.
    pub fn hold(&self, is_held: bool) -> Result<()> {
        self.process.hold(is_held)
    }

    /// Asks it to end, as Ctrl-C does.
    ///
    /// # Errors
    /// It has ended already.
    pub fn interrupt(&self) -> Result<()> {
        self.process.terminate()
    }

    /// Ends it in the middle of whatever it does.
    pub fn kill(&mut self) {
        self.process.kill();
    }

    fn unexpected(&self, expected: &str, found: &str) -> HarnessError {
        HarnessError::unexpected(
            "the donor",
            expected,
            format!("{found}{}", transcript::tail(&self.said(), 8)),
        )
    }
}

/// Whether the target's own console shows the line as well.
fn is_heard_twice(line: &str) -> bool {
    line.starts_with("target info: smv ")
}

fn live_donor(command: &mut Command, prefix: String) -> Result<Process> {
    let (mut reader, writer) = std::io::pipe().doing("making", "a pipe")?;
    let again = writer.try_clone().doing("duplicating", "a pipe")?;
    let child = command
        .stdin(Stdio::null())
        .stdout(writer)
        .stderr(again)
        .spawn()
        .doing("starting", "the donor")?;
    // The command keeps our ends of the pipe open, and with them the reader below.
    command.stdout(Stdio::null()).stderr(Stdio::null());
    std::thread::spawn(move || {
        let mut printer = Printer::new(prefix, |line| !is_heard_twice(line));
        let mut buffer = [0; 1024];
        while let Ok(len @ 1..) = reader.read(&mut buffer) {
            printer.push(buffer.get(..len).unwrap_or_default());
        }
    });
    Process::adopt("the donor", child)
}
