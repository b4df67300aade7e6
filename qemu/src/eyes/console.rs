//! A machine's serial console: everything it prints is kept in a file, and what a scenario waits
//! for is found in it in order. Every wait has a deadline; a wait that fails shows the end of the
//! console.

use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use wire::stage::Stage;

use crate::error::{Doing, HarnessError, Result};
use crate::eyes::screen::ScreenText;
use crate::eyes::terminal::Terminal;
use crate::eyes::transcript::{self, Printer};

/// Lines of the console that an error shows.
const TAIL_LINES: usize = 25;

#[derive(Debug, Default)]
struct Heard {
    bytes: Vec<u8>,
    closed: bool,
    /// In front of the line, once somebody has switched one on.
    terminal: Option<Terminal>,
}

#[derive(Debug, Default)]
struct Shared {
    heard: Mutex<Heard>,
    grown: Condvar,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Heard> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The console of one running machine. What was matched once is behind it: waits look only at what
/// came after.
#[derive(Debug)]
pub struct Console {
    shared: Arc<Shared>,
    writer: UnixStream,
    /// Bytes of the console that earlier waits have consumed.
    position: usize,
}

/// The result of a wait over the unread part of the console.
enum Look<T> {
    /// Nothing yet; the first `usize` bytes need not be looked at again.
    Nothing(usize),
    /// Found; what follows the first `usize` bytes is for the next wait.
    Found(T, usize),
}

impl Console {
    /// Listens to `stream` from now on and copies it to the file `log`; when `live` is given, the
    /// lines that [`transcript::tells`] also to standard output behind that prefix.
    ///
    /// # Errors
    /// The log cannot be made.
    pub fn listen(stream: UnixStream, log: &Path, live: Option<String>) -> Result<Self> {
        let file = File::create(log).doing("creating", log.display())?;
        let writer = stream
            .try_clone()
            .doing("duplicating", "the console's socket")?;
        let shared = Arc::new(Shared::default());
        let theirs = Arc::clone(&shared);
        std::thread::spawn(move || hear(stream, file, live, &theirs));
        Ok(Self {
            shared,
            writer,
            position: 0,
        })
    }

    /// Waits until the target announces `stage` and returns the facts behind it.
    ///
    /// # Errors
    /// It did not in time; or it announced a failure, or its kernel died, which is known at once.
    pub fn await_stage(&mut self, stage: Stage, patience: Duration) -> Result<String> {
        match self.await_stage_of(&[stage, Stage::Failed], patience)? {
            (found, facts) if found == stage => Ok(facts),
            (_, facts) => Err(HarnessError::TargetFailed {
                awaited: stage,
                facts: format!("failed: {facts}"),
                tail: self.tail(),
            }),
        }
    }

    /// Waits until the target announces one of `stages`, and returns which, and the facts behind
    /// it.
    ///
    /// # Errors
    /// It did not in time, or its kernel died.
    pub fn await_stage_of(
        &mut self,
        stages: &[Stage],
        patience: Duration,
    ) -> Result<(Stage, String)> {
        let what = stages
            .iter()
            .map(|stage| stage.name())
            .collect::<Vec<_>>()
            .join(" or ");
        let found = self.await_look(&format!("stage {what}"), patience, |unread| {
            let mut consumed = 0;
            for line in unread
                .split_inclusive(|byte| *byte == b'\n')
                .filter(|line| line.ends_with(b"\n"))
            {
                consumed += line.len();
                let text = String::from_utf8_lossy(line);
                match Stage::of_line(&text) {
                    Some((stage, facts)) if stages.contains(&stage) => {
                        return Look::Found(Ok((stage, facts.to_owned())), consumed);
                    }
                    _ if text.contains("Kernel panic") => {
                        return Look::Found(Err(text.trim().to_owned()), consumed);
                    }
                    _ => {}
                }
            }
            Look::Nothing(consumed)
        })?;
        let awaited = stages.first().copied().unwrap_or(Stage::Failed);
        found.map_err(|facts| HarnessError::TargetFailed {
            awaited,
            facts,
            tail: self.tail(),
        })
    }

    /// Waits until `text` was printed, wherever in a line, and returns the line it ended.
    ///
    /// # Errors
    /// It was not in time.
    pub fn await_text(&mut self, text: &str, patience: Duration) -> Result<String> {
        let needle = text.as_bytes();
        self.await_look(&format!("the text {text:?}"), patience, |unread| {
            let Some(at) = unread
                .windows(needle.len())
                .position(|window| window == needle)
            else {
                return Look::Nothing(unread.len().saturating_sub(needle.len()));
            };
            let end = at + needle.len();
            let before = unread.get(..end).unwrap_or_default();
            let line = before
                .rsplit(|byte| *byte == b'\n')
                .next()
                .unwrap_or_default();
            Look::Found(transcript::plain(&String::from_utf8_lossy(line)), end)
        })
    }

    /// Where the unread part of the console begins.
    #[must_use]
    pub const fn position(&self) -> usize {
        self.position
    }

    /// Waits until `find` finds something in what was printed since `from`, read or not; consumes
    /// nothing. For what may stand before or behind a stage line: programs write past the kernel's
    /// log.
    ///
    /// # Errors
    /// It did not in time.
    pub fn await_since<T>(
        &mut self,
        from: usize,
        what: &str,
        patience: Duration,
        find: impl Fn(&str) -> Option<T>,
    ) -> Result<T> {
        let position = std::mem::replace(&mut self.position, from);
        let found = self.await_look(what, patience, |unread| {
            let text = transcript::plain(&String::from_utf8_lossy(unread));
            find(&text).map_or(Look::Nothing(0), |value| Look::Found(value, 0))
        });
        self.position = position;
        found
    }

    /// Types a line, as a person at the serial terminal would.
    ///
    /// # Errors
    /// The machine is gone.
    pub fn send(&mut self, line: &str) -> Result<()> {
        self.send_bytes(format!("{line}\r").as_bytes())
    }

    /// Presses one key.
    ///
    /// # Errors
    /// The machine is gone.
    pub fn press(&mut self, key: char) -> Result<()> {
        self.send_bytes(key.encode_utf8(&mut [0; 4]).as_bytes())
    }

    /// Sends what a terminal would, or what none ever does.
    ///
    /// # Errors
    /// The machine is gone.
    pub fn send_bytes(&mut self, bytes: &[u8]) -> Result<()> {
        self.writer
            .write_all(bytes)
            .doing("typing on", "the console")
    }

    /// Puts a terminal of that size in front of the line. It shows what comes from now on, and
    /// answers what programs ask a terminal.
    pub fn switch_on(&mut self, columns: u16, lines: u16) {
        self.shared.lock().terminal = Some(Terminal::new(columns, lines));
    }

    /// The screen of the terminal, with its colours.
    #[must_use]
    pub fn terminal_screen(&self) -> Option<vt100::Screen> {
        self.shared.lock().terminal.as_ref().map(Terminal::screen)
    }

    /// Waits until `find` finds something on the terminal's screen; consumes nothing of what was
    /// printed.
    ///
    /// # Errors
    /// It did not in time: with the screen.
    pub fn await_screen<T>(
        &self,
        what: &str,
        patience: Duration,
        find: impl Fn(&ScreenText) -> Option<T>,
    ) -> Result<T> {
        let end = Instant::now() + patience;
        let mut heard = self.shared.lock();
        loop {
            let screen = heard.terminal.as_ref().map(Terminal::text);
            let screen = screen.unwrap_or_default();
            if let Some(found) = find(&screen) {
                return Ok(found);
            }
            let left = end.saturating_duration_since(Instant::now());
            let (what, tail) = (what.to_owned(), screen.to_string());
            if heard.closed {
                return Err(HarnessError::ConsoleClosed { what, tail });
            }
            if left.is_zero() {
                return Err(HarnessError::Deadline {
                    what,
                    patience,
                    tail,
                });
            }
            heard = self
                .shared
                .grown
                .wait_timeout(heard, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
    }

    /// Runs a shell command at a prompt and returns what it printed and its exit status. The end is
    /// recognised by a mark that the typed line itself does not contain.
    ///
    /// # Errors
    /// The command did not end in time.
    pub fn shell(&mut self, command: &str, patience: Duration) -> Result<(String, i32)> {
        self.send(&format!("{}{command}; echo en''d=$?.", transcript::TYPED))?;
        self.await_text("begin", patience)?;
        let from = self.position;
        self.await_text("end=", patience)?;
        let to = self.position;
        // A wait may have begun behind the first digit, when the second one was late.
        self.await_text(".", patience)?;
        let heard = self.shared.lock();
        let status = heard.bytes.get(to..self.position).unwrap_or_default();
        let status = String::from_utf8_lossy(status);
        let status = status.trim_end_matches('.').parse().unwrap_or(-1);
        let printed = heard.bytes.get(from..to).unwrap_or_default();
        let text = transcript::plain(&String::from_utf8_lossy(printed).replace('\r', ""));
        Ok((
            text.trim().trim_end_matches("end=").trim().to_owned(),
            status,
        ))
    }

    /// Everything heard so far, without terminal escapes.
    #[must_use]
    pub fn text(&self) -> String {
        transcript::plain(&String::from_utf8_lossy(&self.shared.lock().bytes))
    }

    /// Everything heard so far, with its terminal escapes.
    #[must_use]
    pub fn raw_text(&self) -> String {
        String::from_utf8_lossy(&self.shared.lock().bytes).into_owned()
    }

    /// The console's last lines, for an error message.
    #[must_use]
    pub fn tail(&self) -> String {
        transcript::tail(&self.text(), TAIL_LINES)
    }

    fn await_look<T>(
        &mut self,
        what: &str,
        patience: Duration,
        mut look: impl FnMut(&[u8]) -> Look<T>,
    ) -> Result<T> {
        let end = Instant::now() + patience;
        let mut heard = self.shared.lock();
        loop {
            match look(heard.bytes.get(self.position..).unwrap_or_default()) {
                Look::Found(value, consumed) => {
                    self.position += consumed;
                    return Ok(value);
                }
                Look::Nothing(consumed) => self.position += consumed,
            }
            let left = end.saturating_duration_since(Instant::now());
            if heard.closed || left.is_zero() {
                break;
            }
            heard = self
                .shared
                .grown
                .wait_timeout(heard, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
        let tail = transcript::tail(
            &transcript::plain(&String::from_utf8_lossy(&heard.bytes)),
            TAIL_LINES,
        );
        let what = what.to_owned();
        Err(match heard.closed {
            true => HarnessError::ConsoleClosed { what, tail },
            false => HarnessError::Deadline {
                what,
                patience,
                tail,
            },
        })
    }
}

/// The reader thread: ends when QEMU does.
fn hear(mut stream: UnixStream, mut log: File, live: Option<String>, shared: &Shared) {
    let mut printer = live.map(|prefix| Printer::new(prefix, transcript::tells));
    let mut buffer = [0; 4096];
    loop {
        let chunk = match stream.read(&mut buffer) {
            Ok(0) | Err(_) => break,
            Ok(len) => buffer.get(..len).unwrap_or_default(),
        };
        // A full disk must not end the scenario; its result does not depend on the log.
        let _ = log.write_all(chunk);
        if let Some(printer) = &mut printer {
            printer.push(chunk);
        }
        let answer = {
            let mut heard = shared.lock();
            heard.bytes.extend_from_slice(chunk);
            heard.terminal.as_mut().map(|terminal| terminal.hear(chunk))
        };
        // A machine that is gone needs no answer; the next read tells.
        let _ = stream.write_all(&answer.unwrap_or_default());
        shared.grown.notify_all();
    }
    shared.lock().closed = true;
    shared.grown.notify_all();
}

#[cfg(test)]
mod tests;
