//! Console output for people: without terminal escapes, the last lines, or live behind a prefix.

use std::io::Write;
use std::time::{Duration, Instant};

/// What the harness types in front of a command whose output it wants.
pub const TYPED: &str = "echo beg''in; ";

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
/// loaders, stages, what the screen shows to a person (code, secret, and both as a picture), the
/// installed system's own words, and those of the commands that keep it current. The several
/// hundred lines of two kernels are left to the log.
#[must_use]
pub fn tells(line: &str) -> bool {
    // The demo says in its own words what it types.
    if line.contains(TYPED) {
        return false;
    }
    const WORDS: [&str; 27] = [
        "BdsDxe: failed",
        "BdsDxe: starting",
        "SeaBIOS",
        "Booting from ",
        "GRUB loading",
        "Welcome to GRUB",
        "*Slot ",
        "smv ",
        "  code   ",
        "  secret ",
        "on the donor: ",
        "███",
        "▀▀▀",
        "SMECHVISOR",
        "smechvisor",
        "Debian GNU/Linux",
        " runs version ",
        "offered: ",
        " into slot ",
        "writing [",
        "reading back [",
        ", read back as signed",
        "the next boot tries ",
        "healthy; ",
        " is confirmed",
        "spk-visor: ",
        "site/www: ",
    ];
    WORDS.iter().any(|word| line.contains(word))
}

/// Between two progress bars.
const PAUSE: Duration = Duration::from_secs(1);

/// Prints a byte stream line by line behind a prefix.
#[derive(Debug)]
pub struct Printer {
    prefix: String,
    line: Vec<u8>,
    wants: fn(&str) -> bool,
    /// When the latest progress bar was printed.
    bar: Option<Instant>,
}

impl Printer {
    /// Lines that `wants` accepts are printed as `prefix line`.
    #[must_use]
    pub const fn new(prefix: String, wants: fn(&str) -> bool) -> Self {
        Self {
            prefix,
            line: Vec::new(),
            wants,
            bar: None,
        }
    }

    /// More of the stream; whole lines are printed at once, progress bars once a second.
    pub fn push(&mut self, bytes: &[u8]) {
        for byte in bytes {
            if let Some(line) = self.line_ended_by(*byte) {
                // Nobody may be listening any more; the scenario goes on.
                let _ = writeln!(std::io::stdout().lock(), "{} {line}", self.prefix);
            }
        }
    }

    /// A lone carriage return ends a line too: that is how progress bars are drawn. So does a
    /// cursor that is put somewhere else (ECMA-48 8.3.21): that is how menus are drawn.
    fn line_ended_by(&mut self, byte: u8) -> Option<String> {
        if !matches!(byte, b'\n' | b'\r') {
            self.line.push(byte);
            if byte != b'H' || !puts_cursor(&self.line) {
                return None;
            }
        }
        let text = plain(&String::from_utf8_lossy(&self.line));
        self.line.clear();
        let line = text.trim_end();
        let is_shown = !line.is_empty() && (self.wants)(line) && !self.is_too_soon(line);
        is_shown.then(|| line.to_owned())
    }

    /// Another progress bar within [`PAUSE`].
    fn is_too_soon(&mut self, line: &str) -> bool {
        if !line.contains("[#") && !line.contains("[-") {
            return false;
        }
        let too_soon = self.bar.is_some_and(|shown| shown.elapsed() < PAUSE);
        if !too_soon {
            self.bar = Some(Instant::now());
        }
        too_soon
    }
}

/// Whether it ends with the control sequence CUP, `ESC [ row ; column H`.
fn puts_cursor(line: &[u8]) -> bool {
    let Some(at) = line.iter().rposition(|byte| *byte == 0x1b) else {
        return false;
    };
    let parameters = line
        .get(at..)
        .and_then(|sequence| sequence.strip_prefix(b"\x1b["))
        .and_then(|sequence| sequence.strip_suffix(b"H"));
    parameters.is_some_and(|bytes| bytes.iter().all(|byte| matches!(byte, b'0'..=b'9' | b';')))
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
            "reading back [####----]  50% 10 MiB/20 MiB",
        ] {
            assert!(tells(line), "{line}");
        }
        let typed = "smechvisor-demo:~# echo beg''in; ls; echo en''d=$?.";
        for line in ["scsi host0: ahci", "random: crng init done", typed, ""] {
            assert!(!tells(line), "{line}");
        }
    }

    #[test]
    fn a_menu_is_lines_and_a_bar_is_shown_once_a_second() {
        let mut printer = Printer::new(String::new(), tells);
        let mut shown = |text: &[u8]| -> Vec<String> {
            text.iter()
                .filter_map(|byte| printer.line_ended_by(*byte))
                .collect()
        };
        let menu =
            b"\r\x1b[1;1H\x1b[5;3H*Slot a: confirmed   \x1b[m\x1b[6;3H Slot b: no image\x1b[m";
        assert_eq!(shown(menu), ["*Slot a: confirmed"]);
        assert_eq!(shown(b"\rsmv leaving: H\r\n"), ["smv leaving: H"]);
        let bars = b"\rwriting [-] 0%\rwriting [#] 90%\rslot a runs version v1\r\n";
        assert_eq!(shown(bars), ["writing [-] 0%", "slot a runs version v1"]);
    }

    #[test]
    fn the_tail_is_the_last_lines_that_say_something() {
        assert_eq!(tail("a\n\nb\n \nc\n", 2), "\n  | b\n  | c");
        assert_eq!(tail("", 2), "");
    }
}
