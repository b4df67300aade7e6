//! A QR code (ISO/IEC 18004) as text: for a camera that reads a screen instead of a person.
//!
//! Two rows of modules are one line of half blocks, which the kernel's own fonts have
//! (`lib/fonts/`, code page 437). A bright module is drawn and a dark one left black, on a
//! background set to black: right on any terminal, whatever its colours.

use qrcodegen::{QrCode, QrCodeEcc};

/// Modules of quiet zone around the code (ISO/IEC 18004 6.3.8).
const QUIET: i32 = 4;
/// Widest picture, in columns: a text console has 80.
const COLUMNS_MAX: i32 = 80;
/// White on black (ECMA-48 8.3.117), and back to what was before.
const BRIGHT: &str = "\u{1b}[0;97;40m";
const PLAIN: &str = "\u{1b}[0m";

/// Draws `text` for a terminal that shows lines; `None` when it needs more than `COLUMNS_MAX`
/// columns.
#[must_use]
pub fn draw(text: &str) -> Option<String> {
    let lines = lines(text)?;
    Some(
        lines
            .iter()
            .map(|line| format!("{BRIGHT}{line}{PLAIN}\n"))
            .collect(),
    )
}

/// Its lines without colours: the marks are the bright modules.
#[must_use]
pub fn lines(text: &str) -> Option<Vec<String>> {
    let code = QrCode::encode_text(text, QrCodeEcc::Medium).ok()?;
    let (first, end) = (-QUIET, code.size() + QUIET);
    if end - first > COLUMNS_MAX {
        return None;
    }
    // Outside its size the code answers "bright"; below the quiet zone's last row a half line stays
    // black.
    let is_bright = |x, y| y < end && !code.get_module(x, y);
    let mut lines = Vec::new();
    let mut y = first;
    while y < end {
        let modules = (first..end).map(|x| match (is_bright(x, y), is_bright(x, y + 1)) {
            (true, true) => '█',
            (true, false) => '▀',
            (false, true) => '▄',
            (false, false) => ' ',
        });
        lines.push(modules.collect());
        y += 2;
    }
    Some(lines)
}

#[cfg(test)]
mod tests {
    use super::{BRIGHT, PLAIN, draw, lines};

    /// Back to modules: true is dark.
    fn modules(picture: &str) -> Vec<Vec<bool>> {
        let mut rows = Vec::new();
        for line in picture.lines() {
            let line = line.strip_prefix(BRIGHT).unwrap();
            let line = line.strip_suffix(PLAIN).unwrap();
            rows.push(line.chars().map(|char| " ▄".contains(char)).collect());
            rows.push(line.chars().map(|char| " ▀".contains(char)).collect());
        }
        rows
    }

    #[test]
    fn a_code_and_its_secret_fit_on_a_text_console() {
        let picture = draw("SMV2:e13gts2:9D4T-X2WM-7").unwrap();
        assert_eq!(picture.lines().count(), 17);
        assert!(modules(&picture).iter().all(|row| row.len() == 33));
        let lines = lines("SMV2:e13gts2:9D4T-X2WM-7").unwrap();
        let plain = picture.replace(BRIGHT, "").replace(PLAIN, "");
        assert_eq!(lines, plain.lines().collect::<Vec<_>>());
    }

    #[test]
    fn the_picture_is_the_code_within_its_quiet_zone() {
        let rows = modules(&draw("SMV2:e13gts2:9D4T-X2WM-7").unwrap());
        let dark_rows = (0..33).filter(|y| rows[*y].iter().any(|dark| *dark));
        assert_eq!(dark_rows.collect::<Vec<_>>(), (4..29).collect::<Vec<_>>());
        // The three finder patterns (ISO/IEC 18004 6.3.3): 7 dark, then a bright ring.
        for (x, y) in [(4, 4), (22, 4), (4, 22)] {
            assert!(rows[y][x..x + 7].iter().all(|dark| *dark), "{x},{y}");
            assert!(rows[y + 1][x + 1..x + 6].iter().all(|dark| !dark));
            assert!(rows[y + 3][x + 2..x + 5].iter().all(|dark| *dark));
        }
    }

    #[test]
    fn what_is_wider_than_a_console_is_not_drawn() {
        assert_eq!(draw(&"x".repeat(1000)), None);
        assert_eq!(draw(&"x".repeat(10_000)), None);
        assert_eq!(lines(&"x".repeat(1000)), None);
    }
}
