//! `bundle`: its options and help text.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{ArgMatches, Command};

use super::argument::{all, operand, option, os, path, read_keyset, read_number, switch};
use super::usage::UsageError;
use crate::help::with_exit_codes;
use pack::bundle_file::{Create, Head, Sign, Verify};

/// As it is typed.
pub const COMMAND: &str = "bundle";

const HELP: &str = "\
Usage: spk-visor bundle create NAME.smv DIR [--key FILE]
       spk-visor bundle create NAME.smv PACKAGE... [--key FILE] [--version V]
       spk-visor bundle sign NAME.smv --key FILE [--password-file FILE]
       spk-visor bundle verify SOURCE --trust FILE [--floor N] [--json]
       spk-visor bundle inspect SOURCE [--json]

A bundle file is a release as one file: the manifest, its signature, its chunk
lists and its packages, one after the other, as a donor sends them. A node
updates itself from it; it may also be copied to a partition as it is.

create writes NAME.smv. A DIR with a MANIFEST goes into it as it is listed and
signed there; of other packages a manifest is made as by `spk-visor manifest
create`
  --key FILE           sign it with this minisign secret key; its password is
                       asked for on the terminal
  --password-file FILE ...or read from the first line of FILE
  --version V          for people (default: the date, like 2026.11.20)
  --counter N          must not go down from one release to the next: machines
                       may refuse lower ones (default: seconds since 1970)
  --keyset K           generation of the signing keys (default 1)
  SOURCE_DATE_EPOCH in the environment is taken for the time; then the same
  packages and the same key give the same file

sign verifies every chunk of NAME.smv and then signs it, or replaces its
signature. The file is replaced whole; there must be room for a second one

verify checks signature and every chunk, as a node does, and names the first
byte that is wrong. SOURCE is a bundle file, a partition with one, or a
directory with MANIFEST.chunks
  --trust FILE         minisign public keys, or one key itself
  --floor N            refuse a lower counter

inspect prints what SOURCE says of itself; nothing of it is verified
  --json               with verify and inspect: one JSON object for each event

";

/// `bundle` and its own commands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Bundle {
    /// `bundle create`.
    Create(Create),
    /// `bundle sign`.
    Sign(Sign),
    /// `bundle verify`.
    Verify {
        /// What against what.
        options: Verify,
        /// Events for a script.
        is_json: bool,
    },
    /// `bundle inspect`.
    Inspect {
        /// A bundle file, a block device with one, or a directory.
        source: PathBuf,
        /// Events for a script.
        is_json: bool,
    },
}

pub(super) fn grammar() -> Command {
    let word = |word, value| {
        let word = Command::new(word).override_help(with_exit_codes(HELP));
        word.arg(operand(value).value_parser(os()))
    };
    let key = || {
        [
            option("key", "FILE").value_parser(os()),
            option("password-file", "FILE").value_parser(os()),
        ]
    };
    let packages = operand("PACKAGE").value_parser(os()).num_args(0..);
    let help = with_exit_codes(HELP);
    Command::new(COMMAND).override_help(help).subcommands([
        word("create", "NAME.smv").arg(packages).args(key()).args([
            option("version", "V"),
            option("counter", "N").value_parser(read_number),
            option("keyset", "K").value_parser(read_keyset),
        ]),
        word("sign", "NAME.smv").args(key()),
        word("verify", "SOURCE").args([
            option("trust", "FILE"),
            option("floor", "N").value_parser(read_number),
            switch("json"),
        ]),
        word("inspect", "SOURCE").arg(switch("json")),
    ])
}

pub(super) fn read(matches: &mut ArgMatches) -> Result<Bundle, UsageError> {
    let word = matches.remove_subcommand();
    let (word, mut matches) = word.ok_or(missing("create, sign, verify or inspect"))?;
    let matches = &mut matches;
    match word.as_str() {
        "create" => read_create(matches).map(Bundle::Create),
        "sign" => Ok(Bundle::Sign(Sign {
            file: path(matches, "NAME.smv").ok_or(missing("the NAME.smv to sign"))?,
            key: path(matches, "key").ok_or(missing("--key FILE"))?,
            password: path(matches, "password-file"),
        })),
        "verify" => Ok(Bundle::Verify {
            options: Verify {
                source: path(matches, "SOURCE").ok_or(missing("the SOURCE to verify"))?,
                trust: matches.remove_one("trust").ok_or(missing("--trust FILE"))?,
                floor: matches.remove_one("floor"),
            },
            is_json: matches.get_flag("json"),
        }),
        _ => Ok(Bundle::Inspect {
            source: path(matches, "SOURCE").ok_or(missing("the SOURCE to inspect"))?,
            is_json: matches.get_flag("json"),
        }),
    }
}

fn read_create(matches: &mut ArgMatches) -> Result<Create, UsageError> {
    let out = path(matches, "NAME.smv").ok_or(missing("the NAME.smv to write"))?;
    let sources: Vec<OsString> = all(matches, "PACKAGE");
    if sources.is_empty() {
        return Err(missing("a DIR or PACKAGEs behind NAME.smv"));
    }
    let key = path(matches, "key");
    let password = path(matches, "password-file");
    if password.is_some() && key.is_none() {
        return Err(UsageError::Together {
            command: COMMAND,
            what: "--password-file means nothing without --key",
        });
    }
    Ok(Create {
        content: None,
        out,
        sources: sources.into_iter().map(PathBuf::from).collect(),
        head: Head {
            version: matches.remove_one("version"),
            counter: matches.remove_one("counter"),
            keyset: matches.remove_one("keyset"),
        },
        key,
        password,
    })
}

const fn missing(what: &'static str) -> UsageError {
    UsageError::Missing {
        command: COMMAND,
        what,
    }
}
