//! Scripts that complete commands and options in a shell: made by clap of the grammar, described
//! with the words of the help texts.

use clap::{Arg, Command};
use clap_complete::Shell;

use crate::cli;
use crate::help::prose::{self, Entry};
use crate::help::{self, NAME};

/// The program in the script for bash: one with a hyphen in its name gets a script that completes
/// its commands, but nothing behind them (clap_complete 4.6).
const BASH_NAME: &str = "spk_visor";

/// The script for this shell.
#[must_use]
pub fn script(shell: Shell) -> String {
    let is_bash = shell == Shell::Bash;
    let name = if is_bash { BASH_NAME } else { NAME };
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut described(), name, &mut script);
    let script = String::from_utf8_lossy(&script);
    // The lines that say which program the script is for end with its name.
    script.replace(&format!(" {BASH_NAME}\n"), &format!(" {NAME}\n"))
}

/// The grammar, with a description wherever a help text has one.
fn described() -> Command {
    let offered = cli::offered();
    let commands = offered.get_subcommands();
    let everywhere: Vec<_> = commands
        .flat_map(|command| entries(command.clone()))
        .collect();
    offered.mut_subcommands(|command| {
        let mut known = entries(command.clone());
        // One text may refer to another: `--live` to `package create`.
        known.extend(everywhere.iter().cloned());
        let summary = help::summary(command.get_name());
        describe(command, &known).about(summary)
    })
}

fn entries(mut command: Command) -> Vec<Entry> {
    prose::entries(&command.render_help().to_string())
}

/// Describes the arguments of a command and of the words behind it.
fn describe(command: Command, known: &[Entry]) -> Command {
    let described = command.mut_args(|argument| describe_argument(argument, known));
    described.mut_subcommands(|word| describe(word, known))
}

fn describe_argument(argument: Arg, known: &[Entry]) -> Arg {
    let typed = match argument.get_long() {
        Some(name) => format!("--{name}"),
        None => argument.get_id().to_string(),
    };
    match known.iter().find(|entry| entry.is_about(&typed)) {
        Some(entry) => argument.help(entry.brief().to_owned()),
        None => argument,
    }
}
