//! `docs/troubleshooting.md` quotes messages that the code has, and every exit code.

// The lint knows test functions only; this whole file is a test.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};

use spk_visor::exit::Exit;

/// Stands for what a message fills in.
const GAP: char = '…';

fn top() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .unwrap()
        .to_owned()
}

fn page() -> String {
    fs::read_to_string(top().join("docs/troubleshooting.md")).unwrap()
}

/// The messages of a page: every first cell of a table that is nothing but a quotation.
fn quoted(page: &str) -> Vec<&str> {
    let cells = page.lines().filter_map(|line| line.strip_prefix("| `"));
    let cells = cells.filter_map(|line| line.split_once("` |"));
    let cells = cells.map(|(message, _)| message);
    cells.filter(|message| !message.contains('`')).collect()
}

/// What is shipped of a source file, with a [`GAP`] wherever a text is filled in: no comments, no
/// tests, strings on several lines joined.
fn shipped(source: &str) -> String {
    let source = source
        .split("#[cfg(test)]\nmod tests")
        .next()
        .unwrap_or_default();
    let is_code = |line: &&str| !line.trim_start().starts_with("//");
    let lines: Vec<_> = source.lines().filter(is_code).collect();
    let mut joined = String::new();
    for line in lines {
        let is_open = joined.ends_with('\\');
        if is_open {
            joined.pop();
            joined.push_str(line.trim_start());
        } else {
            joined.push('\n');
            joined.push_str(line);
        }
    }
    gaps(&joined.replace("\\\"", "\""))
}

/// `{name}` and `{}` become a [`GAP`] each; braces of code, which are on several lines, stay.
fn gaps(text: &str) -> String {
    let mut parts = text.split('{');
    let mut filled = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        match part.split_once('}') {
            Some((name, rest)) if !name.contains('\n') => {
                filled.push(GAP);
                filled.push_str(rest);
            }
            _ => {
                filled.push('{');
                filled.push_str(part);
            }
        }
    }
    filled
}

/// The sources below `dir` that are not tests.
fn sources(dir: &Path, found: &mut Vec<String>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let stem = path.file_stem().unwrap_or_default();
        if stem == "tests" || stem == "fakes" {
            continue;
        }
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            found.push(shipped(&fs::read_to_string(&path).unwrap()));
        }
    }
}

#[test]
fn every_quoted_message_is_one_of_the_code() {
    let mut texts = Vec::new();
    for entry in fs::read_dir(top()).unwrap() {
        let source = entry.unwrap().path().join("src");
        if source.is_dir() {
            sources(&source, &mut texts);
        }
    }
    let page = page();
    let messages = quoted(&page);
    assert!(messages.len() > 80, "only {} messages", messages.len());
    let is_unknown = |message: &&str| !texts.iter().any(|text| text.contains(message));
    let unknown: Vec<_> = messages.into_iter().filter(is_unknown).collect();
    assert!(
        unknown.is_empty(),
        "the code has no such messages:\n{}",
        unknown.join("\n")
    );
}

#[test]
fn every_exit_code_has_its_row() {
    let page = page();
    let rows = page.lines().filter_map(|line| {
        let mut cells = line.strip_prefix("| ")?.split(" | ");
        Some((cells.next()?.parse::<u8>().ok()?, cells.next()?.to_owned()))
    });
    let expected = Exit::ALL.map(|exit| (exit.code(), exit.meaning().to_owned()));
    assert_eq!(rows.collect::<Vec<_>>(), expected);
}

#[test]
fn a_message_is_found_however_its_source_is_written() {
    let source = "// no {x}\n#[error(\n \"a {} of \\\n     {b} is \\\"{c:?}\\\"\"\n)]\nfn f() {\n}\n\
                  #[cfg(test)]\nmod tests;\nlate";
    let text = shipped(source);
    assert!(text.contains("\"a … of … is \"…\"\""), "{text}");
    assert!(text.contains("fn f() {\n}"), "{text}");
    assert!(!text.contains("no") && !text.contains("late"), "{text}");
    let page = "| `a … b` | c `d` |\n| `a` of b | c `d` |\n| code | `e` |\n";
    assert_eq!(quoted(page), ["a … b"]);
}
