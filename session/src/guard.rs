//! How fast a secret may be guessed at (`protocol.md` 3.5). The clock is passed in.
//!
//! In: wrong guesses and their times. Out: how long to wait before the next handshake, and whether the secret has to be replaced.
//! It never locks out for good: who could make it do that could keep a machine from being installed.

use std::time::{Duration, Instant};

/// Wrong guesses that cost nothing: people mistype.
pub const FREE_GUESSES: u32 = 3;
/// Wrong guesses after which a secret is to be replaced.
pub const GUESSES_MAX: u32 = 64;
/// The first pause, after the guess behind the free ones; each further one is twice as long.
pub const PAUSE: Duration = Duration::from_secs(1);
/// The longest pause.
pub const PAUSE_MAX: Duration = Duration::from_secs(30);

/// Counts the wrong guesses at one credential. A new secret begins with a new guard.
#[derive(Clone, Debug, Default)]
pub struct Guard {
    wrong: u32,
    closed_until: Option<Instant>,
}

impl Guard {
    /// For a credential that nobody has guessed at.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            wrong: 0,
            closed_until: None,
        }
    }

    /// How long the next handshake has to wait; zero: not at all.
    #[must_use]
    pub fn wait(&self, now: Instant) -> Duration {
        self.closed_until
            .map_or(Duration::ZERO, |until| until.saturating_duration_since(now))
    }

    /// Wrong guesses until now.
    #[must_use]
    pub const fn wrong_guesses(&self) -> u32 {
        self.wrong
    }

    /// Is a secret to be replaced? Keys cannot be guessed; their owner does not ask.
    #[must_use]
    pub const fn is_spent(&self) -> bool {
        self.wrong >= GUESSES_MAX
    }

    /// Notes a wrong guess, and says how long the next handshake has to wait.
    pub fn wrong_guess(&mut self, now: Instant) -> Duration {
        self.wrong = self.wrong.saturating_add(1);
        let pause = pause_after(self.wrong);
        self.closed_until = now.checked_add(pause);
        pause
    }
}

/// The pause after so many wrong guesses.
fn pause_after(wrong: u32) -> Duration {
    match wrong.checked_sub(FREE_GUESSES.saturating_add(1)) {
        None => Duration::ZERO,
        Some(doublings) => 2u32
            .checked_pow(doublings)
            .and_then(|factor| PAUSE.checked_mul(factor))
            .map_or(PAUSE_MAX, |pause| pause.min(PAUSE_MAX)),
    }
}

#[cfg(test)]
mod tests;
