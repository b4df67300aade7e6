//! The settings of a node for updates (`update.md` 3): lines of `KEY=VALUE`, blank ones, and
//! comments behind `#`, in a file of the node or else of its image.
//!
//! In: the text of the file. Out: [`Settings`], or the line that is wrong. An unknown key is an
//! error: a setting that was meant and misspelt would not hold.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use thiserror::Error;

use crate::health::Times;
use crate::health::answer::Url;

/// The file of a node, and that of its image: the first that is there counts, alone.
pub const PATHS: [&str; 2] = ["/etc/smechvisor/update", "/usr/lib/smechvisor/update"];
/// A day.
const SECONDS_MAX: u64 = 24 * 60 * 60;

/// What is set, and what holds where nothing is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// `watchdog=required` or `optional`: whether a trial is armed without one.
    pub needs_watchdog: bool,
    /// `confirm-within=` and `stable=`, in seconds.
    pub times: Times,
    /// `health=URL`: what is asked of the daemon.
    pub daemon: Option<Url>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            needs_watchdog: true,
            times: Times {
                within: Duration::from_secs(600),
                stable: Duration::from_secs(120),
            },
            daemon: None,
        }
    }
}

/// The settings cannot be used.
#[derive(Debug, Error)]
#[allow(missing_docs)] // the fields name themselves
pub enum SettingsError {
    /// Not its absence, which is no error.
    #[error("reading {}", path.display())]
    Read {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    /// A line is wrong.
    #[error("line {line} of {}: {fault}", path.display())]
    Line {
        path: PathBuf,
        /// From 1.
        line: usize,
        fault: Fault,
    },
}

/// What is wrong with a line.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Fault {
    /// No `=`.
    #[error("expected KEY=VALUE, found {0:?}")]
    Form(String),
    /// A key that nobody reads.
    #[error("there is no setting {0:?}; the settings are watchdog, confirm-within, stable, health")]
    Unknown(String),
    /// Which of them counts?
    #[error("{0:?} is set a second time")]
    Twice(String),
    /// Another value.
    #[error("{key}={found:?}: expected {expected}")]
    Value {
        /// Which one.
        key: &'static str,
        /// What stands there.
        found: String,
        /// What may stand there.
        expected: &'static str,
    },
}

impl Settings {
    /// Those of the first of these files that is there; the usual ones when there is none.
    ///
    /// # Errors
    /// See [`SettingsError`].
    pub fn read(paths: &[PathBuf]) -> Result<Self, SettingsError> {
        for path in paths {
            match fs::read_to_string(path) {
                Ok(text) => return Self::parse_file(&text, path),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(source) => {
                    let path = path.clone();
                    return Err(SettingsError::Read { path, source });
                }
            }
        }
        Ok(Self::default())
    }

    fn parse_file(text: &str, path: &Path) -> Result<Self, SettingsError> {
        Self::parse(text).map_err(|(line, fault)| SettingsError::Line {
            path: path.to_owned(),
            line,
            fault,
        })
    }

    /// Those of a text.
    ///
    /// # Errors
    /// The number of the first line that is wrong, and what is.
    pub fn parse(text: &str) -> Result<Self, (usize, Fault)> {
        let mut settings = Self::default();
        let mut seen = Vec::new();
        for (number, line) in (1..).zip(text.lines()) {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            settings
                .set(line, &mut seen)
                .map_err(|fault| (number, fault))?;
        }
        Ok(settings)
    }

    fn set(&mut self, line: &str, seen: &mut Vec<String>) -> Result<(), Fault> {
        let form = || Fault::Form(shown(line));
        let (key, value) = line.split_once('=').ok_or_else(form)?;
        let (key, value) = (key.trim_end(), value.trim_start());
        if seen.iter().any(|seen| seen == key) {
            return Err(Fault::Twice(shown(key)));
        }
        seen.push(key.to_owned());
        match key {
            "watchdog" => {
                self.needs_watchdog = match value {
                    "required" => true,
                    "optional" => false,
                    _ => return Err(fault("watchdog", value, "required or optional")),
                };
            }
            "confirm-within" => self.times.within = seconds("confirm-within", value)?,
            "stable" => self.times.stable = seconds("stable", value)?,
            "health" => {
                let expected = "a URL such as http://127.0.0.1:8080/health";
                let url = value
                    .parse()
                    .map_err(|_| fault("health", value, expected))?;
                self.daemon = Some(url);
            }
            _ => return Err(Fault::Unknown(shown(key))),
        }
        Ok(())
    }
}

fn seconds(key: &'static str, value: &str) -> Result<Duration, Fault> {
    let is_plain = value.bytes().all(|byte| byte.is_ascii_digit()); // `parse` takes a plus sign
    let number = is_plain.then(|| value.parse().ok()).flatten();
    let number = number.filter(|seconds| *seconds <= SECONDS_MAX);
    let expected = "seconds from 0 to 86400, such as 600";
    number
        .map(Duration::from_secs)
        .ok_or_else(|| fault(key, value, expected))
}

fn fault(key: &'static str, found: &str, expected: &'static str) -> Fault {
    Fault::Value {
        key,
        found: shown(found),
        expected,
    }
}

/// As much as a line of an error has room for.
fn shown(text: &str) -> String {
    text.chars().take(60).collect()
}

#[cfg(test)]
mod tests {
    use super::{Fault, Settings, SettingsError};
    use std::fs;
    use std::time::Duration;

    #[test]
    fn everything_is_set_and_what_is_not_is_as_usual() {
        assert_eq!(Settings::parse(""), Ok(Settings::default()));
        let text = "# of this node\n\nwatchdog=optional\nconfirm-within = 30\n stable=2\n\
                    health=http://127.0.0.1:8080/health\n";
        let settings = Settings::parse(text).unwrap();
        assert!(!settings.needs_watchdog);
        assert_eq!(settings.times.within, Duration::from_secs(30));
        assert_eq!(settings.times.stable, Duration::from_secs(2));
        let url = settings.daemon.unwrap().to_string();
        assert_eq!(url, "http://127.0.0.1:8080/health");
    }

    #[test]
    fn what_is_not_understood_is_named_with_its_line() {
        let unknown = Fault::Unknown("watchdogs".into());
        assert_eq!(Settings::parse("\nwatchdogs=x"), Err((2, unknown)));
        let form = Fault::Form("watchdog optional".into());
        assert_eq!(Settings::parse("watchdog optional"), Err((1, form)));
        let twice = Fault::Twice("stable".into());
        assert_eq!(Settings::parse("stable=1\nstable=1"), Err((2, twice)));
        for line in [
            "watchdog=",
            "watchdog=no",
            "stable=-1",
            "stable=+1",
            "stable=1s",
            "stable=86401",
            "stable=99999999999999999999",
            "confirm-within=",
            "health=https://a/",
            "health=",
        ] {
            let error = Settings::parse(line).unwrap_err();
            assert!(matches!(error, (1, Fault::Value { .. })), "{line}");
        }
    }

    #[test]
    fn the_nodes_file_stands_for_the_images_and_without_both_all_is_as_usual() {
        let dir = tempfile::tempdir().unwrap();
        let [node, image] = ["node", "image"].map(|name| dir.path().join(name));
        let paths = [node.clone(), image.clone()];
        assert_eq!(Settings::read(&paths).unwrap(), Settings::default());
        fs::write(&image, "stable=7\nwatchdog=optional\n").unwrap();
        let settings = Settings::read(&paths).unwrap();
        assert_eq!(settings.times.stable, Duration::from_secs(7));
        fs::write(&node, "stable=8\n").unwrap();
        let settings = Settings::read(&paths).unwrap();
        assert_eq!(settings.times.stable, Duration::from_secs(8));
        assert!(settings.needs_watchdog, "the image's file does not count");
        fs::write(&node, "stable=x\n").unwrap();
        let error = Settings::read(&paths).unwrap_err().to_string();
        let expected = "stable=\"x\": expected seconds from 0 to 86400, such as 600";
        assert_eq!(error, format!("line 1 of {}: {expected}", node.display()));
        let error = Settings::read(&["/".into()]).unwrap_err();
        assert!(matches!(error, SettingsError::Read { .. }));
    }
}
