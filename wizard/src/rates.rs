//! How fast bytes arrive: one sample per second, of a count that is reported at any time.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::history::History;

/// Each sample covers so long.
const INTERVAL: Duration = Duration::from_secs(1);
/// The rate that is shown is the mean of so many.
const MEAN_OF: usize = 5;
/// A pause is taken to be no longer than so many samples.
const PAUSE_MAX: u64 = 3600;

/// Of one deploy.
#[derive(Clone, Debug)]
pub struct Rates {
    /// The last ones, in bytes per second.
    samples: VecDeque<u64>,
    history: History,
    last_bytes: u64,
    last_at: Instant,
}

impl Rates {
    /// No bytes yet.
    #[must_use]
    pub fn new(now: Instant) -> Self {
        Self {
            samples: VecDeque::new(),
            history: History::default(),
            last_bytes: 0,
            last_at: now,
        }
    }

    /// There are `bytes` by now. True when a sample has become complete.
    pub fn pass(&mut self, bytes: u64, now: Instant) -> bool {
        let passed = now.saturating_duration_since(self.last_at);
        if passed < INTERVAL {
            return false;
        }
        let millis = passed.as_millis().max(1);
        let per_second = u128::from(bytes.saturating_sub(self.last_bytes)) * 1000 / millis;
        let sample = u64::try_from(per_second).unwrap_or(u64::MAX);
        // A pause of several seconds is as wide as it was long.
        for _ in 0..passed.as_secs().min(PAUSE_MAX) {
            if self.samples.len() >= MEAN_OF {
                self.samples.pop_front();
            }
            self.samples.push_back(sample);
            self.history.push(sample);
        }
        (self.last_bytes, self.last_at) = (bytes, now);
        true
    }

    /// How long until the next sample is complete.
    #[must_use]
    pub fn next(&self, now: Instant) -> Duration {
        INTERVAL.saturating_sub(now.saturating_duration_since(self.last_at))
    }

    /// Since the beginning.
    #[must_use]
    pub const fn history(&self) -> &History {
        &self.history
    }

    /// Bytes per second, lately. None before the first sample.
    #[must_use]
    pub fn lately(&self) -> Option<u64> {
        let samples = self.samples.iter();
        let (count, sum) = samples.fold((0_u128, 0_u128), |(count, sum), sample| {
            (count + 1, sum + u128::from(*sample))
        });
        u64::try_from(sum.checked_div(count)?).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::Rates;
    use crate::theme::Charset;
    use std::time::{Duration, Instant};

    #[test]
    fn a_sample_is_what_came_in_its_second() {
        let start = Instant::now();
        let at = |millis| start + Duration::from_millis(millis);
        let mut rates = Rates::new(start);
        assert_eq!(rates.lately(), None);
        assert!(!rates.pass(500, at(400)));
        assert_eq!(rates.next(at(400)), Duration::from_millis(600));
        assert!(rates.pass(2000, at(1000)));
        assert!(rates.pass(3000, at(3000)));
        assert_eq!(rates.lately(), Some(1000));
        assert_eq!(rates.history().lines(2, Charset::Ascii), [":  ", ":.."]);
        assert!(rates.pass(u64::MAX, at(1_000_000)));
        assert_eq!(rates.samples.len(), 5);
        // A count that falls back is a new connection's.
        assert!(rates.pass(0, at(1_001_000)));
        assert_eq!(rates.samples.back(), Some(&0));
    }
}
