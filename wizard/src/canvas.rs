//! A part of the screen to draw on: text in, cells out. Text that does not fit is cut off; control
//! characters are never drawn.

use std::borrow::Cow;

use ratatui_core::buffer::Buffer;
use ratatui_core::layout::{Position, Rect};
use ratatui_core::style::{Color, Style};
use ratatui_core::text::Span;

use crate::theme::{Charset, Glyphs, Theme, Tone};

/// A rectangle with rows and columns of its own, from 0.
#[derive(Debug)]
pub struct Canvas<'a> {
    buffer: &'a mut Buffer,
    area: Rect,
    theme: Theme,
    cursor: &'a mut Option<Position>,
}

impl<'a> Canvas<'a> {
    /// A canvas on this part of the buffer. Drawing sets `cursor` to where the terminal's cursor
    /// belongs.
    #[must_use]
    pub fn new(
        buffer: &'a mut Buffer,
        area: Rect,
        theme: Theme,
        cursor: &'a mut Option<Position>,
    ) -> Self {
        let area = area.intersection(*buffer.area());
        Self {
            buffer,
            area,
            theme,
            cursor,
        }
    }

    /// A part of it.
    pub fn part(&mut self, x: u16, y: u16, width: u16, height: u16) -> Canvas<'_> {
        let x = self.area.x.saturating_add(x);
        let y = self.area.y.saturating_add(y);
        let area = Rect::new(x, y, width, height).intersection(self.area);
        Canvas {
            buffer: self.buffer,
            area,
            theme: self.theme,
            cursor: self.cursor,
        }
    }

    /// In columns.
    #[must_use]
    pub const fn width(&self) -> u16 {
        self.area.width
    }

    /// In rows.
    #[must_use]
    pub const fn height(&self) -> u16 {
        self.area.height
    }

    /// The capabilities of the terminal.
    #[must_use]
    pub const fn theme(&self) -> Theme {
        self.theme
    }

    /// The glyphs for lines and marks.
    #[must_use]
    pub const fn glyphs(&self) -> Glyphs {
        self.theme.glyphs()
    }

    /// Writes text and says in which column it ended.
    pub fn put(&mut self, x: u16, y: u16, text: &str, tone: Tone) -> u16 {
        if x >= self.area.width || y >= self.area.height {
            return x;
        }
        let text = visible(text, self.theme.charset);
        let (end, _) = self.buffer.set_stringn(
            self.area.x.saturating_add(x),
            self.area.y.saturating_add(y),
            text,
            usize::from(self.area.width.saturating_sub(x)),
            tone.style(self.theme),
        );
        end.saturating_sub(self.area.x)
    }

    /// Writes pieces of text one behind the other.
    pub fn line(&mut self, x: u16, y: u16, parts: &[(&str, Tone)]) -> u16 {
        parts
            .iter()
            .fold(x, |x, (text, tone)| self.put(x, y, text, *tone))
    }

    /// Writes text into so many columns; what is too long ends with two dots.
    pub fn fit(&mut self, x: u16, y: u16, width: u16, text: &str, tone: Tone) {
        let width = width.min(self.width().saturating_sub(x));
        match first_beyond(text, usize::from(width)) {
            None => {
                self.put(x, y, text, tone);
            }
            Some(_) => {
                let room = width.saturating_sub(2);
                let end = first_beyond(text, usize::from(room)).unwrap_or_default();
                let (head, _) = text.split_at_checked(end).unwrap_or_default();
                self.part(x, y, width, 1)
                    .line(0, 0, &[(head, tone), ("..", tone)]);
            }
        }
    }

    /// Writes one character several times.
    pub fn repeat(&mut self, x: u16, y: u16, glyph: char, times: u16, tone: Tone) -> u16 {
        let times = times.min(self.area.width.saturating_sub(x));
        let text: String = std::iter::repeat_n(glyph, usize::from(times)).collect();
        self.put(x, y, &text, tone)
    }

    /// A line from edge to edge.
    pub fn rule(&mut self, y: u16) {
        self.repeat(0, y, self.glyphs().rule, self.width(), Tone::Dim);
    }

    /// A row as a whole gets this tone, and keeps its text but none of its colours: a bar with
    /// holes in other colours is not a bar.
    pub fn tint(&mut self, y: u16, tone: Tone) {
        if y < self.area.height {
            let y = self.area.y.saturating_add(y);
            let row = Rect::new(self.area.x, y, self.area.width, 1);
            let style = Style::new().fg(Color::Reset).patch(tone.style(self.theme));
            self.buffer.set_style(row, style);
        }
    }

    /// Everything on it becomes blank.
    pub fn clear(&mut self) {
        for position in self.area.positions() {
            if let Some(cell) = self.buffer.cell_mut(position) {
                cell.reset();
            }
        }
    }

    /// Writes text that is broken between words, from a column on, and says which row follows.
    pub fn wrap(&mut self, x: u16, y: u16, text: &str, tone: Tone) -> u16 {
        let width = usize::from(self.width().saturating_sub(x));
        let mut y = y;
        for line in broken(text, width) {
            self.put(x, y, line, tone);
            y = y.saturating_add(1);
        }
        y
    }

    /// A bar that is `part` of `whole` full.
    pub fn bar(&mut self, x: u16, y: u16, width: u16, part: u64, whole: u64) {
        let filled = u128::from(part.min(whole)) * u128::from(width) / u128::from(whole.max(1));
        let filled = u16::try_from(filled).unwrap_or(width);
        let glyphs = self.glyphs();
        let x = self.repeat(x, y, glyphs.full, filled, Tone::Good);
        self.repeat(x, y, glyphs.empty, width.saturating_sub(filled), Tone::Dim);
    }

    /// The terminal's cursor belongs here.
    pub fn cursor(&mut self, x: u16, y: u16) {
        if x < self.area.width && y < self.area.height {
            let (x, y) = (self.area.x.saturating_add(x), self.area.y.saturating_add(y));
            *self.cursor = Some(Position::new(x, y));
        }
    }
}

/// Without what a terminal would act upon or cannot show.
pub(crate) fn visible(text: &str, charset: Charset) -> Cow<'_, str> {
    let is_shown = |char: char| match charset {
        Charset::Ascii => char == ' ' || char.is_ascii_graphic(),
        Charset::Unicode => !char.is_control() && !is_formatting(char),
    };
    if text.chars().all(is_shown) {
        return Cow::Borrowed(text);
    }
    let shown = |char| if is_shown(char) { char } else { '?' };
    Cow::Owned(text.chars().map(shown).collect())
}

/// No glyph of its own, but an effect on what is around it: where words end, or in which direction
/// they run (UAX 9).
const fn is_formatting(char: char) -> bool {
    matches!(
        char,
        '\u{200B}'..='\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2060}'..='\u{206F}' | '\u{FEFF}'
    )
}

/// How many columns a character takes: none, one or two.
fn columns(char: char) -> usize {
    match char {
        ' '..='~' => 1,
        _ => Span::raw(char.encode_utf8(&mut [0; 4]) as &str).width(),
    }
}

/// The byte at which the first character begins that does not fit into so many columns, if there is
/// one. One always fits.
fn first_beyond(text: &str, width: usize) -> Option<usize> {
    let mut used = 0_usize;
    let mut chars = text.char_indices();
    let beyond = chars.find(|(offset, char)| {
        used = used.saturating_add(columns(*char));
        used > width && *offset > 0
    });
    beyond.map(|(offset, _)| offset)
}

/// Lines of at most so many columns, broken at spaces where there are any. A line feed always ends
/// one.
#[must_use]
pub fn broken(text: &str, width: usize) -> Vec<&str> {
    let mut lines = Vec::new();
    for paragraph in text.split('\n') {
        let mut rest = paragraph.trim_end();
        loop {
            let end = first_beyond(rest, width.max(1));
            let Some((line, behind)) = end.and_then(|end| {
                let (head, tail) = rest.split_at_checked(end)?;
                match head.rfind(' ') {
                    _ if tail.starts_with(' ') => Some((head, tail)),
                    Some(space) if space > 0 => rest.split_at_checked(space),
                    _ => Some((head, tail)),
                }
            }) else {
                lines.push(rest);
                break;
            };
            lines.push(line.trim_end());
            rest = behind.trim_start();
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::{Canvas, broken};
    use crate::theme::{Charset, Theme, Tone};
    use ratatui_core::buffer::Buffer;
    use ratatui_core::layout::Rect;
    use ratatui_core::style::{Color, Modifier};

    #[test]
    fn lines_are_broken_between_words_and_never_lose_any() {
        assert_eq!(broken("one two three", 7), ["one two", "three"]);
        assert_eq!(broken("one two", 3), ["one", "two"]);
        assert_eq!(broken("abcdefgh", 3), ["abc", "def", "gh"]);
        assert_eq!(broken("a\n\nb", 3), ["a", "", "b"]);
        assert_eq!(broken("", 3), [""]);
        assert_eq!(broken("äöü ß", 3), ["äöü", "ß"]);
        assert_eq!(broken("漢字 漢字漢字", 5), ["漢字", "漢字", "漢字"]);
        assert_eq!(broken("漢字", 1), ["漢", "字"]);
        for width in 0..20 {
            let text = "the quick brown fox, überall und immerdar";
            let lines = broken(text, width);
            assert!(
                lines
                    .iter()
                    .all(|line| line.chars().count() <= width.max(1))
            );
            let letters = |text: &str| text.replace(' ', "");
            assert_eq!(letters(&lines.concat()), letters(text), "{width}");
        }
    }

    #[test]
    fn a_row_that_is_tinted_is_of_one_colour() {
        let mut buffer = Buffer::empty(Rect::new(0, 0, 6, 1));
        let (area, mut cursor) = (*buffer.area(), None);
        let theme = Theme {
            colours: true,
            ..Theme::default()
        };
        let mut canvas = Canvas::new(&mut buffer, area, theme, &mut cursor);
        canvas.put(1, 0, "disk", Tone::Good);
        canvas.tint(0, Tone::Selected);
        let mut cells = buffer.content().iter();
        assert!(cells.all(|cell| cell.fg == Color::Reset && cell.modifier == Modifier::REVERSED));
    }

    #[test]
    fn what_is_too_long_says_so() {
        for (width, expected) in [
            (0, ""),
            (1, "o"),
            (2, "o."),
            (4, "on.."),
            (6, "one .."),
            (7, "one two"),
            (9, "one two"),
        ] {
            let mut buffer = Buffer::empty(Rect::new(0, 0, 12, 1));
            let (area, mut cursor) = (*buffer.area(), None);
            let mut canvas = Canvas::new(&mut buffer, area, Theme::default(), &mut cursor);
            canvas.fit(1, 0, width, "one two", Tone::Plain);
            let row: String = buffer.content().iter().map(|cell| cell.symbol()).collect();
            assert_eq!(row.trim(), expected, "{width}");
        }
    }

    #[test]
    fn nothing_leaves_its_part_or_reaches_a_terminal_as_a_command() {
        for (charset, expected) in [
            (Charset::Ascii, ["          ", "  a?[2??  ", "          "]),
            (Charset::Unicode, ["          ", "  a?[2?ü  ", "          "]),
        ] {
            let mut buffer = Buffer::empty(Rect::new(0, 0, 10, 3));
            let (area, mut cursor) = (*buffer.area(), None);
            let theme = Theme {
                charset,
                colours: true,
            };
            let mut canvas = Canvas::new(&mut buffer, area, theme, &mut cursor);
            let mut part = canvas.part(2, 1, 6, 9);
            assert_eq!(part.height(), 2);
            part.put(0, 0, "a\u{1b}[2\u{202E}üxyz", Tone::Plain);
            part.put(0, 7, "outside", Tone::Plain);
            part.put(9, 0, "outside", Tone::Plain);
            part.cursor(6, 0);
            assert_eq!(cursor, None);
            let rows: Vec<String> = buffer
                .content()
                .chunks(10)
                .map(|row| row.iter().map(|cell| cell.symbol()).collect())
                .collect();
            assert_eq!(rows, expected);
        }
    }
}
