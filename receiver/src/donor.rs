//! The network seam of the receiver: PID 1 brings smoltcp over packet sockets, `receive-deploy` the
//! kernel's sockets.

use std::io::{self, ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

pub use bundle::interrupt::Interrupter;
use bundle::records::Source;
use thiserror::Error;
use wire::code::Code;

/// How long a write may wait for room before it fails with `TimedOut`: for a donor that takes
/// nothing.
pub const WRITE_PATIENCE: Duration = Duration::from_secs(30);

/// Waiting for a donor was ended by an [`Interrupter`].
#[derive(Clone, Copy, Debug, Error)]
#[error("waiting for a donor was interrupted")]
pub struct Interrupted;

impl Interrupted {
    /// As [`Network::accept`] fails with it. Not `ErrorKind::Interrupted`, which means that the
    /// call is to be repeated.
    #[must_use]
    pub fn error() -> io::Error {
        io::Error::other(Self)
    }

    /// Is this error one?
    #[must_use]
    pub fn is(error: &io::Error) -> bool {
        error
            .get_ref()
            .is_some_and(<dyn std::error::Error + Send + Sync>::is::<Self>)
    }
}

/// A connected donor: an ordered byte stream in each direction, and one word back at the end.
pub trait Donor: Read + Send {
    /// Where it came from.
    fn peer(&self) -> SocketAddr;

    /// From now on a read that waits longer than `wait` fails with `TimedOut`, but no read waits
    /// longer than the stall time. It may be called again with another time: a handshake has less
    /// than the stream behind it.
    ///
    /// A source that cannot do that leaves it, and a donor that neither closes nor sends is noticed
    /// after the stall time.
    fn hurry(&mut self, _wait: Duration) {}

    /// The way back, for any thread, while another one reads. What is written goes into a bounded
    /// buffer; a write waits for room, at most [`WRITE_PATIENCE`] (`TimedOut`). Once the donor is
    /// gone, or [`Donor::succeed`] or [`Donor::fail`] was called, writes fail with `BrokenPipe` or
    /// `ConnectionReset`. All handles write to one stream; dropping one closes nothing.
    fn writer(&self) -> Box<dyn Write + Send>;

    /// For another thread, to end reading: a read that waits fails at once, and so does every later
    /// one, whatever has arrived. Writers and the ways to close are as before.
    fn interrupter(&self) -> Interrupter;

    /// Sends what was written, then closes in order (FIN): under the original stream a donor may
    /// take that for success (`protocol.md` 2). Returns when the peer has acknowledged it or a
    /// bounded time has passed.
    ///
    /// # Errors
    /// The connection was gone already.
    fn succeed(self: Box<Self>) -> io::Result<()>;

    /// Resets the connection (RST): the donor must take that for failure.
    fn fail(self: Box<Self>);
}

impl Source for Box<dyn Donor> {
    fn hurry(&mut self, wait: Duration) {
        self.as_mut().hurry(wait);
    }
}

/// Connections that may be without an opening at the same time (`protocol.md` 3.6).
pub const HALF_OPEN: usize = 4;
/// How long a connection may take to say its opening (`protocol.md` 3.6).
pub const OPENING_PATIENCE: Duration = Duration::from_secs(5);

/// Announces the code and brings those that connect.
pub trait Network: Send {
    /// Broadcasts the beacon for `code` and listens from now on, until [`Network::rest`], and waits
    /// for a connection that has delivered `opening_len` bytes, or fewer and closed its side; they
    /// are still to be read. A connection that closes without a byte does not count. `None`:
    /// `until` has come, or something has happened at a connection that was handed over before, or
    /// may have. The beacon is sent once a second, however often this is called.
    ///
    /// [`HALF_OPEN`] connections at most may be without an opening at a time: when one more comes
    /// the oldest is reset, of the address that has most of them, and so is each that has none
    /// after [`OPENING_PATIENCE`], whether it is silent or slow. How many are handed over is up to
    /// the caller.
    ///
    /// # Errors
    /// [`Interrupted`]: by the interrupter. Anything else: no interface is usable any more; a mere
    /// lack of link or address is
    /// waited for instead.
    fn admit(
        &mut self,
        code: &Code,
        opening_len: usize,
        until: Option<Instant>,
    ) -> io::Result<Option<Box<dyn Donor>>>;

    /// Ends the invitation: connections without an opening are reset, and so are new ones from
    /// now on. Those that were handed over stay.
    fn rest(&mut self);

    /// Waits for one donor; it is the only one, and all other connections are reset from then on.
    /// One that is undecided at `deadline` is forgotten; without one this waits for ever.
    ///
    /// # Errors
    /// `TimedOut`: the deadline has passed. Otherwise as [`Network::admit`].
    fn accept(
        &mut self,
        code: &Code,
        opening_len: usize,
        deadline: Option<Instant>,
    ) -> io::Result<Box<dyn Donor>> {
        let accepted = loop {
            let is_late = deadline.is_some_and(|deadline| deadline <= Instant::now());
            match self.admit(code, opening_len, deadline) {
                Ok(Some(donor)) => break Ok(donor),
                Ok(None) if is_late => break Err(ErrorKind::TimedOut.into()),
                Ok(None) => {}
                Err(error) => break Err(error),
            }
        };
        self.rest();
        accepted
    }

    /// For another thread, to end an `admit` or `accept`: the one that waits, or else the next.
    fn interrupter(&self) -> Interrupter;

    /// Addresses under which a donor reaches this target, for the screen.
    fn addresses(&self) -> Vec<std::net::IpAddr>;
}
