//! Seconds since 1970 as `2026-11-20T00:00:00Z` (RFC 3339), for manifests and logs.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

const DAY: u64 = 86_400;

/// Now. A clock before 1970 is a clock that is not set, and reads as 1970.
#[must_use]
pub fn now() -> Duration {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
}

/// The time that a result made now shall bear: what SOURCE_DATE_EPOCH says
/// (reproducible-builds.org), else now.
#[must_use]
pub fn source_date() -> Duration {
    let told = std::env::var("SOURCE_DATE_EPOCH").ok();
    told.and_then(|seconds| seconds.parse().ok())
        .map_or_else(now, Duration::from_secs)
}

/// The second that `since_1970` lies in, as text. Leap seconds do not exist in this count
/// (`time(7)`).
#[must_use]
pub fn format(since_1970: Duration) -> String {
    let seconds = since_1970.as_secs();
    let (year, month, day) = date(seconds / DAY);
    let clock = seconds % DAY;
    let (hour, minute, second) = (clock / 3600, clock / 60 % 60, clock % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

/// Year, month and day. Counted in years that begin in March, so that the leap day is the last one:
/// 400 of them have 146 097 days, and the months from March on have 153 days in each five.
fn date(days_since_1970: u64) -> (u64, u64, u64) {
    const FROM_0000_03_01: u64 = 719_468;
    const ERA: u64 = 146_097;
    let days = days_since_1970.saturating_add(FROM_0000_03_01);
    let (era, in_era) = (days / ERA, days % ERA);
    let year_in_era = (in_era - in_era / 1460 + in_era / 36_524 - in_era / 146_096) / 365;
    let in_year = in_era - (365 * year_in_era + year_in_era / 4 - year_in_era / 100);
    let month_from_march = (5 * in_year + 2) / 153;
    let day = in_year - (153 * month_from_march + 2) / 5 + 1;
    let is_next_year = month_from_march >= 10;
    let month = if is_next_year {
        month_from_march - 9
    } else {
        month_from_march + 3
    };
    (
        era * 400 + year_in_era + u64::from(is_next_year),
        month,
        day,
    )
}

#[cfg(test)]
mod tests {
    use super::format;
    use std::time::Duration;

    #[test]
    fn dates_are_those_of_date_1() {
        // date -u -d @N +%FT%TZ
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_399, "2000-02-28T23:59:59Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (951_868_800, "2000-03-01T00:00:00Z"),
            (1_735_689_599, "2024-12-31T23:59:59Z"),
            (1_795_132_800, "2026-11-20T00:00:00Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
            (253_402_300_799, "9999-12-31T23:59:59Z"),
        ] {
            assert_eq!(format(Duration::from_secs(seconds)), text);
        }
    }
}
