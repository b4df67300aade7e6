//! Host programs that make a part of a boot medium: runs them, or names the package that has them.

use std::ffi::OsStr;
use std::io;
use std::process::{Command, Stdio};

/// 1980-01-01, the first day that FAT has: the time on everything that is made.
pub const EPOCH_SECONDS: &str = "315532800";

/// Why a part was not made.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)] // the fields name themselves
pub enum ToolError {
    /// A program is not installed.
    #[error("{program} is not installed (Debian: {package})")]
    Missing {
        program: &'static str,
        /// The Debian package with the tool.
        package: &'static str,
    },
    /// The program does not run.
    #[error("running {program}")]
    Run {
        program: &'static str,
        source: io::Error,
    },
    /// It ran and failed.
    #[error("{program} failed: {text}")]
    Failed {
        program: &'static str,
        /// The tool's standard error.
        text: String,
    },
}

/// A program of the host, with nothing of the host's clock and language.
#[derive(Debug)]
pub struct Tool {
    program: &'static str,
    package: &'static str,
    command: Command,
}

impl Tool {
    /// `program`, which Debian's `package` has.
    #[must_use]
    pub fn new(program: &'static str, package: &'static str) -> Self {
        let mut command = Command::new(program);
        command
            .env("SOURCE_DATE_EPOCH", EPOCH_SECONDS)
            .env("TZ", "UTC")
            .env("LC_ALL", "C.UTF-8")
            .stdin(Stdio::null());
        Self {
            program,
            package,
            command,
        }
    }

    /// One more argument.
    #[must_use]
    pub fn arg(mut self, argument: impl AsRef<OsStr>) -> Self {
        self.command.arg(argument);
        self
    }

    /// More arguments.
    #[must_use]
    pub fn args<A: AsRef<OsStr>>(mut self, arguments: impl IntoIterator<Item = A>) -> Self {
        self.command.args(arguments);
        self
    }

    /// Sees it succeed.
    ///
    /// # Errors
    /// It is not there, or it failed; then what it said is in the error.
    pub fn run(mut self) -> Result<(), ToolError> {
        let Self {
            program, package, ..
        } = self;
        let output = self.command.output();
        let output = output.map_err(|source| match source.kind() {
            io::ErrorKind::NotFound => ToolError::Missing { program, package },
            _ => ToolError::Run { program, source },
        })?;
        if output.status.success() {
            return Ok(());
        }
        Err(ToolError::Failed {
            program,
            text: String::from_utf8_lossy(&output.stderr).trim().to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Tool;

    #[test]
    fn a_missing_program_names_its_package() {
        let missing = Tool::new("no-such-program", "some-package").run();
        let text = missing.unwrap_err().to_string();
        assert!(text.contains("no-such-program"), "{text}");
        assert!(text.contains("some-package"), "{text}");
    }

    #[test]
    fn a_failed_program_says_why_and_knows_no_clock() {
        let script = "echo because at $SOURCE_DATE_EPOCH $TZ >&2; exit 3";
        let failed = Tool::new("sh", "dash").args(["-c", script]).run();
        let text = failed.unwrap_err().to_string();
        assert!(text.contains("because at 315532800 UTC"), "{text}");
    }
}
