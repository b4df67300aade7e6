//! The original stream as a donor speaks it (`protocol.md` 2): packages in, a target's verdict out.
//!
//! In: open packages and a connected socket. Out: `Ok` only when the target took every byte and
//! closed in order after the terminator. On every error of our own the connection is reset, so that
//! a target can never take half for the whole.

use std::io::{self, Read};
use std::net::{Shutdown, TcpStream};
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use rustix::event::PollFlags;
use rustix::io::Errno;
use rustix::net::SendFlags;
use sys::poll::wait_for;
use thiserror::Error;
use wire::stream::{self, StreamError, TERMINATOR};

use crate::ending::Ending;
use crate::socket::{self, PEER_PATIENCE};
use pack::packages::Package;

/// Most bytes given to one `sendfile(2)`: the socket takes what fits its buffer, so this only
/// bounds the time between two reports on a very fast link.
const CHUNK: usize = 8 << 20;
/// How often a silent wait is reported.
const TICK: Duration = Duration::from_millis(500);

/// The progress of a transfer.
#[derive(Clone, Copy, Debug)]
pub enum Step<'a> {
    /// This package begins.
    Package(&'a Package),
    /// So many of its bytes are on their way; also reported while nothing moves, so that a clock
    /// can go on.
    Sent(u64),
    /// Everything is sent; the target has been finishing for this long.
    Waiting(Duration),
}

/// Why a transfer failed.
#[derive(Debug, Error)]
#[allow(missing_docs)] // the fields name themselves
pub enum TransferError {
    /// The file changed its length.
    #[error("package {} had {before} bytes when it was opened and has {now} now", path.display())]
    Changed {
        path: PathBuf,
        /// The length that was promised to the target.
        before: u64,
        /// The length now.
        now: u64,
    },
    /// The file cannot be read.
    #[error("reading package {} at byte {at}", path.display())]
    Read {
        path: PathBuf,
        /// How far we came.
        at: u64,
        /// The kernel's reason.
        source: io::Error,
    },
    /// The wire has no such header.
    #[error("announcing package {}", path.display())]
    Header { path: PathBuf, source: StreamError },
    /// The connection is no more.
    #[error("sending {what}")]
    Send {
        /// Package and position.
        what: String,
        /// The kernel's reason.
        source: io::Error,
    },
    /// The target takes nothing.
    #[error("sending {what}: the target has taken nothing for {} s", PEER_PATIENCE.as_secs())]
    Stalled {
        /// Package and position.
        what: String,
    },
    /// RST: it refused or failed. Its screen says why; this stream has no words for it.
    #[error("the target gave up while {during}; its screen says why")]
    Refused {
        /// The operation.
        during: String,
        /// The kernel's word for it.
        source: io::Error,
    },
    /// FIN before it had everything.
    #[error("the target closed the connection while {during}, before it had everything")]
    ClosedEarly {
        /// The operation.
        during: String,
    },
    /// It said something, which nobody does on this stream.
    #[error("the target answered while {during}; no target of the original stream does")]
    Answered {
        /// The operation.
        during: String,
    },
    /// Silence, or an error, after everything was sent.
    #[error("waiting for the target to finish")]
    Waiting(#[source] io::Error),
}

impl TransferError {
    /// How a deploy ends that failed like this.
    #[must_use]
    pub const fn ending(&self) -> Ending {
        match self {
            Self::Changed { .. } | Self::Read { .. } | Self::Header { .. } => Ending::Unsendable,
            Self::Send { .. } | Self::Stalled { .. } | Self::Waiting(_) => Ending::Broken,
            Self::Refused { .. } | Self::ClosedEarly { .. } | Self::Answered { .. } => {
                Ending::Refused
            }
        }
    }
}

/// Sends `packages` and waits for the target's verdict.
///
/// # Errors
/// See [`TransferError`]; the connection is then reset.
pub fn run(
    connection: TcpStream,
    packages: &[Package],
    report: &mut dyn FnMut(Step<'_>),
) -> Result<(), TransferError> {
    let mut transfer = Transfer {
        connection,
        doing: "starting".to_owned(),
        patience: PEER_PATIENCE,
    };
    let result = transfer.all(packages, report);
    if result.is_err() {
        socket::reset(transfer.connection);
    }
    result
}

struct Transfer {
    connection: TcpStream,
    /// The operation that an error belongs to: `sending NAME`.
    doing: String,
    patience: Duration,
}

impl Transfer {
    fn all(
        &mut self,
        packages: &[Package],
        report: &mut dyn FnMut(Step<'_>),
    ) -> Result<(), TransferError> {
        self.connection
            .set_nonblocking(true)
            .map_err(|source| self.broken(source))?;
        for package in packages {
            self.doing = format!("sending {}", package.name);
            report(Step::Package(package));
            self.one(package, report)?;
        }
        self.doing = "sending the end of the stream".to_owned();
        self.send_bytes(&TERMINATOR, false)?;
        self.doing = "finishing".to_owned();
        self.connection
            .shutdown(Shutdown::Write)
            .map_err(|source| self.broken(source))?;
        self.await_verdict(report)
    }

    fn one(
        &mut self,
        package: &Package,
        report: &mut dyn FnMut(Step<'_>),
    ) -> Result<(), TransferError> {
        let header = stream::header(&package.name, package.len_bytes).map_err(|source| {
            TransferError::Header {
                path: package.path.clone(),
                source,
            }
        })?;
        self.send_bytes(&header, true)?;
        let mut offset = 0;
        while offset < package.len_bytes {
            self.await_room(&mut || report(Step::Sent(offset)))?;
            let left = usize::try_from(package.len_bytes - offset)
                .unwrap_or(CHUNK)
                .min(CHUNK);
            let before = offset;
            match rustix::fs::sendfile(&self.connection, &package.file, Some(&mut offset), left) {
                Ok(0) => return Err(changed(package)?),
                Ok(_) => report(Step::Sent(offset)),
                Err(Errno::AGAIN | Errno::INTR) => {}
                Err(errno @ Errno::IO) => {
                    return Err(TransferError::Read {
                        path: package.path.clone(),
                        at: before,
                        source: errno.into(),
                    });
                }
                Err(errno) => return Err(self.broken(errno.into())),
            }
        }
        let now = len_now(package)?;
        if now == package.len_bytes {
            Ok(())
        } else {
            Err(changed(package)?)
        }
    }

    fn send_bytes(&mut self, bytes: &[u8], is_more_coming: bool) -> Result<(), TransferError> {
        let flags = if is_more_coming {
            SendFlags::NOSIGNAL | SendFlags::MORE
        } else {
            SendFlags::NOSIGNAL
        };
        let mut rest = bytes;
        while !rest.is_empty() {
            self.await_room(&mut || ())?;
            match rustix::net::send(self.connection.as_fd(), rest, flags) {
                Ok(sent) => rest = rest.get(sent..).unwrap_or_default(),
                Err(Errno::AGAIN | Errno::INTR) => {}
                Err(errno) => return Err(self.broken(errno.into())),
            }
        }
        Ok(())
    }

    /// Waits until the socket takes bytes. The target has nothing to say before the end, so
    /// whatever can be read is the end of the connection, or a mistake.
    fn await_room(&self, tick: &mut dyn FnMut()) -> Result<(), TransferError> {
        let start = Instant::now();
        while start.elapsed() < self.patience {
            let flags = PollFlags::IN | PollFlags::OUT | PollFlags::RDHUP;
            let ready =
                wait_for(&self.connection, flags, TICK).map_err(|source| self.broken(source))?;
            match ready {
                None => tick(),
                Some(ready)
                    if ready.intersects(
                        PollFlags::ERR | PollFlags::IN | PollFlags::RDHUP | PollFlags::HUP,
                    ) =>
                {
                    return Err(self.interrupted());
                }
                Some(_) => return Ok(()),
            }
        }
        Err(TransferError::Stalled {
            what: self.doing.clone(),
        })
    }

    /// The meaning of a socket that becomes readable too early.
    fn interrupted(&self) -> TransferError {
        let during = self.doing.clone();
        match (&self.connection).read(&mut [0]) {
            Ok(0) if self.is_reset_already() => TransferError::Refused {
                during,
                source: io::ErrorKind::ConnectionReset.into(),
            },
            Ok(0) => TransferError::ClosedEarly { during },
            Ok(_) => TransferError::Answered { during },
            Err(source) => self.broken(source),
        }
    }

    /// Linux tells of a reset once. A sendfile(2) that had sent something before it met the reset
    /// returns what it sent, and the error is gone: the next read looks like a FIN. But a FIN
    /// closes one direction and a reset both, and while we have not closed ours, only a reset makes
    /// poll(2) say `POLLHUP`.
    fn is_reset_already(&self) -> bool {
        let hung_up = wait_for(&self.connection, PollFlags::empty(), Duration::ZERO);
        matches!(hung_up, Ok(Some(flags)) if flags.contains(PollFlags::HUP))
    }

    fn await_verdict(&self, report: &mut dyn FnMut(Step<'_>)) -> Result<(), TransferError> {
        let start = Instant::now();
        loop {
            report(Step::Waiting(start.elapsed()));
            let ready =
                wait_for(&self.connection, PollFlags::IN, TICK).map_err(TransferError::Waiting)?;
            if ready.is_none() {
                continue;
            }
            match (&self.connection).read(&mut [0]) {
                Ok(0) => {
                    return socket::await_last_ack(&self.connection)
                        .map_err(|source| self.broken(source));
                }
                Ok(_) => {
                    return Err(TransferError::Answered {
                        during: self.doing.clone(),
                    });
                }
                Err(error)
                    if matches!(
                        error.kind(),
                        io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
                    ) => {}
                Err(source) if is_reset(&source) => return Err(self.broken(source)),
                Err(source) => return Err(TransferError::Waiting(source)),
            }
        }
    }

    fn broken(&self, source: io::Error) -> TransferError {
        if is_reset(&source) {
            TransferError::Refused {
                during: self.doing.clone(),
                source,
            }
        } else if self.doing == "finishing" {
            TransferError::Waiting(source)
        } else {
            TransferError::Send {
                what: self.doing.trim_start_matches("sending ").to_owned(),
                source,
            }
        }
    }
}

fn is_reset(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionReset
            | io::ErrorKind::BrokenPipe
            | io::ErrorKind::ConnectionAborted
    )
}

fn len_now(package: &Package) -> Result<u64, TransferError> {
    let failed = |source| TransferError::Read {
        path: package.path.clone(),
        at: package.len_bytes,
        source,
    };
    Ok(package.file.metadata().map_err(failed)?.len())
}

fn changed(package: &Package) -> Result<TransferError, TransferError> {
    Ok(TransferError::Changed {
        path: package.path.clone(),
        before: package.len_bytes,
        now: len_now(package)?,
    })
}

#[cfg(test)]
mod tests;
