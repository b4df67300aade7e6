//! `update`: its operand, options and help text.

use clap::{ArgMatches, Command};
use fetch::http::client::Access;
use fetch::source::Source;

use super::argument::switch;
use super::{UsageError, source};
use crate::help::with_exit_codes;

/// As it is typed.
pub const COMMAND: &str = "update";

const HELP: &str = "\
Usage: spk-visor update [SOURCE] [OPTIONS]

Writes a signed image into the slot that does not run, and reads all of it back.
The system that runs goes on, and nothing of it is touched; activate lets the
new version be tried at the next boot. Pieces that both versions have at the
same place are copied from the slot that runs. If it is interrupted, the same
command goes on where it stopped. It is for machines whose disk was deployed
with two slots (smv.layout=ab).

  SOURCE               a directory with MANIFEST, MANIFEST.minisig and the
                       image; or a bundle file NAME.smv, or a block device that
                       holds one; either of the first two on a web server,
                       https://HOST/DIR/ or https://HOST/NAME.smv; or
                       github:OWNER/REPO, or github:OWNER/REPO@TAG. Where a
                       CHANNEL lies there, it says which release is meant.
                       Default: the os line of /etc/smechvisor/source
                       (docs/upgrade.md 2)
  --ca FILE            take servers that these authorities vouch for, in PEM,
                       in place of those that this system trusts
  --allow-http         read http:// from other machines, too. The signature
                       decides either way; others can read along, and can
                       keep newer releases from this node
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
    /// `None` for that of the node's settings.
    pub source: Option<Source>,
    /// How a server is reached.
    pub access: Access,
    /// Nothing is written.
    pub is_check: bool,
    /// What failed may be tried once more.
    pub again: bool,
    /// For scripts.
    pub is_json: bool,
}

pub(super) fn grammar() -> Command {
    let help = with_exit_codes(HELP);
    let command = Command::new(COMMAND).override_help(help);
    let command = command.args(source::arguments());
    command.args(["check", "again", "json"].map(switch))
}

pub(super) fn read(matches: &mut ArgMatches) -> Result<Update, UsageError> {
    Ok(Update {
        source: source::read(matches)?,
        access: source::access(matches),
        is_check: matches.get_flag("check"),
        again: matches.get_flag("again"),
        is_json: matches.get_flag("json"),
    })
}

#[cfg(test)]
mod tests {
    use super::Update;
    use crate::cli::Command;
    use fetch::http::client::Access;
    use fetch::http::roots::Roots;
    use fetch::source::Source;

    fn read(line: &str) -> Option<Command> {
        crate::cli::parse(line.split_whitespace().map(Into::into)).ok()
    }

    #[test]
    fn every_option_is_read() {
        let plain = Update {
            source: Some(Source::Path("/srv/release".into())),
            access: Access::default(),
            is_check: false,
            again: false,
            is_json: false,
        };
        let line = "update /srv/release";
        assert_eq!(read(line), Some(Command::Update(plain.clone())));
        let all = Update {
            access: Access {
                roots: Roots::File("/ca.pem".into()),
                is_plain_allowed: true,
                ..Access::default()
            },
            is_check: true,
            again: true,
            is_json: true,
            ..plain.clone()
        };
        let line = "update --check --again --json --ca /ca.pem --allow-http /srv/release";
        assert_eq!(read(line), Some(Command::Update(all)));
        let from_settings = Update {
            source: None,
            ..plain
        };
        assert_eq!(read("update"), Some(Command::Update(from_settings)));
        for line in [
            "update a b",
            "update --agian a",
            "update ftp://a/",
            "update github:a",
        ] {
            assert_eq!(read(line), None, "{line}");
        }
    }
}
