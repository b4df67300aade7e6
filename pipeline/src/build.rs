//! Steps in order in, their outputs out: each begins when the steps that it needs have ended,
//! beside others. After a failure nothing new begins; what runs already is finished, for the next
//! build.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use crate::cache::Made;
use crate::make::{MakeError, Notice, Outcome, Workshop};
use crate::step::Step;

/// After so much silence it is said what is running.
const SILENCE: Duration = Duration::from_secs(30);

/// What happens, for a person to read.
#[derive(Debug)]
#[allow(missing_docs)] // the fields name themselves
pub enum Event<'a> {
    /// A command was started.
    Runs {
        step: &'a str,
        last: Option<Duration>,
    },
    /// Another build makes the same.
    Waits { step: &'a str },
    /// Some time has passed.
    StillRuns { running: Vec<Running<'a>> },
    /// A command has made its output.
    Ran { step: &'a str, made: &'a Made },
    /// It has not.
    Failed { step: &'a str, error: &'a MakeError },
}

/// A command that runs.
#[derive(Clone, Copy, Debug)]
pub struct Running<'a> {
    /// The step.
    pub step: &'a str,
    /// When it began.
    pub since: Instant,
    /// How long it took the last time.
    pub last: Option<Duration>,
}

/// Outputs by step.
pub type Outputs = BTreeMap<String, Made>;

/// Some steps have no output.
#[derive(Debug, thiserror::Error)]
#[error("{} failed", .0.join(", "))]
pub struct BuildError(pub Vec<String>);

enum Message<'a> {
    Notice(&'a str, Notice),
    Ended(&'a str, Result<Outcome, MakeError>),
}

/// What is to do, what is being done and what is done.
struct State<'a> {
    workshop: &'a Workshop,
    waiting: Vec<&'a Step>,
    /// Nothing while a step has not come as far as its command.
    running: BTreeMap<&'a str, Option<Running<'a>>>,
    outputs: Outputs,
    failed: Vec<String>,
}

/// Makes all steps of `order`, at most `jobs` beside one another; those of `again` even where they
/// are there.
///
/// # Errors
/// Some could not be made. Each was an [`Event::Failed`].
pub fn build(
    workshop: &Workshop,
    order: &[Step],
    again: &BTreeSet<String>,
    jobs: usize,
    say: &mut dyn FnMut(Event<'_>),
) -> Result<Outputs, BuildError> {
    let mut state = State {
        workshop,
        waiting: order.iter().collect(),
        running: BTreeMap::new(),
        outputs: Outputs::new(),
        failed: Vec::new(),
    };
    thread::scope(|scope| {
        let (sender, receiver) = mpsc::channel();
        loop {
            while state.running.len() < jobs
                && let Some(step) = state.next()
            {
                let (sender, needs) = (sender.clone(), state.outputs.clone());
                scope.spawn(move || {
                    // The receiver outlives every sender.
                    let send = |message| drop(sender.send(message));
                    let notice = |notice| send(Message::Notice(&step.name, notice));
                    let again = again.contains(&step.name);
                    let ended = workshop.make(step, &needs, again, &notice);
                    send(Message::Ended(&step.name, ended));
                });
            }
            if state.running.is_empty() {
                break;
            }
            match receiver.recv_timeout(SILENCE) {
                Ok(message) => state.take(message, say),
                Err(RecvTimeoutError::Timeout) => {
                    let running = state.running.values().copied().flatten().collect();
                    say(Event::StillRuns { running });
                }
                // Not while `sender` is here.
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
    });
    match state.failed.is_empty() {
        true => Ok(state.outputs),
        false => Err(BuildError(state.failed)),
    }
}

impl<'a> State<'a> {
    /// The next step that can begin. None can after a failure.
    fn next(&mut self) -> Option<&'a Step> {
        if !self.failed.is_empty() {
            return None;
        }
        let has = |need: &&str| self.outputs.contains_key(*need);
        let is_ready = |step: &&Step| step.needs().iter().all(has);
        let at = self.waiting.iter().position(is_ready)?;
        let step = self.waiting.remove(at);
        self.running.insert(&step.name, None);
        Some(step)
    }

    fn take(&mut self, message: Message<'a>, say: &mut dyn FnMut(Event<'_>)) {
        match message {
            Message::Notice(step, Notice::Waits) => say(Event::Waits { step }),
            Message::Notice(step, Notice::Runs) => {
                let last = self.workshop.cache.newest(step).map(|made| made.took);
                let since = Instant::now();
                self.running
                    .insert(step, Some(Running { step, since, last }));
                say(Event::Runs { step, last });
            }
            Message::Ended(step, ended) => {
                self.running.remove(step);
                let made = match ended {
                    Ok(Outcome::Found(made)) => made,
                    Ok(Outcome::Ran(made)) => {
                        say(Event::Ran { step, made: &made });
                        made
                    }
                    Err(error) => {
                        let error = &error;
                        say(Event::Failed { step, error });
                        self.failed.push(step.to_owned());
                        return;
                    }
                };
                self.outputs.insert(step.to_owned(), made);
            }
        }
    }
}
