//! How far a deploy is, for a person: one line of text.
//!
//! In: counts of bytes and a rate. Out: text that fits the width asked for.

use std::time::Duration;

use wire::human::{clock, size};

/// How far one target is.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Progress {
    /// The current activity: a package and its share, or a stage.
    pub doing: String,
    /// Bytes done of all packages.
    pub done: u64,
    /// Bytes of all packages; `None` when nobody knows yet.
    pub total: Option<u64>,
    /// Share of the whole job, 0 to 100. Bytes are not all of it: a disk still has to be made
    /// bootable when the last one has arrived.
    pub percent: u8,
    /// Bytes in a second.
    pub rate: f64,
}

impl Progress {
    /// Time until the last byte at this rate; `None` while there is no rate, or no last byte.
    fn left(&self) -> Option<Duration> {
        let left_bytes = self.total?.saturating_sub(self.done) as f64;
        Duration::try_from_secs_f64(left_bytes / self.rate).ok()
    }

    /// One line of at most `width` characters: what is going on, bar and share of the job, bytes,
    /// rate, time left.
    #[must_use]
    pub fn line(&self, width: usize) -> String {
        let (done, rate) = (size(self.done), size(self.rate as u64));
        let tail = match self.total {
            None => format!(" {done} {rate}/s"),
            Some(total) => {
                let left = self
                    .left()
                    .map_or_else(|| "--:--".to_owned(), |left| clock(left).to_string());
                let total = size(total);
                format!(" {:>3}% {done}/{total} {rate}/s {left}", self.percent)
            }
        };
        let used = self.doing.chars().count() + 1 + tail.chars().count();
        let bar = match width.checked_sub(used + 2) {
            Some(room @ 4..) if self.total.is_some() => {
                format!("[{}]", bar(self.percent, room.min(40)))
            }
            _ => String::new(),
        };
        let line = format!("{} {bar}{tail}", self.doing);
        line.chars().take(width).collect()
    }
}

fn bar(percent: u8, width: usize) -> String {
    let full = (usize::from(percent) * width / 100).min(width);
    format!("{}{}", "#".repeat(full), "-".repeat(width - full))
}

#[cfg(test)]
mod tests {
    use super::Progress;

    fn half_way() -> Progress {
        Progress {
            doing: "smechvisor-base.tar.xz  75%".into(),
            done: 50 << 20,
            total: Some(100 << 20),
            percent: 50,
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
    fn a_job_without_a_known_end_has_no_bar() {
        let live = Progress {
            total: None,
            ..half_way()
        };
        assert_eq!(
            live.line(90),
            "smechvisor-base.tar.xz  75%  50.0 MiB 10.0 MiB/s"
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
            total: Some(0),
            ..Progress::default()
        };
        assert!(start.line(80).contains("--:--"));
    }
}
