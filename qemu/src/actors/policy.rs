//! The trust policy of a scenario: how target and donor know each other, and the options of each
//! (`protocol.md` 3.1).

use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::error::{Doing, Result};

/// The policy of a scenario's targets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    /// The default.
    Secret,
    /// Keys in the image.
    Pinned,
    /// The original stream.
    Legacy,
}

impl Policy {
    /// The words of the target's kernel command line.
    #[must_use]
    pub const fn cmdline(self) -> &'static str {
        match self {
            Policy::Secret => "",
            Policy::Pinned => "smv.policy=pinned",
            Policy::Legacy => "smv.policy=legacy",
        }
    }
}

/// The code and the secret on a waiting target's screen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown {
    /// Its name.
    pub code: String,
    /// Only under [`Policy::Secret`].
    pub secret: Option<String>,
}

/// The credential that a donor is given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Credential {
    /// As it stands on a screen, or not.
    Secret(String),
    /// Several of them, each with its code.
    Secrets(Vec<(String, String)>),
    /// The donor's half of a pair of keys.
    Pinned(PathBuf),
    /// Nothing.
    Legacy,
}

impl Credential {
    /// The credential that a person in front of `shown` would take to the donor.
    #[must_use]
    pub fn of(shown: &Shown) -> Self {
        match &shown.secret {
            Some(secret) => Credential::Secret(secret.clone()),
            None => Credential::Legacy,
        }
    }

    /// Puts it into the donor's arguments; a secret goes into `file`, never on the command line.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn put(&self, command: &mut Command, file: &Path) -> Result<()> {
        let text = match self {
            Credential::Legacy => {
                command.arg("--legacy");
                return Ok(());
            }
            Credential::Pinned(keys) => {
                command.arg("--pinned").arg(keys);
                return Ok(());
            }
            Credential::Secret(secret) => format!("{secret}\n"),
            Credential::Secrets(secrets) => secrets
                .iter()
                .map(|(code, secret)| format!("{code} {secret}\n"))
                .collect(),
        };
        let mut options = std::fs::OpenOptions::new();
        options.write(true).create(true).truncate(true).mode(0o600);
        options
            .open(file)
            .and_then(|mut file| file.write_all(text.as_bytes()))
            .doing("writing", file.display())?;
        command.arg("--secret-file").arg(file);
        Ok(())
    }
}

/// Whether a word is written like a secret: `9D4T-X2WM-7`.
#[must_use]
pub fn is_secret(word: &str) -> bool {
    word.len() == 11
        && word.bytes().enumerate().all(|(at, byte)| match at {
            4 | 9 => byte == b'-',
            _ => byte.is_ascii_digit() || byte.is_ascii_uppercase(),
        })
}

/// The secret in what a console printed: `9D4T-X2WM-7` behind the word, the last one shown. A line
/// of the kernel's log may stand in the middle of it: the kernel writes to a serial line whenever
/// it likes, also while a terminal's text is on its way out.
#[must_use]
pub fn secret_in(text: &str) -> Option<String> {
    whole_secret_in(text).or_else(|| whole_secret_in(&without_log_lines(text)))
}

/// The text without the lines of our log, wherever they begin.
fn without_log_lines(text: &str) -> String {
    let mut left = String::new();
    let mut rest = text;
    while let Some((before, behind)) = rest.split_once("smv ") {
        let is_stage = |word: &str| word.bytes().all(|byte| byte.is_ascii_lowercase());
        let is_line = behind
            .split_once(": ")
            .is_some_and(|(word, _)| is_stage(word));
        match (is_line, behind.split_once('\n')) {
            (true, Some((_, next))) => {
                left.push_str(without_time(before));
                rest = next;
            }
            _ => {
                left.push_str(before);
                left.push_str("smv ");
                rest = behind;
            }
        }
    }
    left + rest
}

/// Without the kernel's `[   12.799141] ` at the end.
fn without_time(text: &str) -> &str {
    let time = text
        .strip_suffix("] ")
        .and_then(|text| text.rsplit_once('['));
    let is_time = |text: &str| {
        text.bytes()
            .all(|byte| matches!(byte, b' ' | b'.' | b'0'..=b'9'))
    };
    match time {
        Some((before, time)) if is_time(time) => before,
        _ => text,
    }
}

fn whole_secret_in(text: &str) -> Option<String> {
    let mut found = None;
    for (at, word) in text.match_indices("secret ") {
        let rest = text.get(at + word.len()..).unwrap_or_default();
        let shown: String = rest.chars().take(11).collect();
        if is_secret(&shown) {
            found = Some(shown);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::secret_in;

    #[test]
    fn the_secret_is_distinguished_from_its_label() {
        let console = "smv waiting: code=e13gts2 policy=secret disk=/dev/vda\n  code   e13gts2\n  secret 9D4T-X2WM-7\n";
        assert_eq!(secret_in(console).as_deref(), Some("9D4T-X2WM-7"));
        let again = format!("{console}  secret 0000-0000-0\n");
        assert_eq!(secret_in(&again).as_deref(), Some("0000-0000-0"));
        // As it came from a machine.
        let torn = "  code   hak58yf\n  secsmv network: if=eth0 addr=10.9.0.14/24 gw=10.9.0.1 \
                    mac=52:54:00:09:00:05\nret CA3J-PZ30-A\n";
        assert_eq!(secret_in(torn).as_deref(), Some("CA3J-PZ30-A"));
        let torn = "  secret CA3J-P[   12.799141] smv network: if=eth0 link=up\nZ30-A\n";
        assert_eq!(secret_in(torn).as_deref(), Some("CA3J-PZ30-A"));
        for none in [
            "policy=secret disk",
            "  secret 9D4T-X2WM",
            "secret of this screen",
            "",
        ] {
            assert_eq!(secret_in(none), None, "{none}");
        }
    }
}
