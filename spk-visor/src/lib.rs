//! The command line of the product: arguments in, lines and an exit code out. What a command does
//! stands in the crates `donor`, `pack`, `mkinitramfs`, `bootserver` and `receiver`.
//!
//! [`cli`] reads the arguments of each command into the options of a library, [`help`] has the
//! texts that explain them; the pages of the [`manual`] and the [`completions`] of shells are made
//! of these two. [`command`] runs a library and shows what it reports: a donor's events
//! go to the [`reporter`], whose [`screen`] is a terminal with a line of [`progress`] or a file, or
//! become [`json`] for a script; the [`prompt`] asks the person, and [`signals`] interrupt the
//! donor. [`receive`] is `receive-deploy`, a receiver on a running Linux, over the sockets of
//! [`kernel_net`]. Every error and every ending becomes an [`exit::Exit`] in [`exit`] alone.

pub mod cli;
pub mod command;
pub mod completions;
pub mod exit;
pub mod help;
pub mod json;
pub mod kernel_net;
pub mod manual;
pub mod progress;
pub mod prompt;
pub mod receive;
pub mod reporter;
pub mod screen;
pub mod signals;

use std::error::Error;
use std::ffi::OsString;
use std::io::{self, Write};
use std::process::ExitCode;

use cli::Command;
use exit::Exit;
use receive::ReceiveError;
use wire::chain::chain;

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
        Command::Deploy(options) => command::deploy::run(&options),
        Command::Receive(options) => match receive::run(&options) {
            Ok(()) => Exit::Installed,
            // Its last stage line said it.
            Err(error @ ReceiveError::Session(_)) => Exit::from(&error),
            Err(error) => fail(&error, Exit::from(&error)),
        },
        Command::Serve(options) => match command::serve::run(&options) {
            Ok(()) => Exit::Installed,
            Err(error) => fail(&error, Exit::from(&error)),
        },
        Command::Package(package) => match command::package::run(&package) {
            Ok(()) => Exit::Installed,
            Err(error) => fail(&error, Exit::from(&error)),
        },
        Command::Keys(keys) => match donor::keys::run(&keys, &mut io::stdout()) {
            Ok(()) => Exit::Installed,
            Err(error) => fail(&error, Exit::from(&error)),
        },
        Command::Manifest(command) => match pack::manifest::run(&command, &mut io::stdout()) {
            Ok(()) => Exit::Installed,
            Err(error) => fail(&error, Exit::from(&error)),
        },
        Command::Sets(command) => command::content::packages(&command),
        Command::Content(content) => command::content::run(&content),
        Command::Bundle(bundle) => match command::bundle::run(&bundle) {
            Ok(()) => Exit::Installed,
            Err(error) => fail(&error, Exit::from(&error)),
        },
        Command::Media(media) => match command::media::run(&media) {
            Ok(text) => print(&text),
            Err(error) => fail(&error, Exit::from(&error)),
        },
        Command::Publish(options) => match command::publish::run(&options) {
            Ok(()) => Exit::Installed,
            Err(error) => fail(&error, Exit::from(&error)),
        },
        Command::Upgrade(options) => command::node::upgrade(&options),
        Command::Update(options) => command::node::update(&options),
        Command::Trial(options) => command::node::trial(options),
        Command::Status(options) => command::node::status(options),
        Command::Hold(options) => command::hold::run(&options),
        Command::Completions(shell) => print(&completions::script(shell)),
        Command::Man(dir) => match command::man::run(&dir) {
            Ok(()) => Exit::Installed,
            Err(error) => fail(&error, Exit::from(&error)),
        },
    }
}

/// A closed pipe behind us (`spk-visor help | head`) is no failure of this program.
fn print(text: &str) -> Exit {
    let _ = io::stdout().write_all(text.as_bytes());
    Exit::Installed
}

fn fail(error: &dyn Error, exit: Exit) -> Exit {
    // Nobody is left to tell when standard error is closed; the exit code still says it.
    let _ = writeln!(io::stderr(), "spk-visor: {}", chain(error));
    exit
}
