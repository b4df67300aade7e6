//! The network seam of the receiver: PID 1 brings smoltcp over a packet ring, `receive-deploy` the kernel's sockets.

use std::io::{self, Read};
use std::net::SocketAddr;

/// A connected donor: an ordered byte stream, and one word back at the end.
pub trait Donor: Read + Send {
    /// Where it came from.
    fn peer(&self) -> SocketAddr;

    /// Closes in order (FIN): the donor may take that for success (`protocol.md` 2). Returns when the peer has
    /// acknowledged it or a bounded time has passed.
    ///
    /// # Errors
    /// The connection was gone already.
    fn succeed(self: Box<Self>) -> io::Result<()>;

    /// Resets the connection (RST): the donor must take that for failure.
    fn fail(self: Box<Self>);
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
