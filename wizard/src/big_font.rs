//! A code in letters that can be read from across a room: text in, lines of blocks out.
//!
//! A letter has five by eight points, small letters with what hangs below the line: a code is typed
//! in small letters, and capitals would ask for others. Two rows of points are one line of half
//! blocks; without those every point is a `#`.

use crate::theme::Charset;

/// Points of a letter.
const WIDTH: usize = 5;
const HEIGHT: usize = 8;

type Glyph = [u8; HEIGHT];

/// A letter from its picture.
#[allow(clippy::indexing_slicing)] // when compiled; there it cannot panic in anybody's machine
const fn glyph(rows: [&str; HEIGHT]) -> Glyph {
    let mut points = [0; HEIGHT];
    let mut y = 0;
    while y < HEIGHT {
        let row = rows[y].as_bytes();
        assert!(row.len() == WIDTH, "every row has the same width");
        let mut x = 0;
        while x < WIDTH {
            points[y] = points[y] << 1 | (row[x] == b'#') as u8;
            x += 1;
        }
        y += 1;
    }
    points
}

/// Digits and small letters: what a code is made of (`wire::code`).
#[rustfmt::skip]
const GLYPHS: [(char, Glyph); 36] = [
    ('0', glyph([".###.", "#...#", "#..##", "#.#.#", "##..#", "#...#", ".###.", "....."])),
    ('1', glyph(["..#..", ".##..", "..#..", "..#..", "..#..", "..#..", ".###.", "....."])),
    ('2', glyph([".###.", "#...#", "....#", "..##.", ".#...", "#....", "#####", "....."])),
    ('3', glyph([".###.", "#...#", "....#", "..##.", "....#", "#...#", ".###.", "....."])),
    ('4', glyph(["...#.", "..##.", ".#.#.", "#..#.", "#####", "...#.", "...#.", "....."])),
    ('5', glyph(["#####", "#....", "####.", "....#", "....#", "#...#", ".###.", "....."])),
    ('6', glyph(["..##.", ".#...", "#....", "####.", "#...#", "#...#", ".###.", "....."])),
    ('7', glyph(["#####", "....#", "...#.", "..#..", ".#...", ".#...", ".#...", "....."])),
    ('8', glyph([".###.", "#...#", "#...#", ".###.", "#...#", "#...#", ".###.", "....."])),
    ('9', glyph([".###.", "#...#", "#...#", ".####", "....#", "...#.", ".##..", "....."])),
    ('a', glyph([".....", ".....", ".###.", "....#", ".####", "#...#", ".####", "....."])),
    ('b', glyph(["#....", "#....", "####.", "#...#", "#...#", "#...#", "####.", "....."])),
    ('c', glyph([".....", ".....", ".####", "#....", "#....", "#....", ".####", "....."])),
    ('d', glyph(["....#", "....#", ".####", "#...#", "#...#", "#...#", ".####", "....."])),
    ('e', glyph([".....", ".....", ".###.", "#...#", "#####", "#....", ".####", "....."])),
    ('f', glyph(["..###", ".#...", "####.", ".#...", ".#...", ".#...", ".#...", "....."])),
    ('g', glyph([".....", ".....", ".####", "#...#", "#...#", ".####", "....#", ".###."])),
    ('h', glyph(["#....", "#....", "####.", "#...#", "#...#", "#...#", "#...#", "....."])),
    ('i', glyph(["..#..", ".....", ".##..", "..#..", "..#..", "..#..", ".###.", "....."])),
    ('j', glyph(["...#.", ".....", "..##.", "...#.", "...#.", "...#.", "#..#.", ".##.."])),
    ('k', glyph(["#....", "#....", "#...#", "#..#.", "###..", "#..#.", "#...#", "....."])),
    ('l', glyph([".##..", "..#..", "..#..", "..#..", "..#..", "..#..", ".###.", "....."])),
    ('m', glyph([".....", ".....", "##.#.", "#.#.#", "#.#.#", "#.#.#", "#.#.#", "....."])),
    ('n', glyph([".....", ".....", "####.", "#...#", "#...#", "#...#", "#...#", "....."])),
    ('o', glyph([".....", ".....", ".###.", "#...#", "#...#", "#...#", ".###.", "....."])),
    ('p', glyph([".....", ".....", "####.", "#...#", "#...#", "####.", "#....", "#...."])),
    ('q', glyph([".....", ".....", ".####", "#...#", "#...#", ".####", "....#", "....#"])),
    ('r', glyph([".....", ".....", "#.##.", "##..#", "#....", "#....", "#....", "....."])),
    ('s', glyph([".....", ".....", ".####", "#....", ".###.", "....#", "####.", "....."])),
    ('t', glyph([".#...", ".#...", "####.", ".#...", ".#...", ".#..#", "..##.", "....."])),
    ('u', glyph([".....", ".....", "#...#", "#...#", "#...#", "#...#", ".####", "....."])),
    ('v', glyph([".....", ".....", "#...#", "#...#", "#...#", ".#.#.", "..#..", "....."])),
    ('w', glyph([".....", ".....", "#...#", "#.#.#", "#.#.#", "#.#.#", ".#.#.", "....."])),
    ('x', glyph([".....", ".....", "#...#", ".#.#.", "..#..", ".#.#.", "#...#", "....."])),
    ('y', glyph([".....", ".....", "#...#", "#...#", "#...#", ".####", "....#", ".###."])),
    ('z', glyph([".....", ".....", "#####", "...#.", "..#..", ".#...", "#####", "....."])),
];

/// Lines that show `text`, all of one width: four of half blocks, or eight of `#`. A character that
/// has no letter stays blank.
#[must_use]
pub fn lines(text: &str, charset: Charset) -> Vec<String> {
    if charset == Charset::Ascii {
        return drawn(text, '#', 1);
    }
    let rows: Vec<Vec<bool>> = (0..HEIGHT).map(|y| row(text, y)).collect();
    let mut lines = Vec::new();
    for pair in rows.chunks(2) {
        let [upper, lower] = pair else { continue };
        let points = upper.iter().zip(lower);
        lines.push(
            points
                .map(|points| match points {
                    (true, true) => '█',
                    (true, false) => '▀',
                    (false, true) => '▄',
                    (false, false) => ' ',
                })
                .collect(),
        );
    }
    lines
}

/// The same twice as large, for a screen with room: a point is two columns of one line.
#[must_use]
pub fn large_lines(text: &str, charset: Charset) -> Vec<String> {
    match charset {
        Charset::Unicode => drawn(text, '█', 2),
        Charset::Ascii => drawn(text, '#', 2),
    }
}

fn drawn(text: &str, point: char, columns: usize) -> Vec<String> {
    let line = |y| {
        let points = row(text, y).into_iter();
        points
            .flat_map(|is_set| std::iter::repeat_n(if is_set { point } else { ' ' }, columns))
            .collect()
    };
    (0..HEIGHT).map(line).collect()
}

/// Points of one row, with a gap of one between letters.
fn row(text: &str, y: usize) -> Vec<bool> {
    let mut points = Vec::new();
    for (at, letter) in text.chars().enumerate() {
        if at > 0 {
            points.push(false);
        }
        let glyph = GLYPHS.iter().find(|(known, _)| *known == letter);
        let bits = glyph
            .and_then(|(_, rows)| rows.get(y))
            .copied()
            .unwrap_or(0);
        points.extend((0..WIDTH).rev().map(|x| bits >> x & 1 == 1));
    }
    points
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::{GLYPHS, large_lines, lines};
    use crate::theme::Charset;

    #[test]
    fn every_character_of_a_code_has_a_letter_of_its_own() {
        let mut seen = BTreeSet::new();
        for letter in ('0'..='9').chain('a'..='z') {
            let glyph = GLYPHS.iter().find(|(known, _)| *known == letter);
            let (_, glyph) = glyph.unwrap();
            assert!(glyph.iter().any(|row| *row != 0), "{letter}");
            assert!(seen.insert(*glyph), "{letter} looks like another");
        }
    }

    #[test]
    fn a_letter_is_drawn_in_points_or_in_half_blocks() {
        let points = lines("g4", Charset::Ascii).join("\n");
        let expected = [
            "         # ",
            "        ## ",
            " ####  # # ",
            "#   # #  # ",
            "#   # #####",
            " ####    # ",
            "    #    # ",
            " ###       ",
        ];
        assert_eq!(points, expected.join("\n"));
        let blocks = lines("g4", Charset::Unicode).join("\n");
        let expected = ["        ▄█ ", "▄▀▀▀█ ▄▀ █ ", "▀▄▄▄█ ▀▀▀█▀", " ▄▄▄▀    ▀ "];
        assert_eq!(blocks, expected.join("\n"));
    }

    #[test]
    fn a_code_takes_what_the_layout_counts_with() {
        for code in ["e13gts2", "zzzzzzz", "Ä\u{1b} ~中-x"] {
            for (lines, width, height) in [
                (lines(code, Charset::Unicode), 41, 4),
                (lines(code, Charset::Ascii), 41, 8),
                (large_lines(code, Charset::Unicode), 82, 8),
                (large_lines(code, Charset::Ascii), 82, 8),
            ] {
                assert_eq!(lines.len(), height);
                let are_even = lines.iter().all(|line| line.chars().count() == width);
                assert!(are_even, "{code:?} {lines:?}");
            }
        }
    }
}
