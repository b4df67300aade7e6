//! The donor's bytes, in order, as `Read`.

use std::io::{self, Read};
use std::net::SocketAddr;
use std::sync::Arc;

use smoltcp::time::Duration;

use crate::desk::{Desk, Late};
use crate::engine::{Closing, Received};
use crate::packet_ports::PacketPorts;
use crate::ports::Ports;

/// A donor that sends nothing for so long, while there is room for all it has, is dropped.
pub const STALL: Duration = Duration::from_secs(30);
/// For a FIN to be acknowledged: four transmissions of it.
const FINISH: Duration = Duration::from_secs(15);
/// For the donor to close its own side after that.
const LINGER: Duration = Duration::from_secs(2);
/// For a reset to leave, should the donor's hardware address have to be asked for again.
const ABORT: Duration = Duration::from_secs(2);

/// A connected donor. Dropping it resets the connection.
pub struct Stream<P: Ports = PacketPorts> {
    desk: Arc<Desk<P>>,
    peer: SocketAddr,
    /// How long a read waits for its first byte.
    patience: Duration,
    is_over: bool,
}

impl<P: Ports> Stream<P> {
    pub(crate) const fn new(desk: Arc<Desk<P>>, peer: SocketAddr) -> Self {
        Self {
            desk,
            peer,
            patience: STALL,
            is_over: false,
        }
    }

    /// Where the donor connected from.
    #[must_use]
    pub const fn peer(&self) -> SocketAddr {
        self.peer
    }

    /// From now on reads wait no longer than this: for a donor that has nothing more to say and may not close its side.
    pub fn hurry(&mut self, wait: std::time::Duration) {
        self.patience = Duration::from(wait).min(STALL);
    }

    /// Closes in order (FIN). Returns when the donor has acknowledged it, and has closed its side or had a moment to do so.
    ///
    /// # Errors
    /// `ConnectionReset`: the connection was gone already. `TimedOut`: nobody acknowledged.
    pub fn finish(mut self) -> io::Result<()> {
        self.desk.with_pump(|engine, _| engine.close());
        let acknowledged = self.desk.work(Some(self.desk.now() + FINISH), |engine, _| {
            Some(engine.closing()).filter(|closing| *closing != Closing::Pending)
        });
        let result = match acknowledged {
            Ok(Closing::Reset) => Err(io::ErrorKind::ConnectionReset.into()),
            Ok(Closing::Done | Closing::Pending) => Ok(()),
            Ok(Closing::Acknowledged) => {
                // The donor has the FIN. That it closes too only spares it a reset, later.
                let _ = self.desk.work(Some(self.desk.now() + LINGER), |engine, _| {
                    Some(()).filter(|()| engine.closing() != Closing::Acknowledged)
                });
                Ok(())
            }
            Err(Late) => Err(io::ErrorKind::TimedOut.into()),
        };
        match result {
            Ok(()) => self.let_go(),
            Err(_) => self.reset(),
        }
        result
    }

    /// Resets the connection (RST); returns when the reset has left.
    pub fn abort(mut self) {
        self.reset();
    }

    fn reset(&mut self) {
        if self.is_over {
            return;
        }
        self.desk.with_pump(|engine, _| engine.abort());
        // When nobody answers for the donor's address any more, there is nobody to be told.
        let _ = self.desk.work(Some(self.desk.now() + ABORT), |engine, _| {
            Some(()).filter(|()| engine.has_left())
        });
        self.let_go();
    }

    fn let_go(&mut self) {
        self.is_over = true;
        self.desk.with(|engine, _| engine.rest());
    }
}

impl<P: Ports> Read for Stream<P> {
    /// Waits for at least one byte; 0 is the donor's FIN.
    ///
    /// # Errors
    /// `TimedOut`: nothing came for [`STALL`], or as long as [`Stream::hurry`] said. `ConnectionReset`: by the donor, or its port left the machine.
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        // We only ever wait with an empty buffer, so the donor has room for all of the window from here on.
        let until = self.desk.now() + self.patience;
        let received = self.desk.work(Some(until), |engine, now| {
            let received =
                Some(engine.receive(buffer)).filter(|received| *received != Received::Nothing);
            if engine.owes_window() {
                engine.pump(now);
            }
            received
        });
        match received {
            Ok(Received::Bytes(len)) => Ok(len),
            Ok(Received::Finished | Received::Nothing) => Ok(0),
            Ok(Received::Reset) => Err(io::ErrorKind::ConnectionReset.into()),
            Err(Late) => Err(io::ErrorKind::TimedOut.into()),
        }
    }
}

impl<P: Ports> Drop for Stream<P> {
    fn drop(&mut self) {
        self.reset();
    }
}
