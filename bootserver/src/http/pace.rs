//! Bytes to a client that has to take them in time: no single write, no answer, and no average may
//! be too slow.

use std::io::{self, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

/// How slow a client may be.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// It may take nothing for so long.
    pub write: Duration,
    /// The whole answer may take so long.
    pub answer: Duration,
    /// After this it must have taken [`Patience::bytes_per_second`] on average, at all times.
    pub grace: Duration,
    /// The slowest rate that is served.
    pub bytes_per_second: u64,
}

impl Patience {
    /// Wi-Fi at its worst is faster. A shim of 6 MiB would take more than six minutes.
    pub const DEFAULT: Self = Self {
        write: Duration::from_secs(20),
        answer: Duration::from_secs(600),
        grace: Duration::from_secs(20),
        bytes_per_second: 16 << 10,
    };
}

/// One answer on its way.
pub struct Pace<'s> {
    stream: &'s TcpStream,
    patience: Patience,
    began: Instant,
    sent_bytes: u64,
}

impl<'s> Pace<'s> {
    /// The clock runs from now on.
    #[must_use]
    pub fn start(stream: &'s TcpStream, patience: Patience) -> Self {
        Self {
            stream,
            patience,
            began: Instant::now(),
            sent_bytes: 0,
        }
    }

    /// Sends all of it.
    ///
    /// # Errors
    /// The client is gone, or too slow.
    pub fn send(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let left = self.time_left()?;
            // The kernel ends one call after this time, with what went until then.
            self.stream.set_write_timeout(Some(left))?;
            match self.stream.write(bytes) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(len) => {
                    self.sent_bytes = self.sent_bytes.saturating_add(len as u64);
                    bytes = bytes.get(len..).unwrap_or_default();
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// How long the next write may take.
    fn time_left(&self) -> io::Result<Duration> {
        let Patience {
            write,
            answer,
            grace,
            bytes_per_second,
        } = self.patience;
        // Until then what has been sent is enough.
        let earned = Duration::from_secs(self.sent_bytes / bytes_per_second.max(1));
        let end = answer.min(grace.saturating_add(earned));
        let left = end.saturating_sub(self.began.elapsed()).min(write);
        match left.is_zero() {
            true => Err(io::ErrorKind::TimedOut.into()),
            false => Ok(left),
        }
    }
}
