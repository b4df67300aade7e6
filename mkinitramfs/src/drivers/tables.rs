//! The chosen modules in, the lines of depmod's tables that concern them out.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use modules::{Index, Row};

use crate::packed;

/// A name by which all its spellings are found.
pub(super) fn folded(name: &str) -> String {
    name.replace('-', "_")
}

/// The path of an unpacked module.
pub(super) fn plain(path: &str) -> &str {
    packed::ENDINGS
        .iter()
        .rev()
        .find_map(|ending| path.strip_suffix(ending))
        .unwrap_or(path)
}

pub(super) fn dep(chosen: &BTreeMap<&str, Row<'_>>) -> String {
    let mut text = String::new();
    for row in chosen.values() {
        text.push_str(plain(row.path));
        text.push(':');
        for path in row.needs() {
            let _ = write!(text, " {}", plain(path)); // a String takes everything
        }
        text.push('\n');
    }
    text
}

pub(super) fn alias(index: &Index<'_>, chosen: &BTreeMap<&str, Row<'_>>) -> String {
    let names: BTreeSet<String> = chosen.values().map(|row| folded(row.name)).collect();
    let lines = index
        .aliases()
        .filter(|(_, module)| names.contains(&folded(module)));
    lines
        .map(|(pattern, module)| format!("alias {pattern} {module}\n"))
        .collect()
}

pub(super) fn softdep(table: &str, chosen: &BTreeMap<&str, Row<'_>>) -> String {
    let names: BTreeSet<String> = chosen.values().map(|row| folded(row.name)).collect();
    let is_ours = |line: &&str| {
        let mut words = line.split(' ');
        words.next() == Some("softdep")
            && words
                .next()
                .is_some_and(|name| names.contains(&folded(name)))
    };
    let lines = table.lines().filter(is_ours);
    lines.map(|line| format!("{line}\n")).collect()
}
