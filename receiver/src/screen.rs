//! What a person and the tests see of a deploy: stage lines, and what `install` tells turned into them.

use std::error::Error;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use bundle::event::{Event, Observer};
use wire::stage::Stage;

use crate::event::ReceiverEvent;
use crate::person::Person;

/// Progress of the stream is shown this often at most: a serial console is slow, and its lines are evidence.
const PROGRESS_INTERVAL: Duration = Duration::from_secs(3);
/// ... and told as news as often as this.
const NEWS_INTERVAL: Duration = Duration::from_millis(250);

/// Where stage lines go: every console for PID 1, standard error for `receive-deploy`.
pub trait Screen: Sync {
    /// Shows `smv <stage>: <facts>`.
    fn stage(&self, stage: Stage, facts: &str);

    /// Tells a person what to do now, in one or several lines. It may hold the secret: it goes before eyes and into no log.
    fn hint(&self, text: &str);

    /// Shows that we go on with less.
    fn warning(&self, text: &str);

    /// What happens, beside the lines, for a screen that shows more than those. The deploy waits for it: it must return at once,
    /// whatever the state of the screen. It is called by several threads, a few times a second at most.
    fn news(&self, _news: &ReceiverEvent) {}

    /// The person in front of it, where there may be one to type an answer.
    fn person(&self) -> Option<&Person> {
        None
    }
}

/// An error and its causes, joined with `: `.
#[must_use]
pub fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

/// We go on with less: said in both ways.
pub(crate) fn warn(screen: &dyn Screen, text: &str) {
    screen.warning(text);
    screen.news(&ReceiverEvent::Warning(text.to_owned()));
}

/// Turns the events of one deploy into lines and news.
pub(crate) struct Narrator<'a> {
    screen: &'a dyn Screen,
    last: Mutex<Last>,
}

/// When progress was told.
struct Last {
    line: Instant,
    news: Option<Instant>,
}

impl<'a> Narrator<'a> {
    pub(crate) fn new(screen: &'a dyn Screen) -> Self {
        Self {
            screen,
            last: Mutex::new(Last {
                line: Instant::now(),
                news: None,
            }),
        }
    }

    /// Whether progress is due as a line, and as news.
    fn is_progress_due(&self) -> (bool, bool) {
        let now = Instant::now();
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let is_line_due = now.duration_since(last.line) >= PROGRESS_INTERVAL;
        if is_line_due {
            last.line = now;
        }
        let is_due = |news| now.duration_since(news) >= NEWS_INTERVAL;
        let is_news_due = last.news.is_none_or(is_due);
        if is_news_due {
            last.news = Some(now);
        }
        (is_line_due, is_news_due)
    }

    fn progress(&self, received_bytes: u64, unpacked_bytes: u64) {
        let (is_line_due, is_news_due) = self.is_progress_due();
        if is_line_due {
            let facts = format!("received={received_bytes} unpacked={unpacked_bytes}");
            self.screen.stage(Stage::Receiving, &facts);
        }
        if is_news_due {
            self.screen.news(&ReceiverEvent::Progress {
                received_bytes,
                unpacked_bytes,
            });
        }
    }
}

impl Observer for Narrator<'_> {
    fn event(&self, event: Event) {
        match event {
            Event::Stage { stage, facts } => {
                self.screen.stage(stage, &facts);
                self.screen.news(&ReceiverEvent::Stage { stage, facts });
            }
            Event::Package { name, claimed_len } => {
                let facts = format!("package={name} bytes={claimed_len}");
                self.screen.stage(Stage::Receiving, &facts);
                self.screen
                    .news(&ReceiverEvent::Package { name, claimed_len });
            }
            Event::Received {
                bytes,
                unpacked_bytes,
            } => self.progress(bytes, unpacked_bytes),
            Event::Warning(text) => warn(self.screen, &text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{NEWS_INTERVAL, Narrator, Screen, chain};
    use crate::event::ReceiverEvent;
    use bundle::event::{Event, Observer};
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::time::{Duration, Instant};
    use wire::stage::Stage;

    struct Lines(Mutex<Vec<String>>);

    impl Screen for Lines {
        fn stage(&self, stage: Stage, facts: &str) {
            self.0.lock().unwrap().push(format!("{stage}: {facts}"));
        }

        fn hint(&self, _: &str) {}

        fn warning(&self, text: &str) {
            self.0.lock().unwrap().push(format!("warning: {text}"));
        }
    }

    #[test]
    fn progress_never_floods_a_console() {
        let lines = Lines(Mutex::default());
        let narrator = Narrator::new(&lines);
        for bytes in 0..10_000 {
            narrator.event(Event::Received {
                bytes,
                unpacked_bytes: bytes,
            });
        }
        narrator.event(Event::Warning("less".to_owned()));
        narrator.event(Event::Package {
            name: "base".to_owned(),
            claimed_len: 7,
        });
        assert!(lines.0.lock().unwrap().ends_with(&[
            "warning: less".to_owned(),
            "receiving: package=base bytes=7".to_owned()
        ]));
        assert!(lines.0.lock().unwrap().len() < 10);
    }

    /// It is asked to return at once; one that does not is at least not asked often.
    #[test]
    fn a_slow_screen_is_told_of_progress_a_few_times_a_second() {
        struct Slow(AtomicU32);
        impl Screen for Slow {
            fn stage(&self, _: Stage, _: &str) {}
            fn hint(&self, _: &str) {}
            fn warning(&self, _: &str) {}
            fn news(&self, _: &ReceiverEvent) {
                self.0.fetch_add(1, Ordering::SeqCst);
                std::thread::sleep(Duration::from_millis(20));
            }
        }
        let (slow, begun) = (Slow(AtomicU32::new(0)), Instant::now());
        let narrator = Narrator::new(&slow);
        for bytes in 0..100_000 {
            let unpacked_bytes = 2 * bytes;
            narrator.event(Event::Received {
                bytes,
                unpacked_bytes,
            });
        }
        let intervals = begun.elapsed().as_millis() / NEWS_INTERVAL.as_millis();
        let told = u128::from(slow.0.load(Ordering::SeqCst));
        assert!(told >= 1 && told <= 1 + intervals, "{told} {intervals}");
    }

    #[test]
    fn a_chain_names_every_cause_once() {
        #[derive(Debug, thiserror::Error)]
        #[error("reading x")]
        struct Outer(#[source] std::io::Error);
        assert_eq!(
            chain(&Outer(std::io::Error::other("broken"))),
            "reading x: broken"
        );
    }
}
