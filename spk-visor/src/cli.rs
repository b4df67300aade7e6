//! Arguments in, one [`Command`] out, or which argument is wrong.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use lexopt::{Arg, Parser, ValueExt};
use thiserror::Error;
use wire::code::{Code, CodeError};
use wire::{BEACON_PORT, STREAM_PORT};

use crate::help;

/// Where a donor looks for packages.
pub const PACKAGES_DIR: &str = "/var/lib/spk-visor/packages";
/// How long a donor listens for a code.
pub const LISTEN_TIMEOUT: Duration = Duration::from_secs(60);
/// Longest time anybody may ask for: a day.
const LISTEN_MAX_SECONDS: u64 = 86_400;

/// What to do.
#[derive(Debug, PartialEq)]
pub enum Command {
    /// Print this.
    Print(String),
    /// `deploy-system-img-copy`.
    Deploy(Deploy),
    /// `receive-deploy`.
    Receive(Receive),
    /// A command that exists to be refused.
    Refused(Sealed),
}

/// What `deploy-system-img-copy` was told.
#[derive(Clone, Debug, PartialEq)]
pub struct Deploy {
    /// On the target's screen.
    pub code: Code,
    /// The person knows that nothing is authenticated.
    pub is_legacy: bool,
    /// Where the packages are.
    pub packages: PathBuf,
    /// Connect here instead of listening.
    pub to: Option<SocketAddr>,
    /// Listen and connect here only.
    pub interface: Option<String>,
    /// How long to listen.
    pub timeout: Duration,
    /// Where beacons arrive.
    pub beacon_port: u16,
    /// Where targets listen.
    pub stream_port: u16,
}

/// What `receive-deploy` was told.
#[derive(Clone, Debug, PartialEq)]
pub struct Receive {
    /// A block device, a serial number, or a file.
    pub disk: String,
    /// The person knows that nothing is authenticated.
    pub is_legacy: bool,
    /// Confirms that what is on the disk may go.
    pub wipe: Option<String>,
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
    /// The code is none.
    #[error("reading the code {text:?}")]
    Code {
        /// As typed.
        text: String,
        /// Why.
        source: CodeError,
    },
    /// Not an address.
    #[error("--to {0:?} is no ADDR or ADDR:PORT; an address is made of numbers, like 192.0.2.7")]
    To(String),
    /// Not a time.
    #[error("--timeout {0:?} is no number of seconds from 1 to {LISTEN_MAX_SECONDS}")]
    Timeout(String),
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
        Some("deploy-system-img-copy") => deploy(&mut parser),
        Some("receive-deploy") => receive(&mut parser),
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

fn deploy(parser: &mut Parser) -> Result<Command, UsageError> {
    const COMMAND: &str = "deploy-system-img-copy";
    let mut code = None;
    let mut options = Deploy {
        code: Code::draw([0; 7]), // replaced below by the one that was typed
        is_legacy: false,
        packages: PathBuf::from(PACKAGES_DIR),
        to: None,
        interface: None,
        timeout: LISTEN_TIMEOUT,
        beacon_port: BEACON_PORT,
        stream_port: STREAM_PORT,
    };
    while let Some(argument) = next(parser, COMMAND)? {
        match argument {
            Argument::Help => return Ok(Command::Print(help::deploy())),
            Argument::Value(value) if code.is_none() => code = Some(read_code(&value)?),
            Argument::Option(name) => match name.as_str() {
                "legacy" => options.is_legacy = true,
                "packages" => options.packages = value(parser, COMMAND)?.into(),
                "to" => options.to = Some(read_address(&text(parser, COMMAND)?)?),
                "interface" => options.interface = Some(text(parser, COMMAND)?),
                "timeout" => options.timeout = read_timeout(&text(parser, COMMAND)?)?,
                _ => return Err(unexpected(COMMAND, Argument::Option(name))),
            },
            other => return Err(unexpected(COMMAND, other)),
        }
    }
    options.code = code.ok_or(UsageError::Missing {
        command: COMMAND,
        what: "the CODE on the target's screen",
    })?;
    Ok(Command::Deploy(options))
}

fn receive(parser: &mut Parser) -> Result<Command, UsageError> {
    const COMMAND: &str = "receive-deploy";
    let (mut disk, mut is_legacy, mut wipe) = (None, false, None);
    while let Some(argument) = next(parser, COMMAND)? {
        match argument {
            Argument::Help => return Ok(Command::Print(help::receive())),
            Argument::Option(name) => match name.as_str() {
                "disk" => disk = Some(text(parser, COMMAND)?),
                "legacy" => is_legacy = true,
                "wipe" => wipe = Some(text(parser, COMMAND)?),
                _ => return Err(unexpected(COMMAND, Argument::Option(name))),
            },
            other @ Argument::Value(_) => return Err(unexpected(COMMAND, other)),
        }
    }
    let disk = disk.ok_or(UsageError::Missing {
        command: COMMAND,
        what: "--disk DEV|FILE",
    })?;
    Ok(Command::Receive(Receive {
        disk,
        is_legacy,
        wipe,
    }))
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

fn read_code(typed: &OsStr) -> Result<Code, UsageError> {
    let text = typed.to_string_lossy().into_owned();
    Code::parse(&text).map_err(|source| UsageError::Code { text, source })
}

fn read_address(text: &str) -> Result<SocketAddr, UsageError> {
    let with_port = || {
        text.parse()
            .map(|addr: IpAddr| SocketAddr::new(addr, STREAM_PORT))
    };
    text.parse()
        .or_else(|_| with_port())
        .map_err(|_| UsageError::To(text.to_owned()))
}

fn read_timeout(text: &str) -> Result<Duration, UsageError> {
    let seconds = text
        .parse()
        .ok()
        .filter(|seconds| (1..=LISTEN_MAX_SECONDS).contains(seconds));
    seconds
        .map(Duration::from_secs)
        .ok_or_else(|| UsageError::Timeout(text.to_owned()))
}

#[cfg(test)]
mod tests;
