//! Arguments in, one [`Command`] out, or which argument is wrong. Each command has its options and
//! its help text in a file of its own.

pub mod deploy;
pub mod keys;
pub mod manifest;
pub mod package;
pub mod receive;
pub mod serve;

use std::ffi::OsString;
use std::fmt;

use lexopt::{Arg, Parser, ValueExt};
use thiserror::Error;
use wire::code::CodeError;

pub use self::deploy::Deploy;
pub use self::receive::Receive;
pub use self::serve::Serve;
use crate::help;
use donor::keys::KeysCommand;
use pack::manifest::ManifestCommand;

/// What to do.
#[derive(Debug, PartialEq)]
pub enum Command {
    /// Print this.
    Print(String),
    /// `deploy-system-img-copy`.
    Deploy(Deploy),
    /// `receive-deploy`.
    Receive(Receive),
    /// `serve-boot`.
    Serve(Serve),
    /// `package`.
    Package(package::Package),
    /// `keys`.
    Keys(KeysCommand),
    /// `manifest`.
    Manifest(ManifestCommand),
    /// A command that exists to be refused.
    Refused(Sealed),
}

/// Why a command is refused, always.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sealed {
    /// `system-install`, `userland-install`.
    Install,
    /// `entire-system-upgrade`.
    Upgrade,
}

impl fmt::Display for Sealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Sealed::Install => "the node is sealed: nothing is installed into a running system; use entire-system-upgrade",
            Sealed::Upgrade => "entire-system-upgrade is not in this version; boot the Deploy Shim and deploy again",
        })
    }
}

/// Which argument is wrong.
#[derive(Debug, Error)]
#[allow(missing_docs)] // the fields name themselves
pub enum UsageError {
    /// No command at all.
    #[error("no command given; see spk-visor help")]
    NoCommand,
    /// An unknown one.
    #[error("unknown command {0:?}; see spk-visor help")]
    UnknownCommand(OsString),
    /// An option or value that does not belong.
    #[error("reading the arguments of {command}; see spk-visor {command} --help")]
    Arguments {
        /// Of which command.
        command: &'static str,
        #[source]
        /// Which argument.
        source: lexopt::Error,
    },
    /// Something needed is not there.
    #[error("{command} needs {what}; see spk-visor {command} --help")]
    Missing {
        /// Which command.
        command: &'static str,
        /// What it needs.
        what: &'static str,
    },
    /// The code is malformed.
    #[error("reading the code {text:?}")]
    Code {
        /// As typed.
        text: String,
        source: CodeError,
    },
    /// Options that exclude each other, or one that means nothing without another.
    #[error("{what}; see spk-visor {command} --help")]
    Together {
        /// Which command.
        command: &'static str,
        /// Which options, and why not.
        what: &'static str,
    },
    /// The value of an option is not what it must be.
    #[error("{option} {text:?} is no {wanted}")]
    Value {
        /// With its dashes.
        option: &'static str,
        /// As typed.
        text: String,
        /// What it must be.
        wanted: &'static str,
    },
}

/// Reads the arguments after the program's name.
///
/// # Errors
/// The first one that makes no sense.
pub fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Command, UsageError> {
    let mut parser = Parser::from_args(args);
    let word = match next(&mut parser, "help")? {
        None => return Err(UsageError::NoCommand),
        Some(Argument::Help) => OsString::from("help"),
        Some(Argument::Option(name)) if name == "version" => OsString::from(name),
        Some(Argument::Option(name)) => {
            return Err(UsageError::UnknownCommand(format!("--{name}").into()));
        }
        Some(Argument::Value(word)) => word,
    };
    match word.to_str() {
        Some("help") => print_only(&mut parser, "help", help::overview()),
        Some("about") => print_only(&mut parser, "about", help::about()),
        Some("version") => print_only(&mut parser, "version", help::version()),
        Some(deploy::COMMAND | deploy::SHORT) => deploy::parse(&mut parser),
        Some(receive::COMMAND) => receive::parse(&mut parser),
        Some(serve::COMMAND) => serve::parse(&mut parser),
        Some(keys::COMMAND) => keys::parse(&mut parser),
        Some(manifest::COMMAND) => manifest::parse(&mut parser),
        Some(package::COMMAND) => package::parse(&mut parser),
        Some("system-install" | "userland-install") => {
            Ok(refused(&mut parser, Sealed::Install, help::sealed()))
        }
        Some("entire-system-upgrade") => Ok(refused(&mut parser, Sealed::Upgrade, help::upgrade())),
        _ => Err(UsageError::UnknownCommand(word)),
    }
}

/// An argument that no longer borrows the parser.
enum Argument {
    Help,
    Option(String),
    Value(OsString),
}

fn next(parser: &mut Parser, command: &'static str) -> Result<Option<Argument>, UsageError> {
    Ok(
        match parser
            .next()
            .map_err(|source| UsageError::Arguments { command, source })?
        {
            None => None,
            Some(Arg::Short('h') | Arg::Long("help")) => Some(Argument::Help),
            Some(Arg::Short(letter)) => Some(Argument::Option(letter.to_string())),
            Some(Arg::Long(name)) => Some(Argument::Option(name.to_owned())),
            Some(Arg::Value(value)) => Some(Argument::Value(value)),
        },
    )
}

fn print_only(
    parser: &mut Parser,
    command: &'static str,
    text: String,
) -> Result<Command, UsageError> {
    match next(parser, command)? {
        None | Some(Argument::Help) => Ok(Command::Print(text)),
        Some(other) => Err(unexpected(command, other)),
    }
}

/// Whatever the arguments are, they do not help; only `--help` explains.
fn refused(parser: &mut Parser, sealed: Sealed, text: String) -> Command {
    while let Ok(Some(argument)) = next(parser, "this command") {
        if matches!(argument, Argument::Help) {
            return Command::Print(text);
        }
    }
    Command::Refused(sealed)
}

fn value(parser: &mut Parser, command: &'static str) -> Result<OsString, UsageError> {
    parser
        .value()
        .map_err(|source| UsageError::Arguments { command, source })
}

fn text(parser: &mut Parser, command: &'static str) -> Result<String, UsageError> {
    value(parser, command)?
        .string()
        .map_err(|source| UsageError::Arguments { command, source })
}

fn unexpected(command: &'static str, argument: Argument) -> UsageError {
    let source = match argument {
        Argument::Help => lexopt::Error::UnexpectedOption("--help".into()),
        Argument::Option(name) if name.chars().count() == 1 => {
            lexopt::Error::UnexpectedOption(format!("-{name}"))
        }
        Argument::Option(name) => lexopt::Error::UnexpectedOption(format!("--{name}")),
        Argument::Value(value) => lexopt::Error::UnexpectedArgument(value),
    };
    UsageError::Arguments { command, source }
}

#[cfg(test)]
mod tests;
