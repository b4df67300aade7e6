//! Runs scenarios side by side, each as a child of this process in name spaces of its own, and sums
//! up.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use wire::chain::chain;

use crate::artifacts::Artifacts;
use crate::error::{Doing, Result};
use crate::eyes::transcript;
use crate::machine::accel::Accel;
use crate::process::Process;
use crate::scenarios::Scenario;

/// No scenario takes this long; one that does hangs in something that has no deadline.
const LIMIT: Duration = Duration::from_secs(25 * 60);

/// The state that the scenarios share.
#[derive(Debug)]
pub struct Run {
    /// The product.
    pub artifacts: Artifacts,
    /// How machines run.
    pub accel: Accel,
    /// A directory for each scenario is made here.
    pub work: PathBuf,
    /// Scenarios at the same time.
    pub jobs: usize,
}

/// How many did what.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tally {
    /// As they should.
    pub passed: usize,
    /// Otherwise.
    pub failed: usize,
}

impl Run {
    /// Runs all of `scenarios` and prints a line for each when it ends.
    #[must_use]
    pub fn all(&self, scenarios: &[&'static Scenario]) -> Tally {
        let queue = Mutex::new(scenarios.iter());
        let tally = Mutex::new(Tally::default());
        std::thread::scope(|scope| {
            for _ in 0..self.jobs.clamp(1, scenarios.len().max(1)) {
                scope.spawn(|| {
                    loop {
                        let next = queue.lock().unwrap_or_else(PoisonError::into_inner).next();
                        let Some(scenario) = next else { return };
                        let passed = self.one(scenario);
                        let mut tally = tally.lock().unwrap_or_else(PoisonError::into_inner);
                        if passed {
                            tally.passed += 1
                        } else {
                            tally.failed += 1
                        }
                    }
                });
            }
        });
        tally.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    fn one(&self, scenario: &Scenario) -> bool {
        let dir = self.work.join(scenario.name);
        let began = Instant::now();
        let log = dir.join("result.log");
        let ended = self
            .start(scenario, &dir, &log)
            .and_then(|mut process| process.wait(LIMIT));
        let passed = matches!(&ended, Ok(status) if status.success());
        let word = if passed { "passed" } else { "FAILED" };
        let mut text = format!(
            "{word}  {:24} {:6.1} s  {}\n",
            scenario.name,
            began.elapsed().as_secs_f64(),
            scenario.about
        );
        match &ended {
            Ok(_) if passed => discard_images(&dir),
            Ok(_) => {
                let said = std::fs::read_to_string(&log).unwrap_or_default();
                text.push_str(&format!(
                    "{}\n  logs: {}\n",
                    transcript::tail(&said, 40).trim_start_matches('\n'),
                    dir.display()
                ));
            }
            Err(error) => text.push_str(&format!("  {}\n", chain(error))),
        }
        // One write, so that lines of scenarios that end together stay whole.
        let _ = std::io::stdout().lock().write_all(text.as_bytes());
        passed
    }

    fn start(&self, scenario: &Scenario, dir: &Path, log: &Path) -> Result<Process> {
        fresh_dir(dir)?;
        let mut command = isolated()?;
        command
            .args(["scenario", scenario.name, "--accel", self.accel.name()])
            .args(self.artifacts.arguments());
        Process::spawn(scenario.name, command.current_dir(dir), log)
    }
}

/// An empty directory.
///
/// # Errors
/// The old one cannot be removed, or the new one not made.
pub fn fresh_dir(dir: &Path) -> Result<()> {
    if dir.exists() {
        std::fs::remove_dir_all(dir).doing("removing", dir.display())?;
    }
    std::fs::create_dir_all(dir).doing("making", dir.display())
}

/// This program again, as the first process of new network, process and mount name spaces (and,
/// without root, a user name space). The kernel ends everything in them when that process ends, and
/// `setpriv` and `--kill-child` end it when we do, by whatever signal: nothing is left running,
/// nothing has to be looked for.
///
/// # Errors
/// We do not know our own path.
pub fn isolated() -> Result<Command> {
    let own = std::env::current_exe().doing("asking for", "our own path")?;
    let mut command = Command::new("setpriv");
    command.args([
        "--pdeathsig",
        "KILL",
        "--",
        "unshare",
        "--net",
        "--pid",
        "--mount",
        "--fork",
        "--kill-child",
        "--mount-proc",
    ]);
    if !rustix::process::geteuid().is_root() {
        command.args(["--user", "--map-root-user"]);
    }
    command.arg("--").arg(own).stdin(Stdio::null());
    Ok(command)
}

/// Passed scenarios keep their logs, not their gigabytes.
fn discard_images(dir: &Path) {
    for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
        let path = entry.path();
        let is_image = path
            .extension()
            .is_some_and(|extension| ["img", "iso", "fd"].iter().any(|image| extension == *image));
        if is_image {
            // The next run removes what is left.
            let _ = std::fs::remove_file(&path);
        }
    }
}
