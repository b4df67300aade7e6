//! Arguments in, one [`Command`] out, or which argument is wrong. Each command has its options
//! and its help text in a file of its own. [`grammar`] is all that clap knows of them; the
//! `read` of a command's file decides what is missing and which options exclude each other.

mod argument;
pub mod bundle;
pub mod completions;
pub mod content;
pub mod deploy;
pub mod hold;
pub mod keys;
pub mod man;
pub mod manifest;
pub mod media;
pub mod package;
pub mod publish;
pub mod receive;
pub mod serve;
pub mod sets;
mod source;
pub mod status;
pub mod trial;
pub mod update;
pub mod upgrade;
mod usage;

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Arg, ArgAction};
use clap_complete::Shell;

use self::argument::{all, operand, os};
pub use self::deploy::Deploy;
pub use self::hold::Hold;
pub use self::receive::Receive;
pub use self::serve::Serve;
pub use self::status::Status;
pub use self::trial::Trial;
pub use self::update::Update;
pub use self::upgrade::Upgrade;
pub use self::usage::UsageError;
use crate::help;
use donor::keys::KeysCommand;
use pack::manifest::ManifestCommand;

/// The commands.
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
    /// `package install`, `remove`, `list`, `activate`.
    Sets(sets::Sets),
    /// `keys`.
    Keys(KeysCommand),
    /// `manifest`.
    Manifest(ManifestCommand),
    /// `bundle`.
    Bundle(bundle::Bundle),
    /// `media`.
    Media(media::Media),
    /// `publish`.
    Publish(publish::Publishing),
    /// `entire-system-upgrade`.
    Upgrade(Upgrade),
    /// `update`.
    Update(Update),
    /// `activate`, `confirm`, `rollback`, `recover`.
    Trial(Trial),
    /// `bundle apply`, `bundle open`, `rollback ROLE/NAME`, `rollback store`,
    /// `collect`.
    Content(content::Content),
    /// `status`.
    Status(Status),
    /// `hold`.
    Hold(Hold),
    /// `completions`.
    Completions(Shell),
    /// `man`: into this directory.
    Man(PathBuf),
}

/// Reads the arguments after the program's name.
///
/// # Errors
/// The first one that makes no sense.
pub fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Command, UsageError> {
    let args: Vec<OsString> = args.into_iter().collect();
    let mut matches = match grammar().try_get_matches_from(&args) {
        Ok(matches) => matches,
        // For clap, a text that was asked for is an error that goes to standard output.
        Err(text) if !text.use_stderr() => return Ok(Command::Print(text.to_string())),
        Err(error) => {
            let help = help_of(&args);
            return Err(UsageError::Arguments { help, error });
        }
    };
    let (word, mut matches) = matches.remove_subcommand().ok_or(UsageError::NoCommand)?;
    let matches = &mut matches;
    match word.as_str() {
        deploy::COMMAND => deploy::read(matches).map(Command::Deploy),
        receive::COMMAND => receive::read(matches).map(Command::Receive),
        serve::COMMAND => serve::read(matches).map(Command::Serve),
        package::COMMAND => package::read(matches),
        manifest::COMMAND => manifest::read(matches).map(Command::Manifest),
        bundle::COMMAND => bundle::read(matches),
        media::COMMAND => media::read(matches).map(Command::Media),
        publish::COMMAND => publish::read(matches).map(Command::Publish),
        keys::COMMAND => keys::read(matches).map(Command::Keys),
        update::COMMAND => update::read(matches).map(Command::Update),
        trial::ROLLBACK => Ok(match trial::read_rollback(matches) {
            Some(content) => Command::Content(content),
            None => Command::Trial(trial::read(&word, matches)),
        }),
        trial::ACTIVATE | trial::CONFIRM | trial::RECOVER => {
            Ok(Command::Trial(trial::read(&word, matches)))
        }
        content::COMMAND => Ok(Command::Content(content::read(matches))),
        status::COMMAND => Ok(Command::Status(status::read(matches))),
        hold::COMMAND => hold::read(matches).map(Command::Hold),
        completions::COMMAND => completions::read(matches).map(Command::Completions),
        man::COMMAND => man::read(matches).map(Command::Man),
        upgrade::COMMAND => upgrade::read(matches).map(Command::Upgrade),
        ABOUT => Ok(Command::Print(help::about())),
        VERSION => Ok(Command::Print(help::version())),
        HELP => {
            let words: Vec<OsString> = all(matches, "COMMAND");
            parse(words.into_iter().chain(["--help".into()]))
        }
        _ => sets::read_unsealed(matches).map(Command::Sets),
    }
}

const ABOUT: &str = "about";
const VERSION: &str = "version";
const HELP: &str = "help";

/// Every command with every option that it takes.
#[must_use]
pub fn grammar() -> clap::Command {
    offered().subcommands([
        sets::install(said("system-install", help::unsealed())),
        sets::install(said("userland-install", help::unsealed())),
    ])
}

/// Likewise, without other names of commands.
#[must_use]
pub fn offered() -> clap::Command {
    let version = Arg::new(VERSION).long(VERSION).action(ArgAction::Version);
    let commands = operand("COMMAND").value_parser(os()).num_args(0..);
    clap::Command::new(help::NAME)
        .no_binary_name(true)
        .disable_help_subcommand(true)
        .disable_version_flag(true)
        .version(env!("CARGO_PKG_VERSION"))
        .override_help(help::overview())
        .arg(version)
        .subcommands([
            deploy::grammar(),
            receive::grammar(),
            serve::grammar(),
            package::grammar(),
            manifest::grammar(),
            bundle::grammar(),
            media::grammar(),
            publish::grammar(),
            keys::grammar(),
            upgrade::grammar(),
            update::grammar(),
            status::grammar(),
            content::grammar(),
            hold::grammar(),
            completions::grammar(),
            man::grammar(),
            said(HELP, help::overview()).arg(commands),
            said(ABOUT, help::about()),
            said(VERSION, help::version()),
        ])
        .subcommands(trial::grammars())
}

/// A command with this help text.
fn said(word: &'static str, text: String) -> clap::Command {
    clap::Command::new(word).override_help(text)
}

/// The help that is about these arguments.
fn help_of(args: &[OsString]) -> String {
    let word = args.first().and_then(|word| word.to_str());
    match word.filter(|word| grammar().find_subcommand(word).is_some()) {
        Some(word) => format!("{word} --help"),
        None => HELP.to_owned(),
    }
}

#[cfg(test)]
mod tests;
