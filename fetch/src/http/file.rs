//! A file on a server, as a medium that is read at any offset. Reading on from where the last read
//! ended goes on with the answer that is open; a connection that breaks is made again, and goes on
//! with the byte at which it broke.
//!
//! The first question at a new place is for a small piece, the next ones for larger and larger
//! pieces: reading all of a file takes few questions, and a jump over chunks that are there already
//! leaves little behind. No answer is longer than what was read in one go before it.

use std::io::{self, Read};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;

use super::answer::Asked;
use super::client::{Client, Coming};
use super::error::HttpError;
use super::url::Url;
use crate::spans::ReadAt;

/// What is asked for at a new place, in bytes: the largest chunk.
const PIECE_MIN: u64 = 1 << 20;
/// The largest question, in bytes.
const PIECE_MAX: u64 = 64 << 20;
/// A gap that is read and dropped rather than asked around, in bytes: less than a question costs.
const GAP_MAX: u64 = 64 << 10;
/// So many bytes are progress: a server that sends less each time is as good as silent.
const PROGRESS: u64 = 64 << 10;

/// A file behind an address.
pub struct RemoteFile {
    client: Client,
    url: Url,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Length and ETag, from the manifest or the first answer.
    size_bytes: Option<u64>,
    etag: Option<String>,
    open: Option<Open>,
    /// How much is asked for next if it goes on where the last answer ends.
    next: Option<(u64, u64)>,
}

/// An answer that is being read.
struct Open {
    body: Box<dyn Read + Send>,
    at: u64,
    end: u64,
}

impl RemoteFile {
    /// A file whose length is known, or is what the server says first. Nothing is asked yet.
    #[must_use]
    pub fn new(client: &Client, url: Url, size_bytes: Option<u64>) -> Self {
        let state = State {
            size_bytes,
            ..State::default()
        };
        Self {
            client: client.clone(),
            url,
            state: Mutex::new(state),
        }
    }

    /// Its length.
    ///
    /// # Errors
    /// The server does not answer, or wrongly.
    pub fn len_bytes(&self) -> Result<u64, HttpError> {
        let mut state = self.state();
        let mut tries = 0;
        loop {
            if let Some(size_bytes) = state.size_bytes {
                return Ok(size_bytes);
            }
            match self.ask(&mut state, 0) {
                Ok(()) => {}
                Err(error) => self.wait(error, &mut tries)?,
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks for the bytes from `begin` on.
    fn ask(&self, state: &mut State, begin: u64) -> Result<(), HttpError> {
        state.open = None;
        let piece = match state.next {
            Some((at, piece)) if at == begin => piece,
            _ => PIECE_MIN,
        };
        let end = begin.saturating_add(piece);
        let asked = Asked {
            begin,
            end: end.min(state.size_bytes.unwrap_or(u64::MAX)),
            size_bytes: state.size_bytes,
            etag: state.etag.as_deref(),
        };
        let Coming { part, body } = self.client.part(&self.url, &asked)?;
        state.size_bytes = Some(part.size_bytes);
        state.etag = state.etag.take().or(part.etag);
        state.next = Some((part.end, piece.saturating_mul(2).min(PIECE_MAX)));
        state.open = Some(Open {
            body,
            at: begin,
            end: part.end,
        });
        Ok(())
    }

    /// Reads on at `offset` from an answer that is open there.
    fn read(&self, state: &mut State, buf: &mut [u8], offset: u64) -> Result<usize, HttpError> {
        let is_there = |open: &mut Open| open.reach(offset);
        if !state.open.as_mut().is_some_and(is_there) {
            self.ask(state, offset)?;
        }
        let Some(open) = &mut state.open else {
            return Ok(0);
        };
        let left = usize::try_from(open.end.saturating_sub(open.at)).unwrap_or(usize::MAX);
        let len = left.min(buf.len());
        let read = open.body.read(buf.get_mut(..len).unwrap_or_default());
        let cut = |source| HttpError::Cut {
            url: self.url.to_string(),
            at: offset,
            source,
        };
        match read {
            Ok(0) => Err(cut(None)),
            Ok(got) => {
                open.at = open.at.saturating_add(got as u64);
                if open.at == open.end {
                    // Behind its last byte a body says that it is over, and its connection is free.
                    let _ = open.body.read(&mut [0]);
                    state.open = None;
                }
                Ok(got)
            }
            Err(error) => {
                let patience = self.client.patience();
                Err(HttpError::body(&self.url, offset, error, patience))
            }
        }
    }

    /// Before the next try; the error when there is none.
    fn wait(&self, error: HttpError, tries: &mut usize) -> Result<(), HttpError> {
        let pause = self.client.patience().pauses.get(*tries);
        match pause.filter(|_| error.is_passing()) {
            Some(pause) => thread::sleep(*pause),
            None => return Err(error),
        }
        *tries = tries.saturating_add(1);
        Ok(())
    }
}

impl Open {
    /// Goes to this byte if it is in this answer and not far.
    fn reach(&mut self, offset: u64) -> bool {
        let Some(gap) = offset.checked_sub(self.at) else {
            return false;
        };
        if gap > GAP_MAX || offset >= self.end {
            return false;
        }
        let passed = io::copy(&mut (&mut self.body).take(gap), &mut io::sink());
        self.at = offset;
        passed.is_ok_and(|passed| passed == gap)
    }
}

impl ReadAt for RemoteFile {
    fn read_at(&self, buf: &mut [u8], offset_bytes: u64) -> io::Result<usize> {
        let mut state = self.state();
        if buf.is_empty() || state.size_bytes.is_some_and(|size| offset_bytes >= size) {
            return Ok(0);
        }
        // All of it or an error: tries are counted over what one reader wants.
        let (mut done, mut tries, mut progress) = (0_usize, 0, 0);
        while let Some(rest) = buf.get_mut(done..).filter(|rest| !rest.is_empty()) {
            let at = offset_bytes.saturating_add(done as u64);
            if state.size_bytes.is_some_and(|size| at >= size) {
                break;
            }
            match self.read(&mut state, rest, at) {
                Ok(got) => {
                    done = done.saturating_add(got);
                    progress += got as u64;
                    if progress >= PROGRESS {
                        (tries, progress) = (0, 0);
                    }
                }
                Err(error) => {
                    state.open = None;
                    progress = 0;
                    self.wait(error, &mut tries)?;
                }
            }
        }
        Ok(done)
    }
}
