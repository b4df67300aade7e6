//! How fast bytes come: a sample for each second, of a count that is told whenever somebody likes.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Each sample covers so long.
const INTERVAL: Duration = Duration::from_secs(1);
/// So many are kept.
pub const SAMPLES_MAX: usize = 120;
/// The rate that is shown is the mean of so many.
const MEAN_OF: usize = 5;

/// The last minutes.
#[derive(Clone, Debug)]
pub struct Rates {
    samples: VecDeque<u64>,
    last_bytes: u64,
    last_at: Instant,
}

impl Rates {
    /// No bytes yet.
    #[must_use]
    pub const fn new(now: Instant) -> Self {
        Self {
            samples: VecDeque::new(),
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
        // A pause of several seconds is as wide as it was long.
        let samples = usize::try_from(passed.as_secs()).unwrap_or(SAMPLES_MAX);
        for _ in 0..samples.clamp(1, SAMPLES_MAX) {
            if self.samples.len() >= SAMPLES_MAX {
                self.samples.pop_front();
            }
            let sample = u64::try_from(per_second).unwrap_or(u64::MAX);
            self.samples.push_back(sample);
        }
        (self.last_bytes, self.last_at) = (bytes, now);
        true
    }

    /// How long until the next sample is complete.
    #[must_use]
    pub fn next(&self, now: Instant) -> Duration {
        INTERVAL.saturating_sub(now.saturating_duration_since(self.last_at))
    }

    /// In bytes per second, the newest last.
    #[must_use]
    pub const fn samples(&self) -> &VecDeque<u64> {
        &self.samples
    }

    /// Bytes per second, lately. None before the first sample.
    #[must_use]
    pub fn lately(&self) -> Option<u64> {
        let last = self.samples.iter().rev().take(MEAN_OF);
        let (count, sum) = last.fold((0_u128, 0_u128), |(count, sum), sample| {
            (count + 1, sum + u128::from(*sample))
        });
        u64::try_from(sum.checked_div(count)?).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::{Rates, SAMPLES_MAX};
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
        assert_eq!(rates.samples(), &[2000, 500, 500]);
        assert_eq!(rates.lately(), Some(1000));
        assert!(rates.pass(u64::MAX, at(1_000_000)));
        assert_eq!(rates.samples().len(), SAMPLES_MAX);
        // A count that falls back is a new connection's.
        assert!(rates.pass(0, at(1_001_000)));
        assert_eq!(rates.samples().back(), Some(&0));
    }
}
