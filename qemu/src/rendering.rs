//! A terminal's screen as a picture: its cells in, the pixels that a VGA card would make of them out. The font is that of the card,
//! read from its memory, so that both kinds of screen look alike in one text.

use vt100::{Color, Screen};

use crate::png::{Picture, Rgb};
use crate::vga;

/// Of a character, as the card sends it to the monitor: the ninth column is blank, but for line drawings.
const CELL: (usize, usize) = (9, 16);
/// Memory that the card keeps for each character of a font, in the plane for fonts.
const GLYPH_LEN: usize = 32;
/// The planes follow each other byte by byte; the third one holds fonts.
const PLANES: usize = 4;
/// See [`PLANES`].
const FONT_PLANE: usize = 2;

/// The first of the fonts in a VGA card's memory.
#[derive(Clone, Debug)]
pub struct Font {
    rows: Vec<u8>,
}

impl Font {
    /// As much of the card's memory as it needs, in bytes.
    pub const MEMORY_LEN: usize = 256 * GLYPH_LEN * PLANES;

    /// Out of the beginning of the card's memory.
    #[must_use]
    pub fn of_memory(memory: &[u8]) -> Self {
        Self {
            rows: memory
                .iter()
                .skip(FONT_PLANE)
                .step_by(PLANES)
                .copied()
                .collect(),
        }
    }

    /// Whether a pixel of a character is set. What the font has not is a box.
    fn is_set(&self, char: char, x: usize, y: usize) -> bool {
        let Some(glyph) = vga::glyph(char) else {
            return (2..7).contains(&x) && (3..12).contains(&y);
        };
        let column = match x {
            0..8 => x,
            8 if (0xC0..=0xDF).contains(&glyph) => 7,
            _ => return false,
        };
        let at = usize::from(glyph) * GLYPH_LEN + y;
        self.rows
            .get(at)
            .is_some_and(|row| row << column & 0x80 != 0)
    }
}

/// What a person sees.
#[must_use]
pub fn picture(screen: &Screen, font: &Font) -> Picture {
    let (lines, columns) = screen.size();
    let (lines, columns) = (lines.get(), columns.get());
    let size = (usize::from(columns) * CELL.0, usize::from(lines) * CELL.1);
    let mut picture = Picture::new(size.0, size.1, PALETTE[0]);
    for line in 0..lines {
        for column in 0..columns {
            let Some(cell) = screen.cell(line, column) else {
                continue;
            };
            let char = cell.contents().chars().next().unwrap_or(' ');
            let (behind, own) = colours(cell);
            let corner = (usize::from(column) * CELL.0, usize::from(line) * CELL.1);
            for (x, y) in (0..CELL.1).flat_map(|y| (0..CELL.0).map(move |x| (x, y))) {
                let colour = match font.is_set(char, x, y) {
                    true => own,
                    false => behind,
                };
                picture.paint(corner.0 + x, corner.1 + y, colour);
            }
        }
    }
    picture
}

/// Behind the character, and its own.
fn colours(cell: &vt100::Cell) -> (Rgb, Rgb) {
    let own = match cell.fgcolor() {
        Color::Default if cell.bold() => 15,
        Color::Default => 7,
        Color::Idx(number @ 0..8) if cell.bold() => number + 8,
        Color::Idx(number) => number,
        Color::Rgb(..) => 7,
    };
    let behind = match cell.bgcolor() {
        Color::Idx(number) => number,
        Color::Default | Color::Rgb(..) => 0,
    };
    let rgb = |number: u8| PALETTE.get(usize::from(number)).copied();
    let own = rgb(own).unwrap_or(PALETTE[7]);
    let behind = rgb(behind).unwrap_or(PALETTE[0]);
    match cell.inverse() {
        true => (own, behind),
        false => (behind, own),
    }
}

/// ECMA-48's eight colours and their bright ones as a VGA card shows them.
const PALETTE: [Rgb; 16] = {
    const LOW: u8 = 0x55;
    const HALF: u8 = 0xAA;
    const FULL: u8 = 0xFF;
    [
        [0, 0, 0],
        [HALF, 0, 0],
        [0, HALF, 0],
        [HALF, LOW, 0],
        [0, 0, HALF],
        [HALF, 0, HALF],
        [0, HALF, HALF],
        [HALF, HALF, HALF],
        [LOW, LOW, LOW],
        [FULL, LOW, LOW],
        [LOW, FULL, LOW],
        [FULL, FULL, LOW],
        [LOW, LOW, FULL],
        [FULL, LOW, FULL],
        [LOW, FULL, FULL],
        [FULL, FULL, FULL],
    ]
};

#[cfg(test)]
mod tests {
    use super::{CELL, Font, GLYPH_LEN, PALETTE, PLANES, picture};
    use crate::png::Picture;
    use crate::terminal::Terminal;

    /// A font whose characters are left columns, but for full blocks.
    fn font() -> Font {
        let mut memory = vec![0; Font::MEMORY_LEN];
        for row in 0..GLYPH_LEN {
            memory[(usize::from(b'x') * GLYPH_LEN + row) * PLANES + 2] = 0x80;
            memory[(0xDB * GLYPH_LEN + row) * PLANES + 2] = 0xFF;
        }
        Font::of_memory(&memory)
    }

    #[test]
    fn characters_and_colours_become_pixels() {
        let mut terminal = Terminal::new(3, 1);
        terminal.hear("\x1b[1;31;44mx\x1b[0;7m \x1b[0m█".as_bytes());
        let mut expected = Picture::new(3 * CELL.0, CELL.1, PALETTE[0]);
        for y in 0..CELL.1 {
            for x in 0..3 * CELL.0 {
                let colour = match x {
                    0 => 9,
                    1..9 => 4,
                    9.. => 7,
                };
                expected.paint(x, y, PALETTE[colour]);
            }
        }
        assert_eq!(picture(&terminal.screen(), &font()), expected);
    }
}
