//! The help texts: as the files of `golden/help/` have them (`UPDATE_GOLDEN=1` draws those again),
//! and with the options that the parser takes, no more and no fewer.

// The lint knows test functions only; this whole file is a test.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use clap_complete::Shell;
use spk_visor::cli::{Command, grammar, parse};

/// As wide as the terminals that machines have before anything is installed on them.
const COLUMNS: usize = 80;

fn help(words: &[&str]) -> String {
    let args = words.iter().chain(&["--help"]).map(Into::into);
    match parse(args) {
        Ok(Command::Print(text)) => text,
        other => panic!("{words:?}: {other:?}"),
    }
}

/// Every option of a command and of the words behind it, as it is typed.
fn options(command: &clap::Command) -> BTreeSet<String> {
    let inner = command.get_subcommands().flat_map(options);
    let arguments = command.get_arguments();
    let typed = arguments.flat_map(|option| {
        let short = option.get_short().map(|letter| format!("-{letter}"));
        let long = option.get_long().map(|name| format!("--{name}"));
        [short, long]
    });
    typed.flatten().chain(inner).collect()
}

/// Every `-o` and `--option` of a text.
fn named(text: &str) -> BTreeSet<String> {
    let is_of_one = |letter: char| matches!(letter, 'a'..='z' | '0'..='9' | '-');
    let is_end = |letter: char| !is_of_one(letter);
    let words = text.split(is_end).filter(|word| word.starts_with('-'));
    let words = words.map(|word| word.trim_end_matches('-'));
    let options = words.filter(|word| word.starts_with("--") || word.len() == 2);
    options.map(str::to_owned).collect()
}

/// Those of them that have a line of their own.
fn listed(text: &str) -> BTreeSet<String> {
    let entries = text.lines().filter_map(|line| line.strip_prefix("  "));
    let entries = entries.filter(|entry| entry.starts_with('-'));
    let heads = entries.map(|entry| entry.split_once("  ").map_or(entry, |(head, _)| head));
    heads.flat_map(named).collect()
}

#[test]
fn every_help_text_is_the_one_on_file() {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/help");
    let is_update = std::env::var_os("UPDATE_GOLDEN").is_some();
    let mut expected = BTreeSet::new();
    for command in grammar().get_subcommands() {
        let name = command.get_name();
        let text = help(&[name]);
        let longest = text.lines().map(|line| line.chars().count()).max();
        assert!(longest <= Some(COLUMNS), "{name}: {longest:?} columns");
        let file = golden.join(format!("{name}.txt"));
        if is_update {
            fs::create_dir_all(&golden).unwrap();
            fs::write(&file, &text).unwrap();
        }
        let on_file = fs::read_to_string(&file).unwrap_or_default();
        assert_eq!(text, on_file, "{name}: UPDATE_GOLDEN=1 draws it again");
        for word in command.get_subcommands() {
            assert_eq!(text, help(&[name, word.get_name()]));
        }
        expected.insert(file);
    }
    let found = fs::read_dir(&golden)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    assert_eq!(found.collect::<BTreeSet<_>>(), expected);
}

#[test]
fn help_and_parser_have_the_same_options() {
    let known = options(&grammar());
    for command in grammar().get_subcommands() {
        let (name, text) = (command.get_name(), help(&[command.get_name()]));
        let (taken, named, listed) = (options(command), named(&text), listed(&text));
        let hidden: Vec<_> = taken.difference(&named).collect();
        assert!(hidden.is_empty(), "{name} --help lacks {hidden:?}");
        let refused: Vec<_> = listed
            .difference(&taken)
            .filter(|option| *option != "--help")
            .collect();
        assert!(refused.is_empty(), "{name} does not take {refused:?}");
        // Prose may name an option of another command.
        let unknown: Vec<_> = named
            .difference(&known)
            .filter(|option| *option != "--help")
            .collect();
        assert!(unknown.is_empty(), "{name}: no command takes {unknown:?}");
    }
}

#[test]
fn the_overview_lists_what_can_be_done() {
    let text = help(&[]);
    assert_eq!(text, help(&["help"]));
    for command in grammar().get_subcommands() {
        let name = command.get_name();
        let is_other_name = spk_visor::cli::offered().find_subcommand(name).is_none();
        let is_listed = text.split([' ', ',', '\n']).any(|word| word == name);
        assert_eq!(is_listed, !is_other_name, "{name}");
    }
}

#[test]
fn the_grammar_holds() {
    grammar().debug_assert();
}

/// The commands without their other names, each with everything that it takes.
fn offered() -> Vec<(clap::Command, BTreeSet<String>)> {
    let offered = spk_visor::cli::offered();
    let commands = offered.get_subcommands().cloned();
    commands
        .map(|command| (command.clone(), options(&command)))
        .collect()
}

#[test]
fn every_option_is_in_its_manual_page() {
    let pages = spk_visor::manual::pages();
    let page = |name: &str| pages.iter().find(|page| page.name == name);
    assert!(pages.iter().all(|page| page.roff.is_ascii()));
    for (command, taken) in offered() {
        let name = command.get_name();
        let overview = &page("spk-visor").unwrap().roff;
        assert!(overview.contains(&name.replace('-', "\\-")));
        let Some(page) = page(&format!("spk-visor-{name}")) else {
            assert!(taken.is_empty(), "{name} has no page");
            continue;
        };
        let named = named(&page.roff.replace("\\-", "-").replace("\\f", " \\"));
        let missing: Vec<_> = taken.difference(&named).collect();
        assert!(missing.is_empty(), "{}.1 lacks {missing:?}", page.name);
        let summary = spk_visor::help::summary(name);
        assert!(!summary.is_empty(), "{name}");
        let sections = page.roff.lines().filter(|line| line.starts_with(".SH "));
        assert!(sections.count() >= 5, "{name}");
    }
    assert!(page("spk-visor-deploy").is_some() && page("spk-visor-system-install").is_none());
}

/// The part of a script about one command.
fn about(shell: Shell, script: &str, command: &str) -> String {
    let state = format!("\n        {}", bash_state(command));
    let (itself, behind) = (format!("{state})"), format!("{state}__"));
    let parts: Vec<_> = match shell {
        Shell::Bash => script
            .split("\n            ;;")
            .filter(|arm| arm.contains(&itself) || arm.contains(&behind))
            .collect(),
        Shell::Fish => script
            .lines()
            .filter(|line| line.contains(&format!("using_subcommand {command}")))
            .collect(),
        _ => vec![zsh_arm(script, command)],
    };
    // Descriptions, which zsh has in brackets, may name other options.
    let heads = parts.iter().flat_map(|part| part.lines());
    let heads = heads.map(|line| line.split('[').next().unwrap_or_default());
    heads.collect::<Vec<_>>().join("\n")
}

/// The arm of zsh's `case` for a command: up to that of the next one. Arms of the words behind it
/// lie inside, also of one that is called as another command: `package activate`.
fn zsh_arm<'a>(script: &'a str, command: &str) -> &'a str {
    let mark = format!("({command})\n");
    // The commands that change what boots come last, behind `package activate`.
    let (_, arm) = script.rsplit_once(&mark).unwrap();
    let offered = offered();
    let own = offered.iter().find(|(own, _)| own.get_name() == command);
    let is_inside = |name: &str| own.is_some_and(|(own, _)| own.find_subcommand(name).is_some());
    let next = offered.iter().flat_map(|(command, _)| {
        let names = command.get_name_and_visible_aliases();
        names
            .into_iter()
            .filter(|name| !is_inside(name))
            .map(|name| format!("\n({name})\n"))
            .collect::<Vec<_>>()
    });
    let end = next.filter_map(|mark| arm.find(&mark)).min();
    &arm[..end.unwrap_or(arm.len())]
}

fn bash_state(command: &str) -> String {
    format!("spk_visor__subcmd__{}", command.replace('-', "__subcmd__"))
}

#[test]
fn every_option_is_completed() {
    for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
        let script = spk_visor::completions::script(shell);
        for (command, taken) in offered() {
            let name = command.get_name();
            assert!(script.contains(name), "{shell}: {name}");
            let about = about(shell, &script, name);
            let is_end = |letter: char| !letter.is_ascii_alphanumeric() && letter != '-';
            let words: BTreeSet<_> = about.split(is_end).collect();
            for option in taken {
                let bare = option.trim_start_matches('-');
                let word = if shell == Shell::Fish { bare } else { &option };
                assert!(words.contains(word), "{shell}: {name} {option}");
            }
        }
        assert!(!script.contains("system-install"), "{shell}");
        // The words of the help texts, also by reference from one to another.
        let described = script.matches("pack this tree (default /)").count();
        assert!(shell == Shell::Bash || described >= 2, "{shell}");
    }
}

#[test]
fn bash_finds_what_stands_behind_a_command() {
    let script = spk_visor::completions::script(Shell::Bash);
    let states = script.split("cmd=\"").skip(1);
    let states: BTreeSet<_> = states.map(|text| text.split('"').next().unwrap()).collect();
    assert!(states.len() > 10, "{states:?}");
    for state in states.into_iter().filter(|state| !state.is_empty()) {
        assert!(script.contains(&format!("\n        {state})\n")), "{state}");
    }
    assert!(script.trim_end().ends_with("-o default spk-visor\nfi"));
}

#[test]
fn help_explains_a_command() {
    for words in [
        &["help", "package"][..],
        &["help", "package", "create"],
        &["package", "-h"],
    ] {
        let Ok(Command::Print(text)) = parse(words.iter().map(Into::into)) else {
            panic!("{words:?}");
        };
        assert_eq!(text, help(&["package"]));
    }
    let error = parse(["help", "pakage"].map(Into::into)).unwrap_err();
    assert!(
        error.to_string().contains("'pakage' (did you mean package"),
        "{error}"
    );
}
