//! `receive-deploy`: its options and help text.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Arg, ArgAction, ArgMatches, Command};
use disk::sizes::{self, LayoutKind, Sizes, Swap};

use super::argument::{all, once, option, os, path, repeated, switch};
use super::usage::UsageError;
use crate::help::with_exit_codes;

/// As it is typed.
pub const COMMAND: &str = "receive-deploy";

const HELP: &str = "\
Usage: spk-visor receive-deploy --disk DEV|FILE [OPTIONS]

Shows a code and a secret, waits for a donor that knows both and installs what
it sends onto the disk. Ends after the commit, or after a deploy that failed
(--once, --again); the machine goes on.

  --disk DEV|FILE      the disk to take, or a file that is treated as one. What
                       is on it is lost. Or KEY=VALUE,... that only one disk
                       fits: serial, wwn, vendor, model, transport, size
                       (docs/disk-gate.md 1)
  --wipe WORD          needed when the disk is not blank: the last six
                       characters of its serial number; all of it when the disk
                       belongs to a RAID, LVM, ZFS or the like, or is encrypted;
                       its path when it has none
  --dry-run            show what would be done, tell it to every donor, and
                       write nothing. With --once it ends when a donor has
                       received it (exit code 0)
  --layout single|ab   ab: two slots for systems that are updated as a whole; it
                       takes one image (NAME.img, docs/slot.md). Default: single
  --slot SIZE          with --layout ab: of each slot (default an eighth of the
                       disk, from 512M to 4G)
  --esp SIZE           of the EFI system partition (default 512M; 128M with
                       --layout ab)
  --swap SIZE|none     of the swap partition (default 2G, less or none on a
                       small disk)
  --pinned FILE        instead of a secret: take systems from the donor whose
                       key is in FILE only (the NAME.shim that spk-visor keys
                       new has written)
  --trust KEY          take systems only whose manifest is signed with this
                       minisign key: a file, or the base64 of a public key. May
                       be given several times; each of the keys will do
  --floor N            refuse a manifest whose counter is below N
  --once               end with the first deploy that fails (exit code 8). The
                       default when standard error is no terminal: nobody would
                       read the next code there
  --again              after a deploy that failed, wait for the next one, with a
                       new code and secret. The default on a terminal
  --ui                 the screens of the Deploy Shim, on the terminal this is
                       started on: what would be done, the code with its
                       picture, what arrives; another disk than --disk names is
                       not offered. Ctrl-C ends it
  --legacy             instead of a secret: accept the original stream, NEITHER
                       AUTHENTICATED NOR ENCRYPTED. Anybody on the network may
                       send
  --help               this text

";

/// The donors that a system is taken from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Policy {
    /// Those that know the secret on the screen.
    #[default]
    Secret,
    /// The one with the private key that belongs to this file.
    Pinned(PathBuf),
    /// Anybody.
    Legacy,
}

/// The arguments of `receive-deploy`.
#[derive(Clone, Debug, PartialEq)]
pub struct Receive {
    /// A block device, a file, or what is said of a disk.
    pub disk: String,
    /// The policy.
    pub policy: Policy,
    /// Files or public keys: signatures that are good.
    pub trust: Vec<OsString>,
    /// The lowest counter that is taken.
    pub floor: Option<u64>,
    /// Confirms that what is on the disk may go.
    pub wipe: Option<String>,
    /// Nothing is written.
    pub dry_run: bool,
    /// Of the partitions.
    pub sizes: Sizes,
    /// Whether the first deploy that fails is the last; what was not said, a terminal decides.
    pub is_once: Option<bool>,
    /// Screens instead of lines.
    pub ui: bool,
}

pub(super) fn grammar() -> Command {
    let either = ["once", "again"];
    let help = with_exit_codes(HELP);
    Command::new(COMMAND).override_help(help).args([
        option("disk", "DEV|FILE"),
        option("wipe", "WORD"),
        switch("dry-run"),
        option("layout", "single|ab").value_parser(read_layout),
        option("slot", "SIZE").value_parser(read_slot),
        option("esp", "SIZE").value_parser(read_esp),
        option("swap", "SIZE|none").value_parser(read_swap),
        once("pinned", "FILE").value_parser(os()),
        repeated("trust", "KEY").value_parser(os()),
        option("floor", "N").value_parser(read_floor),
        switch("once").overrides_with_all(either),
        switch("again").overrides_with_all(either),
        switch("ui"),
        Arg::new("legacy")
            .long("legacy")
            .action(ArgAction::SetTrue)
            .conflicts_with("pinned"),
    ])
}

pub(super) fn read(matches: &mut ArgMatches) -> Result<Receive, UsageError> {
    let policy = match path(matches, "pinned") {
        Some(file) => Policy::Pinned(file),
        None if matches.get_flag("legacy") => Policy::Legacy,
        None => Policy::Secret,
    };
    let disk = matches.remove_one("disk");
    let layout = layout(matches)?;
    let esp_bytes = matches.remove_one("esp");
    let swap = matches.remove_one("swap");
    let (once, again) = (matches.get_flag("once"), matches.get_flag("again"));
    Ok(Receive {
        disk: disk.ok_or(UsageError::Missing {
            command: COMMAND,
            what: "--disk DEV|FILE",
        })?,
        policy,
        trust: all(matches, "trust"),
        floor: matches.remove_one("floor"),
        wipe: matches.remove_one("wipe"),
        dry_run: matches.get_flag("dry-run"),
        sizes: Sizes {
            layout,
            esp_bytes,
            swap: swap.unwrap_or_default(),
        },
        is_once: (once || again).then_some(once),
        ui: matches.get_flag("ui"),
    })
}

/// Which layout, and the size of its slots.
fn layout(matches: &mut ArgMatches) -> Result<LayoutKind, UsageError> {
    let layout: Option<LayoutKind> = matches.remove_one("layout");
    match (layout.unwrap_or_default(), matches.remove_one("slot")) {
        (LayoutKind::Ab { .. }, slot_bytes) => Ok(LayoutKind::Ab { slot_bytes }),
        (LayoutKind::Single, None) => Ok(LayoutKind::Single),
        (LayoutKind::Single, Some::<u64>(_)) => Err(UsageError::Missing {
            command: COMMAND,
            what: "--layout ab beside --slot",
        }),
    }
}

fn read_layout(text: &str) -> Result<LayoutKind, &'static str> {
    LayoutKind::from_name(text).ok_or("expected single or ab")
}

fn read_slot(text: &str) -> Result<u64, &'static str> {
    sizes::slot(text).ok_or("expected a size from 64M to 64G, like 1G")
}

fn read_esp(text: &str) -> Result<u64, &'static str> {
    sizes::esp(text).ok_or("expected a size from 64M to 32G, like 1G")
}

fn read_swap(text: &str) -> Result<Swap, &'static str> {
    sizes::swap(text).ok_or("expected a size from 1M to 8T, like 8G, or none")
}

fn read_floor(text: &str) -> Result<u64, &'static str> {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_digit()); // `parse` would take a plus sign
    let number = is_plain.then(|| text.parse().ok()).flatten();
    number.ok_or("expected a number from 0 to 18446744073709551615")
}

#[cfg(test)]
mod tests {
    use super::{Policy, Receive};
    use crate::cli::{Command, UsageError};
    use disk::sizes::{LayoutKind, Sizes, Swap};

    fn read(line: &str) -> Result<Command, UsageError> {
        crate::cli::parse(line.split_whitespace().map(Into::into))
    }

    fn plain() -> Receive {
        Receive {
            disk: "/dev/vdb".into(),
            policy: Policy::Secret,
            trust: vec![],
            floor: None,
            wipe: None,
            dry_run: false,
            sizes: Sizes::USUAL,
            is_once: None,
            ui: false,
        }
    }

    #[test]
    fn a_secret_is_asked_for_when_nothing_else_is_said() {
        let read = read("receive-deploy --disk /dev/vdb").unwrap();
        assert_eq!(read, Command::Receive(plain()));
    }

    #[test]
    fn two_slots_are_asked_for_by_name() {
        let line = "receive-deploy --disk /dev/vdb --layout";
        for (rest, slot_bytes) in [("ab", None), ("ab --slot 1G", Some(1 << 30))] {
            let expected = Receive {
                sizes: Sizes {
                    layout: LayoutKind::Ab { slot_bytes },
                    ..Sizes::USUAL
                },
                ..plain()
            };
            let found = read(&format!("{line} {rest}")).unwrap();
            assert_eq!(found, Command::Receive(expected));
        }
        let single = read(&format!("{line} single")).unwrap();
        assert_eq!(single, Command::Receive(plain()));
        for rest in ["AB", "ab --slot 63M", "ab --slot none", "single --slot 1G"] {
            assert!(read(&format!("{line} {rest}")).is_err(), "{rest}");
        }
    }

    #[test]
    fn every_option_is_read() {
        let expected = Receive {
            policy: Policy::Pinned("/k/a.shim".into()),
            trust: vec!["/k/one.pub".into(), "RWQ".into()],
            floor: Some(417),
            wipe: Some("ABC123".into()),
            dry_run: true,
            sizes: Sizes {
                esp_bytes: Some(1 << 30),
                swap: Swap::None,
                ..Sizes::USUAL
            },
            ui: true,
            ..plain()
        };
        let line = "receive-deploy --disk /dev/vdb --pinned /k/a.shim --trust /k/one.pub \
                    --wipe ABC123 --trust RWQ --floor 417 --dry-run --esp 1G --swap none --ui";
        assert_eq!(read(line).unwrap(), Command::Receive(expected));
        let legacy = Receive {
            policy: Policy::Legacy,
            ..plain()
        };
        let line = "receive-deploy --disk /dev/vdb --legacy";
        assert_eq!(read(line).unwrap(), Command::Receive(legacy));
    }

    #[test]
    fn the_last_word_on_what_follows_a_failure_counts() {
        for (words, is_once) in [
            ("", None),
            ("--once", Some(true)),
            ("--again", Some(false)),
            ("--again --once", Some(true)),
        ] {
            let read = read(&format!("receive-deploy --disk /dev/vdb {words}"));
            let expected = Receive { is_once, ..plain() };
            assert_eq!(read.unwrap(), Command::Receive(expected));
        }
    }

    #[test]
    fn two_policies_and_odd_floors_are_refused() {
        for arguments in [
            "--legacy --pinned x",
            "--pinned x --pinned x",
            "--legacy --legacy",
            "--floor -1",
            "--floor +1",
            "--floor 18446744073709551616",
            "--floor=",
            "--trust",
            "--pinned",
            "--esp 1M",
            "--esp none",
            "--swap 0",
            "--swap",
        ] {
            let line = format!("receive-deploy --disk d {arguments}");
            assert!(read(&line).is_err(), "{line}");
        }
    }
}
