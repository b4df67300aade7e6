//! Numbers as the table has them: medians, quotients, seconds and sizes as text.

/// The middle one, or the mean of the two in the middle; not a number when there is none.
#[must_use]
pub fn median(numbers: &[f64]) -> f64 {
    let mut sorted = numbers.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => f64::NAN,
        len if len % 2 == 1 => sorted[middle],
        _ => f64::midpoint(sorted[middle - 1], sorted[middle]),
    }
}

/// `ours / peer`, as ratios are printed and compared with their goals.
#[must_use]
pub fn quotient(ours: f64, peer: f64) -> String {
    format!("{:.2}", ours / peer)
}

/// A number as short as it can be said with six decimals: `12.345`, `62`.
#[must_use]
pub fn number(value: f64) -> String {
    let text = format!("{value:.6}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// Microseconds as `3.27 s`.
#[must_use]
pub fn seconds(microseconds: f64) -> String {
    format!("{:.2} s", microseconds / 1e6)
}

/// Bytes as `2.33 MiB`.
#[must_use]
pub fn mib(bytes: f64) -> String {
    format!("{:.2} MiB", bytes / f64::from(1 << 20))
}

#[cfg(test)]
mod tests {
    use super::{median, mib, number, quotient, seconds};

    #[test]
    fn a_median_is_the_middle_or_between_the_two_in_the_middle() {
        assert_eq!(median(&[3.0, 1.0, 20.0]), 3.0);
        assert_eq!(median(&[4.0, 1.0, 2.0, 100.0]), 3.0);
        assert_eq!(median(&[7.0]), 7.0);
        assert!(median(&[]).is_nan());
    }

    #[test]
    fn numbers_are_printed_with_their_unit() {
        assert_eq!(quotient(1.0, 3.0), "0.33");
        assert_eq!(quotient(2.0, 2.0), "1.00");
        assert_eq!(seconds(3_267_000.0), "3.27 s");
        assert_eq!(mib(f64::from(5 << 19)), "2.50 MiB");
    }

    #[test]
    fn a_mean_of_two_decimals_has_no_noise_behind_it() {
        assert_eq!(number(median(&[12.34, 12.35])), "12.345");
        assert_eq!(number(62.0), "62");
        assert_eq!(number(100.0), "100");
        assert_eq!(number(0.0), "0");
    }
}
