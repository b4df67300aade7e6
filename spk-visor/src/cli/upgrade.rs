//! `entire-system-upgrade`: its operand, options and help text.

use std::path::PathBuf;

use clap::{ArgMatches, Command};
use fetch::http::client::Access;
use fetch::source::Source;

use super::argument::{option, os, path, switch, words};
use super::{UsageError, source};
use crate::help::with_exit_codes;

/// As it is typed.
pub const COMMAND: &str = "entire-system-upgrade";
/// On the state partition.
const STAGING: &str = "/var/lib/smv/staging";

const HELP: &str = "\
Usage: spk-visor entire-system-upgrade [SOURCE] [OPTIONS]

Keeps this node current: puts right what was interrupted, looks for newer
releases, and says what it will do. Then it changes daemons while they serve,
applies sites and models, takes packages, writes the image into the slot that
does not run, reads all of it back, and lets the next three boots try both. If a
part fails, the others are upgraded all the same, and the exit code is the one
of that part, or 10 for several that failed in different ways. When nothing is
newer, nothing happens, and the exit code is 0. If it is interrupted, the same
command goes on where it stopped. Systems are upgraded on machines whose disk
was deployed with two slots (smv.layout=ab), content on all.

  SOURCE               where releases are, as for update (spk-visor update
                       --help), for all that this node has. Default: for each
                       role its line in /etc/smechvisor/source
  --ca FILE            take servers that these authorities vouch for, in PEM,
                       in place of those that this system trusts
  --allow-http         read http:// from other machines, too
  --check              only say whether there is something newer; exit code 15
                       when there is not
  --dry-run            likewise, and say what would be fetched and written
  --download-only      only put what the sources have, system and content, into
                       the staging directory; needs no rights but those to
                       write there, and no node
  --offline            take what is in the staging directory, which is not
                       trusted, and ask no server
  --staging DIR        that directory (default: /var/lib/smv/staging)
  --after WHAT         then reboot; or kexec: start the new version without the
                       firmware, where the machine can; or later: leave that to
                       a person (default)
  --again              take also a version that failed on this node, and go on
                       after two rollbacks in a row
  --without-watchdog   try the new version also on a machine that could not be
                       reset if it hangs
  --json               one JSON object for each event instead of lines for
                       people (docs/upgrade.md 1)
  --help               this text

";

/// How far to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// Only what needs no rights.
    Download,
    /// Is there something newer?
    Check,
    /// What would be done?
    DryRun,
    /// Everything.
    Take,
}

/// What follows when the new version is armed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum After {
    /// A person reboots.
    Later,
    /// This command does.
    Reboot,
    /// Likewise, without the firmware where that can be.
    Kexec,
}

/// The arguments of `entire-system-upgrade`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upgrade {
    /// `None` for that of the node's settings.
    pub source: Option<Source>,
    /// How a server is reached.
    pub access: Access,
    /// Where a release is put without rights.
    pub staging: PathBuf,
    /// It is taken from there.
    pub is_offline: bool,
    /// How far to go.
    pub extent: Extent,
    /// What follows.
    pub after: After,
    /// What failed may be tried once more.
    pub again: bool,
    /// Nobody resets the machine when it hangs.
    pub without_watchdog: bool,
    /// For scripts.
    pub is_json: bool,
}

pub(super) fn grammar() -> Command {
    let after = [
        ("later", After::Later),
        ("reboot", After::Reboot),
        ("kexec", After::Kexec),
    ];
    let command = Command::new(COMMAND).override_help(with_exit_codes(HELP));
    let command = command.args(source::arguments());
    let command = command.arg(option("after", "WHAT").value_parser(words(after)));
    let command = command.arg(option("staging", "DIR").value_parser(os()));
    let command = command.args(["check", "dry-run", "download-only", "offline"].map(switch));
    command.args(["again", "without-watchdog", "json"].map(switch))
}

pub(super) fn read(matches: &mut ArgMatches) -> Result<Upgrade, UsageError> {
    let after: Option<After> = matches.remove_one("after");
    let together = |what| UsageError::Together {
        command: COMMAND,
        what,
    };
    let extents = [
        ("check", Extent::Check),
        ("dry-run", Extent::DryRun),
        ("download-only", Extent::Download),
    ];
    let mut chosen = extents.iter().filter(|(word, _)| matches.get_flag(word));
    let extent = chosen.next().map_or(Extent::Take, |(_, extent)| *extent);
    if chosen.next().is_some() {
        return Err(together(
            "--check, --dry-run and --download-only exclude each other",
        ));
    }
    if extent != Extent::Take && after.is_some() {
        return Err(together(
            "nothing comes after --check, --dry-run and --download-only, which arm nothing",
        ));
    }
    let is_offline = matches.get_flag("offline");
    let staging = path(matches, "staging");
    let source = source::read(matches)?;
    if is_offline && (source.is_some() || extent == Extent::Download) {
        return Err(together(
            "--offline takes what is in the staging directory, and no SOURCE",
        ));
    }
    if staging.is_some() && !is_offline && extent != Extent::Download {
        return Err(together("--staging is for --download-only and --offline"));
    }
    Ok(Upgrade {
        source,
        staging: staging.unwrap_or_else(|| STAGING.into()),
        is_offline,
        access: source::access(matches),
        extent,
        after: after.unwrap_or(After::Later),
        again: matches.get_flag("again"),
        without_watchdog: matches.get_flag("without-watchdog"),
        is_json: matches.get_flag("json"),
    })
}

#[cfg(test)]
mod tests {
    use super::{After, Extent, Upgrade};
    use crate::cli::Command;
    use fetch::http::client::Access;
    use fetch::source::Source;

    fn read(line: &str) -> Option<Upgrade> {
        let line = format!("entire-system-upgrade {line}");
        let read = crate::cli::parse(line.split_whitespace().map(Into::into));
        match read.ok()? {
            Command::Upgrade(upgrade) => Some(upgrade),
            _ => None,
        }
    }

    #[test]
    fn every_option_is_read() {
        let plain = Upgrade {
            source: None,
            access: Access::default(),
            staging: "/var/lib/smv/staging".into(),
            is_offline: false,
            extent: Extent::Take,
            after: After::Later,
            again: false,
            without_watchdog: false,
            is_json: false,
        };
        assert_eq!(read(""), Some(plain.clone()));
        assert_eq!(read("--after later"), Some(plain.clone()));
        let kexec = Upgrade {
            after: After::Kexec,
            ..plain.clone()
        };
        assert_eq!(read("--after kexec"), Some(kexec));
        let all = Upgrade {
            source: Some(Source::Path("/srv".into())),
            after: After::Reboot,
            again: true,
            without_watchdog: true,
            is_json: true,
            ..plain.clone()
        };
        let line = "/srv --after reboot --again --without-watchdog --json";
        assert_eq!(read(line), Some(all));
        let offline = Upgrade {
            staging: "/mnt".into(),
            is_offline: true,
            ..plain.clone()
        };
        assert_eq!(read("--offline --staging /mnt"), Some(offline));
        for (word, extent) in [
            ("--check", Extent::Check),
            ("--dry-run", Extent::DryRun),
            ("--download-only", Extent::Download),
        ] {
            let looking = Upgrade {
                extent,
                ..plain.clone()
            };
            assert_eq!(read(word), Some(looking));
        }
        for line in [
            "a b",
            "--after poweroff",
            "--check --dry-run",
            "--check --after reboot",
            "--download-only --offline",
            "--download-only --check",
            "--offline /srv",
            "--staging /mnt",
            "https://",
        ] {
            assert_eq!(read(line), None, "{line}");
        }
    }
}
