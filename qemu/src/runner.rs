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

/// What a kernel says when a timer of one of its processors no longer fires. TCG with a thread for
/// each processor loses one now and then, about once in a thousand machines: no program of the
/// machine can do that, so the scenario says nothing about the product and runs once more.
const LOST_TIMER: &str = "kthread timer wakeup didn't happen";

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
        if let Some(passed) = self.attempt(scenario, &dir, true) {
            return passed;
        }
        let kept = dir.with_extension("lost-timer");
        // The second attempt decides, whether the logs of the first one can be kept or not.
        let _ = std::fs::remove_dir_all(&kept);
        let _ = std::fs::rename(&dir, &kept);
        self.attempt(scenario, &dir, false).unwrap_or(false)
    }

    /// `None`: it failed because the emulator lost a timer, and `may_repeat`.
    fn attempt(&self, scenario: &Scenario, dir: &Path, may_repeat: bool) -> Option<bool> {
        let began = Instant::now();
        let log = dir.join("result.log");
        let ended = self
            .start(scenario, dir, &log)
            .and_then(|mut process| process.wait(LIMIT));
        let passed = matches!(&ended, Ok(status) if status.success());
        let is_repeated = !passed && may_repeat && has_lost_timer(dir);
        let word = match (passed, is_repeated) {
            (true, _) => "passed",
            (false, true) => "again",
            (false, false) => "FAILED",
        };
        let mut text = format!(
            "{word:6}  {:24} {:6.1} s  {}\n",
            scenario.name,
            began.elapsed().as_secs_f64(),
            scenario.about
        );
        match &ended {
            Ok(_) if passed => discard_images(dir),
            _ if is_repeated => text.push_str("  the emulator lost a timer of a machine\n"),
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
        (!is_repeated).then_some(passed)
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

/// The kernel of one of the machines says so.
fn has_lost_timer(dir: &Path) -> bool {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    let mut logs = entries
        .map(|entry| entry.path())
        .filter(|path| path.to_string_lossy().ends_with(".console.log"));
    logs.any(|log| {
        let said = std::fs::read(log).unwrap_or_default();
        String::from_utf8_lossy(&said).contains(LOST_TIMER)
    })
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

#[cfg(test)]
mod tests {
    use super::has_lost_timer;

    #[test]
    fn only_a_kernel_whose_timer_is_lost_is_excused() {
        let dir = std::env::temp_dir().join(format!("qemu-runner-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let say = |name: &str, text: &str| std::fs::write(dir.join(name), text).unwrap();
        say(
            "target.console.log",
            "rcu: Hierarchical RCU implementation.\nKernel panic\n",
        );
        say(
            "donor-1.log",
            "rcu_sched kthread timer wakeup didn't happen",
        );
        assert!(!has_lost_timer(&dir));
        let line = "rcu: rcu_sched kthread timer wakeup didn't happen for 5241 jiffies! g-1143";
        say("target.console.log", line);
        assert!(has_lost_timer(&dir));
        std::fs::remove_dir_all(&dir).unwrap();
    }
}
