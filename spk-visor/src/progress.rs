//! How far a deploy is, for a person: one line that is drawn over on a terminal, plain lines elsewhere.
//!
//! In: counts of bytes and instants. Out: text. Plain lines come at most once in five seconds and once for each package.

use std::io::Write;
use std::time::{Duration, Instant};

/// Between two drawings on a terminal.
const REDRAW: Duration = Duration::from_millis(200);
/// Between two plain lines.
const PLAIN: Duration = Duration::from_secs(5);
/// The rate is that of about the last five seconds: a stall shows soon, a hiccup does not make the time left jump.
const RATE_WINDOW_SECONDS: f64 = 5.0;
/// Terminals that do not tell their width.
const WIDTH: usize = 80;

/// How far we are.
#[derive(Clone, Debug, PartialEq)]
pub struct Progress {
    /// Name of the package that is being sent.
    pub package: String,
    /// Its bytes sent.
    pub package_sent: u64,
    /// Its length.
    pub package_len: u64,
    /// Bytes sent of all packages.
    pub sent: u64,
    /// Length of all packages.
    pub total: u64,
    /// Bytes in a second.
    pub rate: f64,
}

impl Progress {
    /// Time until the last byte at this rate; `None` while there is no rate.
    fn left(&self) -> Option<Duration> {
        let left_bytes = self.total.saturating_sub(self.sent) as f64;
        Duration::try_from_secs_f64(left_bytes / self.rate).ok()
    }

    /// One line of at most `width` characters: package, its share, bar and share of all, bytes, rate, time left.
    #[must_use]
    pub fn line(&self, width: usize) -> String {
        let left = self.left().map_or_else(|| "--:--".to_owned(), clock);
        let tail = format!(
            " {:>3}% {}/{} {}/s {left}",
            percent(self.sent, self.total),
            size(self.sent as f64),
            size(self.total as f64),
            size(self.rate),
        );
        let head = format!(
            "{} {:>3}% ",
            self.package,
            percent(self.package_sent, self.package_len)
        );
        let used = head.chars().count() + tail.chars().count();
        let bar = match width.checked_sub(used + 2) {
            Some(room @ 4..) => format!("[{}]", bar(self.sent, self.total, room.min(40))),
            _ => String::new(),
        };
        format!("{head}{bar}{tail}").chars().take(width).collect()
    }
}

fn bar(done: u64, total: u64, width: usize) -> String {
    let full = (u128::from(done) * width as u128)
        .checked_div(u128::from(total))
        .unwrap_or(0);
    let full = usize::try_from(full).unwrap_or(width).min(width);
    format!("{}{}", "#".repeat(full), "-".repeat(width - full))
}

fn percent(done: u64, total: u64) -> u128 {
    (u128::from(done) * 100)
        .checked_div(u128::from(total))
        .unwrap_or(100)
}

/// Bytes for a person, three digits or more: `999 B`, `1.5 MiB`.
#[must_use]
pub fn size(bytes: f64) -> String {
    let mut value = bytes;
    for unit in ["B", "KiB", "MiB", "GiB"] {
        if value < 1024.0 {
            return if unit == "B" {
                format!("{value:.0} B")
            } else {
                format!("{value:.1} {unit}")
            };
        }
        value /= 1024.0;
    }
    format!("{value:.1} TiB")
}

/// `mm:ss`, or `h:mm:ss`.
#[must_use]
pub fn clock(time: Duration) -> String {
    let seconds = time.as_secs();
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    if hours > 0 {
        format!("{hours}:{minutes:02}:{seconds:02}")
    } else {
        format!("{minutes:02}:{seconds:02}")
    }
}

/// Where lines go.
pub struct Screen<W: Write> {
    out: W,
    /// Columns of the terminal; `None` when it is none.
    columns: Option<usize>,
    last: Option<Instant>,
    is_line_open: bool,
}

impl<W: Write> Screen<W> {
    /// A terminal with this many columns, or a file or pipe.
    pub fn new(out: W, columns: Option<usize>) -> Self {
        Self {
            out,
            columns,
            last: None,
            is_line_open: false,
        }
    }

    /// A line that stays.
    pub fn say(&mut self, text: &str) {
        self.close_line();
        // A screen that is gone must not stop a deploy.
        let _ = writeln!(self.out, "{text}");
        let _ = self.out.flush();
    }

    /// A line that is drawn over on a terminal, and written now and then elsewhere.
    pub fn show(&mut self, now: Instant, text: impl FnOnce(usize) -> String) {
        let pause = if self.columns.is_some() {
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
        match self.columns {
            None => self.say(&text(WIDTH * 2)),
            Some(columns) => {
                self.is_line_open = true;
                // One column stays free: writing into the last one moves some terminals to the next line.
                let _ = write!(self.out, "\r\x1b[K{}", text(columns.saturating_sub(1)));
                let _ = self.out.flush();
            }
        }
    }

    /// Whether lines are drawn over.
    pub fn is_terminal(&self) -> bool {
        self.columns.is_some()
    }

    /// The next `show` is not held back.
    pub fn hurry(&mut self) {
        self.last = None;
    }

    /// Ends a line that is being drawn over.
    pub fn close_line(&mut self) {
        if self.is_line_open {
            self.is_line_open = false;
            let _ = write!(self.out, "\r\x1b[K");
        }
    }
}

impl Screen<std::io::Stdout> {
    /// Standard output.
    #[must_use]
    pub fn stdout() -> Self {
        let out = std::io::stdout();
        let columns = std::io::IsTerminal::is_terminal(&out).then(|| {
            let width = rustix::termios::tcgetwinsize(&out).map(|size| usize::from(size.ws_col));
            width.ok().filter(|width| *width > 0).unwrap_or(WIDTH)
        });
        Self::new(out, columns)
    }
}

/// Bytes per second of about the last five seconds.
#[derive(Clone, Copy, Debug)]
pub struct Rate {
    at: Instant,
    bytes: u64,
    per_second: Option<f64>,
}

impl Rate {
    /// Starts counting.
    #[must_use]
    pub fn start(now: Instant) -> Self {
        Self {
            at: now,
            bytes: 0,
            per_second: None,
        }
    }

    /// `bytes` in all have passed by `now`.
    pub fn update(&mut self, now: Instant, bytes: u64) -> f64 {
        let seconds = now.saturating_duration_since(self.at).as_secs_f64();
        // Below this the quotient is noise; the first figure comes a little later.
        if seconds >= 0.1 {
            let current = bytes.saturating_sub(self.bytes) as f64 / seconds;
            let weight = 1.0 - (-seconds / RATE_WINDOW_SECONDS).exp();
            let smooth = self
                .per_second
                .map_or(current, |old| old + (current - old) * weight);
            *self = Self {
                at: now,
                bytes,
                per_second: Some(smooth),
            };
        }
        self.per_second.unwrap_or(0.0)
    }
}

#[cfg(test)]
mod tests {
    use super::{Progress, Rate, Screen, clock, size};
    use std::time::{Duration, Instant};

    fn half_way() -> Progress {
        Progress {
            package: "smechvisor-base.tar.xz".into(),
            package_sent: 30 << 20,
            package_len: 40 << 20,
            sent: 50 << 20,
            total: 100 << 20,
            rate: f64::from(10 << 20),
        }
    }

    #[test]
    fn a_line_tells_package_bar_bytes_rate_and_time_left() {
        assert_eq!(
            half_way().line(90),
            "smechvisor-base.tar.xz  75% [#########----------]  50% 50.0 MiB/100.0 MiB 10.0 MiB/s 00:05"
        );
    }

    #[test]
    fn no_line_is_wider_than_the_terminal() {
        for width in 0..200 {
            assert!(half_way().line(width).chars().count() <= width);
        }
    }

    #[test]
    fn nothing_divides_by_zero() {
        let start = Progress {
            package_len: 0,
            package_sent: 0,
            sent: 0,
            total: 0,
            rate: 0.0,
            ..half_way()
        };
        assert!(start.line(80).contains("--:--"));
    }

    #[test]
    fn sizes_and_clocks_are_for_people() {
        let sizes: Vec<_> = [0.0, 1023.0, 1536.0, 5e9, 2e15].map(size).to_vec();
        assert_eq!(sizes, ["0 B", "1023 B", "1.5 KiB", "4.7 GiB", "1819.0 TiB"]);
        let clocks: Vec<_> = [5, 65, 3661]
            .map(|seconds| clock(Duration::from_secs(seconds)))
            .to_vec();
        assert_eq!(clocks, ["00:05", "01:05", "1:01:01"]);
    }

    #[test]
    fn a_terminal_line_is_drawn_over_and_a_plain_one_is_not() {
        let now = Instant::now();
        let mut terminal = Vec::new();
        let mut screen = Screen::new(&mut terminal, Some(80));
        screen.show(now, |_| "one".into());
        screen.show(now, |_| "too soon".into());
        screen.show(now + Duration::from_secs(1), |_| "two".into());
        screen.say("done");
        assert_eq!(terminal, b"\r\x1b[Kone\r\x1b[Ktwo\r\x1b[Kdone\n");
    }

    #[test]
    fn plain_lines_are_five_seconds_apart() {
        let now = Instant::now();
        let mut file = Vec::new();
        let mut screen = Screen::new(&mut file, None);
        for second in 0..11 {
            screen.show(now + Duration::from_secs(second), |_| second.to_string());
        }
        assert_eq!(file, b"0\n5\n10\n");
    }

    #[test]
    fn the_rate_follows_within_seconds() {
        let start = Instant::now();
        let mut rate = Rate::start(start);
        assert!((rate.update(start + Duration::from_secs(1), 1000) - 1000.0).abs() < 1.0);
        // A stall: after ten seconds less than a seventh is left of the old rate.
        assert!(rate.update(start + Duration::from_secs(11), 1000) < 1000.0 / 7.0);
    }
}
