//! How fast bytes go, as a person wants to see it.
//!
//! In: counts of bytes and instants. Out: bytes per second, smoothed.

use std::time::Instant;

/// The rate is that of about the last five seconds: a stall shows soon, a hiccup does not make the
/// time left jump.
const RATE_WINDOW_SECONDS: f64 = 5.0;

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
    pub const fn start(now: Instant) -> Self {
        Self::start_at(now, 0)
    }

    /// Starts counting where so many have passed already.
    #[must_use]
    pub const fn start_at(now: Instant, bytes: u64) -> Self {
        Self {
            at: now,
            bytes,
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
    use super::Rate;
    use std::time::{Duration, Instant};

    #[test]
    fn the_rate_follows_within_seconds() {
        let start = Instant::now();
        let mut rate = Rate::start(start);
        assert!((rate.update(start + Duration::from_secs(1), 1000) - 1000.0).abs() < 1.0);
        // A stall: after ten seconds less than a seventh is left of the old rate.
        assert!(rate.update(start + Duration::from_secs(11), 1000) < 1000.0 / 7.0);
    }
}
