//! Text that a peer has sent, or that it will show: UTF-8, and harmless on a terminal.

use core::fmt;

/// A text. [`fmt::Display`] writes control characters, and those that turn the direction of writing
/// around, as escapes: the other end's words cannot move a cursor, hide a line or answer a
/// terminal's question.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Text<'a>(&'a str);

impl<'a> Text<'a> {
    /// Takes any text; a message has room for so much of it and cuts the rest.
    #[must_use]
    pub const fn new(text: &'a str) -> Self {
        Self(text)
    }

    /// As it was sent: not for a terminal.
    #[must_use]
    pub const fn raw(self) -> &'a str {
        self.0
    }

    /// The beginning that fits into so many bytes, never half a character.
    pub(super) fn head(self, max_bytes: usize) -> &'a str {
        let end = self.0.floor_char_boundary(max_bytes);
        self.0.get(..end).unwrap_or_default()
    }
}

const fn is_harmless(character: char) -> bool {
    !matches!(
        character,
        '\0'..='\x1f'
            | '\x7f'..='\u{9f}'
            | '\u{61c}'
            | '\u{200e}'
            | '\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2066}'..='\u{2069}'
    )
}

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = self.0;
        while let Some((at, character)) = rest.char_indices().find(|(_, c)| !is_harmless(*c)) {
            let (harmless, tail) = rest.split_at(at);
            write!(f, "{harmless}{}", character.escape_default())?;
            rest = tail.get(character.len_utf8()..).unwrap_or_default();
        }
        f.write_str(rest)
    }
}

impl fmt::Debug for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.0, f)
    }
}

impl<'a> From<&'a str> for Text<'a> {
    fn from(text: &'a str) -> Self {
        Self::new(text)
    }
}
