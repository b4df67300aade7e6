//! The health of the machine: a few files in, one JSON object out.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

/// What a report is made of.
#[derive(Clone, Debug)]
pub struct Reported {
    /// Where `/proc` and `/etc` are.
    pub root: PathBuf,
    /// What this version is called.
    pub release: String,
}

/// Bytes read of any one file; all of them are one short line.
const LINE_MAX: usize = 256;

/// The first line of a file below `root`, without white space at its ends; `None` when there is
/// none.
fn line(root: &Path, path: &str) -> Option<String> {
    let text = fs::read_to_string(root.join(path)).ok()?;
    let line = text.lines().next()?.trim();
    (!line.is_empty() && line.len() <= LINE_MAX).then(|| line.to_owned())
}

/// A JSON string (RFC 8259 7).
fn quoted(text: &str) -> String {
    let mut json = String::from("\"");
    for character in text.chars() {
        match character {
            '"' | '\\' => json.extend(['\\', character]),
            control if control < ' ' => {
                // writing into a String cannot fail
                let _ = write!(json, "\\u{:04x}", u32::from(control));
            }
            other => json.push(other),
        }
    }
    json.push('"');
    json
}

/// Whole seconds since boot: the first number of proc_uptime(5).
fn uptime_s(root: &Path) -> Option<u64> {
    line(root, "proc/uptime")?
        .split(['.', ' '])
        .next()?
        .parse()
        .ok()
}

/// `{"status":"ok",…}` and a line feed. What cannot be read is null; the machine still answers.
pub fn report(Reported { root, release }: &Reported) -> String {
    let text = |path| line(root, path).map_or_else(|| "null".to_owned(), |text| quoted(&text));
    format!(
        "{{\"status\":\"ok\",\"version\":{},\"hostname\":{},\"uptime_s\":{},\"machine_id\":{}}}\n",
        quoted(release),
        text("proc/sys/kernel/hostname"),
        uptime_s(root).map_or_else(|| "null".to_owned(), |seconds| seconds.to_string()),
        text("etc/machine-id"),
    )
}

#[cfg(test)]
mod tests {
    use super::{Reported, quoted};

    fn report(root: &str) -> String {
        super::report(&Reported {
            root: root.into(),
            release: "1.2 \"beta\"".to_owned(),
        })
    }

    #[test]
    fn quotes_and_control_characters_are_escaped() {
        assert_eq!(quoted("a\"b\\c\u{1}\n"), r#""a\"b\\c\u0001\u000a""#);
    }

    #[test]
    fn a_machine_without_files_is_still_reported() {
        let expected = concat!(
            r#"{"status":"ok","version":"1.2 \"beta\"","hostname":null,"#,
            r#""uptime_s":null,"machine_id":null}"#,
            "\n"
        );
        assert_eq!(report("/nonexistent"), expected);
    }

    #[test]
    fn this_machine_has_a_name_and_an_uptime() {
        let report = report("/");
        assert!(!report.contains("\"hostname\":null"), "{report}");
        assert!(!report.contains("\"uptime_s\":null"), "{report}");
    }
}
