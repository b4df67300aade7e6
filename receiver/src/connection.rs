//! One donor's connection: its first bytes can be looked at, its reads have a deadline, and
//! dropping it resets it. A person at the machine can end its reads, and so can a deploy that has
//! failed.

use std::io::{self, ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bundle::interrupt::{Cancelled, Interrupter};
use wire::code::Code;
use wire::stream::{NAME_LEN_BYTES, STALL_SECONDS};

use crate::donor::{Donor, Interrupted, Network};
use crate::error::SessionError;
use crate::operator::{Attached, CancelToken};

/// A donor that is reset unless [`Connection::close`] says otherwise.
pub struct Connection {
    /// Gone only in [`Connection::close`] and in `drop`.
    donor: Option<Box<dyn Donor>>,
    peer: SocketAddr,
    /// Looked at and still to be read.
    opening: Vec<u8>,
    /// The deadline of a read, even if bytes trickle in.
    deadline: Option<Instant>,
    token: CancelToken,
    /// Ends a read that waits.
    _interrupter: Attached,
}

impl Connection {
    /// Takes a donor into custody.
    pub(crate) fn new(donor: Box<dyn Donor>, token: &CancelToken) -> Self {
        Self {
            _interrupter: token.attach(donor.interrupter()),
            peer: donor.peer(),
            donor: Some(donor),
            opening: Vec::new(),
            deadline: None,
            token: token.clone(),
        }
    }

    /// Of a donor that has proved itself: `said` was heard of it and is still to be read.
    pub(crate) fn continued(donor: Box<dyn Donor>, token: &CancelToken, said: Vec<u8>) -> Self {
        let mut connection = Self::new(donor, token);
        connection.opening = said;
        connection.within(None);
        connection
    }

    /// Waits for a donor, as [`Network::accept`] does; `None` when `deadline` passes first.
    ///
    /// # Errors
    /// The network failed, or a person at the machine wants something else.
    pub(crate) fn accept(
        network: &mut dyn Network,
        token: &CancelToken,
        code: &Code,
        opening_len: usize,
        deadline: Option<Instant>,
    ) -> Result<Option<Self>, SessionError> {
        loop {
            if let Some(stop) = token.stop() {
                return Err(stop.into());
            }
            match network.accept(code, opening_len, deadline) {
                Ok(donor) => return Ok(Some(Self::new(donor, token))),
                // The instruction may have been meant for something that is over.
                Err(error) if Interrupted::is(&error) => {}
                Err(error) if deadline.is_some() && error.kind() == ErrorKind::TimedOut => {
                    return Ok(None);
                }
                Err(error) => return Err(SessionError::Network(error)),
            }
        }
    }

    /// Where it came from.
    #[must_use]
    pub const fn peer(&self) -> SocketAddr {
        self.peer
    }

    /// The way back.
    ///
    /// # Errors
    /// The connection was closed already.
    pub fn writer(&self) -> io::Result<Box<dyn Write + Send>> {
        let donor = self.donor.as_ref().ok_or(ErrorKind::NotConnected)?;
        Ok(donor.writer())
    }

    /// From now on all reads together must be done within this time; `None`: each may wait as long
    /// as a stall.
    pub fn within(&mut self, time: Option<Duration>) {
        self.deadline = time.map(|time| Instant::now() + time);
        if let (None, Some(donor)) = (self.deadline, &mut self.donor) {
            donor.hurry(Duration::from_secs(STALL_SECONDS));
        }
    }

    /// The first four bytes, which are read again afterwards.
    ///
    /// # Errors
    /// The connection broke, or ended before them.
    pub fn peek(&mut self) -> io::Result<[u8; NAME_LEN_BYTES]> {
        let mut first = [0; NAME_LEN_BYTES];
        self.read_exact(&mut first)?;
        self.opening.splice(0..0, first);
        Ok(first)
    }

    /// Closes in order, behind everything that was written.
    ///
    /// # Errors
    /// The connection was gone already.
    pub fn close(mut self) -> io::Result<()> {
        let donor = self.donor.take().ok_or(ErrorKind::NotConnected)?;
        donor.succeed()
    }
}

impl Read for Connection {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if !self.opening.is_empty() {
            let len = self.opening.as_slice().read(buf)?;
            self.opening.drain(..len);
            return Ok(len);
        }
        let donor = self.donor.as_mut().ok_or(ErrorKind::NotConnected)?;
        if let Some(deadline) = self.deadline {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(ErrorKind::TimedOut.into());
            }
            donor.hurry(left);
        }
        // The interrupter was called before it was attached.
        if self.token.stop().is_some() {
            return Err(Cancelled::error());
        }
        match donor.read(buf) {
            Err(_) if self.token.stop().is_some() => Err(Cancelled::error()),
            read => read,
        }
    }
}

impl bundle::records::Source for Connection {
    fn hurry(&mut self, wait: Duration) {
        if let Some(donor) = &mut self.donor {
            donor.hurry(wait);
        }
    }

    fn interrupter(&self) -> Interrupter {
        self.token.abandoner()
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        if let Some(donor) = self.donor.take() {
            donor.fail();
        }
    }
}
