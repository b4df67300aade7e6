//! Sections that the code and the documents cite (`protocol.md 3.2`) exist, and links from one
//! document to another lead somewhere.

// The lint knows test functions only; this whole file is a test.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

fn top() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .unwrap()
        .to_owned()
}

/// Every file of text below `dir` with what it says; not what was built or fetched.
fn texts(dir: &Path, found: &mut Vec<(PathBuf, String)>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_symlink() || name == "target" || name.starts_with('.') {
            continue;
        }
        if path.is_dir() {
            texts(&path, found);
        } else if let Ok(text) = fs::read_to_string(&path) {
            found.push((path, text));
        }
    }
}

/// Every document that may be cited: those in `docs/` and at the top.
fn documents() -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    for dir in [top(), top().join("docs")] {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|ending| ending == "md") {
                let text = fs::read_to_string(&path).unwrap();
                found.push((path, text));
            }
        }
    }
    found
}

/// A document's titles, without the lines between fences: a comment of a shell is no title.
fn titles(document: &str) -> impl Iterator<Item = &str> {
    let mut is_fenced = false;
    document.lines().filter_map(move |line| {
        is_fenced ^= line.trim_start().starts_with("```");
        let title = line.strip_prefix('#').filter(|_| !is_fenced)?;
        title.trim_start_matches('#').strip_prefix(' ')
    })
}

/// `3` and `3.2` of lines like `## 3. Session` and `### 3.2 Handshake`.
fn sections(document: &str) -> BTreeSet<&str> {
    titles(document)
        .filter_map(|title| title.split(' ').next())
        .map(|number| number.trim_end_matches('.'))
        .collect()
}

/// The fragments by which a browser reaches a document's titles, as GitHub makes them: lower case,
/// dashes for spaces, no other punctuation.
fn anchors(document: &str) -> BTreeSet<String> {
    titles(document)
        .map(|title| {
            let title = title.to_lowercase().replace(' ', "-");
            title
                .chars()
                .filter(|c| c.is_alphanumeric() || "-_".contains(*c))
                .collect()
        })
        .collect()
}

/// The words of a text, without what begins a line of a comment: a citation may lie on two lines.
fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split_whitespace()
        .filter(|word| !["//", "///", "//!", "#"].contains(word))
}

/// The section numbers at the beginning of `words`: `3.2, 4.1 and 4.3`, `2 to 5`.
fn numbers<'a>(mut words: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let mut found = Vec::new();
    while let Some(word) = words.next() {
        let word = word.trim_start_matches('`');
        let end = word
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .unwrap_or(word.len());
        let number = word[..end].trim_end_matches('.');
        if number.is_empty() {
            break;
        }
        found.push(number);
        match &word[number.len()..] {
            "," => {}
            "" if words
                .next()
                .is_some_and(|word| ["and", "to"].contains(&word)) => {}
            _ => break,
        }
    }
    found
}

/// The section numbers behind each mention of a document: `protocol.md` 3.2, 4.1 and 4.3, or a
/// link to it and `(section 4)`.
fn cited<'a>(text: &'a str, document: &str) -> Vec<&'a str> {
    let mut found = Vec::new();
    for (before, _) in text.match_indices(document) {
        let is_part_of_a_name = text[..before].ends_with(|c: char| c.is_alphanumeric() || c == '-');
        let behind = &text[before + document.len()..];
        let Some(gap) = behind.find(char::is_whitespace) else {
            continue;
        };
        let mut words = words(&behind[gap..]).peekable();
        match &behind[..gap] {
            _ if is_part_of_a_name => continue,
            "" | "`" => {}
            ")" if words.next_if_eq(&"(section").is_some() => {}
            _ => continue,
        }
        found.extend(numbers(words));
    }
    found
}

/// The sections of its own that a document refers to: `section 3`, unless a link before it says
/// that another one is meant.
fn cited_within(document: &str) -> Vec<&str> {
    let mut found = Vec::new();
    for (before, name) in document.match_indices("section") {
        let is_elsewhere = document[..before].ends_with(".md) (");
        let behind = document[before + name.len()..].trim_start_matches('s');
        if !is_elsewhere && behind.starts_with(char::is_whitespace) {
            found.extend(numbers(words(behind)));
        }
    }
    found
}

#[test]
fn a_citation_is_found_however_it_is_written() {
    for (text, numbers) in [
        ("(`protocol.md` 3.2).", vec!["3.2"]),
        ("`protocol.md 3.2`, then", vec!["3.2"]),
        ("`protocol.md` 3 and 4. Next", vec!["3", "4"]),
        ("`protocol.md` 2 to 4.", vec!["2", "4"]),
        ("protocol.md 3.2, 3.3, and so on", vec!["3.2", "3.3"]),
        (
            "/// see `protocol.md`\n    /// 3.2 and\n    /// 4",
            vec!["3.2", "4"],
        ),
        ("[it](docs/protocol.md) (section 4)", vec!["4"]),
        ("protocol.md alone", vec![]),
        ("another-protocol.md 3", vec![]),
    ] {
        assert_eq!(cited(text, "protocol.md"), numbers, "{text}");
    }
}

#[test]
fn a_document_refers_to_itself() {
    let text = "section 3, or sections 4 and 5; [it](docs/trust.md) (section 6); a section alone";
    assert_eq!(cited_within(text), ["3", "4", "5"]);
}

#[test]
fn a_comment_in_a_shell_is_no_title() {
    let text = "# Title\n```sh\n# 7. comment\n```\n## 3. Of `smv.ui`: it\n";
    assert_eq!(sections(text), BTreeSet::from(["3", "Title"]));
    let expected = ["3-of-smvui-it", "title"].map(str::to_owned);
    assert_eq!(anchors(text), BTreeSet::from(expected));
}

#[test]
fn cited_sections_exist() {
    let mut texts_of_tree = Vec::new();
    texts(&top(), &mut texts_of_tree);
    let mut count = 0;
    let mut wrong = Vec::new();
    for (path, document) in documents() {
        let sections = sections(&document);
        let name = path.file_name().unwrap().to_str().unwrap();
        let mut check = |place: &Path, number: &str| {
            count += 1;
            if !sections.contains(number) {
                wrong.push(format!("{}: {name} {number}", place.display()));
            }
        };
        for number in cited_within(&document) {
            check(&path, number);
        }
        for (place, text) in &texts_of_tree {
            for number in cited(text, name) {
                check(place, number);
            }
        }
    }
    assert!(wrong.is_empty(), "no such sections:\n{}", wrong.join("\n"));
    assert!(count > 200, "only {count} citations were found at all");
}

#[test]
fn links_between_documents_lead_somewhere() {
    let documents = documents();
    let mut wrong = Vec::new();
    for (path, text) in &documents {
        let from = path.parent().unwrap();
        for target in text.split("](").skip(1) {
            let target = target.split(')').next().unwrap();
            let (file, anchor) = target.split_once('#').unwrap_or((target, ""));
            if target.contains("://") {
                continue;
            }
            let file = match file {
                "" => path.clone(),
                file => from.join(file),
            };
            let is_there = match fs::read_to_string(&file) {
                Ok(text) => anchor.is_empty() || anchors(&text).contains(anchor),
                Err(_) => file.exists() && anchor.is_empty(),
            };
            if !is_there {
                wrong.push(format!("{}: {target}", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "broken links:\n{}", wrong.join("\n"));
}
