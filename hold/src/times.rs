//! How long everything may take (`daemons.md` 2). Tests take shorter ones.

use std::time::Duration;

/// The times of a daemon that is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Times {
    /// A program that was asked to end finishes what it has accepted; then it is killed.
    pub drain: Duration,
    /// One that failed its trial, or its test of itself, is not waited for as long.
    pub grace: Duration,
    /// From the start of a program until it is ready.
    pub ready: Duration,
    /// Likewise, but from the moment at which the former one was asked to end: connections wait
    /// since then, and the way back takes time, too.
    pub dark: Duration,
    /// So long it has to be well before it is kept.
    pub healthy: Duration,
    /// For a program that tests itself.
    pub selftest: Duration,
    /// Before a program that has ended by itself is started again; doubled each time.
    pub pause: Duration,
    /// The longest pause.
    pub pause_max: Duration,
    /// One that ran for so long begins with the first pause again.
    pub stable: Duration,
}

impl Default for Times {
    fn default() -> Self {
        Self {
            drain: Duration::from_secs(2),
            grace: Duration::from_millis(300),
            ready: Duration::from_millis(1500),
            dark: Duration::from_millis(2500),
            healthy: Duration::from_secs(2),
            selftest: Duration::from_secs(10),
            pause: Duration::from_millis(100),
            pause_max: Duration::from_secs(30),
            stable: Duration::from_secs(10),
        }
    }
}

impl Times {
    /// Before the start that follows so many ends in a row.
    #[must_use]
    pub fn pause_after(&self, ends: u32) -> Duration {
        let doubled = 2_u32.saturating_pow(ends.saturating_sub(1).min(16));
        self.pause.saturating_mul(doubled).min(self.pause_max)
    }
}

#[cfg(test)]
mod tests {
    use super::Times;
    use std::time::Duration;

    #[test]
    fn pauses_grow_up_to_a_bound() {
        let times = Times::default();
        let ms = |ends| times.pause_after(ends).as_millis();
        assert_eq!([1, 2, 3, 9].map(ms), [100, 200, 400, 25600]);
        assert_eq!([10, 100, u32::MAX].map(ms), [30000; 3]);
    }

    /// The old one is back within 3 s, whatever the new one does.
    #[test]
    fn the_way_back_is_within_its_bound() {
        let times = Times::default();
        let longest = times.dark + times.grace;
        assert!(longest < Duration::from_secs(3) && times.drain < times.dark);
    }
}
