//! The two directions of one connection, each of which waits only so long.
//!
//! In: a connected socket. Out: a reader that has one deadline for the whole handshake, however
//! many bytes trickle in, and a writer that gives up on a target which takes nothing and says
//! nothing.

use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::interrupt::{Interrupt, LOOK};

/// How long a message that is being written may hold up a donor that was asked to end.
const LAST_WRITE: Duration = Duration::from_secs(3);

/// When a target last said something, or was sent something.
#[derive(Debug)]
pub(super) struct Pulse {
    start: Instant,
    last_ms: AtomicU64,
}

impl Pulse {
    pub(super) fn new() -> Self {
        Self {
            start: Instant::now(),
            last_ms: AtomicU64::new(0),
        }
    }

    pub(super) fn beat(&self) {
        self.last_ms.store(self.now_ms(), Ordering::Relaxed);
    }

    /// How long ago that was.
    pub(super) fn silence(&self) -> Duration {
        let last = self.last_ms.load(Ordering::Relaxed);
        Duration::from_millis(self.now_ms().saturating_sub(last))
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

/// The messages from a target.
pub(super) struct Incoming {
    pub(super) stream: Arc<TcpStream>,
    /// All reads together must be done by then.
    pub(super) deadline: Option<Instant>,
}

impl Incoming {
    /// From now on a read waits as long as the connection lives; who waits for messages has limits
    /// of its own.
    pub(super) fn without_deadline(&mut self) -> io::Result<()> {
        self.deadline = None;
        self.stream.set_read_timeout(None)
    }
}

impl Read for Incoming {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if let Some(deadline) = self.deadline {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(ErrorKind::TimedOut.into());
            }
            self.stream.set_read_timeout(Some(left))?;
        }
        let read = (&*self.stream).read(buf);
        read.map_err(|error| match error.kind() {
            ErrorKind::WouldBlock => ErrorKind::TimedOut.into(),
            _ => error,
        })
    }
}

/// The messages to a target.
pub(super) struct Outgoing {
    stream: Arc<TcpStream>,
    pulse: Arc<Pulse>,
    /// How long it may neither take nor say anything.
    silence: Duration,
    interrupt: Interrupt,
    /// Nobody waits for this connection any more.
    is_cancelled: Arc<AtomicBool>,
}

impl Outgoing {
    pub(super) fn new(
        stream: Arc<TcpStream>,
        pulse: Arc<Pulse>,
        silence: Duration,
        interrupt: Interrupt,
        is_cancelled: Arc<AtomicBool>,
    ) -> io::Result<Self> {
        stream.set_write_timeout(Some(LOOK))?;
        Ok(Self {
            stream,
            pulse,
            silence,
            interrupt,
            is_cancelled,
        })
    }

    /// This is the connection that everybody waited for; it is not ended with the others.
    pub(super) fn keep(&mut self) {
        self.is_cancelled = Arc::default();
    }

    /// Why it is not worth waiting any longer for room.
    fn gives_up(&self) -> Option<io::Error> {
        let text = if self.pulse.silence() >= self.silence {
            let seconds = self.silence.as_secs();
            format!("it has taken nothing and said nothing for {seconds} s")
        } else if self
            .interrupt
            .came()
            .is_some_and(|at| at.elapsed() >= LAST_WRITE)
        {
            "interrupted".to_owned()
        } else {
            return None;
        };
        Some(io::Error::new(ErrorKind::TimedOut, text))
    }
}

impl Write for Outgoing {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        if self.is_cancelled.load(Ordering::Relaxed) {
            return Err(ErrorKind::ConnectionAborted.into());
        }
        loop {
            match (&*self.stream).write(buf) {
                Ok(len) => {
                    self.pulse.beat();
                    return Ok(len);
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    if let Some(error) = self.gives_up() {
                        return Err(error);
                    }
                }
                Err(error) => return Err(error),
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
