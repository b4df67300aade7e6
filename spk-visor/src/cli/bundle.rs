//! `bundle`: its options and help text.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{ArgMatches, Command};

use super::argument::{
    all, operand, option, os, path, read_keyset, read_need, read_number, read_place, repeated,
    switch,
};
use super::content;
use super::source;
use super::usage::UsageError;
use crate::help::with_exit_codes;
use pack::bundle_file::{Content, Create, Head, Sign, Verify};
use store::place::Place;

/// As it is typed.
pub const COMMAND: &str = "bundle";

const HELP: &str = "\
Usage: spk-visor bundle create NAME.smv DIR [--key FILE]
       spk-visor bundle create NAME.smv PACKAGE... [--key FILE] [--version V]
       spk-visor bundle create NAME.smv DIR --role ROLE [--key FILE]
       spk-visor bundle sign NAME.smv --key FILE [--password-file FILE]
       spk-visor bundle verify SOURCE --trust FILE [--floor N] [--json]
       spk-visor bundle inspect SOURCE [--json]
       spk-visor bundle apply SOURCE [--again] [--ca FILE] [--json]
       spk-visor bundle seed ROOT SOURCE [--ca FILE] [--json]
       spk-visor bundle open ROLE/NAME [--json]

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
  --role ROLE          everything in DIR is content: of a site, model or daemon
                       (docs/bundles.md); or, with the role store, a package,
                       for /usr of a node (docs/node-packages.md)
  --name NAME          the place that it is for, ROLE/NAME on a node (default:
                       NAME of NAME.smv)
  --service FILE       how a daemon is started (docs/bundles.md 3)
  --needs NAME:COUNTER another package that this one needs, in this version or a
                       later one; may be repeated
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

apply serves the content of SOURCE on this node, in the place that its manifest
names: verified, unpacked beside what is served, then put in its place at once.
What was served before is kept, and rollback goes back to it. A daemon is
changed while it serves, by its keeper or by this machine's init, and the one
before is back if the new one fails (docs/daemons.md).
SOURCE may also be on a web server: https://HOST/NAME.smv or https://HOST/DIR/
  --again              take also what was left or has failed here
  --ca FILE            take servers that these authorities vouch for, in PEM,
                       in place of those that this system trusts
  --allow-http         read http:// from other machines, too; the signature
                       decides either way

seed makes the content of SOURCE part of the system whose tree is ROOT, before
that becomes an image: /usr/lib/smechvisor/seed/ROLE/NAME, which a node serves
while it has nothing newer. A key of that tree must have signed it

open prints the path of the newest content of ROLE/NAME that is as it was
signed, all of it read; newer content that is not is named on standard error

  --json               with verify, inspect, apply, seed and open: one JSON
                       object for each event

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
            option("role", "ROLE").value_parser(["site", "model", "daemon", "store"]),
            option("name", "NAME"),
            option("service", "FILE").value_parser(os()),
            repeated("needs", "NAME:COUNTER").value_parser(read_need),
        ]),
        word("sign", "NAME.smv").args(key()),
        word("verify", "SOURCE").args([
            option("trust", "FILE"),
            option("floor", "N").value_parser(read_number),
            switch("json"),
        ]),
        word("inspect", "SOURCE").arg(switch("json")),
        Command::new("apply")
            .override_help(with_exit_codes(HELP))
            .args(source::arguments())
            .args(["again", "json"].map(switch)),
        Command::new("seed")
            .override_help(with_exit_codes(HELP))
            .arg(operand("ROOT").value_parser(os()))
            .args(source::arguments())
            .arg(switch("json")),
        Command::new("open")
            .override_help(with_exit_codes(HELP))
            .arg(operand("ROLE/NAME").value_parser(read_place))
            .arg(switch("json")),
    ])
}

pub(super) fn read(matches: &mut ArgMatches) -> Result<super::Command, UsageError> {
    let word = matches.remove_subcommand();
    let (word, mut matches) = word.ok_or(missing(
        "create, sign, verify, inspect, apply, seed or open",
    ))?;
    let matches = &mut matches;
    let bundle = match word.as_str() {
        "create" => Bundle::Create(read_create(matches)?),
        "sign" => Bundle::Sign(Sign {
            file: path(matches, "NAME.smv").ok_or(missing("the NAME.smv to sign"))?,
            key: path(matches, "key").ok_or(missing("--key FILE"))?,
            password: path(matches, "password-file"),
        }),
        "verify" => Bundle::Verify {
            options: Verify {
                source: path(matches, "SOURCE").ok_or(missing("the SOURCE to verify"))?,
                trust: matches.remove_one("trust").ok_or(missing("--trust FILE"))?,
                floor: matches.remove_one("floor"),
            },
            is_json: matches.get_flag("json"),
        },
        "apply" | "seed" | "open" => {
            return read_content_command(&word, matches).map(super::Command::Content);
        }
        _ => Bundle::Inspect {
            source: path(matches, "SOURCE").ok_or(missing("the SOURCE to inspect"))?,
            is_json: matches.get_flag("json"),
        },
    };
    Ok(super::Command::Bundle(bundle))
}

fn read_content_command(
    word: &str,
    matches: &mut ArgMatches,
) -> Result<content::Content, UsageError> {
    let is_json = matches.get_flag("json");
    Ok(match word {
        "apply" => content::Content::Apply {
            source: source::read(matches)?.ok_or(missing("the SOURCE to apply"))?,
            access: source::access(matches),
            again: matches.get_flag("again"),
            is_json,
        },
        "seed" => content::Content::Seed {
            root: path(matches, "ROOT").ok_or(missing("the ROOT of a system"))?,
            source: source::read(matches)?.ok_or(missing("the SOURCE to seed ROOT with"))?,
            access: source::access(matches),
            is_json,
        },
        _ => content::Content::Open {
            place: matches
                .remove_one("ROLE/NAME")
                .ok_or(missing("the ROLE/NAME to open"))?,
            is_json,
        },
    })
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
    let content = read_content(matches, &out)?;
    Ok(Create {
        content,
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

fn read_content(
    matches: &mut ArgMatches,
    out: &std::path::Path,
) -> Result<Option<Content>, UsageError> {
    let role: Option<String> = matches.remove_one("role");
    let name: Option<String> = matches.remove_one("name");
    let service = path(matches, "service");
    let needs: Vec<(String, u64)> = all(matches, "needs");
    let Some(role) = role else {
        return match name.is_some() || service.is_some() || !needs.is_empty() {
            true => Err(UsageError::Together {
                command: COMMAND,
                what: "--name, --service and --needs mean nothing without --role",
            }),
            false => Ok(None),
        };
    };
    let stem = out.file_stem().unwrap_or_default().to_string_lossy();
    let name = name.unwrap_or_else(|| stem.into_owned());
    let place = match role.as_str() {
        "store" => Place::package(&name),
        _ => format!("{role}/{name}").parse(),
    };
    let place = place.map_err(|_| UsageError::Together {
        command: COMMAND,
        what: "--name takes 1 to 64 of [A-Za-z0-9._+-], the first one a letter or digit",
    })?;
    Ok(Some(Content {
        role: place.role(),
        name,
        service,
        needs,
    }))
}

const fn missing(what: &'static str) -> UsageError {
    UsageError::Missing {
        command: COMMAND,
        what,
    }
}
