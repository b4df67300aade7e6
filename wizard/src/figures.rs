//! Figures for a person: counts of bytes and times in, short text out.

use std::time::Duration;

/// Bytes, three digits or more: `999 B`, `1.5 MiB`.
#[must_use]
pub fn size(bytes: u64) -> String {
    if bytes < 1024 {
        return format!("{bytes} B");
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
    format!("{}.{} {name}", tenths / 10, tenths % 10)
}

/// Bytes as on the label of a disk, in units of 1000: `480 GB`, `1.5 TB`. Cut, not rounded: nothing is called larger than it is.
#[must_use]
pub fn label(bytes: u64) -> String {
    const UNITS: [(&str, u64); 3] = [
        ("TB", 1_000_000_000_000),
        ("GB", 1_000_000_000),
        ("MB", 1_000_000),
    ];
    let Some((name, unit)) = UNITS.into_iter().find(|(_, unit)| bytes >= *unit) else {
        return format!("{bytes} B");
    };
    match (bytes / unit, bytes % unit / (unit / 10)) {
        (whole, tenth) if whole < 10 => format!("{whole}.{tenth} {name}"),
        (whole, _) => format!("{whole} {name}"),
    }
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

/// `done` in hundredths of `total`, rounded down; nothing of nothing is all of it.
#[must_use]
pub fn percent(done: u64, total: u64) -> u8 {
    let percent = (u128::from(done) * 100).checked_div(u128::from(total));
    u8::try_from(percent.unwrap_or(100).min(100)).unwrap_or(100)
}

/// Until `total` at this rate; none while nothing arrives, or when it would be a day and more.
#[must_use]
pub fn time_left(done: u64, total: u64, per_second: u64) -> Option<Duration> {
    let seconds = total.saturating_sub(done).checked_div(per_second)?;
    (seconds < 86_400).then(|| Duration::from_secs(seconds))
}

#[cfg(test)]
mod tests {
    use super::{clock, label, percent, size, time_left};
    use std::time::Duration;

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
            assert_eq!(label(bytes), text);
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
            assert_eq!(size(bytes), text);
        }
        for (seconds, text) in [
            (0, "00:00"),
            (75, "01:15"),
            (3600, "1:00:00"),
            (90_061, "25:01:01"),
        ] {
            assert_eq!(clock(Duration::from_secs(seconds)), text);
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
    fn time_is_left_while_something_arrives() {
        let left = |done, total, rate| time_left(done, total, rate).map(|left| left.as_secs());
        assert_eq!(left(500, 6500, 1000), Some(6));
        assert_eq!(left(7000, 6500, 1000), Some(0));
        assert_eq!(left(0, 6500, 0), None);
        assert_eq!(left(0, 86_400_000, 1000), None);
        assert_eq!(left(0, u64::MAX, u64::MAX), Some(1));
    }
}
