//! `package install`, `remove`, `list` and `activate`: their options. Their help text is that of
//! [`package`](super::package).

use std::ffi::OsString;

use clap::{Arg, ArgMatches, Command};
use fetch::http::client::Access;
use fetch::source::Source;

use super::argument::{all, operand, option, os, switch};
use super::source;
use super::usage::UsageError;

/// As they are typed.
pub(super) const WORDS: [&str; 4] = ["install", "remove", "list", "activate"];

/// A command about the packages of a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sets {
    /// Which one.
    pub action: Action,
    /// Nothing is done on a node whose system is sealed.
    pub only_unsealed: bool,
    /// What failed before may be taken.
    pub again: bool,
    /// Events for a script.
    pub is_json: bool,
}

/// What is done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// A set with these.
    Install {
        /// At least one.
        what: Vec<What>,
        /// Where names are; `None`: the node's own.
        source: Option<Source>,
        /// How a server is reached.
        access: Access,
    },
    /// A set without these.
    Remove {
        /// At least one.
        names: Vec<String>,
    },
    /// What there is.
    List {
        /// With the packages of a source.
        available: Option<(Option<Source>, Access)>,
    },
    /// The next boots try the newest.
    Activate {
        /// This one does.
        now: bool,
    },
}

/// A package to install.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// Where it is.
    Source(Source),
    /// What the source calls it.
    Name(String),
}

pub(super) fn grammars(word: impl Fn(&'static str) -> Command) -> [Command; 4] {
    let [install, remove, list, activate] = WORDS.map(|name| word(name).arg(switch("json")));
    [
        arguments(install),
        remove.arg(several("NAME")).arg(switch("again")),
        list.arg(switch("available")).args(server()),
        activate.args(["now", "again"].map(switch)),
    ]
}

/// A command that installs packages.
pub(super) fn install(word: Command) -> Command {
    arguments(word.arg(switch("json")))
}

fn arguments(install: Command) -> Command {
    let install = install.arg(several("SOURCE|NAME"));
    install.args(server()).arg(switch("again"))
}

fn server() -> [Arg; 3] {
    [
        option("source", "SOURCE").value_parser(os()),
        option("ca", "FILE").value_parser(os()),
        switch("allow-http"),
    ]
}

fn several(name: &'static str) -> Arg {
    operand(name).value_parser(os()).num_args(0..)
}

/// `system-install`, `userland-install`.
pub(super) fn read_unsealed(matches: &mut ArgMatches) -> Result<Sets, UsageError> {
    Ok(Sets {
        only_unsealed: true,
        ..read("install", matches)?
    })
}

pub(super) fn read(word: &str, matches: &mut ArgMatches) -> Result<Sets, UsageError> {
    let action = match word {
        "install" => read_install(matches)?,
        "remove" => Action::Remove {
            names: names(matches)?,
        },
        "list" => {
            let (source, access) = (chosen(matches)?, source::access(matches));
            let is_available = matches.get_flag("available");
            if source.is_some() && !is_available {
                return Err(UsageError::Together {
                    command: super::package::COMMAND,
                    what: "--source means nothing without --available",
                });
            }
            Action::List {
                available: is_available.then_some((source, access)),
            }
        }
        _ => Action::Activate {
            now: matches.get_flag("now"),
        },
    };
    Ok(Sets {
        action,
        only_unsealed: false,
        again: word != "list" && matches.get_flag("again"),
        is_json: matches.get_flag("json"),
    })
}

fn read_install(matches: &mut ArgMatches) -> Result<Action, UsageError> {
    let words: Vec<OsString> = all(matches, "SOURCE|NAME");
    if words.is_empty() {
        return Err(missing("a SOURCE or NAME to install"));
    }
    let what = words.iter().map(|word| {
        let text = word.to_str().filter(|text| !text.ends_with(".smv"));
        Ok(match text.filter(|text| !text.contains(['/', ':'])) {
            Some(name) => What::Name(name.to_owned()),
            None => What::Source(Source::parse(word)?),
        })
    });
    let what: Result<Vec<What>, UsageError> = what.collect();
    Ok(Action::Install {
        what: what?,
        source: chosen(matches)?,
        access: source::access(matches),
    })
}

fn names(matches: &mut ArgMatches) -> Result<Vec<String>, UsageError> {
    let words: Vec<OsString> = all(matches, "NAME");
    let names = words.iter().map(|word| word.to_string_lossy().into_owned());
    let names: Vec<String> = names.collect();
    match names.is_empty() {
        true => Err(missing("the NAME of a package to remove")),
        false => Ok(names),
    }
}

fn chosen(matches: &mut ArgMatches) -> Result<Option<Source>, UsageError> {
    let text: Option<OsString> = matches.remove_one("source");
    Ok(text.map(|text| Source::parse(&text)).transpose()?)
}

const fn missing(what: &'static str) -> UsageError {
    UsageError::Missing {
        command: super::package::COMMAND,
        what,
    }
}

#[cfg(test)]
mod tests {
    use super::{Action, Sets, What};
    use crate::cli::{Command, UsageError, parse};
    use fetch::http::client::Access;
    use fetch::source::Source;

    fn read(line: &str) -> Result<Command, UsageError> {
        parse(line.split_whitespace().map(Into::into))
    }

    fn sets(line: &str) -> Sets {
        match read(line).unwrap() {
            Command::Sets(sets) => sets,
            other => panic!("{line}: {other:?}"),
        }
    }

    #[test]
    fn what_is_a_source_and_what_a_name_is_told_by_its_form() {
        let path = |text: &str| What::Source(Source::Path(text.into()));
        let found = sets("package install htop ./htop h.smv /dev/vdb --source /srv --again --json");
        let expected = Sets {
            action: Action::Install {
                what: vec![
                    What::Name("htop".into()),
                    path("./htop"),
                    path("h.smv"),
                    path("/dev/vdb"),
                ],
                source: Some(Source::Path("/srv".into())),
                access: Access::default(),
            },
            only_unsealed: false,
            again: true,
            is_json: true,
        };
        assert_eq!(found, expected);
        let Action::Install { what, .. } = sets("package install https://a/b/htop.smv").action
        else {
            panic!("not an installation");
        };
        assert!(matches!(&what[..], [What::Source(Source::Url(_))]));
    }

    #[test]
    fn every_other_word_is_read() {
        let names = vec!["a".to_owned(), "b".to_owned()];
        assert_eq!(sets("package remove a b").action, Action::Remove { names });
        let now = |now| Action::Activate { now };
        assert_eq!(sets("package activate").action, now(false));
        assert_eq!(sets("package activate --now --again").action, now(true));
        let none = Action::List { available: None };
        assert_eq!(sets("package list").action, none);
        let available = Some((None, Access::default()));
        let line = "package list --available";
        assert_eq!(sets(line).action, Action::List { available });
    }

    #[test]
    fn wrong_arguments_are_named() {
        for (line, word) in [
            ("package install", "SOURCE or NAME"),
            ("package remove", "NAME"),
            ("package install ftp://a/b", "ftp"),
            ("package list --source /srv", "--available"),
            ("package install a -o /x", "--output"),
            ("package activate now", "now"),
        ] {
            let text = wire::chain::chain(&read(line).expect_err(line)).to_string();
            assert!(text.contains(word), "{line}: {text}");
        }
    }
}
