//! `manifest`: its options and help text.

use std::path::PathBuf;

use lexopt::Parser;

use super::{Argument, Command, UsageError, next, text, unexpected, value};
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
key (mkinitramfs image --trust, receive-deploy --trust) takes nothing else.

create reads every package, unpacks it to nowhere and so checks it, and writes
MANIFEST
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

#[derive(Default)]
struct Said {
    version: Option<String>,
    counter: Option<u64>,
    keyset: Option<u32>,
    key: Option<PathBuf>,
    password: Option<PathBuf>,
    trust: Option<String>,
    floor: Option<u64>,
}

pub(super) fn parse(parser: &mut Parser) -> Result<Command, UsageError> {
    let (mut word, mut dir) = (None, None);
    let mut said = Said::default();
    while let Some(argument) = next(parser, COMMAND)? {
        match argument {
            Argument::Help => return Ok(Command::Print(with_exit_codes(HELP))),
            Argument::Value(value) if word.is_none() => word = Some(value),
            Argument::Value(value) if dir.is_none() => dir = Some(PathBuf::from(value)),
            Argument::Option(name) => {
                option(
                    parser,
                    word.as_ref().and_then(|word| word.to_str()),
                    name,
                    &mut said,
                )?;
            }
            other => return Err(unexpected(COMMAND, other)),
        }
    }
    let word = word.ok_or(missing("create, sign or verify"))?;
    let dir = dir.ok_or(missing("the DIR with the packages"));
    let manifest = match word.to_str() {
        Some("create") => ManifestCommand::Create {
            dir: dir?,
            version: said.version,
            counter: said.counter,
            keyset: said.keyset.unwrap_or(1),
        },
        Some("sign") => ManifestCommand::Sign {
            dir: dir?,
            key: said.key.ok_or(missing("--key FILE"))?,
            password: said.password,
        },
        Some("verify") => ManifestCommand::Verify {
            dir: dir?,
            trust: said.trust.ok_or(missing("--trust FILE"))?,
            floor: said.floor,
        },
        _ => return Err(unexpected(COMMAND, Argument::Value(word))),
    };
    Ok(Command::Manifest(manifest))
}

const fn missing(what: &'static str) -> UsageError {
    UsageError::Missing {
        command: COMMAND,
        what,
    }
}

/// An option belongs to the word before it.
fn option(
    parser: &mut Parser,
    word: Option<&str>,
    name: String,
    said: &mut Said,
) -> Result<(), UsageError> {
    match (word, name.as_str()) {
        (Some("create"), "version") => said.version = Some(text(parser, COMMAND)?),
        (Some("create"), "counter") => said.counter = Some(number(parser, "--counter")?),
        (Some("create"), "keyset") => {
            let keyset = number(parser, "--keyset")?;
            said.keyset = Some(u32::try_from(keyset).map_err(|_| UsageError::Value {
                option: "--keyset",
                text: keyset.to_string(),
                wanted: "number below 2^32",
            })?);
        }
        (Some("sign"), "key") => said.key = Some(value(parser, COMMAND)?.into()),
        (Some("sign"), "password-file") => said.password = Some(value(parser, COMMAND)?.into()),
        (Some("verify"), "trust") => said.trust = Some(text(parser, COMMAND)?),
        (Some("verify"), "floor") => said.floor = Some(number(parser, "--floor")?),
        _ => return Err(unexpected(COMMAND, Argument::Option(name))),
    }
    Ok(())
}

fn number(parser: &mut Parser, option: &'static str) -> Result<u64, UsageError> {
    let text = text(parser, COMMAND)?;
    text.parse().map_err(|_| UsageError::Value {
        option,
        text,
        wanted: "number",
    })
}
