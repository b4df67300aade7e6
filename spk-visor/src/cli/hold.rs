//! `hold`: its operand, options and help text.

use std::path::PathBuf;

use clap::{ArgMatches, Command};
use store::place::Place;
use wire::manifest::Role;

use super::UsageError;
use super::argument::{operand, option, path, read_number, switch};
use crate::help::with_exit_codes;

/// As it is typed.
pub const COMMAND: &str = "hold";

const HELP: &str = "\
Usage: spk-visor hold NAME [OPTIONS]

Holds the daemon NAME: binds the sockets of its SERVICE, starts its program on
them, and starts it again when it ends. While the program changes, connections
wait in the sockets, and none is refused. This is what a service of OpenRC,
systemd or busybox init runs; it stays in the foreground, and a SIGTERM lets the
daemon finish and end (docs/daemons.md).

  NAME                 of the daemon: a directory below /var/lib/smv/daemon
  --dir DIR            its directory, instead of that one
  --swap COUNTER       put this generation in place of the one that runs, in the
                       daemon that is held already. It is kept when it is ready
                       within 1.5 s and stays well for 2 s; else the one before
                       is back
  --again              with --swap: also one that failed before
  --status             say what runs, in the daemon that is held already
  --json               one JSON object for each event instead of lines for
                       people (docs/daemons.md 3)
  --help               this text

";

/// The arguments of `hold`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hold {
    /// Of the daemon.
    pub name: Place,
    /// What is done.
    pub what: What,
    /// For scripts.
    pub is_json: bool,
}

/// What is done with a daemon.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// It is held here.
    Keep {
        /// Where it is, if not where daemons are.
        directory: Option<PathBuf>,
    },
    /// Another version is put in place.
    Swap {
        /// Which one.
        counter: u64,
        /// What failed may be tried once more.
        again: bool,
    },
    /// Somebody wants to know what runs.
    Status,
}

pub(super) fn grammar() -> Command {
    let help = with_exit_codes(HELP);
    Command::new(COMMAND).override_help(help).args([
        operand("NAME"),
        option("dir", "DIR").value_parser(super::argument::os()),
        option("swap", "COUNTER").value_parser(read_number),
        switch("again"),
        switch("status"),
        switch("json"),
    ])
}

pub(super) fn read(matches: &mut ArgMatches) -> Result<Hold, UsageError> {
    let missing = |what| UsageError::Missing {
        command: COMMAND,
        what,
    };
    let name: Option<String> = matches.remove_one("NAME");
    let name = name.and_then(|name| Place::new(Role::Daemon, &name).ok());
    let name = name.ok_or_else(|| missing("the NAME of a daemon, such as smechvisord"))?;
    let (directory, swap) = (path(matches, "dir"), matches.remove_one("swap"));
    let (again, is_status) = (matches.get_flag("again"), matches.get_flag("status"));
    let what = match (directory, swap, again, is_status) {
        (directory, None, false, false) => What::Keep { directory },
        (None, Some(counter), again, false) => What::Swap { counter, again },
        (None, None, false, true) => What::Status,
        _ => return Err(missing("one of --dir, --swap COUNTER and --status alone")),
    };
    Ok(Hold {
        name,
        what,
        is_json: matches.get_flag("json"),
    })
}

#[cfg(test)]
mod tests {
    use super::{Hold, What};
    use crate::cli::Command;

    fn read(line: &str) -> Option<Command> {
        crate::cli::parse(line.split_whitespace().map(Into::into)).ok()
    }

    #[test]
    fn each_use_is_read_and_no_two_at_once() {
        let dir = |directory: Option<&str>| What::Keep {
            directory: directory.map(Into::into),
        };
        let swap = |again| What::Swap {
            counter: 418,
            again,
        };
        for (line, what) in [
            ("hold d", dir(None)),
            ("hold d --dir /srv/d", dir(Some("/srv/d"))),
            ("hold --swap 418 d", swap(false)),
            ("hold d --again --swap 418", swap(true)),
            ("hold d --status", What::Status),
        ] {
            for (ending, is_json) in [("", false), (" --json", true)] {
                let (name, what) = ("daemon/d".parse().unwrap(), what.clone());
                let expected = Command::Hold(Hold {
                    name,
                    what,
                    is_json,
                });
                assert_eq!(read(&format!("{line}{ending}")), Some(expected), "{line}");
            }
        }
        for line in [
            "hold",
            "hold a b",
            "hold ../d",
            "hold .d",
            "hold d --again",
            "hold d --swap x",
            "hold d --swap 1 --status",
            "hold d --status --dir /srv/d",
        ] {
            assert_eq!(read(line), None, "{line}");
        }
    }
}
