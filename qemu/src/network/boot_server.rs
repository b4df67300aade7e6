//! `spk-visor serve-boot` as a process, and the directory it serves.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use crate::error::{HarnessError, Result};
use crate::eyes::transcript;
use crate::network::BRIDGE;
use crate::process::{Process, readable};

/// From its start to its first answer: it looks for other DHCP servers for some seconds.
const START: Duration = Duration::from_secs(60);

/// Ended when dropped.
#[derive(Debug)]
pub struct BootServer {
    process: Process,
    log: PathBuf,
}

impl BootServer {
    /// Starts it on the scenario's bridge.
    ///
    /// # Errors
    /// The program is not there.
    pub fn start(program: &Path, tree: &Path, words: &[&str], log: &Path) -> Result<Self> {
        let mut command = Command::new(program);
        command.args(["serve-boot", "--json", "--interface", BRIDGE, "--dir"]);
        command.arg(tree).args(words);
        Ok(Self {
            process: Process::spawn("serve-boot", &mut command, log)?,
            log: log.to_owned(),
        })
    }

    /// Waits until it answers machines.
    ///
    /// # Errors
    /// It gave up.
    pub fn await_serving(&mut self) -> Result<()> {
        self.await_event("serving", "", START)
    }

    /// Waits until it has reported an event of that name, with these words in it.
    ///
    /// # Errors
    /// It did not in time, or it has ended.
    pub fn await_event(&mut self, name: &str, words: &str, patience: Duration) -> Result<()> {
        let end = Instant::now() + patience;
        let name = format!("\"event\":\"{name}\"");
        loop {
            let has_ended = !self.process.is_running();
            let said = self.said();
            let mut events = said.lines();
            if events.any(|line| line.contains(&name) && line.contains(words)) {
                return Ok(());
            }
            if has_ended || Instant::now() >= end {
                return Err(HarnessError::Deadline {
                    what: format!("{name} with {words:?} from serve-boot"),
                    patience,
                    tail: transcript::tail(&said, 20),
                });
            }
            readable(&[self.process.exit_handle()], Duration::from_millis(50))?;
        }
    }

    /// Waits for its end, which must be a failure for that reason.
    ///
    /// # Errors
    /// It runs, or it ended otherwise.
    pub fn must_refuse(&mut self, reason: &str) -> Result<()> {
        let status = self.process.wait(START)?;
        let said = self.said();
        if !status.success() && said.contains(reason) {
            return Ok(());
        }
        let expected = format!("a failure that says {reason:?}");
        let found = format!("{status}{}", transcript::tail(&said, 8));
        Err(HarnessError::unexpected("serve-boot", expected, found))
    }

    /// Asks it to end, which it does in good order.
    ///
    /// # Errors
    /// It did not.
    pub fn end(mut self) -> Result<()> {
        self.process.terminate()?;
        let status = self.process.wait(START)?;
        if status.success() {
            return Ok(());
        }
        let tail = transcript::tail(&self.said(), 8);
        Err(HarnessError::unexpected(
            "serve-boot",
            "success",
            format!("{status}{tail}"),
        ))
    }

    fn said(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }
}
