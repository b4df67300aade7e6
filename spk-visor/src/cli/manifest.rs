//! `manifest`: its options and help text.

use clap::{ArgMatches, Command};

use super::argument::{operand, option, os, path, read_keyset, read_number};
use super::usage::UsageError;
use crate::help::with_exit_codes;
use pack::manifest::ManifestCommand;

/// As it is typed.
pub const COMMAND: &str = "manifest";

const HELP: &str = "\
Usage: spk-visor manifest create DIR [--version V] [--counter N] [--keyset K]
       spk-visor manifest sign DIR --key FILE [--password-file FILE]
       spk-visor manifest verify DIR --trust FILE [--floor N]

DIR/MANIFEST lists the packages of DIR with their hashes; DIR/MANIFEST.minisig
is its signature. A donor sends both, and a machine that was given the public
key (media image --trust, receive-deploy --trust) takes nothing else.

create reads every package, unpacks it to nowhere and so checks it, and writes
MANIFEST, and MANIFEST.chunks, by which an update skips what it has
  --version V          for people (default: the date, like 2026.11.20)
  --counter N          must not go down from one release to the next: machines
                       may refuse lower ones (default: seconds since 1970)
  --keyset K           generation of the signing keys (default 1)
  SOURCE_DATE_EPOCH in the environment is taken for the time; then the same
  packages give the same manifest

sign signs MANIFEST. `minisign -Sm DIR/MANIFEST` does the same
  --key FILE           a minisign secret key; its password is asked for on the
                       terminal
  --password-file FILE ...or read from the first line of FILE

verify compares every package with MANIFEST, as a target does. `minisign -Vm
DIR/MANIFEST` checks the signature alone
  --trust FILE         minisign public keys, or one key itself
  --floor N            refuse a lower counter

";

pub(super) fn grammar() -> Command {
    let word = |word| {
        let word = Command::new(word).override_help(with_exit_codes(HELP));
        word.arg(operand("DIR").value_parser(os()))
    };
    let help = with_exit_codes(HELP);
    Command::new(COMMAND).override_help(help).subcommands([
        word("create").args([
            option("version", "V"),
            option("counter", "N").value_parser(read_number),
            option("keyset", "K").value_parser(read_keyset),
        ]),
        word("sign").args([
            option("key", "FILE").value_parser(os()),
            option("password-file", "FILE").value_parser(os()),
        ]),
        word("verify").args([
            option("trust", "FILE"),
            option("floor", "N").value_parser(read_number),
        ]),
    ])
}

pub(super) fn read(matches: &mut ArgMatches) -> Result<ManifestCommand, UsageError> {
    let word = matches.remove_subcommand();
    let (word, mut matches) = word.ok_or(missing("create, sign or verify"))?;
    let matches = &mut matches;
    let dir = path(matches, "DIR").ok_or(missing("the DIR with the packages"))?;
    Ok(match word.as_str() {
        "create" => ManifestCommand::Create {
            dir,
            version: matches.remove_one("version"),
            counter: matches.remove_one("counter"),
            keyset: matches.remove_one("keyset").unwrap_or(1),
        },
        "sign" => ManifestCommand::Sign {
            dir,
            key: path(matches, "key").ok_or(missing("--key FILE"))?,
            password: path(matches, "password-file"),
        },
        _ => ManifestCommand::Verify {
            dir,
            trust: matches.remove_one("trust").ok_or(missing("--trust FILE"))?,
            floor: matches.remove_one("floor"),
        },
    })
}

const fn missing(what: &'static str) -> UsageError {
    UsageError::Missing {
        command: COMMAND,
        what,
    }
}
