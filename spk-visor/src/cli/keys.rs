//! `keys`: its options and help text.

use std::path::PathBuf;

use lexopt::Parser;

use super::{Argument, Command, UsageError, next, unexpected};
use crate::help::with_exit_codes;
use donor::keys::KeysCommand;

/// As it is typed.
pub const COMMAND: &str = "keys";

const HELP: &str = "\
Usage: spk-visor keys new NAME
       spk-visor keys show FILE

Keys for machines that are deployed without a person at them (policy `pinned`).
`new` makes two files that belong together, readable by their owner only:

  NAME.donor           for the donor: deploy-system-img-copy --pinned NAME.donor
  NAME.shim            for the targets: mkinitramfs image --pinned NAME.shim, or
                       receive-deploy --pinned NAME.shim

Anybody with NAME.donor may deploy onto every machine that carries NAME.shim;
anybody with NAME.shim, from an initramfs for example, may pose as such a
machine. `show` prints the public keys in a file, and whose they are.

";

pub(super) fn parse(parser: &mut Parser) -> Result<Command, UsageError> {
    let (mut word, mut path) = (None, None);
    while let Some(argument) = next(parser, COMMAND)? {
        match argument {
            Argument::Help => return Ok(Command::Print(with_exit_codes(HELP))),
            Argument::Value(value) if word.is_none() => word = Some(value),
            Argument::Value(value) if path.is_none() => path = Some(PathBuf::from(value)),
            other => return Err(unexpected(COMMAND, other)),
        }
    }
    let missing = |what| UsageError::Missing {
        command: COMMAND,
        what,
    };
    let word = word.ok_or(missing("new NAME or show FILE"))?;
    match word.to_str() {
        Some("new") => Ok(Command::Keys(KeysCommand::New {
            name: path.ok_or(missing("a NAME behind new"))?,
        })),
        Some("show") => Ok(Command::Keys(KeysCommand::Show {
            file: path.ok_or(missing("a FILE behind show"))?,
        })),
        _ => Err(unexpected(COMMAND, Argument::Value(word))),
    }
}
