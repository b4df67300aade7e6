//! Console output for people: without terminal escapes, the last lines, or live behind a prefix.

use std::io::Write;

/// `text` without ANSI escape sequences (ECMA-48 5.4) and carriage returns.
#[must_use]
pub fn plain(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(character) = chars.next() {
        match character {
            '\u{1b}' => skip_sequence(&mut chars),
            '\r' => {}
            '\n' | '\t' => out.push(character),
            control if control.is_control() => {}
            other => out.push(other),
        }
    }
    out
}

/// Skips what follows an ESC: `[ parameters final` (a control sequence) or one single character.
fn skip_sequence(chars: &mut std::str::Chars<'_>) {
    if chars.next() != Some('[') {
        return;
    }
    for character in chars.by_ref() {
        if ('@'..='~').contains(&character) {
            return;
        }
    }
}

/// The last `count` lines that are not empty, each on a line of its own behind `  | `.
#[must_use]
pub fn tail(text: &str, count: usize) -> String {
    let lines: Vec<&str> = text
        .lines()
        .filter(|line| !line.trim().is_empty())
        .collect();
    let from = lines.len().saturating_sub(count);
    lines.iter().skip(from).fold(String::new(), |out, line| {
        format!("{out}\n  | {}", line.trim_end())
    })
}

/// The lines of a console that matter to somebody who watches a deploy: the firmware's choice, boot
/// loaders, stages, what the screen shows to a person (code, secret, and both as a picture), and
/// the installed system's own words. The several hundred lines of two kernels are left to the log.
#[must_use]
pub fn tells(line: &str) -> bool {
    const WORDS: [&str; 13] = [
        "BdsDxe: ",
        "SeaBIOS",
        "Booting from ",
        "GRUB",
        "smv ",
        "  code   ",
        "  secret ",
        "on the donor: ",
        "███",
        "▀▀▀",
        "SMECHVISOR",
        "smechvisor",
        "Debian GNU/Linux",
    ];
    WORDS.iter().any(|word| line.contains(word))
}

/// Prints a byte stream line by line behind a prefix.
#[derive(Debug)]
pub struct Printer {
    prefix: String,
    line: Vec<u8>,
    wants: fn(&str) -> bool,
}

impl Printer {
    /// Lines that `wants` accepts are printed as `prefix line`.
    #[must_use]
    pub const fn new(prefix: String, wants: fn(&str) -> bool) -> Self {
        Self {
            prefix,
            line: Vec::new(),
            wants,
        }
    }

    /// More of the stream; whole lines are printed at once. A lone carriage return ends a line too:
    /// that is how progress bars are drawn.
    pub fn push(&mut self, bytes: &[u8]) {
        for byte in bytes {
            match byte {
                b'\n' | b'\r' => self.flush(),
                other => self.line.push(*other),
            }
        }
    }

    fn flush(&mut self) {
        let text = plain(&String::from_utf8_lossy(&self.line));
        self.line.clear();
        if !text.trim().is_empty() && (self.wants)(&text) {
            // Nobody may be listening any more; the scenario goes on.
            let _ = writeln!(
                std::io::stdout().lock(),
                "{} {}",
                self.prefix,
                text.trim_end()
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_go_and_text_stays() {
        assert_eq!(
            plain("\u{1b}[1;31mred\u{1b}[0m \u{1b}cplain\r\n\u{7}x"),
            "red plain\nx"
        );
    }

    #[test]
    fn a_transcript_has_events_and_no_driver_messages() {
        for line in [
            "[ 1.2] smv waiting: code=abc2345",
            "  secret 9D4T-X2WM-7",
            "████ ▄▄▄▄▄ ███",
            "smechvisor-demo login:",
        ] {
            assert!(tells(line), "{line}");
        }
        for line in ["scsi host0: ahci", "random: crng init done", ""] {
            assert!(!tells(line), "{line}");
        }
    }

    #[test]
    fn the_tail_is_the_last_lines_that_say_something() {
        assert_eq!(tail("a\n\nb\n \nc\n", 2), "\n  | b\n  | c");
        assert_eq!(tail("", 2), "");
    }
}
