//! Sizes, times and shares as a person reads them.
//!
//! In: counts of bytes and durations. Out: short text, as `Display` that obeys a width, so that
//! nothing has to be allocated. Both ends, the screens and the command line print with it.

use core::fmt::{self, Display, Formatter, Write};
use core::time::Duration;

use heapless::String;

/// The longest text of this module: a label of `u64::MAX` bytes, or hours of a `u64` of seconds.
const TEXT_MAX: usize = 32;

/// Bytes in units of 1024, three digits or more: `999 B`, `1.5 MiB`.
#[derive(Debug, Clone, Copy)]
pub struct Size(u64);

/// `bytes` in units of 1024.
#[must_use]
pub fn size(bytes: u64) -> Size {
    Size(bytes)
}

impl Display for Size {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let bytes = self.0;
        let mut text = String::<TEXT_MAX>::new();
        if bytes < 1024 {
            write!(text, "{bytes} B")?;
            return f.pad(&text);
        }
        let mut unit = 1_u64;
        let mut name = "";
        for next in ["KiB", "MiB", "GiB", "TiB", "PiB"] {
            if bytes / unit < 1024 {
                break;
            }
            unit = unit.saturating_mul(1024);
            name = next;
        }
        let tenths = (u128::from(bytes) * 10 + u128::from(unit / 2)) / u128::from(unit);
        write!(text, "{}.{} {name}", tenths / 10, tenths % 10)?;
        f.pad(&text)
    }
}

/// Bytes as on the label of a disk, in units of 1000: `480 GB`, `1.5 TB`. Rounded down, so that
/// nothing is called larger than it is.
#[derive(Debug, Clone, Copy)]
pub struct DiskLabel(u64);

/// `bytes` in units of 1000, as disks are sold.
#[must_use]
pub fn label(bytes: u64) -> DiskLabel {
    DiskLabel(bytes)
}

impl Display for DiskLabel {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        const UNITS: [(&str, u64); 3] = [
            ("TB", 1_000_000_000_000),
            ("GB", 1_000_000_000),
            ("MB", 1_000_000),
        ];
        let bytes = self.0;
        let mut text = String::<TEXT_MAX>::new();
        match UNITS.into_iter().find(|(_, unit)| bytes >= *unit) {
            None => write!(text, "{bytes} B")?,
            Some((name, unit)) => match (bytes / unit, bytes % unit / (unit / 10)) {
                (whole, tenth) if whole < 10 => write!(text, "{whole}.{tenth} {name}")?,
                (whole, _) => write!(text, "{whole} {name}")?,
            },
        }
        f.pad(&text)
    }
}

/// A duration as `mm:ss`, or `h:mm:ss`.
#[derive(Debug, Clone, Copy)]
pub struct Clock(Duration);

/// `time` in minutes and seconds.
#[must_use]
pub fn clock(time: Duration) -> Clock {
    Clock(time)
}

impl Display for Clock {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let seconds = self.0.as_secs();
        let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
        let mut text = String::<TEXT_MAX>::new();
        if hours > 0 {
            write!(text, "{hours}:{minutes:02}:{seconds:02}")?;
        } else {
            write!(text, "{minutes:02}:{seconds:02}")?;
        }
        f.pad(&text)
    }
}

/// `done` in hundredths of `total`, rounded down; nothing of nothing is all of it.
#[must_use]
pub fn percent(done: u64, total: u64) -> u8 {
    let percent = (u128::from(done) * 100).checked_div(u128::from(total));
    u8::try_from(percent.unwrap_or(100).min(100)).unwrap_or(100)
}

/// Until `total` at this rate; `None` while nothing arrives, or when it would be a day and more.
#[must_use]
pub fn time_left(done: u64, total: u64, per_second: u64) -> Option<Duration> {
    let seconds = total.saturating_sub(done).checked_div(per_second)?;
    (seconds < 86_400).then(|| Duration::from_secs(seconds))
}

#[cfg(test)]
mod tests {
    extern crate std;

    use super::{clock, label, percent, size, time_left};
    use core::time::Duration;
    use std::format;
    use std::string::ToString;

    #[test]
    fn a_disk_is_called_as_on_its_label() {
        for (bytes, text) in [
            (0, "0 B"),
            (999_999, "999999 B"),
            (31_914_983_424, "31 GB"),
            (480_103_981_056, "480 GB"),
            (1_999_999_999_999, "1.9 TB"),
            (u64::MAX, "18446744 TB"),
        ] {
            assert_eq!(label(bytes).to_string(), text);
        }
    }

    #[test]
    fn figures_are_short() {
        for (bytes, text) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.0 KiB"),
            (1_572_864, "1.5 MiB"),
            ((1 << 30) - 1, "1024.0 MiB"),
            (1 << 30, "1.0 GiB"),
            (480_103_981_056, "447.1 GiB"),
            (u64::MAX, "16384.0 PiB"),
        ] {
            assert_eq!(size(bytes).to_string(), text);
        }
        for (seconds, text) in [
            (0, "00:00"),
            (75, "01:15"),
            (3600, "1:00:00"),
            (90_061, "25:01:01"),
        ] {
            assert_eq!(clock(Duration::from_secs(seconds)).to_string(), text);
        }
        for (done, total, expected) in [
            (0, 0, 100),
            (1, 3, 33),
            (2, 3, 66),
            (4, 3, 100),
            (u64::MAX, u64::MAX, 100),
        ] {
            assert_eq!(percent(done, total), expected);
        }
    }

    #[test]
    fn the_longest_texts_fit_and_a_width_is_obeyed() {
        let hours = clock(Duration::MAX).to_string();
        assert_eq!(hours, "5124095576030431:00:15");
        assert_eq!(
            format!("{:>9}|{:<6}|", size(1024), clock(Duration::ZERO)),
            "  1.0 KiB|00:00 |"
        );
    }

    #[test]
    fn time_is_left_while_something_arrives() {
        let left = |done, total, rate| time_left(done, total, rate).map(|left| left.as_secs());
        assert_eq!(left(500, 6500, 1000), Some(6));
        assert_eq!(left(7000, 6500, 1000), Some(0));
        assert_eq!(left(0, 6500, 0), None);
        assert_eq!(left(0, 86_400_000, 1000), None);
        assert_eq!(left(0, u64::MAX, u64::MAX), Some(1));
    }
}
