//! Connections that were closed because of what they sent, or did not send: counted, and shown
//! without flooding a console.
//!
//! Anybody on the network can make any number of them, so lines are rationed: [`BURST`] at once,
//! then one for each [`INTERVAL`], which also says how many were left out.

use std::error::Error;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::operator::event::ReceiverEvent;
use crate::operator::reporter::Reporter;
use wire::chain::chain;

/// Lines that may follow each other at once: a person's own mistakes are all shown.
const BURST: u32 = 8;
/// Then one line in this time; a serial console at 9600 baud shows ten in it.
const INTERVAL: Duration = Duration::from_secs(1);
/// A peer's words in an error are bounded there already; this bounds the line whatever the error.
const REASON_MAX: usize = 400;

/// The tally of one boot.
#[derive(Debug)]
pub struct Refusals {
    count: u64,
    left_out: u64,
    /// Lines that may be shown now.
    credit: u32,
    /// When the credit was last paid.
    paid: Instant,
}

impl Refusals {
    /// None so far.
    #[must_use]
    pub const fn new(now: Instant) -> Self {
        Self {
            count: 0,
            left_out: 0,
            credit: BURST,
            paid: now,
        }
    }

    /// Takes note of one and shows it when its turn has come.
    pub fn note(
        &mut self,
        peer: SocketAddr,
        error: &dyn Error,
        now: Instant,
        reporter: &dyn Reporter,
    ) {
        self.count = self.count.saturating_add(1);
        self.pay(now);
        if self.credit == 0 {
            self.left_out = self.left_out.saturating_add(1);
            return;
        }
        self.credit -= 1;
        let reason = chain(error).to_string();
        let end = reason.floor_char_boundary(REASON_MAX);
        let reason = reason.get(..end).unwrap_or_default();
        reporter.report(&ReceiverEvent::Refused {
            peer,
            count: self.count,
            unreported: std::mem::take(&mut self.left_out),
            reason: reason.to_owned(),
        });
    }

    fn pay(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.paid);
        let intervals = u32::try_from(passed.as_secs() / INTERVAL.as_secs()).unwrap_or(u32::MAX);
        if intervals > 0 {
            self.credit = self.credit.saturating_add(intervals).min(BURST);
            self.paid = now;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{BURST, Refusals};
    use crate::operator::event::ReceiverEvent;
    use crate::operator::reporter::Reporter;
    use std::io;
    use std::sync::Mutex;
    use std::time::{Duration, Instant};

    #[derive(Default)]
    struct Lines(Mutex<Vec<String>>);

    impl Reporter for Lines {
        fn report(&self, event: &ReceiverEvent) {
            let lines = event.lines();
            let mut shown = self.0.lock().unwrap();
            shown.extend(lines.iter().map(|line| line.text().to_owned()));
        }
    }

    #[test]
    fn a_flood_is_counted_whole_and_shown_in_part() {
        let (lines, start) = (Lines::default(), Instant::now());
        let mut refusals = Refusals::new(start);
        let peer = ([10, 9, 0, 7], 40000).into();
        let error = io::Error::other("x".repeat(5000));
        for millisecond in 0..10_000 {
            let now = start + Duration::from_millis(millisecond);
            refusals.note(peer, &error, now, &lines);
        }
        assert_eq!(refusals.count, 10_000);
        let lines = lines.0.into_inner().unwrap();
        assert_eq!(lines.len(), BURST as usize + 9);
        assert!(lines[0].starts_with("refused peer=10.9.0.7:40000 count=1: xxx"));
        assert!(lines[9].contains(" unshown=999: "), "{}", lines[9]);
        assert!(lines.iter().all(|line| line.len() < 500));
    }
}
