//! A daemon is asked whether it is well, without anybody waiting for it: each question has a thread
//! of its own, which ends within its time, and its answer wakes the one who polls.

use std::io;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::Duration;

use machine::health::answer::{Url, must_answer};
use sys::eventfd::EventFd;
use wire::chain::chain;

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The number of the question.
    pub question: u64,
    /// Why it is not well.
    pub outcome: Result<(), String>,
}

/// Asks.
#[derive(Debug)]
pub struct Asker {
    wake: EventFd,
    to: Sender<Answer>,
    from: Receiver<Answer>,
}

impl Asker {
    /// Nothing is asked yet.
    ///
    /// # Errors
    /// No descriptor is left.
    pub fn new() -> io::Result<Self> {
        let (to, from) = channel();
        Ok(Self {
            wake: EventFd::new()?,
            to,
            from,
        })
    }

    /// Asks once; the answer comes within `limit`.
    ///
    /// # Errors
    /// No thread is left.
    pub fn ask(&self, question: u64, url: Url, limit: Duration) -> io::Result<()> {
        let (wake, to) = (self.wake.clone(), self.to.clone());
        let ask = move || {
            let outcome = must_answer(&url, limit).map_err(|error| chain(&error).to_string());
            // Nobody listens any more when the daemon is not held any more.
            let _ = to.send(Answer { question, outcome });
            wake.notify();
        };
        thread::Builder::new().name("health".into()).spawn(ask)?;
        Ok(())
    }

    /// Readable when there are answers.
    #[must_use]
    pub const fn wake(&self) -> &EventFd {
        &self.wake
    }

    /// The answers that have come.
    pub fn answers(&self) -> Vec<Answer> {
        self.wake.clear();
        self.from.try_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::Asker;
    use rustix::event::PollFlags;
    use std::net::TcpListener;
    use std::time::{Duration, Instant};

    #[test]
    fn an_answer_wakes_and_silence_ends() {
        let silent = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/", silent.local_addr().unwrap());
        let asker = Asker::new().unwrap();
        let began = Instant::now();
        let limit = Duration::from_millis(200);
        asker.ask(7, url.parse().unwrap(), limit).unwrap();
        assert!(asker.answers().is_empty());
        let long = Duration::from_secs(60);
        sys::poll::wait_for(asker.wake(), PollFlags::IN, long)
            .unwrap()
            .unwrap();
        // The kernel counts a socket's time in ticks, 10 ms at most, the first of them begun already.
        assert!(began.elapsed() + Duration::from_millis(10) >= limit);
        let answers = asker.answers();
        assert_eq!(answers.len(), 1);
        assert!(answers[0].question == 7 && answers[0].outcome.is_err());
    }
}
