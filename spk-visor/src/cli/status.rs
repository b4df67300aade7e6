//! `status`: its options and help text.

use clap::{ArgMatches, Command};

use super::argument::switch;
use crate::help::with_exit_codes;

/// As it is typed.
pub const COMMAND: &str = "status";

const HELP: &str = "\
Usage: spk-visor status [OPTIONS]

Says which slot of this node runs, what is in the other one, what the next boots
start, and which versions have failed here; and what is served of each site,
model and daemon. It changes nothing, and waits for no lock.

  --verify             check the signatures of both slots, and read both images
                       and compare them with what was signed. It takes as long
                       as reading them. Exit code 6 when one is not as signed
  --json               one JSON object instead of lines for people
                       (docs/update.md 2)
  --help               this text

";

/// The arguments of `status`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Status {
    /// The images are read.
    pub is_verify: bool,
    /// For scripts.
    pub is_json: bool,
}

pub(super) fn grammar() -> Command {
    let command = Command::new(COMMAND).override_help(with_exit_codes(HELP));
    command.args([switch("verify"), switch("json")])
}

pub(super) fn read(matches: &ArgMatches) -> Status {
    Status {
        is_verify: matches.get_flag("verify"),
        is_json: matches.get_flag("json"),
    }
}
