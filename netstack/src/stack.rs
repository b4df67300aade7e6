//! The public face: a stack gives the machine's interfaces addresses of their own, announces a code
//! on them and accepts donors.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::thread;

use thiserror::Error;
use wire::code::Code;
use wire::outcome::Outcome;

use crate::config::{Addressing, Config};
use crate::driver::{Driver, Late, Waiting};
use crate::engine::Engine;
use crate::fact::{NetworkFact, Observer};
use crate::interfaces::Interfaces;
use crate::packet_interfaces::PacketInterfaces;
use crate::stream::{Interrupter, Stream};

/// Why there is no stack, or no donor.
#[derive(Debug, Error)]
pub enum NetstackError {
    /// The kernel lets us see no interfaces.
    #[error("watching the network interfaces")]
    Links(#[source] io::Error),
    /// No randomness for sequence numbers and transaction numbers.
    #[error("drawing a seed for the network stack")]
    Seed(#[source] getrandom::Error),
    /// The thread that looks after the network could not be started.
    #[error("starting the network thread")]
    Thread(#[source] io::Error),
    /// Something was wanted that cannot be while a donor is connected.
    #[error("a donor is being served")]
    Busy,
    /// Another thread did not want it any more.
    #[error("waiting for a donor was interrupted")]
    Interrupted,
}

impl NetstackError {
    /// A machine without packet sockets cannot be helped over the network.
    #[must_use]
    pub const fn outcome(&self) -> Outcome {
        match self {
            Self::Links(_) | Self::Seed(_) | Self::Thread(_) => Outcome::Fatal,
            Self::Busy | Self::Interrupted => Outcome::Retry,
        }
    }
}

/// The machine on the network. A clone is the same one, for another thread.
pub struct Stack<I: Interfaces = PacketInterfaces> {
    driver: Arc<Driver<I>>,
}

impl Stack {
    /// Watches the interfaces from now on: brings up every Ethernet interface, and gives each that
    /// has a link an address. `observer` learns what a console should show; it is called while the
    /// network is being worked on and must return at once.
    ///
    /// Needs CAP_NET_RAW and CAP_NET_ADMIN. A machine without an interface, or without a link, is
    /// no error: both may come later.
    ///
    /// # Errors
    /// [`NetstackError::Links`], [`NetstackError::Seed`], [`NetstackError::Thread`].
    pub fn open(
        config: Config,
        observer: impl FnMut(NetworkFact) + Send + 'static,
    ) -> Result<Self, NetstackError> {
        let interfaces = PacketInterfaces::open(&config).map_err(NetstackError::Links)?;
        let seed = getrandom::u64().map_err(NetstackError::Seed)?;
        let stack = Self::over(interfaces, config, Box::new(observer), seed);
        let driver = Arc::downgrade(&stack.driver);
        thread::Builder::new()
            .name("network".into())
            .spawn(move || Driver::run_in_background(&driver))
            .map_err(NetstackError::Thread)?;
        Ok(stack)
    }
}

impl<I: Interfaces> Stack<I> {
    /// A stack over any interfaces, without a background thread: nothing happens between calls. For
    /// tests in virtual time.
    pub fn over(interfaces: I, config: Config, observer: Observer, seed: u64) -> Self {
        let engine = Engine::new(config, observer, seed);
        Self {
            driver: Arc::new(Driver::new(interfaces, engine)),
        }
    }

    /// Announces `code` once a second on every interface that has an address, until a donor
    /// connects to TCP 9192 and sends `opening_len` bytes, or fewer and closes its side. From then
    /// on every other connection is reset.
    ///
    /// # Errors
    /// [`NetstackError::Busy`] while a [`Stream`] exists. [`NetstackError::Interrupted`] by
    /// [`Stack::interrupter`].
    pub fn accept(&self, code: &Code, opening_len: usize) -> Result<Stream<I>, NetstackError> {
        loop {
            // Without a limit it is never late.
            if let Some(stream) = self.accept_within(code, opening_len, None)? {
                return Ok(stream);
            }
        }
    }

    /// As [`Stack::accept`], for so long at most; `None` when nobody has come. Connections
    /// without an opening are reset then.
    ///
    /// # Errors
    /// As [`Stack::accept`].
    pub fn accept_within(
        &self,
        code: &Code,
        opening_len: usize,
        wait: Option<std::time::Duration>,
    ) -> Result<Option<Stream<I>>, NetstackError> {
        let until = wait.map(|wait| self.driver.now() + smoltcp::time::Duration::from(wait));
        loop {
            let left = until.map(|until| std::time::Duration::from(until - self.driver.now()));
            let admitted = self.admit(code, opening_len, left);
            let is_late = until.is_some_and(|until| until <= self.driver.now());
            match admitted {
                Ok(None) if !is_late => {}
                Err(NetstackError::Busy) => return Err(NetstackError::Busy),
                done => {
                    self.rest();
                    return done;
                }
            }
        }
    }

    /// Announces `code` and listens as [`Stack::accept`] does, from now on until
    /// [`Stack::rest`], and waits for one more connection that has delivered its opening. Several
    /// may be there at a time; each is its caller's to keep or to drop. `None`: time is up, or
    /// something has happened at one of those that are there.
    ///
    /// # Errors
    /// [`NetstackError::Busy`] while a [`Stream`] exists and nobody is invited.
    /// [`NetstackError::Interrupted`] by [`Stack::interrupter`].
    pub fn admit(
        &self,
        code: &Code,
        opening_len: usize,
        wait: Option<std::time::Duration>,
    ) -> Result<Option<Stream<I>>, NetstackError> {
        let payload = wire::beacon::emit(code);
        let may_invite = self.driver.with(|engine, now| {
            let may_invite = engine.may_invite();
            if may_invite {
                engine.wait_for_donor(payload, opening_len, now);
            }
            may_invite
        });
        if !may_invite {
            return Err(NetstackError::Busy);
        }
        let until = wait.map(|wait| self.driver.now() + smoltcp::time::Duration::from(wait));
        // A donor that is there already comes before an interruption, which its caller sees anyway.
        let happened = self.driver.drive(until, |engine, _| {
            let arrived = engine.arrived().map(|guest| Ok(Some(guest)));
            let interrupted = || self.driver.take_interruption().then_some(Err(()));
            let arrived = arrived.or_else(interrupted);
            arrived.or_else(|| engine.has_stirred().then_some(Ok(None)))
        });
        match happened {
            Ok(Ok(Some(guest))) => {
                let driver = Arc::clone(&self.driver);
                Ok(Some(Stream::new(driver, guest.peer, guest.connection)))
            }
            Ok(Ok(None)) | Err(Late) => Ok(None),
            Ok(Err(())) => Err(NetstackError::Interrupted),
        }
    }

    /// Stops inviting: new connections are reset, and so are those that have not delivered an
    /// opening.
    pub fn rest(&self) {
        self.driver.with_pump(|engine, _| engine.rest());
    }

    /// For another thread, to end an `accept`: the one that waits, or else the next. Nobody is
    /// invited any more when it returns.
    #[must_use]
    pub fn interrupter(&self) -> Interrupter<I> {
        Interrupter::new(&self.driver, Waiting::Accept)
    }

    /// Every address is given up, and others are taken as this says. Who was invited is invited
    /// under those. A lease is not returned to its server (RFC 2131 4.4.6 leaves that to us): it
    /// runs out, and a machine that comes back to that server gets the same.
    ///
    /// # Errors
    /// [`NetstackError::Busy`] while a [`Stream`] exists: its connection would end with the
    /// address.
    pub fn readdress(&self, addressing: Addressing) -> Result<(), NetstackError> {
        if let Some(chosen) = &addressing.ipv6 {
            self.driver.listen_for(chosen.address);
        }
        let is_done = self
            .driver
            .with_pump(|engine, now| engine.readdress(addressing, now));
        if is_done {
            Ok(())
        } else {
            Err(NetstackError::Busy)
        }
    }

    /// Addresses under which a donor reaches this machine.
    #[must_use]
    pub fn addresses(&self) -> Vec<IpAddr> {
        self.driver.with(|engine, _| engine.addresses())
    }

    /// Drives the network for a while, as the background thread would.
    #[cfg(any(test, feature = "sim"))]
    pub fn run_for(&self, time: smoltcp::time::Duration) {
        let until = self.driver.now() + time;
        // It always ends by being late.
        let _ = self.driver.drive(Some(until), |_, _| None::<()>);
    }

    /// One round of the background thread.
    #[cfg(any(test, feature = "sim"))]
    pub fn poll_in_background(&self) {
        self.driver.poll_once();
    }

    /// The clock of the interfaces.
    #[must_use]
    pub fn now(&self) -> smoltcp::time::Instant {
        self.driver.now()
    }
}

impl<I: Interfaces> Clone for Stack<I> {
    fn clone(&self) -> Self {
        Self {
            driver: Arc::clone(&self.driver),
        }
    }
}

impl<I: Interfaces> Drop for Stack<I> {
    fn drop(&mut self) {
        // The background poller holds a reference while it sleeps. Woken, it finds that it has the
        // last one, and ends.
        self.driver.wake();
    }
}
