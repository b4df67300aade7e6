//! The command line of the product: a donor that sends packages to a waiting machine, and a receiver on a running Linux.
//!
//! In: arguments. Out: lines for a person on standard output, errors on standard error, an exit code for a script
//! ([`exit::Exit`]).

pub mod board;
pub mod cli;
pub mod consent;
pub mod delivery;
pub mod deploy;
pub mod discovery;
pub mod event;
pub mod exit;
pub mod hash;
pub mod help;
pub mod interrupt;
pub mod json;
pub mod kernel_net;
pub mod key_search;
pub mod keys;
pub mod local_links;
pub mod manifest;
pub mod offer;
pub mod origin;
pub mod package;
pub mod packages;
pub mod progress;
pub mod receive;
pub mod routes;
pub mod screen;
pub mod secrets;
pub mod serve;
pub mod socket;
pub mod source;
pub mod target_disk;
pub mod transfer;
pub mod utc;

use std::error::Error;
use std::ffi::OsString;
use std::io::{self, Write};
use std::process::ExitCode;

use cli::{Command, Sealed};
use exit::Exit;
use receive::ReceiveError;
use receiver::operator::reporter::chain;

/// Runs one command.
pub fn run(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let exit = match cli::parse(args) {
        Ok(command) => obey(command),
        Err(error) => fail(&error, Exit::Usage),
    };
    exit.into()
}

fn obey(command: Command) -> Exit {
    match command {
        Command::Print(text) => print(&text),
        Command::Deploy(options) => deploy::run(&options),
        Command::Receive(options) => match receive::run(&options) {
            Ok(()) => Exit::Installed,
            // Its last stage line said it.
            Err(error @ ReceiveError::Session(_)) => error.exit(),
            Err(error) => fail(&error, error.exit()),
        },
        Command::Serve(options) => match serve::run(&options) {
            Ok(()) => Exit::Installed,
            Err(error) => fail(&error, error.exit()),
        },
        Command::Package(package) => match package::obey(&package) {
            Ok(()) => Exit::Installed,
            Err(error) => fail(&error, error.exit()),
        },
        Command::Keys(keys) => match keys::run(&keys, &mut io::stdout()) {
            Ok(()) => Exit::Installed,
            Err(error) => fail(&error, error.exit()),
        },
        Command::Manifest(command) => match manifest::run(&command, &mut io::stdout()) {
            Ok(()) => Exit::Installed,
            Err(error) => fail(&error, error.exit()),
        },
        Command::Refused(sealed) => fail(&sealed, Exit::Unavailable),
    }
}

/// A closed pipe behind us (`spk-visor help | head`) is no failure of ours.
fn print(text: &str) -> Exit {
    let _ = io::stdout().write_all(text.as_bytes());
    Exit::Installed
}

fn fail(error: &dyn Error, exit: Exit) -> Exit {
    // Nobody is left to tell when standard error is closed; the exit code still says it.
    let _ = writeln!(io::stderr(), "spk-visor: {}", chain(error));
    exit
}

impl Error for Sealed {}
