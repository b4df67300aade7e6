//! All that decides a step's output, as lines `NAME<TAB>VALUE`. Their hash is the step's key, and
//! the cache keeps them beside the output, so that the reason for a build can be named.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;

use crate::digest;
use crate::step::Step;

/// How much of a hash is a name in the cache.
const KEY_CHARACTERS: usize = 16;

/// What a step's inputs are, or were.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Inputs {
    /// By name: `file systems/build`, `step kernel-vm`, `asks gcc --version`.
    pub lines: BTreeMap<String, String>,
}

/// An input cannot be had.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)] // the fields name themselves
pub enum InputError {
    #[error("no file of the source tree is {pattern}")]
    NothingMatches { pattern: String },
    #[error("reading {}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("asking `{question}`")]
    Ask { question: String, source: io::Error },
    #[error("`{question}` failed: {}", said.trim())]
    Answer { question: String, said: String },
}

/// Answers to questions, each asked once in a build.
#[derive(Debug, Default)]
pub struct Answers(Mutex<BTreeMap<String, String>>);

impl Inputs {
    /// Reads them. `needs` are the digests of what the steps before have made.
    ///
    /// # Errors
    /// A file is missing or cannot be read, or a question has no answer.
    pub fn of(
        step: &Step,
        top: &Path,
        needs: &BTreeMap<String, String>,
        answers: &Answers,
    ) -> Result<Self, InputError> {
        let mut lines = BTreeMap::new();
        lines.insert("command".to_owned(), one_line(&step.command.join(" ")));
        for pattern in &step.files {
            for path in matching(top, pattern)? {
                let hash = digest::of_file(&path).map_err(|source| reading(&path, source))?;
                lines.insert(format!("file {}", name_in(top, &path)), hash);
            }
        }
        for pattern in &step.texts {
            for path in matching(top, pattern)? {
                let text = fs::read_to_string(&path).map_err(|source| reading(&path, source))?;
                let hash = digest::of_text(&without_comments(&text));
                lines.insert(format!("code {}", name_in(top, &path)), hash);
            }
        }
        for question in &step.questions {
            let answer = answers.to(question, top)?;
            lines.insert(format!("asks {}", one_line(question)), one_line(&answer));
        }
        for variable in &step.variables {
            let value = std::env::var_os(variable).unwrap_or_default();
            let value = one_line(&value.to_string_lossy());
            lines.insert(format!("variable {variable}"), value);
        }
        for (name, value) in &step.parameters {
            lines.insert(format!("parameter {name}"), one_line(value));
            // A word that is a file's path counts with what is in the file.
            for word in value.split_whitespace() {
                let path = top.join(word);
                if path.is_file() {
                    let hash = digest::of_file(&path).map_err(|source| reading(&path, source))?;
                    lines.insert(format!("file {}", name_in(top, &path)), hash);
                }
            }
        }
        for (name, digest) in needs {
            lines.insert(format!("step {name}"), digest.clone());
        }
        Ok(Self { lines })
    }

    /// The name of what is made of them.
    #[must_use]
    pub fn key(&self) -> String {
        short(&digest::of_text(&self.text())).to_owned()
    }

    /// As the cache keeps them.
    #[must_use]
    pub fn text(&self) -> String {
        let line = |(name, value): (&String, &String)| format!("{name}\t{value}\n");
        self.lines.iter().map(line).collect()
    }

    /// What [`Inputs::text`] wrote; a line of another form is left out.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let pair = |line: &str| {
            let (name, value) = line.split_once('\t')?;
            Some((name.to_owned(), value.to_owned()))
        };
        Self {
            lines: text.lines().filter_map(pair).collect(),
        }
    }

    /// What differs from `earlier`, a line each.
    #[must_use]
    pub fn changes_since(&self, earlier: &Self) -> Vec<String> {
        let mut changes = Vec::new();
        for (name, value) in &self.lines {
            match earlier.lines.get(name) {
                None => changes.push(format!("new: {name}")),
                Some(old) if old == value => {}
                // Contents are hashes, which say nothing to a reader.
                Some(_) if name.starts_with("file ") || name.starts_with("code ") => {
                    changes.push(format!("changed: {name}"));
                }
                Some(old) => changes.push(format!("changed: {name}: was {old}, is {value}")),
            }
        }
        let gone = earlier.lines.keys();
        let gone = gone.filter(|name| !self.lines.contains_key(*name));
        changes.extend(gone.map(|name| format!("gone: {name}")));
        changes
    }
}

/// A hash as a name.
#[must_use]
pub fn short(hash: &str) -> &str {
    hash.get(..KEY_CHARACTERS).unwrap_or(hash)
}

impl Answers {
    fn to(&self, question: &str, top: &Path) -> Result<String, InputError> {
        let mut known = match self.0.lock() {
            Ok(known) => known,
            // Only complete answers are inserted.
            Err(poisoned) => poisoned.into_inner(),
        };
        if let Some(answer) = known.get(question) {
            return Ok(answer.clone());
        }
        let output = Command::new("bash")
            .args(["-o", "pipefail", "-c", question])
            .env("LC_ALL", "C")
            .current_dir(top)
            .output()
            .map_err(|source| InputError::Ask {
                question: question.to_owned(),
                source,
            })?;
        if !output.status.success() {
            return Err(InputError::Answer {
                question: question.to_owned(),
                said: String::from_utf8_lossy(&output.stderr).into_owned(),
            });
        }
        let answer = String::from_utf8_lossy(&output.stdout).into_owned();
        known.insert(question.to_owned(), answer.clone());
        Ok(answer)
    }
}

fn reading(path: &Path, source: io::Error) -> InputError {
    InputError::Read {
        path: path.to_owned(),
        source,
    }
}

fn name_in(top: &Path, path: &Path) -> String {
    one_line(&path.strip_prefix(top).unwrap_or(path).to_string_lossy())
}

fn one_line(text: &str) -> String {
    text.trim().replace(['\n', '\t'], " ")
}

/// Comments begin with `#`; `# CONFIG_X is not set` is how a kernel option is switched off.
fn without_comments(text: &str) -> String {
    let counts = |line: &&str| {
        let line = line.trim();
        let is_option = line.starts_with("# CONFIG_") && line.ends_with(" is not set");
        is_option || !(line.is_empty() || line.starts_with('#'))
    };
    let lines: Vec<&str> = text.lines().filter(counts).collect();
    lines.join("\n")
}

/// The files that a pattern names, sorted, never none.
fn matching(top: &Path, pattern: &str) -> Result<Vec<PathBuf>, InputError> {
    let path = top.join(pattern);
    let found = match pattern.rsplit_once('/').unwrap_or(("", pattern)) {
        (directory, name) if name.contains('*') => {
            let directory = top.join(directory);
            let files = digest::everything_in_one(&directory);
            let mut files = files.map_err(|source| reading(&directory, source))?;
            files.retain(|file| {
                let own = file.file_name().unwrap_or_default().to_string_lossy();
                fits(name, &own) && !file.is_dir()
            });
            files
        }
        _ if path.is_dir() => {
            let mut files =
                digest::everything_in(&path).map_err(|source| reading(&path, source))?;
            files.retain(|file| file.is_symlink() || !file.is_dir());
            files
        }
        _ if path.exists() => vec![path],
        _ => Vec::new(),
    };
    if found.is_empty() {
        return Err(InputError::NothingMatches {
            pattern: pattern.to_owned(),
        });
    }
    Ok(found)
}

/// Whether a name fits a pattern in which `*` is any text.
fn fits(pattern: &str, name: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == name,
        Some((before, behind)) => name.strip_prefix(before).is_some_and(|rest| {
            (0..=rest.len()).any(|at| rest.get(at..).is_some_and(|rest| fits(behind, rest)))
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reworded_reason_costs_no_build_and_an_option_does() {
        let text = "# a reason\n\n# CONFIG_A is not set\nCONFIG_B=y\n";
        assert_eq!(without_comments(text), "# CONFIG_A is not set\nCONFIG_B=y");
    }

    #[test]
    fn patterns_fit_as_in_a_shell() {
        assert!(fits("*.config", "vm.config"));
        assert!(fits("a*b*c", "aXbYc"));
        assert!(fits("*", ""));
        assert!(!fits("*.config", "config"));
        assert!(!fits("a*b", "ab-"));
    }

    #[test]
    fn inputs_are_read_back() {
        let mut inputs = Inputs::default();
        inputs
            .lines
            .insert("asks gcc".into(), "gcc (Debian) 12".into());
        inputs.lines.insert("variable X".into(), String::new());
        assert_eq!(Inputs::parse(&inputs.text()), inputs);
        assert_eq!(inputs.key().len(), KEY_CHARACTERS);
    }

    #[test]
    fn changes_name_what_differs() {
        let made = |pairs: &[(&str, &str)]| Inputs {
            lines: pairs
                .iter()
                .map(|(a, b)| ((*a).into(), (*b).into()))
                .collect(),
        };
        let old = made(&[("file a", "1"), ("asks gcc", "12"), ("file b", "2")]);
        let new = made(&[("file a", "3"), ("asks gcc", "14"), ("step c", "5")]);
        let changes = new.changes_since(&old);
        let wanted = [
            "changed: asks gcc: was 12, is 14",
            "changed: file a",
            "new: step c",
            "gone: file b",
        ];
        assert_eq!(changes, wanted);
        assert!(new.changes_since(&new).is_empty());
    }
}
