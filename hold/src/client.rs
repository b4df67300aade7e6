//! The other end of the control socket: asks for another version of a daemon that is held.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use thiserror::Error;

use crate::event::{Event, LINE_MAX, Request};
use crate::keeper::control_path;

/// Longer than any step of a trial, reading all of the version and its test of itself included.
const SILENCE_MAX: Duration = Duration::from_secs(60);
/// Events of one request.
const EVENTS_MAX: usize = 1000;

/// No answer.
#[derive(Debug, Error)]
#[allow(missing_docs)] // the fields name themselves
pub enum ClientError {
    /// Nobody holds it.
    #[error("the daemon {name} is not held: no spk-visor hold {name} runs")]
    NotHeld { name: String },
    /// The connection broke, or was silent.
    #[error("asking who holds {name}")]
    Ask {
        name: String,
        #[source]
        source: io::Error,
    },
}

/// Asks for `request`, tells every event, and returns the last one.
///
/// # Errors
/// See [`ClientError`].
pub fn ask(
    run: &Path,
    name: &str,
    request: Request,
    tell: &mut dyn FnMut(&Event),
) -> Result<Event, ClientError> {
    let path = control_path(run, name);
    let stream = UnixStream::connect(path).map_err(|_| ClientError::NotHeld {
        name: name.to_owned(),
    })?;
    let failed = |source| ClientError::Ask {
        name: name.to_owned(),
        source,
    };
    exchange(stream, request, tell).map_err(failed)
}

fn exchange(
    mut stream: UnixStream,
    request: Request,
    tell: &mut dyn FnMut(&Event),
) -> io::Result<Event> {
    stream.set_read_timeout(Some(SILENCE_MAX))?;
    stream.write_all(format!("{request}\n").as_bytes())?;
    let mut stream = BufReader::new(stream);
    for _ in 0..EVENTS_MAX {
        let mut line = String::new();
        stream.by_ref().take(LINE_MAX as u64).read_line(&mut line)?;
        let line = line
            .strip_suffix('\n')
            .ok_or(io::ErrorKind::UnexpectedEof)?;
        let event: Event = line.parse().map_err(io::Error::other)?;
        tell(&event);
        if event.is_last() {
            return Ok(event);
        }
    }
    Err(io::ErrorKind::InvalidData.into())
}
