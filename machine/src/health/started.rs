//! Whether init has finished starting, for the three that images have.
//!
//! systemd says so itself, and a system with a failed unit counts: the gates say what matters.
//! OpenRC lists what it is starting. busybox init has run everything that it waits for before it
//! starts what does not end.

use std::fs;
use std::io;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use thiserror::Error;

use crate::children::run_group;

const SYSTEMD: &str = "run/systemd/system";
const OPENRC: &str = "run/openrc";
const LIMIT: Duration = Duration::from_secs(10);

/// init is still starting, or does not say.
#[derive(Debug, Error)]
pub enum StartedError {
    /// `systemctl is-system-running`.
    #[error("systemd is {state:?}")]
    Systemd {
        /// Its word.
        state: String,
    },
    /// No answer.
    #[error("asking systemd how far it is")]
    Ask(#[source] io::Error),
    /// `/run/openrc/starting` has entries.
    #[error("OpenRC is still starting {name}")]
    OpenRc {
        /// A service.
        name: String,
    },
    /// `/run/openrc/softlevel` is one of those before.
    #[error("OpenRC is in the runlevel {level:?}")]
    RunLevel {
        /// Its name.
        level: String,
    },
}

/// Asks the init of the system at `root`, `/` in a real one.
///
/// # Errors
/// See [`StartedError`].
pub fn must_have_started(root: &Path) -> Result<(), StartedError> {
    if root.join(SYSTEMD).exists() {
        let mut ask = Command::new("systemctl");
        let answer = run_group(ask.arg("is-system-running"), LIMIT).map_err(StartedError::Ask)?;
        return systemd(&String::from_utf8_lossy(&answer.said));
    }
    let openrc = root.join(OPENRC);
    match openrc.exists() {
        true => has_openrc_started(&openrc),
        false => Ok(()),
    }
}

/// systemctl(1), "is-system-running".
fn systemd(said: &str) -> Result<(), StartedError> {
    match said.trim() {
        "running" | "degraded" => Ok(()),
        other => Err(StartedError::Systemd {
            state: other.chars().take(80).collect(),
        }),
    }
}

fn has_openrc_started(openrc: &Path) -> Result<(), StartedError> {
    let level = fs::read_to_string(openrc.join("softlevel")).unwrap_or_default();
    let level = level.trim();
    if matches!(level, "" | "sysinit" | "boot") {
        return Err(StartedError::RunLevel {
            level: level.to_owned(),
        });
    }
    let starting = fs::read_dir(openrc.join("starting")).into_iter().flatten();
    match starting.flatten().next() {
        Some(entry) => Err(StartedError::OpenRc {
            name: entry.file_name().display().to_string(),
        }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::{must_have_started, systemd};
    use std::fs;

    #[test]
    fn systemd_has_started_with_or_without_failed_units() {
        for (said, expected) in [
            ("running\n", true),
            ("degraded\n", true),
            ("starting\n", false),
            ("initializing\n", false),
            ("maintenance\n", false),
            ("stopping\n", false),
            ("", false),
        ] {
            assert_eq!(systemd(said).is_ok(), expected, "{said}");
        }
    }

    #[test]
    fn openrc_has_started_when_nothing_starts_in_a_late_runlevel() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        must_have_started(root).unwrap(); // busybox init
        let openrc = root.join("run/openrc");
        fs::create_dir_all(openrc.join("starting")).unwrap();
        let error = |root| must_have_started(root).unwrap_err().to_string();
        assert_eq!(error(root), "OpenRC is in the runlevel \"\"");
        fs::write(openrc.join("softlevel"), "default\n").unwrap();
        must_have_started(root).unwrap();
        fs::write(openrc.join("starting/sshd"), "").unwrap();
        assert_eq!(error(root), "OpenRC is still starting sshd");
        fs::write(openrc.join("softlevel"), "boot").unwrap();
        assert_eq!(error(root), "OpenRC is in the runlevel \"boot\"");
    }
}
