//! Where a session's events go, and what `install` tells turned into them.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use bundle::event::{Event, Observer};

use crate::operator::OperatorControl;
use crate::operator::event::ReceiverEvent;

/// Progress of the stream is shown on consoles this often at most: a serial console is slow, and
/// its lines are evidence.
const LINE_INTERVAL: Duration = Duration::from_secs(3);
/// ... and reported as often as this.
const EVENT_INTERVAL: Duration = Duration::from_millis(250);

/// Where events go: the consoles and screens of PID 1, standard error for `receive-deploy`.
pub trait Reporter: Sync {
    /// Shows an event: its lines, or what a screen makes of it. The deploy waits for it, so it must
    /// return at once, whatever the state of the screen. Several threads call it, a few times a
    /// second at most.
    fn report(&self, event: &ReceiverEvent);

    /// The person in front of it, where there may be one to type an answer.
    fn operator(&self) -> Option<&OperatorControl> {
        None
    }
}

/// The session goes on with less.
pub(crate) fn warn(reporter: &dyn Reporter, text: &str) {
    reporter.report(&ReceiverEvent::Warning(text.to_owned()));
}

/// The events of `install` during one deploy, as events of the receiver.
pub(crate) struct DeployEvents<'a> {
    reporter: &'a dyn Reporter,
    last: Mutex<Last>,
}

/// When progress was reported.
struct Last {
    line: Instant,
    event: Option<Instant>,
}

impl<'a> DeployEvents<'a> {
    pub(crate) fn new(reporter: &'a dyn Reporter) -> Self {
        Self {
            reporter,
            last: Mutex::new(Last {
                line: Instant::now(),
                event: None,
            }),
        }
    }

    /// `None`: too soon. Otherwise whether consoles are due for a line as well.
    fn progress_due(&self) -> Option<bool> {
        let now = Instant::now();
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let is_soon = |event| now.duration_since(event) < EVENT_INTERVAL;
        if last.event.is_some_and(is_soon) {
            return None;
        }
        last.event = Some(now);
        let is_line_due = now.duration_since(last.line) >= LINE_INTERVAL;
        if is_line_due {
            last.line = now;
        }
        Some(is_line_due)
    }
}

impl Observer for DeployEvents<'_> {
    fn event(&self, event: Event) {
        let event = match event {
            Event::Stage { stage, facts } => ReceiverEvent::Stage { stage, facts },
            Event::Package { name, claimed_len } => ReceiverEvent::Package { name, claimed_len },
            Event::Received {
                bytes,
                unpacked_bytes,
            } => match self.progress_due() {
                None => return,
                Some(is_line_due) => ReceiverEvent::Progress {
                    received_bytes: bytes,
                    unpacked_bytes,
                    is_line_due,
                },
            },
            Event::Warning(text) => ReceiverEvent::Warning(text),
        };
        self.reporter.report(&event);
    }
}

#[cfg(test)]
mod tests {
    use super::{DeployEvents, EVENT_INTERVAL, Reporter};
    use crate::operator::event::ReceiverEvent;
    use bundle::event::{Event, Observer};
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::time::{Duration, Instant};

    struct Lines(Mutex<Vec<String>>);

    impl Reporter for Lines {
        fn report(&self, event: &ReceiverEvent) {
            let lines = event.lines();
            let mut shown = self.0.lock().unwrap();
            shown.extend(lines.iter().map(ToString::to_string));
        }
    }

    #[test]
    fn progress_never_floods_a_console() {
        let lines = Lines(Mutex::default());
        let events = DeployEvents::new(&lines);
        for bytes in 0..10_000 {
            events.event(Event::Received {
                bytes,
                unpacked_bytes: bytes,
            });
        }
        events.event(Event::Warning("less".to_owned()));
        events.event(Event::Package {
            name: "base".to_owned(),
            claimed_len: 7,
        });
        assert!(lines.0.lock().unwrap().ends_with(&[
            "warning: less".to_owned(),
            "smv receiving: package=base bytes=7".to_owned()
        ]));
        assert!(lines.0.lock().unwrap().len() < 10);
    }

    /// It is asked to return at once; one that does not is at least not asked often.
    #[test]
    fn progress_reaches_a_slow_screen_a_few_times_a_second() {
        struct Slow(AtomicU32);
        impl Reporter for Slow {
            fn report(&self, _: &ReceiverEvent) {
                self.0.fetch_add(1, Ordering::SeqCst);
                std::thread::sleep(Duration::from_millis(20));
            }
        }
        let (slow, begun) = (Slow(AtomicU32::new(0)), Instant::now());
        let events = DeployEvents::new(&slow);
        for bytes in 0..100_000 {
            let unpacked_bytes = 2 * bytes;
            events.event(Event::Received {
                bytes,
                unpacked_bytes,
            });
        }
        let intervals = begun.elapsed().as_millis() / EVENT_INTERVAL.as_millis();
        let reported = u128::from(slow.0.load(Ordering::SeqCst));
        assert!(
            reported >= 1 && reported <= 1 + intervals,
            "{reported} {intervals}"
        );
    }
}
