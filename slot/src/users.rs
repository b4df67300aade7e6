//! Users of a new image (`slot.md 6.3`): a node that has changed `/etc/passwd` keeps its own above
//! the image's, which would hide the users that a later image brings.
//!
//! In: the file of the node and that of the image. Out: the node's, with the entries added whose
//! names it lacks, and the numbers that two names now share. Nothing is changed or removed.

use std::collections::{HashMap, HashSet};

/// The files that list users and groups, below `/etc`, and whether an entry has a number of its
/// own.
pub const FILES: [(&str, bool); 4] = [
    ("passwd", true),
    ("group", true),
    ("shadow", false),
    ("gshadow", false),
];

/// What became of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Merged {
    /// The whole file.
    pub text: String,
    /// The names that were added.
    pub added: Vec<String>,
    /// Added names whose number another name has already.
    pub clashes: Vec<Clash>,
}

/// Two names with one number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Clash {
    /// The name that was added.
    pub name: String,
    /// The one that had the number.
    pub other: String,
    /// The number, as the files have it.
    pub number: String,
}

/// Adds to the node's file what it lacks of the image's; `None` when it lacks nothing.
#[must_use]
pub fn merge(node: &str, image: &str, has_numbers: bool) -> Option<Merged> {
    let names: HashSet<&str> = node.lines().filter_map(name).collect();
    let missing = image.lines().filter(|line| {
        let is_known = |name: &str| names.contains(name);
        name(line).is_some_and(|name| !is_known(name))
    });
    let mut numbers: HashMap<&str, &str> = HashMap::new();
    for line in node.lines() {
        if let (Some(name), Some(number)) = (name(line), number(line)) {
            numbers.entry(number).or_insert(name);
        }
    }
    let mut merged = Merged {
        text: node.to_owned(),
        added: Vec::new(),
        clashes: Vec::new(),
    };
    if !merged.text.is_empty() && !merged.text.ends_with('\n') {
        merged.text.push('\n');
    }
    for line in missing {
        let name = name(line).unwrap_or_default().to_owned();
        let number = number(line).filter(|_| has_numbers).unwrap_or_default();
        if let Some(other) = numbers.get(number) {
            merged.clashes.push(Clash {
                name: name.clone(),
                other: (*other).to_owned(),
                number: number.to_owned(),
            });
        }
        merged.text.push_str(line);
        merged.text.push('\n');
        merged.added.push(name);
    }
    (!merged.added.is_empty()).then_some(merged)
}

/// The name of an entry; comments and what includes other services (`+`) have none.
fn name(line: &str) -> Option<&str> {
    let (name, _) = line.split_once(':')?;
    let is_entry = !name.is_empty() && !name.starts_with(['#', '+', '-']);
    is_entry.then_some(name)
}

/// Third of `passwd` and `group`.
fn number(line: &str) -> Option<&str> {
    line.split(':').nth(2).filter(|number| !number.is_empty())
}

#[cfg(test)]
mod tests {
    use super::{Clash, merge};

    const NODE: &str = "root:x:0:0::/root:/bin/sh\nann:x:1000:1000::/home/ann:/bin/sh\n";

    #[test]
    fn names_that_the_node_lacks_are_added_and_nothing_else_changes() {
        let image = "root:x:0:0:other:/:/bin/false\n_new:x:104:104::/var/new:/bin/false\n";
        let merged = merge(NODE, image, true).unwrap();
        assert_eq!(
            merged.text,
            format!("{NODE}_new:x:104:104::/var/new:/bin/false\n")
        );
        assert_eq!(
            (merged.added, merged.clashes),
            (vec!["_new".to_owned()], vec![])
        );
        assert_eq!(
            merge(&merged.text, image, true),
            None,
            "a second time nothing is left to do"
        );
    }

    #[test]
    fn a_number_that_is_taken_is_said() {
        let merged = merge(NODE, "svc:x:1000:50::/:/bin/false\n", true).unwrap();
        let clash = Clash {
            name: "svc".to_owned(),
            other: "ann".to_owned(),
            number: "1000".to_owned(),
        };
        assert_eq!(merged.clashes, [clash]);
        assert!(merged.text.ends_with("svc:x:1000:50::/:/bin/false\n"));
    }

    #[test]
    fn passwords_have_no_numbers() {
        let node = "root:*:19000:0:99999:7:::\n";
        let merged = merge(node, "svc:!:19000:0:99999:7:::\n", false).unwrap();
        assert_eq!(merged.clashes, []);
        assert_eq!(merged.added, ["svc"]);
    }

    #[test]
    fn lines_that_are_no_entries_stay_and_are_not_added() {
        let node = "# mine\nroot:x:0:0::/root:/bin/sh\n+::::::";
        let merged = merge(
            node,
            "# theirs\n+::::::\n\nnocolon\na:x:1:1::/:/bin/sh",
            true,
        )
        .unwrap();
        assert_eq!(merged.text, format!("{node}\na:x:1:1::/:/bin/sh\n"));
        assert_eq!(merge(node, "", true), None);
        assert_eq!(
            merge("", "a:x:1:1::/:/x\n", true).unwrap().text,
            "a:x:1:1::/:/x\n"
        );
    }
}
