//! `keys`: its options and help text.

use clap::{ArgMatches, Command};

use super::argument::{operand, os, path};
use super::usage::UsageError;
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
  NAME.shim            for the targets: media image --pinned NAME.shim, or
                       receive-deploy --pinned NAME.shim

Anybody with NAME.donor may deploy onto every machine that carries NAME.shim;
anybody with NAME.shim, from an initramfs for example, may pose as such a
machine. `show` prints the public keys in a file, and whose they are.

";

pub(super) fn grammar() -> Command {
    let word = |word, value| {
        let word = Command::new(word).override_help(with_exit_codes(HELP));
        word.arg(operand(value).value_parser(os()))
    };
    let help = with_exit_codes(HELP);
    let keys = Command::new(COMMAND).override_help(help);
    keys.subcommands([word("new", "NAME"), word("show", "FILE")])
}

pub(super) fn read(matches: &mut ArgMatches) -> Result<KeysCommand, UsageError> {
    let missing = |what| UsageError::Missing {
        command: COMMAND,
        what,
    };
    let word = matches.remove_subcommand();
    let (word, mut matches) = word.ok_or(missing("new NAME or show FILE"))?;
    if word == "new" {
        let name = path(&mut matches, "NAME").ok_or(missing("a NAME behind new"))?;
        return Ok(KeysCommand::New { name });
    }
    let file = path(&mut matches, "FILE").ok_or(missing("a FILE behind show"))?;
    Ok(KeysCommand::Show { file })
}
