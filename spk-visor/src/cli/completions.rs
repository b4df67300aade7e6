//! `completions`: its operand and help text.

use clap::{ArgMatches, Command};
use clap_complete::Shell;

use super::argument::{operand, words};
use super::usage::UsageError;
use crate::help::with_exit_codes;

/// As it is typed.
pub const COMMAND: &str = "completions";

const HELP: &str = "\
Usage: spk-visor completions bash|zsh|fish

Prints a script with which this shell completes the commands and options of
spk-visor. Shells look for it in a file of this name:

  bash                 /usr/share/bash-completion/completions/spk-visor
  zsh                  /usr/local/share/zsh/site-functions/_spk-visor
  fish                 /usr/share/fish/vendor_completions.d/spk-visor.fish

";

pub(super) fn grammar() -> Command {
    let shells = [
        ("bash", Shell::Bash),
        ("zsh", Shell::Zsh),
        ("fish", Shell::Fish),
    ];
    let completions = Command::new(COMMAND).override_help(with_exit_codes(HELP));
    completions.arg(operand("SHELL").value_parser(words(shells)))
}

pub(super) fn read(matches: &mut ArgMatches) -> Result<Shell, UsageError> {
    matches.remove_one("SHELL").ok_or(UsageError::Missing {
        command: COMMAND,
        what: "a shell: bash, zsh or fish",
    })
}
