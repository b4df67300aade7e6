//! The pause before the machine leaves by itself, in which an operator can read the screen, keep
//! the machine, or send it off at once.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// The operator's answer to a departure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Word {
    /// Do not leave by yourself.
    Stay,
    /// Leave now.
    Go,
}

/// Where the operator's word and the pause meet.
#[derive(Debug, Default)]
pub struct Departure {
    word: Mutex<Option<Word>>,
    said: Condvar,
}

impl Departure {
    /// Before anybody has said a word.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            word: Mutex::new(None),
            said: Condvar::new(),
        }
    }

    /// Passes the operator's word to a machine that is about to leave.
    pub fn say(&self, word: Word) {
        *self.lock() = Some(word);
        self.said.notify_all();
    }

    /// Returns after `within`, or as soon as the operator says [`Word::Go`]; after [`Word::Stay`]
    /// only then. The word may come before the pause: a complete disk is shown before the donor has
    /// said goodbye. The next pause begins without a word.
    pub fn linger(&self, within: Duration) {
        let word = self.lock();
        let waited = self
            .said
            .wait_timeout_while(word, within, |word| word.is_none());
        let (word, _) = waited.unwrap_or_else(PoisonError::into_inner);
        let waited = self.said.wait_while(word, |word| *word == Some(Word::Stay));
        *waited.unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// A word is stored in one step, so a thread that panics leaves a whole one behind.
    fn lock(&self) -> MutexGuard<'_, Option<Word>> {
        self.word.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::{Departure, Word};
    use std::sync::mpsc::{self, TryRecvError};
    use std::thread;
    use std::time::{Duration, Instant};

    const LONG: Duration = Duration::from_secs(60);

    #[test]
    fn without_a_word_the_pause_ends_by_itself() {
        Departure::new().linger(Duration::from_millis(50));
    }

    #[test]
    fn a_word_from_before_the_pause_counts_once() {
        let departure = Departure::new();
        departure.say(Word::Go);
        let began = Instant::now();
        departure.linger(LONG);
        assert!(began.elapsed() < LONG);
        departure.linger(Duration::from_millis(50));
        departure.say(Word::Stay);
        thread::scope(|scope| {
            let pause = scope.spawn(|| departure.linger(Duration::from_millis(1)));
            thread::sleep(Duration::from_millis(300));
            assert!(!pause.is_finished(), "the machine has left");
            departure.say(Word::Go);
        });
    }

    #[test]
    fn the_operator_keeps_the_machine_and_sends_it_off() {
        let departure = Departure::new();
        let (left, leaves) = mpsc::channel();
        thread::scope(|scope| {
            scope.spawn(|| {
                departure.linger(Duration::from_secs(1));
                left.send(()).unwrap();
            });
            // Again and again, before the pause and in it.
            let began = Instant::now();
            while began.elapsed() < Duration::from_millis(1500) {
                departure.say(Word::Stay);
                thread::sleep(Duration::from_millis(10));
            }
            assert_eq!(leaves.try_recv(), Err(TryRecvError::Empty));
            departure.say(Word::Go);
            leaves.recv_timeout(LONG).unwrap();
        });
    }
}
