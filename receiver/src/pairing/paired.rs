//! The result of pairing.

use std::io::Write;
use std::net::SocketAddr;

use session::channel::{Opener, Sealer};

use crate::connection::Connection;

/// A donor that has proved itself, and both directions of the channel to it.
pub(crate) struct Paired {
    pub(crate) peer: SocketAddr,
    pub(crate) opener: Opener<Connection>,
    pub(crate) sealer: Sealer<Box<dyn Write + Send>>,
}
