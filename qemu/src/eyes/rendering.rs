//! A terminal's screen as a picture: its cells in, the pixels that a VGA card would make of them
//! out; and the other way round for a frame buffer, on which Linux draws characters itself. Fonts
//! are read from where they are: that of the card from its memory, so that both kinds of screen
//! look alike in one text, and that of Linux from the machine's.

use std::collections::HashMap;

use vt100::{Color, Screen};

use crate::eyes::png::{Picture, Rgb};
use crate::eyes::screen::ScreenText;
use crate::eyes::vga;

/// Of a character, as the card sends it to the monitor: the ninth column is blank, but for line
/// drawings.
const CELL: (usize, usize) = (9, 16);
/// Memory that the card keeps for each character of a font, in the plane for fonts.
const GLYPH_LEN: usize = 32;
/// The planes follow each other byte by byte; the third one holds fonts.
const PLANES: usize = 4;
/// See [`PLANES`].
const FONT_PLANE: usize = 2;

/// By these two Linux's font is known.
const SHAPE_OF_A: [u8; CELL.1] = 0x1038_6CC6_C6FE_C6C6_C6C6_0000_0000_u128.to_be_bytes();
/// See [`SHAPE_OF_A`].
const SHAPE_OF_B: [u8; CELL.1] = 0xFC66_6666_7C66_6666_66FC_0000_0000_u128.to_be_bytes();

/// The shapes of the characters of code page 437.
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

    /// Linux's own (`lib/fonts/font_8x16.c`), somewhere in the machine's memory: a row is a byte,
    /// and nothing is between two characters. None, if it is not there.
    #[must_use]
    pub fn of_linux(memory: &[u8]) -> Option<Self> {
        let places = memory.chunks_exact(CELL.1);
        let mut pairs = places.clone().zip(places.skip(1)).enumerate();
        let (at, _) = pairs.find(|(_, (one, next))| *one == SHAPE_OF_A && *next == SHAPE_OF_B)?;
        let from = at.checked_sub(usize::from(b'A'))? * CELL.1;
        let glyphs = memory.get(from..from + 256 * CELL.1)?.chunks(CELL.1);
        Some(Self {
            rows: glyphs
                .flat_map(|glyph| [glyph, &[0; GLYPH_LEN - CELL.1]].concat())
                .collect(),
        })
    }

    /// The character for each shape, a byte for a row. Of characters that look alike it is the one
    /// in ASCII.
    fn shapes(&self) -> HashMap<Vec<u8>, char> {
        let glyphs = self.rows.chunks(GLYPH_LEN);
        let shapes = glyphs.zip(vga::characters()).map(|(rows, char)| {
            let shape = rows.iter().take(CELL.1).copied().collect();
            (shape, char)
        });
        let (ascii, rest): (Vec<_>, Vec<_>) = shapes.partition(|(_, char)| char.is_ascii());
        rest.into_iter().chain(ascii).collect()
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

/// Columns of a character that Linux draws.
const FRAME_COLUMNS: usize = 8;
/// Stands for a shape that the font has not.
pub const UNKNOWN: char = '\u{fffd}';

/// The text on a frame buffer: the characters that have these shapes. None, if it is no
/// picture (PPM) of eight bits a colour.
#[must_use]
pub fn text(ppm: &[u8], font: &Font) -> Option<ScreenText> {
    let (width, height, pixels) = pixels(ppm)?;
    let shapes = font.shapes();
    let cells = |line: usize| {
        let mut behind = None;
        (0..width / FRAME_COLUMNS)
            .map(|column| {
                let rows: Vec<&[u8]> = (0..CELL.1)
                    .filter_map(|y| {
                        let from = (line * CELL.1 + y) * width + column * FRAME_COLUMNS;
                        pixels.get(from * 3..(from + FRAME_COLUMNS) * 3)
                    })
                    .collect();
                let (char, ground) = read(&rows.concat(), &shapes, behind);
                behind = Some(ground);
                char
            })
            .collect::<String>()
    };
    Some(ScreenText::new((0..height / CELL.1).map(cells)))
}

/// A character and the colour behind it. Of one colour is a blank, or a full block: where the
/// character before had something else behind it, and on its own unless it is dark.
fn read(pixels: &[u8], shapes: &HashMap<Vec<u8>, char>, before: Option<Rgb>) -> (char, Rgb) {
    let pixels: Vec<Rgb> = pixels.as_chunks().0.to_vec();
    let brightness = |rgb: &Rgb| rgb.iter().map(|part| u32::from(*part)).sum::<u32>();
    let dark = pixels
        .iter()
        .copied()
        .min_by_key(brightness)
        .unwrap_or_default();
    let light = pixels
        .iter()
        .copied()
        .max_by_key(brightness)
        .unwrap_or_default();
    if dark == light {
        return match before.unwrap_or_default() == light {
            true => (' ', light),
            false if light == Rgb::default() => (' ', light),
            false => ('█', Rgb::default()),
        };
    }
    for (own, behind) in [(light, dark), (dark, light)] {
        let row = |row: &[Rgb]| {
            row.iter()
                .fold(0, |bits, rgb| bits << 1 | u8::from(*rgb == own))
        };
        let shape: Vec<u8> = pixels.chunks(FRAME_COLUMNS).map(row).collect();
        if let Some(char) = shapes.get(&shape) {
            return (*char, behind);
        }
    }
    (UNKNOWN, dark)
}

/// Width, height and pixels (ppm(5)); QEMU writes no comment.
fn pixels(ppm: &[u8]) -> Option<(usize, usize, &[u8])> {
    let mut lines = ppm.splitn(4, |byte| *byte == b'\n');
    let is_ppm = lines.next()? == b"P6";
    let size = std::str::from_utf8(lines.next()?).ok()?;
    let (width, height) = size.split_once(' ')?;
    let is_ours = is_ppm && lines.next()? == b"255";
    let size = (width.parse().ok()?, height.parse().ok()?);
    is_ours.then_some((size.0, size.1, lines.next()?))
}

/// The picture of a screen.
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
    use super::{
        CELL, FRAME_COLUMNS, Font, GLYPH_LEN, PALETTE, PLANES, SHAPE_OF_A, SHAPE_OF_B, UNKNOWN,
        picture, text,
    };
    use crate::eyes::png::Picture;
    use crate::eyes::terminal::Terminal;

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

    /// A picture of one line with characters of [`font`], each with its own colour and the one
    /// behind it.
    fn frame(line: &[(char, u8, u8)]) -> Vec<u8> {
        let width = line.len() * FRAME_COLUMNS;
        let mut ppm = format!("P6\n{width} {}\n255\n", CELL.1).into_bytes();
        for y in 0..CELL.1 {
            for (char, own, behind) in line {
                for x in 0..FRAME_COLUMNS {
                    let is_set = font().is_set(*char, x, y);
                    ppm.extend([if is_set { *own } else { *behind }; 3]);
                }
            }
        }
        ppm
    }

    #[test]
    fn characters_are_read_in_any_colours() {
        const GREY: u8 = 0xAA;
        let line = [
            ('x', GREY, 0),
            (' ', GREY, 0),
            ('█', u8::MAX, 0),
            // The bar of what is selected.
            ('x', 0, GREY),
            (' ', 0, GREY),
            ('x', 0, GREY),
            ('漢', GREY, 0),
            ('x', GREY, 0),
        ];
        let read = text(&frame(&line), &font()).unwrap();
        assert_eq!(read.lines(), [format!("x █x x{UNKNOWN}x")]);
        assert!(text(b"P6\n8 16\n65535\n", &font()).is_none());
        assert!(text(b"P5\n8 16\n255\n", &font()).is_none());
    }

    #[test]
    fn linuxs_font_is_found_in_memory_and_not_when_it_is_cut() {
        let mut memory = vec![0; (7 + 256) * CELL.1];
        for (code, shape) in [
            (b'A', SHAPE_OF_A),
            (b'B', SHAPE_OF_B),
            (b'|', [0x18; CELL.1]),
        ] {
            let at = (7 + usize::from(code)) * CELL.1;
            memory[at..at + CELL.1].copy_from_slice(&shape);
        }
        let font = Font::of_linux(&memory).unwrap();
        let set: Vec<usize> = (0..FRAME_COLUMNS)
            .filter(|x| font.is_set('|', *x, 15))
            .collect();
        assert_eq!(set, [3, 4]);
        assert!(font.is_set('A', 3, 2) && !font.is_set('A', 3, 1));
        assert!(Font::of_linux(&memory[..memory.len() - 1]).is_none());
        assert!(Font::of_linux(&memory[CELL.1 * 8..]).is_none());
    }
}
