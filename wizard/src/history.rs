//! How fast bytes came since the beginning, as a picture of a few lines: samples in, columns out.
//!
//! The whole deploy is always in it: when all columns are used up, two become one. So a new sample
//! changes one column and nothing moves, which keeps a slow serial line fast.

use crate::theme::Charset;

/// Columns at most; an even number.
pub const COLUMNS: usize = 60;

/// Rates over time.
#[derive(Clone, Debug)]
pub struct History {
    /// Each is the mean of [`History::span`] samples.
    columns: Vec<u64>,
    span: u64,
    /// The samples of the column that is not complete: their sum, and how many.
    begun: (u128, u64),
}

impl Default for History {
    fn default() -> Self {
        Self {
            columns: Vec::new(),
            span: 1,
            begun: (0, 0),
        }
    }
}

impl History {
    /// One more sample.
    pub fn push(&mut self, sample: u64) {
        let (sum, count) = self.begun;
        self.begun = (
            sum.saturating_add(u128::from(sample)),
            count.saturating_add(1),
        );
        if self.begun.1 < self.span {
            return;
        }
        let mean = self.begun.0 / u128::from(self.span.max(1));
        self.columns.push(u64::try_from(mean).unwrap_or(u64::MAX));
        self.begun = (0, 0);
        if self.columns.len() >= COLUMNS {
            let pairs = self.columns.chunks(2);
            self.columns = pairs.map(mean_of).collect();
            self.span = self.span.saturating_mul(2);
        }
    }

    /// The highest column.
    #[must_use]
    pub fn peak(&self) -> u64 {
        self.columns.iter().copied().max().unwrap_or(0)
    }

    /// So many lines, the upper first. Each tells two heights apart; what is not nothing is seen.
    #[must_use]
    pub fn lines(&self, height: u16, charset: Charset) -> Vec<String> {
        let [half, full] = match charset {
            Charset::Unicode => ['▄', '█'],
            Charset::Ascii => ['.', ':'],
        };
        let peak = u128::from(self.peak()).max(1);
        let high = |rate: u64| (u128::from(rate) * u128::from(height) * 2).div_ceil(peak);
        let line = |row: u16| {
            let below = u128::from(row) * 2;
            let columns = self.columns.iter();
            columns
                .map(|rate| match high(*rate).saturating_sub(below) {
                    0 => ' ',
                    1 => half,
                    _ => full,
                })
                .collect()
        };
        (0..height).rev().map(line).collect()
    }
}

fn mean_of(rates: &[u64]) -> u64 {
    let sum: u128 = rates.iter().map(|rate| u128::from(*rate)).sum();
    let mean = sum / (rates.len() as u128).max(1);
    u64::try_from(mean).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::{COLUMNS, History};
    use crate::theme::Charset;

    fn after(rates: impl IntoIterator<Item = u64>) -> History {
        let mut history = History::default();
        rates.into_iter().for_each(|rate| history.push(rate));
        history
    }

    #[test]
    fn a_column_is_as_high_as_its_rate() {
        let history = after([0, 1, 50, 100, 75]);
        assert_eq!(history.lines(2, Charset::Unicode), ["   █▄", " ▄███"]);
        assert_eq!(history.lines(2, Charset::Ascii), ["   :.", " .:::"]);
        assert_eq!(history.lines(1, Charset::Unicode), [" ▄▄██"]);
        assert!(history.lines(0, Charset::Unicode).is_empty());
        assert_eq!(history.peak(), 100);
    }

    #[test]
    fn nothing_is_drawn_of_nothing() {
        assert_eq!(after([]).lines(1, Charset::Unicode), [""]);
        assert_eq!(after([0, 0]).lines(1, Charset::Unicode), ["  "]);
        assert_eq!(after([u64::MAX; 2]).lines(1, Charset::Unicode), ["██"]);
    }

    #[test]
    fn the_whole_deploy_fits_however_long_it_takes() {
        for seconds in [59, 60, 61, 1000, 100_000] {
            let history = after((0..seconds).map(|second| second / 2 * 2));
            let lines = history.lines(1, Charset::Unicode);
            let columns = lines[0].chars().count();
            assert!((COLUMNS / 2 - 1..COLUMNS).contains(&columns), "{columns}");
            // It rises from the first to the last.
            assert!(history.columns.is_sorted(), "{seconds}");
            assert!(history.peak() > (seconds - seconds / COLUMNS as u64 * 4) / 2);
        }
        assert_eq!(after([u64::MAX; 200]).peak(), u64::MAX);
    }

    #[test]
    fn a_sample_changes_one_column() {
        let mut history = after((0..200).map(|second| 100 + second % 7));
        for second in 0..20 {
            let before = history.lines(2, Charset::Unicode);
            history.push(100 + second % 7);
            let after = history.lines(2, Charset::Unicode);
            for (before, after) in before.iter().zip(&after) {
                assert!(after.starts_with(before.as_str()) || after.len() < before.len());
            }
        }
    }
}
