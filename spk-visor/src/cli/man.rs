//! `man`: its operand and help text.

use std::path::PathBuf;

use clap::{ArgMatches, Command};

use super::argument::{operand, os, path};
use super::usage::UsageError;
use crate::help::with_exit_codes;

/// As it is typed.
pub const COMMAND: &str = "man";

const HELP: &str = "\
Usage: spk-visor man DIR

Writes the manual pages into DIR, which is made where it is missing:
spk-visor.1, and a page for each command. In /usr/local/share/man/man1
`man spk-visor` and `man spk-visor-deploy` find them.

";

pub(super) fn grammar() -> Command {
    let man = Command::new(COMMAND).override_help(with_exit_codes(HELP));
    man.arg(operand("DIR").value_parser(os()))
}

pub(super) fn read(matches: &mut ArgMatches) -> Result<PathBuf, UsageError> {
    path(matches, "DIR").ok_or(UsageError::Missing {
        command: COMMAND,
        what: "the DIR for the pages",
    })
}
