//! `update`: its operand, options and help text.

use std::path::PathBuf;

use clap::{ArgMatches, Command};

use super::UsageError;
use super::argument::{operand, os, path, switch};
use crate::help::with_exit_codes;

/// As it is typed.
pub const COMMAND: &str = "update";

const HELP: &str = "\
Usage: spk-visor update SOURCE [OPTIONS]

Writes a signed image into the slot that does not run, and reads all of it back.
The system that runs goes on, and nothing of it is touched; activate lets the
new version be tried at the next boot. Pieces that both versions have at the
same place are copied from the slot that runs. If it is interrupted, the same
command goes on where it stopped. It is for machines whose disk was deployed
with two slots (smv.layout=ab).

  SOURCE               a directory with MANIFEST, MANIFEST.minisig and the
                       image; or a bundle file NAME.smv, or a block device that
                       holds one
  --check              verify the manifest and say whether it is newer; write
                       nothing
  --again              take also a version that failed on this node, and go on
                       after two rollbacks in a row
  --json               one JSON object for each event instead of lines for
                       people (docs/update.md 2)
  --help               this text

";

/// The arguments of `update`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Update {
    /// A directory, a file or a block device.
    pub source: PathBuf,
    /// Nothing is written.
    pub is_check: bool,
    /// What failed may be tried once more.
    pub again: bool,
    /// For scripts.
    pub is_json: bool,
}

pub(super) fn grammar() -> Command {
    let help = with_exit_codes(HELP);
    Command::new(COMMAND).override_help(help).args([
        operand("SOURCE").value_parser(os()),
        switch("check"),
        switch("again"),
        switch("json"),
    ])
}

pub(super) fn read(matches: &mut ArgMatches) -> Result<Update, UsageError> {
    Ok(Update {
        source: path(matches, "SOURCE").ok_or(UsageError::Missing {
            command: COMMAND,
            what: "the SOURCE of the update",
        })?,
        is_check: matches.get_flag("check"),
        again: matches.get_flag("again"),
        is_json: matches.get_flag("json"),
    })
}

#[cfg(test)]
mod tests {
    use super::Update;
    use crate::cli::Command;

    fn read(line: &str) -> Option<Command> {
        crate::cli::parse(line.split_whitespace().map(Into::into)).ok()
    }

    #[test]
    fn every_option_is_read() {
        let plain = Update {
            source: "/srv/release".into(),
            is_check: false,
            again: false,
            is_json: false,
        };
        let line = "update /srv/release";
        assert_eq!(read(line), Some(Command::Update(plain.clone())));
        let all = Update {
            is_check: true,
            again: true,
            is_json: true,
            ..plain
        };
        let line = "update --check --again --json /srv/release";
        assert_eq!(read(line), Some(Command::Update(all)));
        for line in ["update", "update a b", "update --agian a"] {
            assert_eq!(read(line), None, "{line}");
        }
    }
}
