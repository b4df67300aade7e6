//! Errors in the arguments, each in one line.

use clap::error::{ContextKind, ContextValue};
use fetch::source::SourceError;
use thiserror::Error;

/// An error in the arguments.
#[derive(Debug, Error)]
#[allow(missing_docs)] // the fields name themselves
pub enum UsageError {
    /// No command at all.
    #[error("no command given; see spk-visor help")]
    NoCommand,
    /// One that the grammar does not know, or whose value is not what it must be.
    #[error("{}; see spk-visor {help}", one_line(.error))]
    Arguments {
        /// How to ask for the help of the command.
        help: String,
        /// The error of the parser.
        error: clap::Error,
    },
    /// Something needed is not there.
    #[error("{command} needs {what}; see spk-visor {command} --help")]
    Missing {
        /// The command.
        command: &'static str,
        /// The missing argument.
        what: &'static str,
    },
    /// Options that exclude each other, or one that means nothing without another.
    #[error("{what}; see spk-visor {command} --help")]
    Together {
        /// The command.
        command: &'static str,
        /// The options, and the reason.
        what: &'static str,
    },
    /// A SOURCE of no known form.
    #[error(transparent)]
    Source(#[from] SourceError),
}

/// The first paragraph of clap's message, and its suggestion.
fn one_line(error: &clap::Error) -> String {
    let text = error.to_string();
    let lines = text.lines().take_while(|line| !line.is_empty());
    let line = lines.map(str::trim).collect::<Vec<_>>().join(" ");
    let line = line.strip_prefix("error: ").unwrap_or(&line);
    let mut line = match line.strip_prefix("unrecognized subcommand") {
        Some(word) => format!("unrecognized command{word}"),
        None => line.to_owned(),
    };
    let suggestions = [
        ContextKind::SuggestedSubcommand,
        ContextKind::SuggestedArg,
        ContextKind::SuggestedValue,
    ];
    for kind in suggestions {
        let meant = match error.get(kind) {
            Some(ContextValue::String(meant)) => meant.clone(),
            Some(ContextValue::Strings(meant)) => meant.join(" or "),
            _ => continue,
        };
        line = format!("{line} (did you mean {meant}?)");
    }
    line
}
