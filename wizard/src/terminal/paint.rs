//! Cells that have changed in, bytes that a terminal acts upon out: ratatui's backend without a
//! terminal behind it. The bytes stay in a buffer until the terminal takes them, and there is never
//! more in it than one picture needs.
//!
//! Used is what a VT220 and the Linux console have in common (ECMA-48, console_codes(4)), and what
//! others ignore.

use std::convert::Infallible;
use std::io::Write;

use ratatui_core::backend::{Backend, ClearType, WindowSize};
use ratatui_core::buffer::Cell;
use ratatui_core::layout::{Position, Size};
use ratatui_core::style::{Color, Modifier};

use crate::theme::Charset;

/// Larger terminals are used up to this. It bounds the buffer, and what a terminal can claim.
const COLUMNS_MAX: u16 = 320;
const ROWS_MAX: u16 = 120;
const USUAL: Size = Size {
    width: 80,
    height: 24,
};

/// Colours and marks that the next character will have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Pen {
    front: Color,
    back: Color,
    modifier: Modifier,
}

impl Pen {
    const PLAIN: Self = Self {
        front: Color::Reset,
        back: Color::Reset,
        modifier: Modifier::empty(),
    };

    fn of(cell: &Cell) -> Self {
        Self {
            front: cell.fg,
            back: cell.bg,
            modifier: cell.modifier,
        }
    }
}

/// The bytes for a terminal.
#[derive(Debug)]
pub struct Paint {
    bytes: Vec<u8>,
    size: Size,
    charset: Charset,
    pen: Pen,
    /// Where the terminal's cursor is, as far as that is certain.
    cursor: Option<Position>,
}

impl Paint {
    /// For a terminal whose size is not known yet.
    #[must_use]
    pub const fn new(charset: Charset) -> Self {
        Self {
            bytes: Vec::new(),
            size: USUAL,
            charset,
            pen: Pen::PLAIN,
            cursor: None,
        }
    }

    /// The characters from now on.
    pub const fn set_charset(&mut self, charset: Charset) {
        self.charset = charset;
    }

    /// The size from now on. Nothing at all is no size: then it stays as it was.
    pub fn set_size(&mut self, columns: u16, rows: u16) {
        if columns > 0 && rows > 0 {
            self.size = Size::new(columns.min(COLUMNS_MAX), rows.min(ROWS_MAX));
        }
    }

    /// Bytes that are no picture: where the cursor is and how it writes is unknown afterwards.
    pub fn control(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
        self.cursor = None;
        self.reset_pen();
    }

    /// The bytes to send.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// So many of the bytes were sent.
    pub fn sent(&mut self, len: usize) {
        self.bytes.drain(..len.min(self.bytes.len()));
    }

    /// Drops the bytes that were not sent yet.
    pub fn forget(&mut self) {
        self.bytes.clear();
        self.cursor = None;
    }

    fn reset_pen(&mut self) {
        self.bytes.extend_from_slice(b"\x1b[m");
        self.pen = Pen::PLAIN;
    }

    fn put(&mut self, arguments: std::fmt::Arguments<'_>) {
        let _ = self.bytes.write_fmt(arguments); // a vector takes everything
    }

    fn go(&mut self, to: Position) {
        if self.cursor != Some(to) {
            match self.cursor {
                Some(at) if to.x == 0 && to.y == at.y + 1 => self.bytes.extend_from_slice(b"\r\n"),
                Some(at) if to.y == at.y && to.x > at.x => {
                    self.put(format_args!("\x1b[{}C", to.x - at.x))
                }
                _ => self.put(format_args!("\x1b[{};{}H", to.y + 1, to.x + 1)),
            }
            self.cursor = Some(to);
        }
    }

    fn take(&mut self, pen: Pen) {
        if pen == self.pen {
            return;
        }
        self.bytes.extend_from_slice(b"\x1b[");
        // From the beginning each time: that is shorter to say than how to get from one to the
        // other.
        for (modifier, number) in [
            (Modifier::BOLD, 1),
            (Modifier::DIM, 2),
            (Modifier::UNDERLINED, 4),
            (Modifier::REVERSED, 7),
        ] {
            if pen.modifier.contains(modifier) {
                self.put(format_args!(";{number}"));
            }
        }
        self.colour(pen.front, 30);
        self.colour(pen.back, 40);
        self.bytes.push(b'm');
        self.pen = pen;
    }

    /// Of the sixteen that terminals without a palette have; others are as if they were not given.
    fn colour(&mut self, colour: Color, base: u8) {
        let (number, is_light) = match colour {
            Color::Black => (0, false),
            Color::Red => (1, false),
            Color::Green => (2, false),
            Color::Yellow => (3, false),
            Color::Blue => (4, false),
            Color::Magenta => (5, false),
            Color::Cyan => (6, false),
            Color::Gray => (7, false),
            Color::DarkGray => (0, true),
            Color::LightRed => (1, true),
            Color::LightGreen => (2, true),
            Color::LightYellow => (3, true),
            Color::LightBlue => (4, true),
            Color::LightMagenta => (5, true),
            Color::LightCyan => (6, true),
            Color::White => (7, true),
            Color::Reset | Color::Rgb(..) | Color::Indexed(_) => return,
        };
        let light = if is_light { 60 } else { 0 };
        self.put(format_args!(";{}", base + light + number));
    }

    /// One character as this terminal has it; nothing that it would act upon.
    fn symbol(&mut self, symbol: &str) {
        if symbol.is_empty() || symbol.chars().any(char::is_control) {
            self.bytes.push(b' ');
        } else if symbol.is_ascii() || self.charset == Charset::Unicode {
            self.bytes.extend_from_slice(symbol.as_bytes());
        } else {
            self.bytes.push(b'?');
        }
    }
}

impl Backend for Paint {
    type Error = Infallible;

    fn draw<'a, I>(&mut self, content: I) -> Result<(), Infallible>
    where
        I: Iterator<Item = (u16, u16, &'a Cell)>,
    {
        for (x, y, cell) in content {
            self.go(Position { x, y });
            self.take(Pen::of(cell));
            let symbol = cell.symbol();
            self.symbol(symbol);
            // Behind the last column terminals differ.
            let is_certain = is_one_wide(symbol) && x + 1 < self.size.width;
            self.cursor = is_certain.then_some(Position { x: x + 1, y });
        }
        if self.pen != Pen::PLAIN {
            self.reset_pen();
        }
        Ok(())
    }

    fn hide_cursor(&mut self) -> Result<(), Infallible> {
        self.bytes.extend_from_slice(b"\x1b[?25l");
        Ok(())
    }

    fn show_cursor(&mut self) -> Result<(), Infallible> {
        self.bytes.extend_from_slice(b"\x1b[?25h");
        Ok(())
    }

    fn get_cursor_position(&mut self) -> Result<Position, Infallible> {
        Ok(self.cursor.unwrap_or_default())
    }

    fn set_cursor_position<P: Into<Position>>(&mut self, position: P) -> Result<(), Infallible> {
        self.go(position.into());
        Ok(())
    }

    fn clear(&mut self) -> Result<(), Infallible> {
        self.control(b"\x1b[H\x1b[2J");
        Ok(())
    }

    /// All of it: a picture that fills the terminal is never cleared in part.
    fn clear_region(&mut self, _: ClearType) -> Result<(), Infallible> {
        self.clear()
    }

    fn size(&self) -> Result<Size, Infallible> {
        Ok(self.size)
    }

    fn window_size(&mut self) -> Result<WindowSize, Infallible> {
        Ok(WindowSize {
            columns_rows: self.size,
            pixels: Size::ZERO,
        })
    }

    fn flush(&mut self) -> Result<(), Infallible> {
        Ok(())
    }
}

/// On every terminal: ASCII, lines and blocks. About others opinions differ.
fn is_one_wide(symbol: &str) -> bool {
    let mut chars = symbol.chars();
    let is_known = |char| matches!(char, ' '..='~' | '\u{2500}'..='\u{259f}');
    chars.next().is_some_and(is_known) && chars.next().is_none()
}

#[cfg(test)]
mod tests {
    use super::Paint;
    use crate::theme::Charset;
    use ratatui_core::style::{Color, Modifier, Style};
    use ratatui_core::terminal::Terminal;
    use std::num::NonZeroU16;

    fn screen(rows: u16, columns: u16) -> vt100::Parser {
        let [rows, columns] = [rows, columns].map(|count| NonZeroU16::new(count).unwrap());
        vt100::Parser::new(rows, columns, 0)
    }

    /// The screen of a terminal after the bytes.
    fn show(
        terminal: &mut Terminal<Paint>,
        screen: &mut vt100::Parser,
        text: &[(u16, u16, &str, Style)],
    ) -> usize {
        let drawn = terminal.draw(|frame| {
            for (x, y, text, style) in text {
                frame.buffer_mut().set_string(*x, *y, text, *style);
            }
        });
        drawn.unwrap();
        let len = terminal.backend().bytes().len();
        screen.process(terminal.backend().bytes());
        terminal.backend_mut().sent(len);
        len
    }

    #[test]
    fn a_terminal_shows_what_was_drawn_and_gets_only_what_has_changed() {
        let mut terminal = Terminal::new(Paint::new(Charset::Unicode)).unwrap();
        let mut screen = screen(24, 80);
        screen.process(b"rubbish");
        terminal.clear().unwrap();
        let plain = Style::new();
        let warning = Style::new().fg(Color::Yellow).add_modifier(Modifier::BOLD);
        let wide = "x".repeat(80);
        let rows = [
            (0, 0, "─ ä 漢字 ok", plain),
            (3, 5, "less", warning),
            (0, 22, &wide, plain),
            (0, 23, &wide, plain),
        ];
        show(&mut terminal, &mut screen, &rows);
        let line =
            |screen: &vt100::Parser, row: u16| screen.screen().contents_between(row, 0, row, 80);
        assert_eq!(line(&screen, 0).trim_end(), "─ ä 漢字 ok");
        assert_eq!(
            (line(&screen, 22), line(&screen, 23)),
            (wide.clone(), wide.clone())
        );
        let cell = screen.screen().cell(5, 3).unwrap();
        assert!(cell.bold() && cell.fgcolor() == vt100::Color::Idx(3) && cell.contents() == "l");
        assert!(!screen.screen().cell(0, 0).unwrap().bold());
        // The same again costs a hidden cursor, one more word little more.
        assert!(show(&mut terminal, &mut screen, &rows) <= 6);
        let more = [&rows[..], &[(9, 5, "more", plain)]].concat();
        let len = show(&mut terminal, &mut screen, &more);
        assert!(len < 40, "{len}");
        assert_eq!(line(&screen, 5).trim(), "less  more");
    }

    #[test]
    fn another_size_redraws_and_an_invalid_one_is_ignored() {
        let mut terminal = Terminal::new(Paint::new(Charset::Unicode)).unwrap();
        let mut screen = screen(50, 132);
        let text = [(0, 0, "text", Style::new())];
        show(&mut terminal, &mut screen, &text);
        terminal.backend_mut().set_size(132, 50);
        screen.process(b"\x1b[Hrubbish");
        show(&mut terminal, &mut screen, &text);
        assert_eq!(screen.screen().contents().trim_end(), "text");
        terminal.backend_mut().set_size(0, 7);
        show(&mut terminal, &mut screen, &[(131, 49, "x", Style::new())]);
        assert_eq!(screen.screen().cell(49, 131).unwrap().contents(), "x");
        terminal.backend_mut().set_size(u16::MAX, u16::MAX);
        terminal.backend_mut().forget();
        terminal.draw(|_| {}).unwrap();
        assert!(terminal.size().unwrap().area() < 40_000);
    }

    #[test]
    fn a_terminal_without_unicode_gets_none_and_none_gets_what_it_would_act_upon() {
        let mut terminal = Terminal::new(Paint::new(Charset::Ascii)).unwrap();
        let mut screen = screen(24, 80);
        let drawn = terminal.draw(|frame| {
            frame.buffer_mut().set_string(0, 0, "ä─z", Style::new());
            frame.buffer_mut()[(4, 0)].set_symbol("\x1b[2J");
            frame.buffer_mut()[(9, 0)].set_symbol("q");
        });
        drawn.unwrap();
        assert!(terminal.backend().bytes().is_ascii());
        screen.process(terminal.backend().bytes());
        assert_eq!(screen.screen().contents().trim_end(), "??z      q");
    }
}
