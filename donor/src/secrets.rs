//! The secrets that a person carries from the targets' screens to here.
//!
//! In: codes, and a file, standard input or a terminal. Out: one secret for each code. A typing
//! error is found here, by the secret's check character, and costs no guess at the target.

use std::fs::File;
use std::io::{self, BufRead, BufReader, IsTerminal, Read, Write};
use std::path::{Path, PathBuf};

use thiserror::Error;
use wire::code::Code;
use wire::secret::{Secret, SecretError};

/// Longest file of secrets: a line for each of some thousands of targets.
const FILE_MAX: u64 = 64 << 10;
/// How often a person may mistype.
const TRIES: usize = 5;

/// Why there is no secret.
#[derive(Debug, Error)]
pub enum SecretsError {
    /// It cannot be read.
    #[error("reading the secret from {}", from.display())]
    Read {
        /// A file, or standard input.
        from: PathBuf,
        /// The kernel's reason.
        source: io::Error,
    },
    /// A line is no secret. The line is not repeated: it may be almost one.
    #[error("reading the secret in line {line} of {}", from.display())]
    Line {
        /// A file, or standard input.
        from: PathBuf,
        /// From 1.
        line: usize,
        /// The fault.
        source: SecretError,
    },
    /// A line names no target of this deploy.
    #[error("line {line} of {} must be CODE SECRET, with one of the codes that were given", from.display())]
    Code {
        /// A file, or standard input.
        from: PathBuf,
        /// From 1.
        line: usize,
    },
    /// A target has none.
    #[error("{} has no secret for {code}", from.display())]
    Missing {
        /// A file, or standard input.
        from: PathBuf,
        /// The code of the target.
        code: Code,
    },
    /// A person mistyped too often, or ended the input.
    #[error("no secret for {code} was typed")]
    NotTyped {
        /// The code of the target.
        code: Code,
    },
}

/// The secret of each code, from `file` (`-`: standard input), or from standard input, which may be
/// a person.
///
/// # Errors
/// See [`SecretsError`].
pub fn gather(codes: &[Code], file: Option<&Path>) -> Result<Vec<Secret>, SecretsError> {
    let stdin = io::stdin();
    match file {
        Some(path) if path != "-" => {
            let failed = |source| SecretsError::Read {
                from: path.to_owned(),
                source,
            };
            read(codes, path, File::open(path).map_err(failed)?)
        }
        None if stdin.is_terminal() => ask(codes, &mut stdin.lock(), &mut io::stderr()),
        _ => read(codes, Path::new("standard input"), stdin.lock()),
    }
}

/// Asks a person. What is typed is shown: it stands on the target's screen as well, and is worth
/// nothing once the deploy has ended; typing blind would cost more than it saves.
fn ask(
    codes: &[Code],
    input: &mut dyn BufRead,
    out: &mut dyn Write,
) -> Result<Vec<Secret>, SecretsError> {
    codes.iter().map(|code| ask_one(code, input, out)).collect()
}

fn ask_one(
    code: &Code,
    input: &mut dyn BufRead,
    out: &mut dyn Write,
) -> Result<Secret, SecretsError> {
    let failed = |source| SecretsError::Read {
        from: "the terminal".into(),
        source,
    };
    for _ in 0..TRIES {
        write!(out, "secret on the screen of {code}: ").map_err(failed)?;
        out.flush().map_err(failed)?;
        let mut line = String::new();
        let len = input.take(1024).read_line(&mut line).map_err(failed)?;
        if len == 0 {
            break;
        }
        match Secret::parse(&line) {
            Ok(secret) => return Ok(secret),
            Err(error) => writeln!(out, "{error}").map_err(failed)?,
        }
    }
    Err(SecretsError::NotTyped { code: *code })
}

fn read(codes: &[Code], from: &Path, input: impl Read) -> Result<Vec<Secret>, SecretsError> {
    let mut found: Vec<Option<Secret>> = vec![None; codes.len()];
    let lines = BufReader::new(input.take(FILE_MAX)).lines();
    for (number, line) in (1..).zip(lines) {
        let line = line.map_err(|source| SecretsError::Read {
            from: from.to_owned(),
            source,
        })?;
        let text = line.trim();
        if text.is_empty() || text.starts_with('#') {
            continue;
        }
        let (at, secret) = target_of(codes, text).ok_or_else(|| SecretsError::Code {
            from: from.to_owned(),
            line: number,
        })?;
        let secret = Secret::parse(secret).map_err(|source| SecretsError::Line {
            from: from.to_owned(),
            line: number,
            source,
        })?;
        if let Some(place) = found.get_mut(at) {
            *place = Some(secret);
        }
    }
    let paired = codes.iter().zip(found);
    paired
        .map(|(code, secret)| {
            secret.ok_or_else(|| SecretsError::Missing {
                from: from.to_owned(),
                code: *code,
            })
        })
        .collect()
}

/// The target that a line is for, and the secret in it. A single target's line may leave out the
/// code; then the whole line is the secret, which may have blanks in it.
fn target_of<'a>(codes: &[Code], line: &'a str) -> Option<(usize, &'a str)> {
    let named = line
        .split_once(char::is_whitespace)
        .and_then(|(word, rest)| {
            let code = Code::parse(word).ok()?;
            let at = codes.iter().position(|known| *known == code)?;
            Some((at, rest))
        });
    match codes {
        [_] => named.or(Some((0, line))),
        _ => named,
    }
}

#[cfg(test)]
mod tests {
    use super::{SecretsError, ask, read};
    use std::path::Path;
    use wire::code::Code;
    use wire::secret::Secret;

    fn secret(seed: u8) -> Secret {
        Secret::draw([seed; 5])
    }

    fn codes(texts: &[&str]) -> Vec<Code> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    fn from(targets: &[&str], text: &str) -> Result<Vec<String>, SecretsError> {
        let secrets = read(&codes(targets), Path::new("f"), text.as_bytes())?;
        Ok(secrets.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn one_target_needs_no_code_in_its_file() {
        let shown = secret(7).to_string();
        for text in [
            shown.clone(),
            format!("# of the rack\n\n {} \n", shown.to_lowercase()),
            shown.replace('-', " "),
            format!("e13gts2 {shown}"),
        ] {
            assert_eq!(
                from(&["e13gts2"], &text).unwrap(),
                [shown.as_str()],
                "{text}"
            );
        }
    }

    #[test]
    fn several_targets_have_a_line_each_in_any_order() {
        let (a, b) = (secret(1).to_string(), secret(2).to_string());
        let text = format!("bbbbbbb {b}\naaaaaaa\t{a}\n");
        assert_eq!(
            from(&["aaaaaaa", "bbbbbbb"], &text).unwrap(),
            [a.clone(), b]
        );
        let error = from(&["aaaaaaa", "bbbbbbb"], &format!("aaaaaaa {a}")).unwrap_err();
        assert_eq!(error.to_string(), "f has no secret for bbbbbbb");
        let error = from(&["aaaaaaa", "bbbbbbb"], &a).unwrap_err();
        assert!(matches!(error, SecretsError::Code { line: 1, .. }));
    }

    #[test]
    fn a_typing_error_is_reported_without_the_secret() {
        let mistyped = format!("{}0", &secret(7).to_string()[..10]);
        let error = from(&["e13gts2"], &format!("\n{mistyped}")).unwrap_err();
        let text = wire::chain::chain(&error).to_string();
        assert!(
            text.contains("line 2") && !text.contains(&mistyped),
            "{text}"
        );
        assert!(from(&["e13gts2"], "").is_err());
    }

    #[test]
    fn a_person_is_asked_again_until_it_is_right() {
        let shown = secret(7).to_string();
        let mut out = Vec::new();
        let typed = format!("9D4T\n{shown}\n");
        let found = ask(&codes(&["e13gts2"]), &mut typed.as_bytes(), &mut out).unwrap();
        assert_eq!(found[0].to_string(), shown);
        let out = String::from_utf8(out).unwrap();
        assert_eq!(out.matches("secret on the screen of e13gts2: ").count(), 2);
        assert!(out.contains("has 9 characters"), "{out}");
    }

    #[test]
    fn nobody_is_asked_for_ever() {
        for typed in ["", "x\n".repeat(100).as_str()] {
            let result = ask(&codes(&["e13gts2"]), &mut typed.as_bytes(), &mut Vec::new());
            assert!(matches!(result, Err(SecretsError::NotTyped { .. })));
        }
    }
}
