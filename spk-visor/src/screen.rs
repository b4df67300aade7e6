//! Where a donor's lines go: a terminal, on which the lines of what is going on are drawn over, or
//! a file or pipe.
//!
//! In: lines that stay, and lines that are true now. Out: on a terminal the latter stand below
//! everything else, one for each target; elsewhere they are written now and then.

use std::io::Write;
use std::time::{Duration, Instant};

/// Between two drawings on a terminal.
const REDRAW: Duration = Duration::from_millis(200);
/// Between two plain lines about the same thing.
const PLAIN: Duration = Duration::from_secs(5);
/// Terminals that do not tell their size.
const WIDTH: usize = 80;
const HEIGHT: usize = 24;

/// Columns and rows of a terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terminal {
    /// Characters of a line.
    pub columns: usize,
    /// Lines.
    pub rows: usize,
}

/// Where lines go.
pub struct Screen<W: Write> {
    out: W,
    /// `None` when it is no terminal.
    terminal: Option<Terminal>,
    last: Option<Instant>,
    /// Lines below the last one that stays, to be drawn over.
    open: usize,
}

impl<W: Write> Screen<W> {
    /// A terminal of this size, or a file or pipe.
    pub fn new(out: W, terminal: Option<Terminal>) -> Self {
        Self {
            out,
            terminal,
            last: None,
            open: 0,
        }
    }

    /// A line that stays.
    pub fn say(&mut self, text: &str) {
        self.clear();
        // A screen that is gone must not stop a deploy.
        let _ = writeln!(self.out, "{text}");
        let _ = self.out.flush();
    }

    /// Lines that are true now. They come when their time has come; `text` receives the width that
    /// a line may have.
    pub fn show(&mut self, now: Instant, text: impl FnOnce(usize) -> Vec<String>) {
        let pause = if self.terminal.is_some() {
            REDRAW
        } else {
            PLAIN
        };
        if self
            .last
            .is_some_and(|last| now.saturating_duration_since(last) < pause)
        {
            return;
        }
        self.last = Some(now);
        match self.terminal {
            None => {
                for line in text(WIDTH * 2) {
                    self.say(&line);
                }
            }
            // One column stays free: writing into the last one moves some terminals to the next
            // line.
            Some(terminal) => self.draw(&text(terminal.columns.saturating_sub(1)), terminal.rows),
        }
    }

    fn draw(&mut self, lines: &[String], rows: usize) {
        // Lines that have scrolled off the top cannot be drawn over.
        let room = rows.saturating_sub(1).max(1);
        self.home();
        let mut shown: Vec<&str> = lines.iter().take(room).map(String::as_str).collect();
        if lines.len() > room {
            shown.pop();
            shown.push("... and others");
        }
        let _ = write!(self.out, "\r\x1b[J{}", shown.join("\r\n"));
        let _ = self.out.flush();
        self.open = shown.len();
    }

    /// To the first of the open lines.
    fn home(&mut self) {
        if self.open > 1 {
            let _ = write!(self.out, "\x1b[{}A", self.open - 1);
        }
    }

    /// Whether lines are drawn over.
    pub fn is_terminal(&self) -> bool {
        self.terminal.is_some()
    }

    /// The next `show` is not held back.
    pub fn hurry(&mut self) {
        self.last = None;
    }

    /// Takes away what is being drawn over.
    pub fn clear(&mut self) {
        if self.open > 0 {
            self.home();
            let _ = write!(self.out, "\r\x1b[J");
            let _ = self.out.flush();
            self.open = 0;
        }
    }
}

impl Screen<std::io::Stdout> {
    /// Standard output.
    #[must_use]
    pub fn stdout() -> Self {
        let out = std::io::stdout();
        let terminal = std::io::IsTerminal::is_terminal(&out).then(|| {
            let size = rustix::termios::tcgetwinsize(&out).ok();
            let or = |found: Option<u16>, default| match found {
                None | Some(0) => default,
                Some(found) => usize::from(found),
            };
            Terminal {
                columns: or(size.map(|size| size.ws_col), WIDTH),
                rows: or(size.map(|size| size.ws_row), HEIGHT),
            }
        });
        Self::new(out, terminal)
    }
}

#[cfg(test)]
mod tests {
    use super::{Screen, Terminal};
    use std::time::{Duration, Instant};

    const TERMINAL: Option<Terminal> = Some(Terminal {
        columns: 80,
        rows: 4,
    });

    fn lines(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|text| (*text).to_owned()).collect()
    }

    #[test]
    fn a_terminal_line_is_drawn_over_and_a_plain_one_is_not() {
        let now = Instant::now();
        let mut terminal = Vec::new();
        let mut screen = Screen::new(&mut terminal, TERMINAL);
        screen.show(now, |_| lines(&["one"]));
        screen.show(now, |_| lines(&["too soon"]));
        screen.show(now + Duration::from_secs(1), |_| lines(&["two"]));
        screen.say("done");
        assert_eq!(terminal, b"\r\x1b[Jone\r\x1b[Jtwo\r\x1b[Jdone\n");
    }

    #[test]
    fn several_lines_are_drawn_over_together() {
        let now = Instant::now();
        let mut terminal = Vec::new();
        let mut screen = Screen::new(&mut terminal, TERMINAL);
        screen.show(now, |_| lines(&["a", "b"]));
        screen.show(now + Duration::from_secs(1), |_| lines(&["c", "d"]));
        screen.say("done");
        assert_eq!(
            terminal,
            b"\r\x1b[Ja\r\nb\x1b[1A\r\x1b[Jc\r\nd\x1b[1A\r\x1b[Jdone\n"
        );
    }

    #[test]
    fn a_low_terminal_says_that_there_is_more() {
        let mut terminal = Vec::new();
        let mut screen = Screen::new(&mut terminal, TERMINAL);
        screen.show(Instant::now(), |_| lines(&["a", "b", "c", "d"]));
        assert_eq!(terminal, b"\r\x1b[Ja\r\nb\r\n... and others");
    }

    #[test]
    fn plain_lines_are_five_seconds_apart() {
        let now = Instant::now();
        let mut file = Vec::new();
        let mut screen = Screen::new(&mut file, None);
        for second in 0..11 {
            screen.show(now + Duration::from_secs(second), |_| {
                vec![second.to_string()]
            });
        }
        assert_eq!(file, b"0\n5\n10\n");
    }
}
