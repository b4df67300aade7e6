//! The reports to a sending donor: stages, progress, warnings, and in the end success or the
//! reason of failure (`protocol.md` 3.3).
//!
//! The deploy puts reports in and never waits. One thread for each connection takes them out and
//! writes; a donor that takes nothing holds up that thread and nobody else. Memory is bounded:
//! progress is one value that is overwritten, of the lines the oldest are dropped, the last word
//! has a place of its own. What was not written when a connection broke goes to the next.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use bundle::event::Event;
use wire::message::{LINE_MAX, Level, Message, Next, Text};
use wire::stage::Stage;

/// Lines that wait for the donor; the evidence after a failure is fewer.
const LINES_MAX: usize = 128;

/// Where the deploy is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// The stage.
    pub stage: Stage,
    /// The chunk that is wanted next; everything before it was verified and is being unpacked.
    pub next: Next,
    /// Bytes of packages so far.
    pub received_bytes: u64,
    /// Bytes unpacked from them.
    pub unpacked_bytes: u64,
}

/// One thing to say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Report {
    /// Replaces what was said before.
    Progress(Progress),
    /// For a person.
    Line(Level, String),
    /// The last word: the reason chain.
    Failed(String),
    /// The last word: this manifest is installed.
    Installed([u8; 32]),
}

impl Report {
    /// As it is sent; what is too long for its kind is cut there.
    #[must_use]
    pub fn message(&self) -> Message<'_> {
        match self {
            Report::Progress(progress) => Message::Progress {
                stage: progress.stage,
                next: progress.next,
                received_bytes: progress.received_bytes,
                unpacked_bytes: progress.unpacked_bytes,
            },
            Report::Line(level, text) => Message::Log {
                level: *level,
                text: Text::new(text),
            },
            Report::Failed(reason) => Message::Failed {
                text: Text::new(reason),
            },
            Report::Installed(manifest_sha256) => Message::Installed {
                manifest_sha256: *manifest_sha256,
            },
        }
    }

    const fn is_last_word(&self) -> bool {
        matches!(self, Report::Failed(_) | Report::Installed(_))
    }
}

/// The way to one donor. It may block; it fails once and is then dropped.
pub trait Teller: Send {
    /// Returns when the report is on its way.
    ///
    /// # Errors
    /// The donor is gone or has taken nothing for too long.
    fn tell(&mut self, report: &Report) -> io::Result<()>;
}

#[derive(Debug)]
struct State {
    lines: VecDeque<(Level, String)>,
    now: Progress,
    is_progress_due: bool,
    last_word: Option<Report>,
    /// Number of the connection in use; a thread that serves another one ends.
    connection: u64,
    /// The connection over which a last word was said.
    said_over: Option<u64>,
    is_connected: bool,
}

impl State {
    fn take(&mut self) -> Option<Report> {
        if let Some((level, text)) = self.lines.pop_front() {
            return Some(Report::Line(level, text));
        }
        if std::mem::take(&mut self.is_progress_due) {
            return Some(Report::Progress(self.now));
        }
        self.last_word.take()
    }

    fn line(&mut self, level: Level, text: &str) {
        for piece in text.lines() {
            if self.lines.len() >= LINES_MAX {
                self.lines.pop_front();
            }
            let end = piece.floor_char_boundary(LINE_MAX);
            let piece = piece.get(..end).unwrap_or_default();
            self.lines.push_back((level, piece.to_owned()));
        }
    }
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

impl Shared {
    /// Every change of the state is complete before its lock is released, so a panic elsewhere
    /// harms nothing.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The reports of one deploy, over as many connections as it takes.
#[derive(Debug)]
pub struct Reports {
    shared: Arc<Shared>,
}

impl Default for Reports {
    fn default() -> Self {
        Self {
            shared: Arc::new(Shared {
                state: Mutex::new(State {
                    lines: VecDeque::new(),
                    now: Progress {
                        stage: Stage::Accepted,
                        next: Next::default(),
                        received_bytes: 0,
                        unpacked_bytes: 0,
                    },
                    is_progress_due: false,
                    last_word: None,
                    connection: 0,
                    said_over: None,
                    is_connected: false,
                }),
                changed: Condvar::new(),
            }),
        }
    }
}

impl Reports {
    /// From now on reports go this way; the current stage is sent at once.
    ///
    /// # Errors
    /// No thread could be started; nothing is reported then.
    pub fn connect(&self, teller: Box<dyn Teller>) -> io::Result<()> {
        let connection = {
            let mut state = self.shared.lock();
            state.connection = state.connection.wrapping_add(1);
            state.is_connected = true;
            state.is_progress_due = true;
            state.connection
        };
        let shared = Arc::clone(&self.shared);
        let started = thread::Builder::new()
            .name("reports".to_owned())
            .spawn(move || carry(&shared, connection, teller));
        if started.is_err() {
            self.disconnect();
        }
        started.map(drop)
    }

    /// The connection is gone; what comes from now on waits for the next.
    pub fn disconnect(&self) {
        let mut state = self.shared.lock();
        state.connection = state.connection.wrapping_add(1);
        state.is_connected = false;
        self.shared.changed.notify_all();
    }

    /// This chunk is the next that is wanted.
    pub fn wanted(&self, next: Next) {
        self.progress(|now| now.next = next);
    }

    /// A line for the person at the donor.
    pub fn line(&self, level: Level, text: &str) {
        self.shared.lock().line(level, text);
        self.shared.changed.notify_all();
    }

    /// The events of the deploy.
    pub fn event(&self, event: &Event) {
        match event {
            Event::Stage { stage, facts } => {
                self.line(Level::Info, &format!("smv {stage}: {facts}"));
                self.progress(|now| now.stage = *stage);
            }
            Event::Package { name, claimed_len } => {
                let stage = Stage::Receiving;
                let text = format!("smv {stage}: package={name} bytes={claimed_len}");
                self.line(Level::Info, &text);
                self.progress(|now| now.stage = stage);
            }
            Event::Received {
                bytes,
                unpacked_bytes,
            } => self.progress(|now| {
                (now.received_bytes, now.unpacked_bytes) = (*bytes, *unpacked_bytes);
            }),
            Event::Warning(text) => self.line(Level::Warning, text),
        }
    }

    fn progress(&self, change: impl FnOnce(&mut Progress)) {
        let mut state = self.shared.lock();
        change(&mut state.now);
        state.is_progress_due = true;
        drop(state);
        self.shared.changed.notify_all();
    }

    /// Says the last word behind everything that waits; true when it is on its way, false when
    /// nobody takes it within `patience`. Reported again over another connection, it is sent again;
    /// but one that was left over from the connection before may have been sent over this one
    /// already, and a donor that has heard it listens no more.
    #[must_use]
    pub fn last_word(&self, word: Report, patience: Duration) -> bool {
        let deadline = Instant::now() + patience;
        let mut state = self.shared.lock();
        if state.said_over == Some(state.connection) {
            return true;
        }
        state.last_word = Some(word);
        self.shared.changed.notify_all();
        while state.is_connected {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            let waited = self.shared.changed.wait_timeout(state, left);
            (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        }
        state.last_word.is_none()
    }
}

impl Drop for Reports {
    fn drop(&mut self) {
        self.disconnect();
    }
}

/// The thread of one connection: until it breaks, is replaced, or the last word is said.
fn carry(shared: &Shared, connection: u64, mut teller: Box<dyn Teller>) {
    loop {
        let mut state = shared.lock();
        let report = loop {
            if state.connection != connection {
                return;
            }
            match state.take() {
                Some(report) => break report,
                None => {
                    let waited = shared.changed.wait(state);
                    state = waited.unwrap_or_else(PoisonError::into_inner);
                }
            }
        };
        drop(state);
        let told = teller.tell(&report);
        if told.is_ok() && !report.is_last_word() {
            continue;
        }
        let mut state = shared.lock();
        if told.is_err() && report.is_last_word() {
            state.last_word = Some(report); // for another connection, should there be one
        }
        if state.connection == connection {
            state.is_connected = false;
            state.said_over = told.is_ok().then_some(connection);
        }
        shared.changed.notify_all();
        return;
    }
}

#[cfg(test)]
mod tests;
