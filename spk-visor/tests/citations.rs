//! Sections that the code cites (`protocol.md 3.2`) exist, and links from one document to another lead somewhere.

// The lint knows test functions only; this whole file is a test.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

const DOCS: [&str; 6] = [
    "boot-network.md",
    "boot.md",
    "disk-layout.md",
    "modules.md",
    "protocol.md",
    "trust.md",
];

fn top() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .unwrap()
        .to_owned()
}

/// Files below `dir` with one of these endings; not what was built or fetched.
fn files(dir: &Path, endings: &[&str], found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() {
            if !path.is_symlink() && name != "target" && !name.starts_with('.') {
                files(&path, endings, found);
            }
        } else if endings.iter().any(|ending| name.ends_with(ending)) {
            found.push(path);
        }
    }
}

/// `3` and `3.2` of lines like `## 3. Session` and `### 3.2 Handshake`.
fn sections(document: &str) -> BTreeSet<String> {
    let text = fs::read_to_string(top().join("docs").join(document)).unwrap();
    text.lines()
        .filter_map(|line| line.trim_start_matches('#').strip_prefix(' '))
        .filter_map(|title| title.split(' ').next())
        .map(|number| number.trim_end_matches('.').to_owned())
        .collect()
}

/// The section numbers behind each mention of a document: `protocol.md` 3.2, 4.1 and 4.3.
fn cited(text: &str, document: &str) -> Vec<String> {
    let mut found = Vec::new();
    for behind in text.split(document).skip(1) {
        let mut words = behind.trim_start_matches('`').split([' ', '\n']).skip(1);
        while let Some(word) = words.next() {
            let number: String = word
                .chars()
                .take_while(|c| c.is_ascii_digit() || *c == '.')
                .collect();
            let number = number.trim_end_matches('.');
            if number.is_empty() {
                break;
            }
            found.push(number.to_owned());
            // Another one follows behind a comma or an "and".
            match &word[number.len()..] {
                "," => {}
                "" if words.next() == Some("and") => {}
                _ => break,
            }
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
        ("protocol.md 3.2, 3.3, and so on", vec!["3.2", "3.3"]),
        ("protocol.md alone", vec![]),
    ] {
        assert_eq!(cited(text, "protocol.md"), numbers, "{text}");
    }
}

#[test]
fn cited_sections_exist() {
    let mut paths = Vec::new();
    files(&top(), &[".rs", ".md", ".py", ".toml"], &mut paths);
    let mut count = 0;
    let mut wrong = Vec::new();
    for document in DOCS {
        let sections = sections(document);
        for path in &paths {
            let text = fs::read_to_string(path).unwrap_or_default();
            for number in cited(&text, document) {
                count += 1;
                if !sections.contains(&number) {
                    wrong.push(format!("{}: {document} {number}", path.display()));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "no such sections:\n{}", wrong.join("\n"));
    assert!(count > 50, "only {count} citations were found at all");
}

#[test]
fn links_between_documents_lead_somewhere() {
    let top = top();
    let mut paths = vec![top.join("README.md"), top.join("HACKING.md")];
    files(&top.join("docs"), &[".md"], &mut paths);
    for path in paths {
        let text = fs::read_to_string(&path).unwrap();
        for target in text.split("](").skip(1) {
            let target = target.split([')', '#']).next().unwrap();
            let is_local = !target.is_empty() && !target.contains("://");
            let exists = path.parent().unwrap().join(target).exists();
            assert!(!is_local || exists, "{}: {target}", path.display());
        }
    }
}
