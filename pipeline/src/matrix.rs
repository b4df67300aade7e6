//! Changed paths in, the least proof for them out: the table of `docs/building.md` 6, which is read
//! from there, so that it says what is done.

/// Where the table is, below the source tree.
pub const DOCUMENT: &str = "docs/building.md";
/// The first field of the table's head.
const HEAD: &str = "changed";

/// One row: what a change of these paths asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Files, and directories with a slash behind them.
    pub paths: Vec<String>,
    /// Crates whose tests show most.
    pub crates: Vec<String>,
    /// Scenarios in QEMU.
    pub scenarios: Vec<String>,
    /// Commands that show more and take longer.
    pub broader: Vec<String>,
}

/// The proof of a change is not known.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)] // the fields name themselves
pub enum MatrixError {
    #[error("{DOCUMENT} has no table whose first column is called {HEAD}")]
    NoTable,
    #[error("expected 4 fields in the row {row:?} of {DOCUMENT}")]
    Fields { row: String },
    #[error("{path} is in no row of {DOCUMENT} 6")]
    NoRow { path: String },
}

/// The rows of the table in the document's text.
///
/// # Errors
/// There is none, or a row of it has another number of fields.
pub fn rows(document: &str) -> Result<Vec<Row>, MatrixError> {
    let mut lines = document.lines();
    lines
        .find(|line| fields(line).is_some_and(|fields| fields.first() == Some(&HEAD)))
        .ok_or(MatrixError::NoTable)?;
    lines
        .skip(1)
        .map_while(|line| Some((line, fields(line)?)))
        .map(|(line, fields)| match fields.as_slice() {
            [paths, crates, scenarios, broader] => Ok(Row {
                paths: quoted(paths),
                crates: quoted(crates),
                scenarios: quoted(scenarios),
                broader: quoted(broader),
            }),
            _ => Err(MatrixError::Fields { row: line.into() }),
        })
        .collect()
}

/// The commands that prove a change of `paths`: those to begin with, and broader ones.
///
/// # Errors
/// A path belongs to no row.
pub fn proof(rows: &[Row], paths: &[String]) -> Result<(Vec<String>, Vec<String>), MatrixError> {
    let (mut crates, mut scenarios, mut broader) = (Vec::new(), Vec::new(), Vec::new());
    for path in paths {
        let row = row_of(rows, path).ok_or_else(|| MatrixError::NoRow { path: path.clone() })?;
        add(&mut crates, &row.crates);
        add(&mut scenarios, &row.scenarios);
        add(&mut broader, &row.broader);
    }
    let mut least = Vec::new();
    if !crates.is_empty() {
        least.push(format!("cargo test --locked -p {}", crates.join(" -p ")));
    }
    if !scenarios.is_empty() {
        let names = scenarios.join(" ");
        least.push(format!("cargo run --locked -p qemu -- test {names}"));
    }
    Ok((least, broader))
}

/// The row with the longest name that the path is, or lies below.
fn row_of<'a>(rows: &'a [Row], path: &str) -> Option<&'a Row> {
    let path = path.strip_prefix("./").unwrap_or(path);
    let length = |row: &Row| {
        let is_there = |name: &&String| match name.strip_suffix('/') {
            Some(directory) => path == directory || path.starts_with(name.as_str()),
            None => path == name.as_str(),
        };
        row.paths.iter().filter(is_there).map(String::len).max()
    };
    let found = rows.iter().filter_map(|row| Some((length(row)?, row)));
    found.max_by_key(|(length, _)| *length).map(|(_, row)| row)
}

fn add(all: &mut Vec<String>, more: &[String]) {
    for one in more {
        if !all.contains(one) {
            all.push(one.clone());
        }
    }
}

fn fields(line: &str) -> Option<Vec<&str>> {
    let row = line.strip_prefix('|')?.strip_suffix('|')?;
    Some(row.split('|').map(str::trim).collect())
}

/// What stands between backticks.
fn quoted(field: &str) -> Vec<String> {
    let words = field.split('`').skip(1).step_by(2);
    words.map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;
    use std::path::{Path, PathBuf};

    use super::*;

    fn top() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
    }

    fn real() -> Vec<Row> {
        rows(&fs::read_to_string(top().join(DOCUMENT)).unwrap()).unwrap()
    }

    #[test]
    fn all_of_the_tree_has_a_row_and_each_row_something_of_the_tree() {
        let rows = real();
        for entry in fs::read_dir(top()).unwrap() {
            let entry = entry.unwrap();
            let name = entry.file_name().into_string().unwrap();
            if ["target", ".git"].contains(&name.as_str()) {
                continue;
            }
            assert!(row_of(&rows, &name).is_some(), "{name} is in no row");
        }
        let mut seen = BTreeSet::new();
        for path in rows.iter().flat_map(|row| &row.paths) {
            let there = top().join(path);
            assert_eq!(there.is_dir(), path.ends_with('/'), "{path}");
            assert!(there.exists(), "{path} is not in the tree");
            assert!(seen.insert(path.clone()), "{path} is in two rows");
        }
    }

    #[test]
    fn what_the_rows_name_exists() {
        let read = |path: &str| fs::read_to_string(top().join(path)).unwrap();
        let scenarios = read("qemu/src/scenarios/all.rs") + &read("qemu/src/scenarios/all/slow.rs");
        let members = read("Cargo.toml");
        for row in real() {
            for name in &row.crates {
                // The crate of the demo system's daemon has another name than its folder.
                let folder = name.replace("smechvisor-daemon", "systems/daemon");
                assert!(members.contains(&format!("\"{folder}\"")), "crate {name}");
            }
            for name in &row.scenarios {
                let literal = format!("\"{name}\"");
                assert!(scenarios.contains(&literal), "scenario {name}");
            }
            for command in &row.broader {
                let program = command.split(' ').next().unwrap();
                assert!(top().join(program).is_file(), "{command}");
            }
        }
    }

    #[test]
    fn the_longest_name_decides_and_nothing_is_said_twice() {
        let text = "| changed | tests of | scenarios | broader |\n| --- | --- | --- | --- |\n\
                    | `a/` `x` | `one` | `s` | `./b` |\n| `a/b/` | `two` `one` | | |\n";
        let rows = rows(text).unwrap();
        let paths = ["a/b/c", "./a/d", "a"].map(String::from);
        let (least, broader) = proof(&rows, &paths).unwrap();
        assert_eq!(
            least,
            [
                "cargo test --locked -p two -p one",
                "cargo run --locked -p qemu -- test s"
            ]
        );
        assert_eq!(broader, ["./b"]);
        let unknown = ["ab".to_owned()];
        let path = "ab".to_owned();
        assert_eq!(proof(&rows, &unknown), Err(MatrixError::NoRow { path }));
    }

    #[test]
    fn a_document_without_the_table_is_refused() {
        assert_eq!(rows("| else |\n"), Err(MatrixError::NoTable));
        let broken = rows("| changed |\n| --- |\n| `a` |\n");
        assert!(matches!(broken, Err(MatrixError::Fields { .. })));
    }
}
