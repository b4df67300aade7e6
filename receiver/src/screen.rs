//! What a person and the tests see of a deploy: stage lines, and what `install` tells turned into them.

use std::error::Error;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use install::event::{Event, Observer};
use wire::stage::Stage;

use crate::news::News;
use crate::person::Person;

/// Progress of the stream is shown this often at most: a serial console is slow, and its lines are evidence.
const PROGRESS_INTERVAL: Duration = Duration::from_secs(3);

/// Where stage lines go: every console for PID 1, standard error for `receive-deploy`.
pub trait Screen: Sync {
    /// Shows `smv <stage>: <facts>`.
    fn stage(&self, stage: Stage, facts: &str);

    /// Tells a person what to do now, in one or several lines. It may hold the secret: it goes before eyes and into no log.
    fn hint(&self, text: &str);

    /// Shows that we go on with less.
    fn warning(&self, text: &str);

    /// What happens, beside the lines, for a screen that shows more than those.
    fn news(&self, _news: &News) {}

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

/// Turns the events of one deploy into lines.
pub(crate) struct Narrator<'a> {
    screen: &'a dyn Screen,
    last_progress: Mutex<Instant>,
}

impl<'a> Narrator<'a> {
    pub(crate) fn new(screen: &'a dyn Screen) -> Self {
        Self {
            screen,
            last_progress: Mutex::new(Instant::now()),
        }
    }

    fn is_progress_due(&self) -> bool {
        let mut last = self
            .last_progress
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let is_due = last.elapsed() >= PROGRESS_INTERVAL;
        if is_due {
            *last = Instant::now();
        }
        is_due
    }
}

impl Observer for Narrator<'_> {
    fn event(&self, event: Event) {
        match event {
            Event::Stage { stage, facts } => self.screen.stage(stage, &facts),
            Event::Package { name, claimed_len } => {
                self.screen.stage(
                    Stage::Receiving,
                    &format!("package={name} bytes={claimed_len}"),
                );
            }
            Event::Received {
                bytes,
                unpacked_bytes,
            } => {
                if self.is_progress_due() {
                    self.screen.stage(
                        Stage::Receiving,
                        &format!("received={bytes} unpacked={unpacked_bytes}"),
                    );
                }
            }
            Event::Warning(text) => self.screen.warning(&text),
            Event::Abandoned => {} // its error is shown soon
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Narrator, Screen, chain};
    use install::event::{Event, Observer};
    use std::sync::Mutex;
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
