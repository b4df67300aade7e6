//! The terminal in front of a serial line: bytes in, what it shows out, and what a terminal answers
//! when it is asked.

use std::fmt;
use std::num::NonZeroU16;

use vt100::{Callbacks, Parser, Screen};

use crate::eyes::screen::ScreenText;

/// A terminal of 80 by 24 that understands UTF-8, or of any other size.
pub struct Terminal {
    parser: Parser<Answers>,
}

/// The answers that go back into the line.
#[derive(Debug, Default)]
struct Answers {
    bytes: Vec<u8>,
}

/// Where am I, how large are you: ECMA-48 8.3.35 (DSR), xterm's window operations.
impl Callbacks for Answers {
    fn unhandled_csi(
        &mut self,
        screen: &mut Screen,
        first: Option<u8>,
        _: Option<u8>,
        parameters: &[&[u16]],
        last: char,
    ) {
        if first.is_some() {
            return;
        }
        let asked = parameters.first().and_then(|words| words.first());
        let answer = match (last, asked) {
            ('n', Some(5)) => "\x1b[0n".to_owned(),
            ('n', Some(6)) => {
                let (line, column) = screen.cursor_position();
                format!("\x1b[{};{}R", line + 1, column + 1)
            }
            ('t', Some(18)) => {
                let (lines, columns) = screen.size();
                format!("\x1b[8;{lines};{columns}t")
            }
            // A VT220, which knows colours.
            ('c', Some(0) | None) => "\x1b[?62;22c".to_owned(),
            _ => return,
        };
        self.bytes.extend_from_slice(answer.as_bytes());
    }
}

impl Terminal {
    /// Switched on. The size that nobody has is one by one.
    #[must_use]
    pub fn new(columns: u16, lines: u16) -> Self {
        let at_least_one = |count| NonZeroU16::new(count).unwrap_or(NonZeroU16::MIN);
        let (lines, columns) = (at_least_one(lines), at_least_one(columns));
        Self {
            parser: Parser::new_with_callbacks(lines, columns, 0, Answers::default()),
        }
    }

    /// Takes bytes from the line; returns the answers.
    pub fn hear(&mut self, bytes: &[u8]) -> Vec<u8> {
        self.parser.process(bytes);
        std::mem::take(&mut self.parser.callbacks_mut().bytes)
    }

    /// The text on its screen.
    #[must_use]
    pub fn text(&self) -> ScreenText {
        let (_, columns) = self.parser.screen().size();
        ScreenText::new(self.parser.screen().rows(0, columns.get()))
    }

    /// Its screen, with colours.
    #[must_use]
    pub fn screen(&self) -> Screen {
        self.parser.screen().clone()
    }
}

impl fmt::Debug for Terminal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Terminal{}", self.text())
    }
}

#[cfg(test)]
mod tests {
    use super::Terminal;

    #[test]
    fn it_shows_what_was_drawn_last() {
        let mut terminal = Terminal::new(20, 4);
        let drawn = "\x1b[2J\x1b[2;3Hcode ┌─┐\x1b[3;1Hold\x1b[3;1H\x1b[Knew";
        assert!(terminal.hear(drawn.as_bytes()).is_empty());
        assert_eq!(terminal.text().lines(), ["", "  code ┌─┐", "new", ""]);
    }

    #[test]
    fn it_answers_what_a_program_asks_byte_by_byte() {
        let mut terminal = Terminal::new(132, 50);
        let asked = b"\x1b7\x1b[999;999H\x1b[6n\x1b8\x1b[18t\x1b[c\x1b[?25l";
        let answers: Vec<u8> = asked
            .iter()
            .flat_map(|byte| terminal.hear(&[*byte]))
            .collect();
        assert_eq!(answers, b"\x1b[50;132R\x1b[8;50;132t\x1b[?62;22c");
    }
}
