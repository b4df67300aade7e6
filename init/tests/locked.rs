//! No script builds other versions of our dependencies than those that `Cargo.lock` names: cargo
//! would write another one without a word when a manifest asks for more than it holds.
#![allow(clippy::expect_used)]

use std::fs;
use std::path::{Path, PathBuf};

/// Commands of cargo that resolve dependencies.
const RESOLVING: [&str; 8] = [
    "build", "check", "clippy", "fetch", "install", "metadata", "run", "test",
];

/// Files that run cargo, or tell their reader to.
fn files() -> Vec<PathBuf> {
    let top = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut files: Vec<PathBuf> = [
        "bench",
        "build",
        "check",
        "demo",
        "prove",
        "setup",
        "README.md",
    ]
    .iter()
    .chain(&[
        "docs/screens",
        "fuzz/run",
        "pipeline/src/steps/programs.rs",
        "systems/build",
    ])
    .map(|name| top.join(name))
    .collect();
    for (directory, extension) in [("benchmarks", "sh"), ("docs", "md")] {
        let entries = fs::read_dir(top.join(directory)).expect("a directory of the tree");
        files.extend(
            entries
                .map(|entry| entry.expect("an entry").path())
                .filter(|path| path.extension().is_some_and(|end| end == extension)),
        );
    }
    files
}

/// The calls in a line of shell that would change the lock file, `#` and what follows left out.
fn loose_calls(line: &str) -> bool {
    let code = line.split(" #").next().unwrap_or_default();
    let is_comment = code.trim_start().starts_with('#');
    let mut calls = code.split("cargo ").skip(1);
    !is_comment
        && calls.any(|call| {
            let command = call.split_whitespace().next().unwrap_or_default();
            RESOLVING.contains(&command) && !call.contains("--locked")
        })
}

#[test]
fn a_call_without_the_option_is_seen() {
    assert!(loose_calls("    cargo build --release"));
    assert!(loose_calls("a && cargo run --locked -p x; cargo test"));
    assert!(!loose_calls("cargo test --locked"));
    assert!(!loose_calls("# by hand: cargo build"));
    assert!(!loose_calls("cargo fmt --all --check"));
}

#[test]
fn every_script_and_page_builds_what_the_lock_file_names() {
    for file in files() {
        let text = fs::read_to_string(&file).expect("a file of the tree");
        for (number, line) in text.lines().enumerate() {
            assert!(
                !loose_calls(line),
                "{}:{}: without --locked: {line}",
                file.display(),
                number + 1
            );
        }
    }
}
