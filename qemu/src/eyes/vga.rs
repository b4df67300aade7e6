//! A VGA card in text mode: two bytes of its memory for each character in, what a person reads out.
//!
//! The font is the one of the card's ROM, code page 437. Linux scrolls by moving the start of the
//! picture within the memory (`drivers/video/console/vgacon.c`), so the card has to be asked where
//! it is.

use crate::eyes::screen::ScreenText;

/// Where the memory is, and how long (IBM VGA: graphics register 6, memory map 3).
pub const MEMORY: (u64, usize) = (0xB_8000, 0x8000);
/// Text mode 3.
pub const COLUMNS: usize = 80;
/// See [`COLUMNS`].
pub const LINES: usize = 25;
/// The index register of the CRT controller; its data register follows.
pub const CRTC: u16 = 0x3D4;
/// The CRT controller's registers that hold the first character's place, upper byte first.
pub const START: [u8; 2] = [0x0C, 0x0D];

/// The characters of code page 437, 32 in a line.
const FONT: &str = concat!(
    " ☺☻♥♦♣♠•◘○◙♂♀♪♫☼►◄↕‼¶§▬↨↑↓→←∟↔▲▼",
    " !\"#$%&'()*+,-./0123456789:;<=>?",
    "@ABCDEFGHIJKLMNOPQRSTUVWXYZ[\\]^_",
    "`abcdefghijklmnopqrstuvwxyz{|}~⌂",
    "ÇüéâäàåçêëèïîìÄÅÉæÆôöòûùÿÖÜ¢£¥₧ƒ",
    "áíóúñÑªº¿⌐¬½¼¡«»░▒▓│┤╡╢╖╕╣║╗╝╜╛┐",
    "└┴┬├─┼╞╟╚╔╩╦╠═╬╧╨╤╥╙╘╒╓╫╪┘┌█▄▌▐▀",
    "αßΓπΣσµτΦΘΩδ∞φε∩≡±≥≤⌠⌡÷≈°∙·√ⁿ²■ ",
);

/// The picture that begins with the character number `start` of `memory`. What lies beyond the
/// memory's end is blank.
#[must_use]
pub fn text(memory: &[u8], start: usize) -> ScreenText {
    let font: Vec<char> = characters().collect();
    let shown = |at: usize| {
        let code = memory.get((start + at) * 2).copied().unwrap_or(b' ');
        font.get(usize::from(code)).copied().unwrap_or(' ')
    };
    ScreenText::new((0..LINES).map(|line| {
        let first = line * COLUMNS;
        (first..first + COLUMNS).map(shown).collect()
    }))
}

/// The font's characters, in the order of its codes.
pub fn characters() -> impl Iterator<Item = char> {
    FONT.chars()
}

/// The number of `char` in the font.
#[must_use]
pub fn glyph(char: char) -> Option<u8> {
    let at = characters().position(|shown| shown == char)?;
    u8::try_from(at).ok()
}

#[cfg(test)]
mod tests {
    use super::{COLUMNS, FONT, LINES, MEMORY, glyph, text};

    #[test]
    fn the_font_has_every_code_in_its_place() {
        assert_eq!(FONT.chars().count(), 256);
        let places = [
            ('A', 0x41),
            ('~', 0x7E),
            ('é', 0x82),
            ('│', 0xB3),
            ('┌', 0xDA),
            ('█', 0xDB),
            ('▄', 0xDC),
            ('▀', 0xDF),
            ('■', 0xFE),
            ('▲', 0x1E),
        ];
        for (char, code) in places {
            assert_eq!(glyph(char), Some(code), "{char}");
        }
        assert_eq!(glyph('█').map(usize::from), Some(0xDB));
        assert_eq!(glyph('╭'), None);
    }

    #[test]
    fn a_scrolled_picture_is_read_from_its_start() {
        let mut memory = [b' ', 7].repeat(MEMORY.1 / 2);
        for (line, code) in [(0, b'a'), (1, 0xDB), (25, b'z')] {
            memory[line * COLUMNS * 2] = code;
        }
        let first = text(&memory, 0);
        assert_eq!(first.lines().len(), LINES);
        assert_eq!((&*first.lines()[0], &*first.lines()[1]), ("a", "█"));
        let scrolled = text(&memory, COLUMNS);
        assert_eq!((&*scrolled.lines()[0], &*scrolled.lines()[24]), ("█", "z"));
        let beyond = text(&memory, MEMORY.1);
        assert!(beyond.lines().iter().all(String::is_empty));
    }
}
