//! The dependencies between crates: the table of `HACKING.md`, compared with what cargo resolves.
//!
//! Host tools must never enter the image, and a stage of the data flow must not learn about its
//! neighbours' neighbours. The table says neither more nor less than what is true.

// Helpers of a test outside `mod tests`, which clippy takes for shipped code.
#![allow(clippy::expect_used, clippy::panic)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::Command;

/// Each crate's folder, and the crates of the workspace that it uses by name.
type Edges = BTreeMap<String, BTreeSet<String>>;

const TOP: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
/// The heading of the table's last column.
const MAY_USE: &str = "may use";
/// What the column holds for a crate that uses no other one.
const NONE: &str = "–";

/// The fields of a table's row, or nothing for a line that is no row.
fn fields(line: &str) -> Option<Vec<&str>> {
    let row = line.trim().strip_prefix('|')?.strip_suffix('|')?;
    Some(row.split('|').map(str::trim).collect())
}

/// The rows of a document's table of crates; those with an empty last field are no crates.
fn edges_in_table(document: &str) -> Edges {
    let mut table = Edges::new();
    let mut lines = document.lines();
    lines
        .find(|line| fields(line).is_some_and(|row| row.last() == Some(&MAY_USE)))
        .expect("the document has a table of crates");
    for row in lines.map_while(fields).skip(1) {
        let folder = row
            .iter()
            .find_map(|field| field.strip_prefix('`')?.strip_suffix("/`"))
            .unwrap_or_else(|| panic!("no folder in the row {row:?}"));
        let names = match row.last() {
            None | Some(&"") => continue,
            Some(&NONE) => BTreeSet::new(),
            Some(names) => names.split(", ").map(str::to_owned).collect(),
        };
        let earlier = table.insert(folder.to_owned(), names);
        assert!(earlier.is_none(), "{folder} has two rows");
    }
    table
}

/// The edges that cargo resolves for `--prefix depth`: `0name v1 (/folder)`, then the packages
/// that it depends on as `1name v1`. Only packages of the workspace have a folder below `top`.
fn edges_in_tree(tree: &str, top: &Path) -> Edges {
    let mut edges = Edges::new();
    let mut user = String::new();
    for line in tree.lines() {
        let folder = line
            .split_once('(')
            .and_then(|(_, behind)| behind.split_once(')'))
            .and_then(|(path, _)| Path::new(path).strip_prefix(top).ok());
        let Some(folder) = folder else { continue };
        let folder = folder.to_str().expect("folders have UTF-8 names");
        let name = line.split(' ').next().unwrap_or_default();
        if name.starts_with('0') {
            user = folder.to_owned();
            edges.entry(user.clone()).or_default();
        } else {
            let name = name.trim_start_matches(|c: char| c.is_ascii_digit());
            edges
                .entry(user.clone())
                .or_default()
                .insert(name.to_owned());
        }
    }
    edges
}

/// The dependencies of every crate of the workspace by cargo, without those of tests.
fn resolved() -> Edges {
    let output = Command::new(env!("CARGO"))
        .args(["tree", "--offline", "--locked", "--workspace"])
        .args(["--edges", "normal,build", "--target", "all"])
        .args(["--depth", "1", "--prefix", "depth", "--no-dedupe"])
        .args(["--format", "{p}"])
        .current_dir(TOP)
        .output()
        .expect("cargo tree starts");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    let tree = String::from_utf8(output.stdout).expect("cargo tree prints UTF-8");
    edges_in_tree(
        &tree,
        &Path::new(TOP).canonicalize().expect("the top exists"),
    )
}

/// Whether a file of Rust below `folder` has a path that begins with the crate `name`.
fn is_named_below(folder: &Path, name: &str) -> bool {
    let path = format!("{}::", name.replace('-', "_"));
    fs::read_dir(folder)
        .expect("a crate's folder can be read")
        .map(|entry| entry.expect("a crate's folder can be read").path())
        .any(|entry| {
            if entry.is_dir() {
                return is_named_below(&entry, name);
            }
            entry.extension().is_some_and(|ending| ending == "rs")
                && fs::read_to_string(&entry).is_ok_and(|text| text.contains(&path))
        })
}

#[test]
fn a_table_is_read_up_to_its_end() {
    let document = "\
| command | what it does |
| --- | --- |
| `./check` | everything |

| floor | folder | what it is | may use |
| --- | --- | --- | --- |
| 1 | `wire/` | formats | – |
| 2 | `install/` | a stream in | wire, sys |
| | `docs/` | protocol | |

| `later/` | another table | wire |
";
    let edges = edges_in_table(document);
    let names: Vec<_> = edges.keys().map(String::as_str).collect();
    assert_eq!(names, ["install", "wire"]);
    let used: Vec<_> = edges.values().map(|used| used.iter().count()).collect();
    assert_eq!(used, [2, 0]);
}

#[test]
fn only_packages_of_the_workspace_are_edges() {
    let tree = "\
0systems-daemon v0.1.0 (/top/systems/daemon)
0wire v0.1.0 (/top/wire)
1heapless v0.9.1
1sys v0.1.0 (/top/sys)
1elsewhere v0.1.0 (/other/elsewhere)
1derive v2.0.0 (proc-macro)
";
    let edges = edges_in_tree(tree, Path::new("/top"));
    let expected = Edges::from([
        ("systems/daemon".to_owned(), BTreeSet::new()),
        ("wire".to_owned(), BTreeSet::from(["sys".to_owned()])),
    ]);
    assert_eq!(edges, expected);
}

#[test]
fn the_table_says_what_cargo_resolves() {
    let document = fs::read_to_string(Path::new(TOP).join("HACKING.md")).expect("HACKING.md");
    let table = edges_in_table(&document);
    let resolved = resolved();
    let mut wrong = Vec::new();
    for folder in table
        .keys()
        .filter(|folder| !resolved.contains_key(*folder))
    {
        wrong.push(format!("{folder} is no crate of the workspace"));
    }
    for (folder, used) in &resolved {
        let Some(allowed) = table.get(folder) else {
            wrong.push(format!("{folder} has no row"));
            continue;
        };
        let excess = used.difference(allowed);
        wrong.extend(excess.map(|name| format!("{folder} uses {name}, against its row")));
        let unused = allowed.difference(used);
        wrong.extend(unused.map(|name| format!("{folder} does not use {name}, which its row has")));
    }
    assert!(wrong.is_empty(), "HACKING.md:\n{}", wrong.join("\n"));
}

#[test]
fn every_dependency_is_named_in_the_code() {
    let mut unused = Vec::new();
    for (folder, names) in resolved() {
        let code = Path::new(TOP).join(&folder).join("src");
        let idle = names.iter().filter(|name| !is_named_below(&code, name));
        unused.extend(idle.map(|name| format!("{folder} does not name {name}")));
    }
    assert!(unused.is_empty(), "{}", unused.join("\n"));
}
