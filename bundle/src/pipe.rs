//! A pipe between two stages: bytes in at one end, the same bytes out at the other, a bounded
//! number in between.
//!
//! An end that goes away is never taken for the end of the data. A [`Writer`] that is dropped
//! without [`Writer::finish`] breaks the pipe, and the reader gets an error, not end of file: half
//! a package must not look like a whole one. A reader that goes away breaks it for the writer.
//! Either end can say why ([`Writer::fail`], [`Reader::fail`]); the other gets that error once, and
//! `BrokenPipe` from then on.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Makes a pipe that holds at most `capacity_bytes` (at least 1).
#[must_use]
pub fn pipe(capacity_bytes: usize) -> (Writer, Reader) {
    let capacity = capacity_bytes.max(1);
    let shared = Arc::new(Shared {
        capacity,
        state: Mutex::new(State {
            buffer: VecDeque::with_capacity(capacity),
            writer: End::Open,
            reader: End::Open,
        }),
        changed: Condvar::new(),
    });
    (
        Writer {
            shared: Arc::clone(&shared),
        },
        Reader { shared },
    )
}

/// One end's state, as the other end will see it.
#[derive(Debug)]
enum End {
    /// In use.
    Open,
    /// The writer wrote everything there is.
    Finished,
    /// Gone, for this reason if it gave one and nobody took it yet.
    Broken(Option<io::Error>),
}

#[derive(Debug)]
struct State {
    buffer: VecDeque<u8>,
    writer: End,
    reader: End,
}

impl State {
    fn is_ready(&self) -> bool {
        !self.buffer.is_empty() || !matches!(self.writer, End::Open)
    }
}

#[derive(Debug)]
struct Shared {
    capacity: usize,
    state: Mutex<State>,
    changed: Condvar,
}

impl Shared {
    /// A thread that panicked while it held the lock left a consistent state: every change is one
    /// assignment or one extension of the buffer.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(&self, state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        self.changed
            .wait(state)
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a broken end says: the reason the first time, `BrokenPipe` later.
fn broken(reason: &mut Option<io::Error>, gone: &'static str) -> io::Error {
    reason
        .take()
        .unwrap_or_else(|| io::Error::new(ErrorKind::BrokenPipe, gone))
}

/// The end that takes bytes.
#[derive(Debug)]
pub struct Writer {
    shared: Arc<Shared>,
}

impl Writer {
    /// Says that everything was written: the reader gets end of file after the last byte.
    ///
    /// # Errors
    /// The reader was gone already: it will never see the end.
    pub fn finish(self) -> io::Result<()> {
        let mut state = self.shared.lock();
        if let End::Broken(reason) = &mut state.reader {
            return Err(broken(reason, "the reading stage is gone"));
        }
        state.writer = End::Finished;
        Ok(())
    }

    /// Breaks the pipe: what is in it is thrown away and the reader's next read fails with
    /// `reason`.
    pub fn fail(self, reason: io::Error) {
        let mut state = self.shared.lock();
        state.buffer.clear();
        state.writer = End::Broken(Some(reason));
    }
}

impl Write for Writer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if bytes.is_empty() {
            return Ok(0);
        }
        let mut state = self.shared.lock();
        loop {
            if let End::Broken(reason) = &mut state.reader {
                return Err(broken(reason, "the reading stage is gone"));
            }
            let room = self.shared.capacity.saturating_sub(state.buffer.len());
            if room > 0 {
                let taken = bytes.get(..room).unwrap_or(bytes);
                state.buffer.extend(taken);
                self.shared.changed.notify_all();
                return Ok(taken.len());
            }
            state = self.shared.wait(state);
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        if matches!(state.writer, End::Open) {
            state.buffer.clear();
            state.writer = End::Broken(None);
        }
        self.shared.changed.notify_all();
    }
}

/// The end that gives bytes.
#[derive(Debug)]
pub struct Reader {
    shared: Arc<Shared>,
}

impl Reader {
    /// Whether a read would return at once, with bytes, the end or an error.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.shared.lock().is_ready()
    }

    /// Waits until it would, for at most so long; whether it would.
    #[must_use]
    pub fn wait_ready(&self, at_most: Duration) -> bool {
        let state = self.shared.lock();
        self.shared
            .changed
            .wait_timeout_while(state, at_most, |state| !state.is_ready())
            .unwrap_or_else(PoisonError::into_inner)
            .0
            .is_ready()
    }

    /// Breaks the pipe: the writer's next write fails with `reason`.
    pub fn fail(self, reason: io::Error) {
        self.shared.lock().reader = End::Broken(Some(reason));
    }
}

impl Read for Reader {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if into.is_empty() {
            return Ok(0);
        }
        let mut state = self.shared.lock();
        loop {
            if !state.buffer.is_empty() {
                // A deque's reader gives its first contiguous part; the second comes with the next
                // call.
                let given = state.buffer.read(into)?;
                self.shared.changed.notify_all();
                return Ok(given);
            }
            match &mut state.writer {
                End::Open => state = self.shared.wait(state),
                End::Finished => return Ok(0),
                End::Broken(reason) => return Err(broken(reason, "the writing stage is gone")),
            }
        }
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        state.buffer = VecDeque::new();
        if matches!(state.reader, End::Open) {
            state.reader = End::Broken(None);
        }
        self.shared.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::pipe;
    use std::io::{self, ErrorKind, Read, Write};
    use std::thread;
    use std::time::Duration;

    #[test]
    fn everything_written_comes_out_in_order_through_a_pipe_of_three_bytes() {
        let (mut writer, mut reader) = pipe(3);
        let sent: Vec<u8> = (0..10_000_u32).flat_map(u32::to_le_bytes).collect();
        let expected = sent.clone();
        let writing = thread::spawn(move || {
            writer.write_all(&sent).expect("the reader reads on");
            writer.finish().expect("the reader is there");
        });
        let mut got = Vec::new();
        reader
            .read_to_end(&mut got)
            .expect("a finished pipe ends in order");
        writing.join().expect("the writer did not panic");
        assert_eq!(got, expected);
    }

    #[test]
    fn dropped_writer_is_an_error_and_never_the_end() {
        let (mut writer, mut reader) = pipe(64);
        writer.write_all(b"half").expect("room for four");
        drop(writer);
        assert!(reader.is_ready());
        let mut got = Vec::new();
        let error = reader.read_to_end(&mut got).expect_err("half is not whole");
        assert_eq!(error.kind(), ErrorKind::BrokenPipe);
        assert!(got.is_empty());
    }

    #[test]
    fn reason_of_a_failed_writer_reaches_the_reader_once() {
        let (writer, mut reader) = pipe(64);
        writer.fail(io::Error::new(ErrorKind::InvalidData, "corrupt block"));
        let mut byte = [0];
        assert_eq!(
            reader.read(&mut byte).expect_err("failed").to_string(),
            "corrupt block"
        );
        assert_eq!(
            reader.read(&mut byte).expect_err("still failed").kind(),
            ErrorKind::BrokenPipe
        );
    }

    #[test]
    fn reason_of_a_failed_reader_wakes_a_waiting_writer() {
        let (mut writer, reader) = pipe(1);
        writer.write_all(b"x").expect("room for one");
        let writing = thread::spawn(move || writer.write_all(b"y"));
        reader.fail(io::Error::new(ErrorKind::StorageFull, "disk full"));
        let error = writing.join().expect("no panic").expect_err("nobody reads");
        assert_eq!(error.to_string(), "disk full");
    }

    #[test]
    fn reader_gone_before_finish_is_an_error() {
        let (mut writer, reader) = pipe(8);
        writer.write_all(b"all").expect("room for three");
        drop(reader);
        assert!(writer.finish().is_err());
    }

    #[test]
    fn open_empty_pipe_is_not_ready() {
        let (mut writer, reader) = pipe(8);
        assert!(!reader.is_ready());
        assert!(!reader.wait_ready(Duration::from_millis(1)));
        writer.write_all(b"a").expect("room");
        assert!(reader.is_ready());
    }
}
