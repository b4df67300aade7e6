//! Why a program ended, or a version was not kept: one word.

use std::fmt;
use std::str::FromStr;

use wire::ledger::Word;

use super::LineError;

/// The word of `daemons.md` 2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// Another change is under way.
    Busy,
    /// It is what runs.
    Current,
    /// It failed before.
    FailedBefore,
    /// There is no such generation, or its `SERVICE` cannot be read.
    NoGeneration,
    /// There is nothing to go back to.
    NoFormer,
    /// It is not as it was signed.
    Rejected,
    /// Its counter is lower than one that its key has signed and that was kept here.
    BelowFloor,
    /// Two versions in a row were taken back.
    Stopped,
    /// Ledger or links cannot be read or written.
    Ledger,
    /// This machine's init has no service of its name, or does not stop or start it.
    Service,
    /// The daemon is being stopped.
    Leaving,
    /// Its user does not exist.
    User,
    /// Its program is not there, or is not executable.
    Missing,
    /// A socket of its own cannot be bound.
    Sockets,
    /// It did not pass its own test.
    Selftest,
    /// It cannot be started.
    Exec,
    /// It did not get ready in its time.
    NotReady,
    /// It answered that it is not well, or did not answer.
    Unhealthy,
    /// It ended with this status.
    Exit(u8),
    /// A signal ended it.
    Signal(u8),
}

impl Why {
    const WORDS: [(Self, &'static str); 18] = [
        (Self::Busy, "busy"),
        (Self::Current, "current"),
        (Self::FailedBefore, "failed-before"),
        (Self::NoGeneration, "no-generation"),
        (Self::NoFormer, "no-former"),
        (Self::Rejected, "rejected"),
        (Self::BelowFloor, "below-floor"),
        (Self::Stopped, "stopped"),
        (Self::Ledger, "ledger"),
        (Self::Service, "service"),
        (Self::Leaving, "leaving"),
        (Self::User, "user"),
        (Self::Missing, "missing"),
        (Self::Sockets, "sockets"),
        (Self::Selftest, "selftest"),
        (Self::Exec, "exec"),
        (Self::NotReady, "not-ready"),
        (Self::Unhealthy, "unhealthy"),
    ];

    /// As the ledger keeps it.
    #[must_use]
    pub fn word(self) -> Option<Word> {
        Word::new(&self.to_string())
    }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exit(status) => write!(f, "exit-{status}"),
            Self::Signal(signal) => write!(f, "signal-{signal}"),
            why => {
                let mut words = Self::WORDS.iter();
                let word = words.find(|(known, _)| known == why);
                f.write_str(word.map_or("", |(_, word)| word))
            }
        }
    }
}

impl FromStr for Why {
    type Err = LineError;

    fn from_str(text: &str) -> Result<Self, LineError> {
        let number = |text: &str| text.parse().map_err(|_| LineError);
        if let Some(status) = text.strip_prefix("exit-") {
            return number(status).map(Self::Exit);
        }
        if let Some(signal) = text.strip_prefix("signal-") {
            return number(signal).map(Self::Signal);
        }
        let mut words = Self::WORDS.into_iter();
        let found = words.find(|(_, word)| *word == text);
        found.map(|(why, _)| why).ok_or(LineError)
    }
}

#[cfg(test)]
mod tests {
    use super::Why;

    #[test]
    fn each_word_is_read_and_fits_into_the_ledger() {
        let ended = [Why::Exit(0), Why::Exit(255), Why::Signal(11)];
        let words = Why::WORDS.into_iter().map(|(why, _)| why);
        for why in words.chain(ended) {
            let text = why.to_string();
            assert_eq!(text.parse(), Ok(why));
            assert_eq!(why.word().unwrap().as_str(), text);
        }
        for text in ["", "exit-", "exit-256", "exit--1", "Busy"] {
            assert!(text.parse::<Why>().is_err(), "{text}");
        }
    }
}
