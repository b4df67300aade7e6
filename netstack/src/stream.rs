//! The donor's bytes, in order, as `Read`; the way back, for another thread, as `Write`.

use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::sync::{Arc, Weak};

use smoltcp::time::Duration;

use crate::driver::{Driver, Late, Waiting};
use crate::engine::{Closing, Received, Sent};
use crate::interfaces::Interfaces;
use crate::packet_interfaces::PacketInterfaces;

/// A donor that sends nothing for so long, while there is room for all it has, is dropped.
pub const STALL: Duration = Duration::from_secs(30);
/// A donor that takes nothing for so long while there is something for it is given up.
pub const WRITE_PATIENCE: Duration = Duration::from_secs(30);
/// For all that was written and then a FIN to be acknowledged: five transmissions of either.
const FINISH: Duration = Duration::from_secs(30);
/// For the donor to close its own side after that.
const LINGER: Duration = Duration::from_secs(2);
/// For a reset to leave, should the donor's hardware address have to be asked for again.
const ABORT: Duration = Duration::from_secs(2);

/// A connected donor. Dropping it resets the connection.
pub struct Stream<I: Interfaces = PacketInterfaces> {
    driver: Arc<Driver<I>>,
    peer: SocketAddr,
    connection: u64,
    /// How long a read waits for its first byte.
    patience: Duration,
    is_over: bool,
}

impl<I: Interfaces> Stream<I> {
    pub(crate) const fn new(driver: Arc<Driver<I>>, peer: SocketAddr, connection: u64) -> Self {
        Self {
            driver,
            peer,
            connection,
            patience: STALL,
            is_over: false,
        }
    }

    /// Where the donor connected from.
    #[must_use]
    pub const fn peer(&self) -> SocketAddr {
        self.peer
    }

    /// From now on reads wait no longer than this: for a donor that has nothing more to say and may
    /// not close its side.
    pub fn hurry(&mut self, wait: std::time::Duration) {
        self.patience = Duration::from(wait).min(STALL);
    }

    /// The way back, for any thread. It does not keep the connection open, and dropping it closes
    /// nothing.
    #[must_use]
    pub fn writer(&self) -> StreamWriter<I> {
        StreamWriter {
            driver: Arc::clone(&self.driver),
            connection: self.connection,
        }
    }

    /// For another thread, to end reading: a read that waits and every later one fails. Writing and
    /// closing are as before.
    #[must_use]
    pub fn interrupter(&self) -> Interrupter<I> {
        Interrupter::new(&self.driver, Waiting::Connection(self.connection))
    }

    /// Sends what was written, then closes in order (FIN). Returns when the donor has acknowledged
    /// it, and has closed its side or had a moment to do so.
    ///
    /// # Errors
    /// `ConnectionReset`: the connection was gone already. `TimedOut`: nobody acknowledged.
    pub fn finish(mut self) -> io::Result<()> {
        // Not before all is acknowledged: smoltcp 0.14 stops its timer when three duplicate
        // acknowledgements come while nothing but a FIN is outstanding, and bytes in front of the
        // FIN provoke those. When time is up the FIN follows all the same.
        let connection = self.connection;
        let given_up = self.driver.now() + FINISH;
        let _ = self.driver.drive(Some(given_up), |engine, _| {
            engine.has_flushed(connection).then_some(())
        });
        self.driver.with_pump(|engine, _| engine.close(connection));
        let acknowledged = self.driver.drive(Some(given_up), |engine, _| {
            Some(engine.closing(connection)).filter(|closing| *closing != Closing::Pending)
        });
        let result = match acknowledged {
            Ok(Closing::Reset) => Err(io::ErrorKind::ConnectionReset.into()),
            Ok(Closing::Done | Closing::Pending) => Ok(()),
            Ok(Closing::Acknowledged) => {
                // The donor has the FIN. That it closes too only spares it a reset, later.
                let _ = self
                    .driver
                    .drive(Some(self.driver.now() + LINGER), |engine, _| {
                        (engine.closing(connection) != Closing::Acknowledged).then_some(())
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

    /// Resets the connection (RST); returns when the reset has left. While others are invited
    /// nobody waits for that: should the peer's hardware address have to be asked for again, it is
    /// not sent.
    pub fn abort(mut self) {
        self.reset();
    }

    fn reset(&mut self) {
        if self.is_over {
            return;
        }
        let connection = self.connection;
        let is_inviting = self.driver.with_pump(|engine, _| {
            engine.abort(connection);
            engine.is_inviting()
        });
        if !is_inviting {
            // When nobody answers for the donor's address any more, there is nobody to be told.
            let _ = self
                .driver
                .drive(Some(self.driver.now() + ABORT), |engine, _| {
                    engine.has_left(connection).then_some(())
                });
        }
        self.let_go();
    }

    fn let_go(&mut self) {
        self.is_over = true;
        let connection = self.connection;
        // At once: what it received is memory.
        self.driver
            .with_pump(|engine, _| engine.dismiss(connection));
    }
}

impl<I: Interfaces> Read for Stream<I> {
    /// Waits for at least one byte; 0 is the donor's FIN.
    ///
    /// # Errors
    /// `ConnectionAborted`: by [`Stream::interrupter`]. `TimedOut`: nothing came for [`STALL`], or
    /// as long as [`Stream::hurry`] said. `ConnectionReset`: by the donor, its interface left the
    /// machine, or a DHCP server gave us another address.
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        // We only ever wait with an empty buffer, so the donor has room for all of the window from
        // here on.
        let until = self.driver.now() + self.patience;
        let received = self.driver.drive(Some(until), |engine, _| {
            if self.driver.is_interrupted(self.connection) {
                return Some(None);
            }
            Some(engine.receive(self.connection, buffer))
                .filter(|received| *received != Received::Nothing)
                .map(Some)
        });
        match received {
            Ok(None) => Err(io::ErrorKind::ConnectionAborted.into()),
            Ok(Some(Received::Bytes(len))) => Ok(len),
            Ok(Some(Received::Finished | Received::Nothing)) => Ok(0),
            Ok(Some(Received::Reset)) => Err(io::ErrorKind::ConnectionReset.into()),
            Ok(Some(Received::Readdressed(why))) => {
                Err(io::Error::new(io::ErrorKind::ConnectionReset, why))
            }
            Err(Late) => Err(io::ErrorKind::TimedOut.into()),
        }
    }
}

impl<I: Interfaces> Drop for Stream<I> {
    fn drop(&mut self) {
        self.reset();
    }
}

/// Ends the wait of another thread. It keeps nothing open, and may be called at any time and as
/// often as one likes.
pub struct Interrupter<I: Interfaces = PacketInterfaces> {
    driver: Weak<Driver<I>>,
    what: Waiting,
}

impl<I: Interfaces> Interrupter<I> {
    pub(crate) fn new(driver: &Arc<Driver<I>>, what: Waiting) -> Self {
        Self {
            driver: Arc::downgrade(driver),
            what,
        }
    }

    /// Returns at once.
    pub fn interrupt(&self) {
        if let Some(driver) = self.driver.upgrade() {
            driver.interrupt(self.what);
        }
    }
}

/// The writing half, to the donor. It goes through a buffer of 16 KiB; all writers of a connection
/// share it.
pub struct StreamWriter<I: Interfaces = PacketInterfaces> {
    driver: Arc<Driver<I>>,
    connection: u64,
}

impl<I: Interfaces> Write for StreamWriter<I> {
    /// Waits for room for at least one byte; what was taken is on its way and will be sent until it
    /// is acknowledged.
    ///
    /// # Errors
    /// `TimedOut`: no room for [`WRITE_PATIENCE`]. `BrokenPipe`: the stream was finished or
    /// dropped. `ConnectionReset`: by the donor, or its interface left the machine.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if bytes.is_empty() {
            return Ok(0);
        }
        let until = self.driver.now() + WRITE_PATIENCE;
        let sent = self.driver.drive(Some(until), |engine, _| {
            Some(engine.send(self.connection, bytes)).filter(|sent| *sent != Sent::Full)
        });
        match sent {
            Ok(Sent::Bytes(len)) => Ok(len),
            Ok(Sent::Closed | Sent::Full) => Err(io::ErrorKind::BrokenPipe.into()),
            Ok(Sent::Reset) => Err(io::ErrorKind::ConnectionReset.into()),
            Err(Late) => Err(io::ErrorKind::TimedOut.into()),
        }
    }

    /// Nothing is held back: what was written has been handed to the network.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
