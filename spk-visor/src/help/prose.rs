//! The help texts taken apart, for the manual pages and the completions that are made of them.
//!
//! A text consists of groups with a blank line between them. A group consists of paragraphs and of
//! entries: two columns in, what is typed, and beside it what it means.

/// Where the second column of an entry begins when what is typed fills the first one.
const MEANING_COLUMN: usize = 21;

/// One piece of a group, its lines joined.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Item {
    /// A paragraph.
    Text(String),
    /// An option, an operand or a command.
    Entry(Entry),
}

/// The text to type, and its meaning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Like `-o, --output DIR`.
    pub head: String,
    /// The second column.
    pub meaning: String,
}

impl Entry {
    /// Whether it is about this word, like `--output`.
    #[must_use]
    pub fn is_about(&self, word: &str) -> bool {
        self.head.split([' ', ',']).any(|typed| typed == word)
    }

    /// Whether it is an option.
    #[must_use]
    pub fn is_option(&self) -> bool {
        self.head.starts_with('-')
    }

    /// As much of the meaning as fits beside a choice: what stands before the first full stop or
    /// semicolon.
    #[must_use]
    pub fn brief(&self) -> &str {
        let ends = [". ", "; "].into_iter();
        let end = ends.filter_map(|end| self.meaning.find(end)).min();
        let brief = end.and_then(|end| self.meaning.get(..end));
        brief.unwrap_or(&self.meaning).trim_end_matches('.')
    }
}

/// The groups of a text.
pub fn groups(text: &str) -> impl Iterator<Item = &str> {
    text.trim_end().split("\n\n")
}

/// The pieces of a group.
#[must_use]
pub fn items(group: &str) -> Vec<Item> {
    let mut items = Vec::new();
    for line in group.lines() {
        if let Some(entry) = read_entry(line) {
            items.push(Item::Entry(entry));
            continue;
        }
        let is_second_column = line.starts_with("   ");
        match items.last_mut() {
            Some(Item::Entry(entry)) if is_second_column => join(&mut entry.meaning, line),
            Some(Item::Text(text)) => join(text, line),
            _ => items.push(Item::Text(line.trim().to_owned())),
        }
    }
    items
}

/// Every entry of a text.
#[must_use]
pub fn entries(text: &str) -> Vec<Entry> {
    let items = groups(text).flat_map(items);
    let entries = items.filter_map(|item| match item {
        Item::Entry(entry) => Some(entry),
        Item::Text(_) => None,
    });
    entries.collect()
}

fn join(text: &mut String, line: &str) {
    text.push(' ');
    text.push_str(line.trim());
}

/// The first line of an entry.
fn read_entry(line: &str) -> Option<Entry> {
    let line = line
        .strip_prefix("  ")
        .filter(|line| !line.starts_with(' '))?;
    let (head, meaning) = match line.split_once("  ") {
        Some(columns) => columns,
        None if line.starts_with('-') => line.split_at_checked(MEANING_COLUMN)?,
        None => return None,
    };
    Some(Entry {
        head: head.trim_end().to_owned(),
        meaning: meaning.trim_start().to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::{Entry, Item, groups, items};

    fn entry(head: &str, meaning: &str) -> Item {
        Item::Entry(Entry {
            head: head.to_owned(),
            meaning: meaning.to_owned(),
        })
    }

    #[test]
    fn groups_are_taken_apart() {
        let text = "\
One of
two:
  --key FILE           a key; its password
                       is asked for
  --password-file FILE or read
  NOTE that this is
  prose
All.

  -o, --output DIR     here
";
        let groups: Vec<_> = groups(text).map(items).collect();
        let first = vec![
            Item::Text("One of two:".to_owned()),
            entry("--key FILE", "a key; its password is asked for"),
            entry("--password-file FILE", "or read"),
            Item::Text("NOTE that this is prose All.".to_owned()),
        ];
        assert_eq!(groups, [first, vec![entry("-o, --output DIR", "here")]]);
    }

    #[test]
    fn an_entry_is_cut_to_what_fits_beside_a_choice() {
        for (meaning, brief) in [
            ("a key; its password is asked for", "a key"),
            ("no address. One CODE; no more", "no address"),
            (
                "a date (default: 2026.11.20)",
                "a date (default: 2026.11.20)",
            ),
            ("the end.", "the end"),
        ] {
            let Item::Entry(entry) = entry("-o, --output DIR", meaning) else {
                panic!("not an entry");
            };
            assert_eq!(entry.brief(), brief);
            assert!(entry.is_about("-o") && entry.is_about("--output") && !entry.is_about("out"));
        }
    }
}
