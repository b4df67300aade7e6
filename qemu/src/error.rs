//! The errors of the harness: one enum, because every caller does the same with it — print
//! the chain and end the scenario.

use std::io;
use std::process::ExitStatus;
use std::time::Duration;

use thiserror::Error;
use wire::stage::Stage;

/// The harness's result.
pub type Result<T> = std::result::Result<T, HarnessError>;

/// Why a scenario could not go on.
#[derive(Debug, Error)]
pub enum HarnessError {
    /// The host's operating system said no.
    #[error("{action} {object}")]
    Io {
        /// In the -ing form.
        action: &'static str,
        /// To what.
        object: String,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// Something awaited did not come.
    #[error("{what} did not come within {} s{tail}", patience.as_secs())]
    Deadline {
        /// The awaited text.
        what: String,
        /// For how long.
        patience: Duration,
        /// The end of the console, or nothing.
        tail: String,
    },
    /// The machine's console ended while something was awaited there.
    #[error("the console closed while {what} was awaited{tail}")]
    ConsoleClosed {
        /// The awaited text.
        what: String,
        /// The end of the console.
        tail: String,
    },
    /// The target reported a failure, or its kernel died, while something else was awaited.
    #[error("the target announced `{facts}` while {awaited} was awaited{tail}")]
    TargetFailed {
        /// The stage awaited.
        awaited: Stage,
        /// The target's reason.
        facts: String,
        /// The end of the console.
        tail: String,
    },
    /// A program of the host ended badly.
    #[error("{program} ended with {status}: {output}")]
    Program {
        /// Its command line.
        program: String,
        /// How it ended.
        status: ExitStatus,
        /// Its standard error.
        output: String,
    },
    /// QEMU refused a QMP command, or its answer is malformed.
    #[error("qmp {command}: {answer}")]
    Qmp {
        /// The command.
        command: String,
        /// QEMU's words.
        answer: String,
    },
    /// A file that should be there, made by an earlier step, is not.
    #[error("{what} is missing: {hint}")]
    Missing {
        /// The operation.
        what: String,
        /// How to get it.
        hint: String,
    },
    /// One of several machines of a scenario failed.
    #[error("the machine {part}")]
    Within {
        /// Which one.
        part: &'static str,
        /// Why.
        source: Box<HarnessError>,
    },
    /// A check did not hold.
    #[error("{object}: expected {expected}, found {found}")]
    Unexpected {
        /// The object of the comparison.
        object: String,
        /// The expected value.
        expected: String,
        /// The actual value.
        found: String,
    },
}

impl HarnessError {
    /// A failed check.
    pub fn unexpected(
        object: impl Into<String>,
        expected: impl Into<String>,
        found: impl Into<String>,
    ) -> Self {
        Self::Unexpected {
            object: object.into(),
            expected: expected.into(),
            found: found.into(),
        }
    }
}

/// Adds to an I/O error what was being done, to what.
pub trait Doing<T> {
    /// `File::open(path).doing("opening", path.display())`
    ///
    /// # Errors
    /// The same error, with its object.
    fn doing(self, action: &'static str, object: impl ToString) -> Result<T>;
}

impl<T, E: Into<io::Error>> Doing<T> for std::result::Result<T, E> {
    fn doing(self, action: &'static str, object: impl ToString) -> Result<T> {
        self.map_err(|source| HarnessError::Io {
            action,
            object: object.to_string(),
            source: source.into(),
        })
    }
}
