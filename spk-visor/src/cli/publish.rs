//! `publish`: its operands, options and help text.

use clap::{ArgMatches, Command};

use super::UsageError;
use super::argument::{all, operand, option, os, path, switch};
use crate::help::with_exit_codes;
use pack::publish::Publish;

/// As it is typed.
pub const COMMAND: &str = "publish";

const HELP: &str = "\
Usage: spk-visor publish DIR RELEASE... [--trust FILE] [--later] [--json]
       spk-visor publish DIR --promote NAME [--trust FILE] [--json]

Copies signed releases into DIR, which any web server of static files can serve
as it is; nodes update themselves from there. Every chunk is verified on its
way. Each release gets a directory of its own, which never changes; the file
CHANNEL names the newest one for each role and place, and is replaced by a
rename. DIR may have releases of several roles.

  RELEASE              a directory with MANIFEST, MANIFEST.minisig,
                       MANIFEST.chunks and packages, or a bundle file
  --trust FILE         refuse what none of these minisign public keys, or this
                       key itself, has signed
  --later              leave CHANNEL as it is: nodes do not see the releases
                       until they are promoted
  --promote NAME       name this release, whose directory is in DIR, in CHANNEL
  --json               one JSON object for each event instead of lines for
                       people (docs/own-update-server.md 3)

A release whose counter is lower than that of the one in CHANNEL is refused:
nodes would not take it. To take a release back, sign the old packages with a
higher counter.

";

/// The arguments of `publish`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Publishing {
    /// What is done.
    pub options: Publish,
    /// For scripts.
    pub is_json: bool,
}

pub(super) fn grammar() -> Command {
    let command = Command::new(COMMAND).override_help(with_exit_codes(HELP));
    command.args([
        operand("DIR").value_parser(os()),
        operand("RELEASE").value_parser(os()).num_args(0..),
        option("trust", "FILE"),
        switch("later"),
        option("promote", "NAME"),
        switch("json"),
    ])
}

pub(super) fn read(matches: &mut ArgMatches) -> Result<Publishing, UsageError> {
    let missing = |what| UsageError::Missing {
        command: COMMAND,
        what,
    };
    let options = Publish {
        dir: path(matches, "DIR").ok_or(missing("the DIR that is served"))?,
        releases: all::<std::ffi::OsString>(matches, "RELEASE")
            .into_iter()
            .map(Into::into)
            .collect(),
        trust: matches.remove_one("trust"),
        is_later: matches.get_flag("later"),
        promoted: matches.remove_one("promote"),
    };
    let is_json = matches.get_flag("json");
    let publishing = |options| Ok(Publishing { options, is_json });
    match (options.releases.is_empty(), &options.promoted) {
        (true, None) => Err(missing("RELEASEs, or --promote NAME")),
        (true, Some(_)) if !options.is_later => publishing(options),
        (false, None) => publishing(options),
        _ => Err(UsageError::Together {
            command: COMMAND,
            what: "--promote is for a release that is in DIR, and goes without others",
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::Publishing;
    use crate::cli::Command;
    use pack::publish::Publish;

    fn read(line: &str) -> Option<Command> {
        crate::cli::parse(line.split_whitespace().map(Into::into)).ok()
    }

    #[test]
    fn releases_are_published_or_one_is_promoted() {
        let all = Publish {
            dir: "/srv".into(),
            releases: vec!["a".into(), "b.smv".into()],
            trust: Some("key".into()),
            is_later: true,
            promoted: None,
        };
        let all = Publishing {
            options: all,
            is_json: true,
        };
        let line = "publish /srv a b.smv --trust key --later --json";
        assert_eq!(read(line), Some(Command::Publish(all)));
        let promoted = Publish {
            dir: "/srv".into(),
            releases: Vec::new(),
            trust: None,
            is_later: false,
            promoted: Some("os-x-1".into()),
        };
        let promoted = Publishing {
            options: promoted,
            is_json: false,
        };
        let line = "publish /srv --promote os-x-1";
        assert_eq!(read(line), Some(Command::Publish(promoted)));
        for line in [
            "publish",
            "publish /srv",
            "publish /srv a --promote b",
            "publish /srv --promote b --later",
        ] {
            assert_eq!(read(line), None, "{line}");
        }
    }
}
