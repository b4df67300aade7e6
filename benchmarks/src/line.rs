//! Lines of `key=value` words, as our tools and the scripts print measurements.

use thiserror::Error;

use crate::figure::median;

/// A measurement that is not there or cannot be read.
#[derive(Debug, Error, PartialEq)]
pub enum LineError {
    /// No line has these words.
    #[error("no line has {key}={value}")]
    NoLine {
        /// The word's left side.
        key: &'static str,
        /// The word's right side.
        value: String,
    },
    /// A line lacks a word.
    #[error("no {key}= in the line {line:?}")]
    NoWord {
        /// The word's left side.
        key: &'static str,
        /// The whole line.
        line: String,
    },
    /// A word is no number.
    #[error("expected a number, got {text:?} in the line {line:?}")]
    NoNumber {
        /// The text at that place.
        text: String,
        /// The whole line.
        line: String,
    },
}

/// One line of words; those without a `=` are left alone.
#[derive(Clone, Copy, Debug)]
pub struct Line<'a>(pub &'a str);

impl<'a> Line<'a> {
    /// The value behind `key=`, if the line has one.
    #[must_use]
    pub fn find(self, key: &str) -> Option<&'a str> {
        let mut pairs = self.0.split_whitespace().filter_map(|w| w.split_once('='));
        pairs.find_map(|(name, value)| (name == key).then_some(value))
    }

    /// The value behind `key=`.
    ///
    /// # Errors
    ///
    /// When the line has none.
    pub fn text(self, key: &'static str) -> Result<&'a str, LineError> {
        self.find(key).ok_or_else(|| LineError::NoWord {
            key,
            line: self.0.to_owned(),
        })
    }

    /// The number behind `key=`.
    ///
    /// # Errors
    ///
    /// When the line has none, or what is there is no number.
    pub fn number(self, key: &'static str) -> Result<f64, LineError> {
        self.parsed(self.text(key)?)
    }

    /// A word of this line as a number.
    ///
    /// # Errors
    ///
    /// The text is no number.
    pub fn parsed(self, text: &str) -> Result<f64, LineError> {
        text.parse().map_err(|_cause| LineError::NoNumber {
            text: text.to_owned(),
            line: self.0.to_owned(),
        })
    }
}

/// The lines that have `key=`, with its value.
pub fn with_key<'a>(text: &'a str, key: &str) -> impl Iterator<Item = (&'a str, Line<'a>)> {
    let lines = text.lines().map(Line);
    lines.filter_map(move |line| Some((line.find(key)?, line)))
}

/// Each `figure` of the lines with `key=value`, at least one.
///
/// # Errors
///
/// When there is no such line, or one lacks the figure.
pub fn figures(
    text: &str,
    (key, value): (&'static str, &str),
    figure: &'static str,
) -> Result<Vec<f64>, LineError> {
    let found: Vec<f64> = with_key(text, key)
        .filter(|(found, _)| *found == value)
        .map(|(_, line)| line.number(figure))
        .collect::<Result<_, _>>()?;
    let value = value.to_owned();
    match found.len() {
        0 => Err(LineError::NoLine { key, value }),
        _ => Ok(found),
    }
}

/// The median of [`figures`].
///
/// # Errors
///
/// As there.
pub fn median_of(
    text: &str,
    word: (&'static str, &str),
    figure: &'static str,
) -> Result<f64, LineError> {
    Ok(median(&figures(text, word, figure)?))
}

#[cfg(test)]
mod tests {
    use super::{LineError, figures, median_of};

    const TEXT: &str = "\
progress: round 1
way=iso seconds=3.50
way=uki seconds=9
way=iso seconds=1.5
way=bad seconds=soon
way=less
";

    #[test]
    fn figures_are_those_of_the_lines_with_the_word() {
        assert_eq!(figures(TEXT, ("way", "iso"), "seconds"), Ok(vec![3.5, 1.5]));
        assert_eq!(median_of(TEXT, ("way", "iso"), "seconds"), Ok(2.5));
        assert_eq!(median_of(TEXT, ("way", "uki"), "seconds"), Ok(9.0));
    }

    #[test]
    fn what_is_missing_is_an_error_that_names_it() {
        let error = |value| figures(TEXT, ("way", value), "seconds").unwrap_err();
        assert_eq!(error("pxe").to_string(), "no line has way=pxe");
        assert_eq!(
            error("less").to_string(),
            "no seconds= in the line \"way=less\""
        );
        assert!(matches!(error("bad"), LineError::NoNumber { .. }));
    }
}
