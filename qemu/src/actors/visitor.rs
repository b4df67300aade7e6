//! Somebody who asks an HTTP server one thing after the other without a pause, and knows how long
//! it ever took to get an answer.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};

use crate::error::{Doing, Result};
use crate::lab::http_get;

/// One who asks.
#[derive(Debug)]
pub struct Visitor {
    is_over: Arc<AtomicBool>,
    thread: JoinHandle<Asked>,
}

/// What came of it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Asked {
    /// Requests.
    pub times: u32,
    /// Those of them without an answer, or with another one than 200.
    pub failed: u32,
    /// The time that the slowest answer took.
    pub longest: Duration,
}

impl fmt::Display for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Asked {
            times,
            failed,
            longest,
        } = self;
        let longest = longest.as_millis();
        write!(
            f,
            "asked {times} times, {failed} failed, the longest wait was {longest} ms"
        )
    }
}

impl Visitor {
    /// Begins to ask.
    ///
    /// # Errors
    /// There is no thread for it.
    pub fn start(address: IpAddr, port: u16, path: &'static str) -> Result<Self> {
        let is_over = Arc::new(AtomicBool::new(false));
        let until = Arc::clone(&is_over);
        let thread = Builder::new().spawn(move || {
            let mut asked = Asked::default();
            while !until.load(Ordering::Relaxed) {
                let began = Instant::now();
                let answer = http_get(address, port, path);
                let is_good = answer.is_ok_and(|text| text.contains(" 200 "));
                asked.times += 1;
                asked.failed += u32::from(!is_good);
                asked.longest = asked.longest.max(began.elapsed());
            }
            asked
        });
        Ok(Self {
            is_over,
            thread: thread.doing("starting", "a visitor")?,
        })
    }

    /// Asks no more.
    #[must_use]
    pub fn end(self) -> Asked {
        self.is_over.store(true, Ordering::Relaxed);
        self.thread.join().unwrap_or_default()
    }
}
