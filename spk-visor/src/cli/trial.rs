//! `activate`, `confirm`, `rollback` and `recover`, which change what boots: their options and help
//! texts.

use clap::{ArgMatches, Command};

use super::argument::{operand, read_place, switch};
use super::content::Content;
use crate::help::with_exit_codes;
use store::place::{Place, PlaceError};
use wire::manifest::Role;

/// As it is typed.
pub const ACTIVATE: &str = "activate";
/// Likewise.
pub const CONFIRM: &str = "confirm";
/// Likewise.
pub const ROLLBACK: &str = "rollback";
/// Likewise.
pub const RECOVER: &str = "recover";
/// The operand of `rollback`.
const PLACE: &str = "ROLE/NAME";

const ACTIVATE_HELP: &str = "\
Usage: spk-visor activate [OPTIONS]

Lets the version that update has written be tried: the next boot starts it, and
so do two more unless it has been confirmed by then. After that the version that
runs now is back. Nothing is tried whose image is not complete and as signed;
all of it is read for that, unless update has done so since this machine booted
and nothing has written there since.

  --without-watchdog   also on a machine without a hardware watchdog: there a
                       version that hangs stays until somebody resets the
                       machine
  --again              try also a version that failed on this node, and go on
                       after two rollbacks in a row
  --verify             read all of the image in any case
  --json               one JSON object for each event instead of lines for
                       people (docs/update.md 2)
  --help               this text

";

const CONFIRM_HELP: &str = "\
Usage: spk-visor confirm [OPTIONS]

Keeps the version that is being tried, if it is healthy (docs/update.md 3): from
now on it boots, and no manifest with a lower counter is taken any more. Where
nothing is tried there is nothing to do.

  --wait               look until it is healthy and stays so, or until its time
                       is over; then the machine boots again, and the attempts
                       that are left are used. This is what the service of an
                       image runs. Without --wait it looks once
  --json               one JSON object for each event instead of lines for
                       people (docs/update.md 2)
  --help               this text

";

const ROLLBACK_HELP: &str = "\
Usage: spk-visor rollback [OPTIONS]
       spk-visor rollback ROLE/NAME [--json]
       spk-visor rollback store [--json]

Lets the version in the other slot be tried, the one from before the last
update. It is tried like any other: when it is not confirmed, the version that
runs now is back. While a version is being tried, rollback gives it up: the next
boot starts the one before.

  ROLE/NAME            go back with this site, model or daemon instead, at once:
                       to what was served before its last bundle. What is left
                       is not taken again without --again
  store                give up the set of packages that is being tried, or go
                       back to the one that was kept before (docs/node-
                       packages.md); the next boot has it
  --without-watchdog   also on a machine without a hardware watchdog
  --json               one JSON object for each event instead of lines for
                       people (docs/update.md 2)
  --help               this text

";

const RECOVER_HELP: &str = "\
Usage: spk-visor recover [OPTIONS]

Puts right what a power cut or a failed trial has left: a version that was tried
in vain is not tried again by itself, and a boot record that cannot be read is
written again for the version that runs. Of each site, model and daemon it
serves the newest content that is as it was signed, if what was served is not.
Run twice, it does nothing the second time. The service of an image runs it
early at each boot.

  --json               one JSON object for each event instead of lines for
                       people (docs/update.md 2)
  --help               this text

";

/// A command that changes what boots.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trial {
    /// Which one.
    pub what: What,
    /// For scripts.
    pub is_json: bool,
}

/// What is done to the trial.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// It begins.
    Activate {
        /// Also where nothing resets a machine that hangs.
        without_watchdog: bool,
        /// Also what failed before.
        again: bool,
        /// Read what was read already.
        is_verify: bool,
    },
    /// It is kept.
    Confirm {
        /// Until it is healthy, or reboot.
        is_wait: bool,
    },
    /// The version before is tried, or is back.
    Rollback {
        /// As for [`What::Activate`].
        without_watchdog: bool,
    },
    /// What it has left is put right.
    Recover,
}

pub(super) fn grammars() -> [Command; 4] {
    let command = |word, help| {
        let command = Command::new(word).override_help(with_exit_codes(help));
        command.arg(switch("json"))
    };
    [
        command(ACTIVATE, ACTIVATE_HELP).args([
            switch("without-watchdog"),
            switch("again"),
            switch("verify"),
        ]),
        command(CONFIRM, CONFIRM_HELP).arg(switch("wait")),
        command(ROLLBACK, ROLLBACK_HELP)
            .arg(operand(PLACE).value_parser(read_target))
            .arg(switch("without-watchdog")),
        command(RECOVER, RECOVER_HELP),
    ]
}

/// What `rollback` may be given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Target {
    Place(Place),
    Sets,
}

fn read_target(text: &str) -> Result<Target, PlaceError> {
    match text == Role::Store.name() {
        true => Ok(Target::Sets),
        false => read_place(text).map(Target::Place),
    }
}

/// `rollback` of something else than the slot; `None`: the slot.
pub(super) fn read_rollback(matches: &mut ArgMatches) -> Option<Content> {
    let is_json = matches.get_flag("json");
    Some(match matches.remove_one(PLACE)? {
        Target::Place(place) => Content::Rollback { place, is_json },
        Target::Sets => Content::RollbackSets { is_json },
    })
}

/// The command of one of these words.
pub(super) fn read(word: &str, matches: &ArgMatches) -> Trial {
    let what = match word {
        ACTIVATE => What::Activate {
            without_watchdog: matches.get_flag("without-watchdog"),
            again: matches.get_flag("again"),
            is_verify: matches.get_flag("verify"),
        },
        CONFIRM => What::Confirm {
            is_wait: matches.get_flag("wait"),
        },
        ROLLBACK => What::Rollback {
            without_watchdog: matches.get_flag("without-watchdog"),
        },
        _ => What::Recover,
    };
    Trial {
        what,
        is_json: matches.get_flag("json"),
    }
}

#[cfg(test)]
mod tests {
    use super::{Trial, What};
    use crate::cli::Command;

    fn read(line: &str) -> Option<Command> {
        crate::cli::parse(line.split_whitespace().map(Into::into)).ok()
    }

    #[test]
    fn each_command_is_read_with_its_options() {
        for (line, what) in [
            (
                "activate --again",
                What::Activate {
                    without_watchdog: false,
                    again: true,
                    is_verify: false,
                },
            ),
            (
                "activate --without-watchdog --verify",
                What::Activate {
                    without_watchdog: true,
                    again: false,
                    is_verify: true,
                },
            ),
            ("confirm", What::Confirm { is_wait: false }),
            ("confirm --wait", What::Confirm { is_wait: true }),
            (
                "rollback --without-watchdog",
                What::Rollback {
                    without_watchdog: true,
                },
            ),
            ("recover", What::Recover),
        ] {
            for (ending, is_json) in [("", false), (" --json", true)] {
                let expected = Command::Trial(Trial { what, is_json });
                assert_eq!(read(&format!("{line}{ending}")), Some(expected), "{line}");
            }
        }
        for line in ["activate b", "confirm --without-watchdog", "recover --wait"] {
            assert_eq!(read(line), None, "{line}");
        }
    }
}
