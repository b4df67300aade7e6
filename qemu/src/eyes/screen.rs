//! The text on a screen: lines in, and whether a scenario finds there what it awaits,
//! out.

use std::fmt;

/// The lines of a screen, from top to bottom, without the blanks behind each.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ScreenText {
    lines: Vec<String>,
}

impl ScreenText {
    /// Of lines as wide as the screen.
    #[must_use]
    pub fn new(lines: impl IntoIterator<Item = String>) -> Self {
        let lines = lines.into_iter();
        Self {
            lines: lines.map(|line| line.trim_end().to_owned()).collect(),
        }
    }

    /// From top to bottom.
    #[must_use]
    pub fn lines(&self) -> &[String] {
        &self.lines
    }

    /// Whether some line holds `text`.
    #[must_use]
    pub fn has(&self, text: &str) -> bool {
        self.line_with(text).is_some()
    }

    /// The first line that holds `text`.
    #[must_use]
    pub fn line_with(&self, text: &str) -> Option<&str> {
        let mut lines = self.lines.iter();
        lines.find(|line| line.contains(text)).map(String::as_str)
    }

    /// The word behind `label`, on the first line where one follows.
    #[must_use]
    pub fn word_behind(&self, label: &str) -> Option<&str> {
        self.lines.iter().find_map(|line| {
            let (_, rest) = line.split_once(label)?;
            rest.split_whitespace().next()
        })
    }
}

/// For an error message: each line behind `  | `.
impl fmt::Display for ScreenText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for line in &self.lines {
            write!(f, "\n  | {line}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::ScreenText;

    #[test]
    fn lines_and_words_are_found() {
        let lines = ["  Disk   /dev/vda ", "", "  Code   e13gts2  secret 9D4T"];
        let screen = ScreenText::new(lines.map(str::to_owned));
        assert_eq!(screen.lines()[0], "  Disk   /dev/vda");
        assert!(screen.has("/dev/vda") && !screen.has("/dev/vdb"));
        assert_eq!(screen.word_behind("Code"), Some("e13gts2"));
        assert_eq!(screen.word_behind("9D4T"), None);
        assert!(screen.to_string().contains("\n  |   Disk   /dev/vda\n"));
    }
}
