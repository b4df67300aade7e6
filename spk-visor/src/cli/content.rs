//! The commands about the content of a node. `collect` has its grammar here, `bundle apply` and
//! `bundle open` have it in [`bundle`](super::bundle), `rollback ROLE/NAME` in
//! [`trial`](super::trial).

use clap::{ArgMatches, Command};

use super::argument::switch;
use crate::help::with_exit_codes;
use fetch::http::client::Access;
use fetch::source::Source;
use std::path::PathBuf;
use store::place::Place;

/// What is done with content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// `bundle apply`.
    Apply {
        /// A bundle file, a block device with one, or a directory, here or on a server.
        source: Source,
        /// How a server is reached.
        access: Access,
        /// What failed may be taken.
        again: bool,
        /// Events for a script.
        is_json: bool,
    },
    /// `bundle seed`.
    Seed {
        /// The tree of a system.
        root: PathBuf,
        /// As of `bundle apply`.
        source: Source,
        /// How a server is reached.
        access: Access,
        /// Events for a script.
        is_json: bool,
    },
    /// `bundle open`.
    Open {
        /// Where.
        place: Place,
        /// Events for a script.
        is_json: bool,
    },
    /// `rollback ROLE/NAME`.
    Rollback {
        /// What goes back.
        place: Place,
        /// Events for a script.
        is_json: bool,
    },
    /// `rollback store`.
    RollbackSets {
        /// Events for a script.
        is_json: bool,
    },
    /// `collect`.
    Collect {
        /// Events for a script.
        is_json: bool,
    },
}

/// As it is typed.
pub const COMMAND: &str = "collect";

const HELP: &str = "\
Usage: spk-visor collect [--json]

Removes generations of sites, models and daemons, sets and packages that this
node no longer needs: not what is served, what was served before it, or what is
on trial, and not what a link of yours in ROLE/NAME or set names. Generations
that were found damaged are removed, too. bundle apply and package install do
this for what they change, and leave the damaged ones for you to look at.

  --json               one JSON object for each event instead of lines for
                       people (docs/bundles.md 6)
  --help               this text

";

pub(super) fn grammar() -> Command {
    let command = Command::new(COMMAND).override_help(with_exit_codes(HELP));
    command.arg(switch("json"))
}

pub(super) fn read(matches: &ArgMatches) -> Content {
    Content::Collect {
        is_json: matches.get_flag("json"),
    }
}
