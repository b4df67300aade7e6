//! A line that a person types into.

use crate::canvas::Canvas;
use crate::key::Key;
use crate::theme::Tone;

/// Text of limited length, and where in it the next character goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InputLine {
    text: String,
    /// In characters, at most as many as there are.
    at: usize,
    max: usize,
}

impl InputLine {
    /// Empty, for at most so many characters.
    #[must_use]
    pub const fn new(max: usize) -> Self {
        Self {
            text: String::new(),
            at: 0,
            max,
        }
    }

    /// The text of the line.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Replaces it.
    pub fn set(&mut self, text: &str) {
        self.text = text.chars().take(self.max).collect();
        self.at = self.text.chars().count();
    }

    /// Forgets it.
    pub fn clear(&mut self) {
        self.set("");
    }

    /// Was this key for us?
    pub fn press(&mut self, key: Key) -> bool {
        let len = self.text.chars().count();
        match key {
            Key::Char(char) if char.is_control() => return false,
            Key::Char(char) if len < self.max => {
                self.text.insert(self.offset(self.at), char);
                self.at = self.at.saturating_add(1);
            }
            Key::Char(_) => {} // full
            Key::Backspace => {
                if let Some(before) = self.at.checked_sub(1) {
                    self.text.remove(self.offset(before));
                    self.at = before;
                }
            }
            Key::Delete if self.at < len => {
                self.text.remove(self.offset(self.at));
            }
            Key::Delete => {}
            Key::Left => self.at = self.at.saturating_sub(1),
            Key::Right => self.at = self.at.saturating_add(1).min(len),
            Key::Home | Key::Ctrl('a') => self.at = 0,
            Key::End | Key::Ctrl('e') => self.at = len,
            Key::Ctrl('u') => self.clear(),
            _ => return false,
        }
        true
    }

    /// The byte at which this character begins.
    fn offset(&self, char: usize) -> usize {
        let found = self.text.char_indices().nth(char);
        found.map_or(self.text.len(), |(offset, _)| offset)
    }

    /// Draws it as wide as this, between brackets; the part around the cursor when it is longer
    /// than that. The terminal's cursor is put there if it `has_focus`, and a password `is_hidden`.
    pub fn draw(
        &self,
        canvas: &mut Canvas<'_>,
        (x, y): (u16, u16),
        width: u16,
        has_focus: bool,
        is_hidden: bool,
    ) {
        let room = usize::from(width.saturating_sub(2)).max(1);
        let first = (self.at.saturating_add(1)).saturating_sub(room);
        let hidden = canvas.glyphs().hidden;
        let shown = self.text.chars().skip(first).take(room);
        let shown: String = if is_hidden {
            shown.map(|_| hidden).collect()
        } else {
            shown.collect()
        };
        let bracket = if has_focus { Tone::Strong } else { Tone::Dim };
        let start = canvas.put(x, y, "[", bracket);
        canvas.repeat(start, y, ' ', width.saturating_sub(2), Tone::Input);
        canvas.put(start, y, &shown, Tone::Input);
        canvas.put(x.saturating_add(width).saturating_sub(1), y, "]", bracket);
        if has_focus {
            let before = u16::try_from(self.at.saturating_sub(first)).unwrap_or(0);
            canvas.cursor(start.saturating_add(before), y);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::InputLine;
    use crate::key::Key;

    fn typed(field: &mut InputLine, text: &str) {
        for char in text.chars() {
            assert!(field.press(Key::Char(char)));
        }
    }

    #[test]
    fn a_line_is_edited_as_in_a_shell() {
        let mut field = InputLine::new(8);
        typed(&mut field, "gün");
        assert!(field.press(Key::Left) && field.press(Key::Backspace));
        typed(&mut field, "ö");
        assert_eq!(field.text(), "gön");
        assert!(field.press(Key::Home) && field.press(Key::Delete));
        assert!(field.press(Key::End) && field.press(Key::Delete));
        typed(&mut field, "1234567890");
        assert_eq!(field.text(), "ön123456");
        assert!(field.press(Key::Ctrl('u')) && field.press(Key::Backspace));
        assert_eq!(field.text(), "");
        for key in [
            Key::Enter,
            Key::Tab,
            Key::Escape,
            Key::F(1),
            Key::Char('\0'),
        ] {
            assert!(!field.press(key), "{key:?}");
        }
    }
}
