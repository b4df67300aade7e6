//! The manual pages: the help texts as roff. Each page has the sections that its text has words
//! for.

use std::fmt::Write;

use crate::cli;
use crate::exit::Exit;
use crate::help::prose::{self, Item};
use crate::help::{self, NAME};

/// One page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// Without the section of the manual.
    pub name: String,
    /// For `man`.
    pub roff: String,
}

/// `spk-visor`, and one page for each name of each command that has options or operands.
#[must_use]
pub fn pages() -> Vec<Page> {
    let mut pages = Vec::new();
    for mut command in cli::offered().get_subcommands().cloned() {
        let text = command.render_help().to_string();
        if !text.starts_with(USAGE) {
            continue;
        }
        let names = command.get_name_and_visible_aliases();
        let names: Vec<_> = names.iter().map(|name| format!("{NAME}-{name}")).collect();
        let summary = help::summary(command.get_name());
        for name in &names {
            let mut roff = head(name, &names.join(", "), &summary);
            write_text(&mut roff, &text, "OPTIONS");
            roff.push_str(&see_also(&[NAME.to_owned()]));
            let name = name.clone();
            pages.push(Page { name, roff });
        }
    }
    let others: Vec<_> = pages.iter().map(|page| page.name.clone()).collect();
    pages.insert(0, overview(&others));
    pages
}

/// The groups of a help text that are known by how they begin.
const USAGE: &str = "Usage: ";
const EXIT_CODES: &str = "Exit codes:";

/// The page of the program and its commands.
fn overview(others: &[String]) -> Page {
    let (overview, about) = (help::overview(), help::about());
    let (title, commands) = overview.split_once("\n\n").unwrap_or_default();
    let (_, about) = about.split_once("\n\n").unwrap_or_default();
    let (_, summary) = title.split_once(" - ").unwrap_or_default();
    let mut roff = head(NAME, NAME, summary);
    write_text(&mut roff, &format!("{about}\n{commands}"), "COMMANDS");
    roff.push_str(&see_also(others));
    let name = NAME.to_owned();
    Page { name, roff }
}

fn head(name: &str, names: &str, summary: &str) -> String {
    let title = escaped(&name.to_uppercase());
    let version = escaped(help::version().trim_end());
    let (names, summary) = (escaped(names), escaped(summary));
    // Without hyphenation: a word that was broken cannot be copied.
    format!(".TH {title} 1 \"\" \"{version}\"\n.nh\n.ad l\n.SH NAME\n{names} \\- {summary}\n")
}

/// A help text, whose entries have this heading.
fn write_text(roff: &mut String, text: &str, heading: &str) {
    let (mut usage, mut groups) = (Vec::new(), Vec::new());
    for group in prose::groups(text) {
        match group.strip_prefix(USAGE) {
            Some(lines) => usage.extend(lines.lines()),
            None if group.starts_with(EXIT_CODES) => {}
            None => groups.push(prose::items(group)),
        }
    }
    let usage = usage.iter().map(|line| typed(line.trim()));
    let usage = usage.collect::<Vec<_>>().join("\n.br\n");
    let has_entry = |items: &Vec<Item>| items.iter().any(|item| matches!(item, Item::Entry(_)));
    // Entries that are not typed, such as the files that a command makes, stay in the description.
    let is_list = heading == "COMMANDS" || prose::entries(text).iter().any(|it| it.is_option());
    let first = groups.iter().position(has_entry).filter(|_| is_list);
    let last = groups.iter().rposition(has_entry).filter(|_| is_list);
    let _ = writeln!(roff, ".SH SYNOPSIS\n{usage}\n.SH DESCRIPTION");
    for (at, items) in groups.iter().enumerate() {
        if Some(at) == first {
            let _ = writeln!(roff, ".SH {heading}");
        } else if at > 0 && last == at.checked_sub(1) {
            roff.push_str(".SH NOTES\n");
        }
        items.iter().for_each(|item| write_item(roff, item));
    }
    roff.push_str(".SH EXIT STATUS\n");
    for exit in Exit::ALL {
        let _ = writeln!(roff, ".TP\n{}\n{}", exit.code(), escaped(exit.meaning()));
    }
}

fn write_item(roff: &mut String, item: &Item) {
    // Writing to a String does not fail.
    let _ = match item {
        Item::Text(text) => writeln!(roff, ".PP\n{}", escaped(text)),
        Item::Entry(entry) => {
            let (head, meaning) = (typed(&entry.head), escaped(&entry.meaning));
            writeln!(roff, ".TP\n{head}\n{meaning}")
        }
    };
}

fn see_also(names: &[String]) -> String {
    let names = names
        .iter()
        .map(|name| format!(".BR {} (1)", escaped(name)));
    let names = names.collect::<Vec<_>>().join(",\n");
    format!(".SH SEE ALSO\n{names}\n")
}

/// Literal text is bold, placeholders are italic.
fn typed(text: &str) -> String {
    let words = text.split(' ').map(|word| {
        let first = word.trim_start_matches('[').chars().next();
        let is_literal = first.is_some_and(|first| first.is_ascii_lowercase() || first == '-');
        let font = if is_literal { 'B' } else { 'I' };
        format!("\\f{font}{}\\fP", escaped(word))
    });
    words.collect::<Vec<_>>().join(" ")
}

/// Prose without anything that roff would obey. What the help texts quote is bold.
fn escaped(text: &str) -> String {
    let mut escaped = String::new();
    let mut is_quoted = false;
    for letter in text.chars() {
        match letter {
            '\\' => escaped.push_str("\\e"),
            '-' => escaped.push_str("\\-"),
            '^' => escaped.push_str("\\(ha"),
            '~' => escaped.push_str("\\(ti"),
            '`' => {
                is_quoted = !is_quoted;
                escaped.push_str(if is_quoted { "\\fB" } else { "\\fP" });
            }
            _ => escaped.push(letter),
        }
    }
    if escaped.starts_with(['.', '\'']) {
        escaped.insert_str(0, "\\&");
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::{escaped, typed};

    #[test]
    fn nothing_of_the_prose_is_obeyed() {
        assert_eq!(escaped("...or \\fB ~^"), "\\&...or \\efB \\(ti\\(ha");
        assert_eq!(escaped("'tis `a-b`, c"), "\\&'tis \\fBa\\-b\\fP, c");
        assert_eq!(
            typed("-o, --out DIR"),
            "\\fB\\-o,\\fP \\fB\\-\\-out\\fP \\fIDIR\\fP"
        );
    }
}
