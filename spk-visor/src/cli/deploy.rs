//! `deploy-system-img-copy`: its options, defaults and help text.

use std::ffi::OsStr;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use lexopt::Parser;
use wire::code::Code;
use wire::{BEACON_PORT, STREAM_PORT};

use super::{Argument, Command, UsageError, next, text, unexpected, value};
use crate::help::with_exit_codes;

/// As it is typed.
pub const COMMAND: &str = "deploy-system-img-copy";
/// Where a donor looks for packages.
pub const PACKAGES_DIR: &str = "/var/lib/spk-visor/packages";
/// How long a donor listens for a code.
pub const LISTEN_TIMEOUT: Duration = Duration::from_secs(60);
/// Longest time anybody may ask for: a day.
const LISTEN_MAX_SECONDS: u64 = 86_400;

const HELP: &str = "\
Usage: spk-visor deploy-system-img-copy CODE --legacy [OPTIONS]

Listens for the machine that shows CODE, connects to it and sends every package.

  CODE                 the seven characters on its screen
  --legacy             speak the original stream: NEITHER AUTHENTICATED NOR ENCRYPTED. Whoever is on the network
                       may pose as the target or read along. The target must have been told smv.policy=legacy.
                       Needed: the authenticated session is not in this version.
  --packages DIR       send *.tar.xz and *.tar.zst of DIR (default /var/lib/spk-visor/packages);
                       smechvisor-base first, the others by name
  --to ADDR[:PORT]     do not listen for the code, connect there (default port 9192)
  --interface IF       listen and connect on this network interface only
  --timeout SECONDS    listen for the code at most this long (default 60)
  --help               this text

The target has installed everything when this command says so and ends with 0. A target that takes and acknowledges
nothing for 120 seconds is given up; as long as it answers, it is waited for.

";

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

pub(super) fn parse(parser: &mut Parser) -> Result<Command, UsageError> {
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
            Argument::Help => return Ok(Command::Print(with_exit_codes(HELP))),
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
        .map_err(|_| UsageError::Value {
            option: "--to",
            text: text.to_owned(),
            wanted: "ADDR or ADDR:PORT; an address is made of numbers, like 192.0.2.7",
        })
}

fn read_timeout(text: &str) -> Result<Duration, UsageError> {
    let seconds = text
        .parse()
        .ok()
        .filter(|seconds| (1..=LISTEN_MAX_SECONDS).contains(seconds));
    seconds
        .map(Duration::from_secs)
        .ok_or_else(|| UsageError::Value {
            option: "--timeout",
            text: text.to_owned(),
            wanted: "number of seconds from 1 to 86400",
        })
}
