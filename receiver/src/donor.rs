//! The network seam of the receiver: PID 1 brings smoltcp over a packet ring, `receive-deploy` the kernel's sockets.

use std::io::{self, Read};
use std::net::SocketAddr;
use std::time::Duration;

use install::records::Source;

/// A connected donor: an ordered byte stream, and one word back at the end.
pub trait Donor: Read + Send {
    /// Where it came from.
    fn peer(&self) -> SocketAddr;

    /// Everything has been said: from now on a read that waits longer than `wait` may fail with `TimedOut`. A network that
    /// cannot do that leaves it; the end of a donor that neither closes nor sends is then noticed after its stall time.
    fn hurry(&mut self, _wait: Duration) {}

    /// Closes in order (FIN): the donor may take that for success (`protocol.md` 2). Returns when the peer has
    /// acknowledged it or a bounded time has passed.
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

/// Announces the code and waits for one donor at a time.
pub trait Network {
    /// Broadcasts the beacon for `code` once a second until a donor connects. One connection at a time: while a donor is
    /// being served others are refused by a reset.
    ///
    /// # Errors
    /// No interface is usable any more; a mere lack of link or address is waited for instead.
    fn accept(&mut self, code: &str) -> io::Result<Box<dyn Donor>>;

    /// Addresses under which a donor reaches this target, for the screen.
    fn addresses(&self) -> Vec<std::net::IpAddr>;
}
