//! Who works: one engine, shared by the threads that want something of it and by one that looks after it when nobody does.
//!
//! Whoever waits for the network does the network's work meanwhile: a reader that finds no bytes sleeps until frames arrive,
//! takes them in itself and goes on with what they brought, without another thread between. When callers stay away (a
//! full pipe, a slow disk), the caretaker thread takes over, so that ARP, DHCP, acknowledgements and resets go on. At any
//! time one thread at most sleeps in [`Wait::wait`]; others wait at the desk for it.

use std::net::Ipv6Addr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration as StdDuration;

use smoltcp::time::{Duration, Instant};

use crate::engine::Engine;
use crate::ports::Ports;

/// How long callers may stay away before the caretaker takes over. The kernel holds what arrives meanwhile, and a sender begins
/// to repeat itself after 200 ms.
const ABSENCE: StdDuration = StdDuration::from_millis(50);

/// What the mutex guards.
struct Shared<P: Ports> {
    engine: Engine<P::Device>,
    /// Somebody sleeps in `wait` and will pump when it returns.
    is_pumped: bool,
    /// Callers that wait for that somebody.
    waiting: u32,
    /// Counts visits of callers: an unchanged number means that they stay away.
    visits: u64,
}

/// The engine and the ports it works with.
pub(crate) struct Desk<P: Ports> {
    ports: P,
    shared: Mutex<Shared<P>>,
    turn: Condvar,
    /// Whoever waits for a donor, or is the next to do so, shall stop.
    is_interrupted: AtomicBool,
    /// The connection whose reads shall stop; they are numbered from 1.
    interrupted: AtomicU64,
}

/// What of it is to be interrupted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Waiting {
    /// Waiting for a donor.
    Accept,
    /// Reading from the connection with this number.
    Connection(u64),
}

/// Time is up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Late;

impl<P: Ports> Desk<P> {
    pub(crate) fn new(ports: P, engine: Engine<P::Device>) -> Self {
        let shared = Shared {
            engine,
            is_pumped: false,
            waiting: 0,
            visits: 0,
        };
        Self {
            ports,
            shared: Mutex::new(shared),
            turn: Condvar::new(),
            is_interrupted: AtomicBool::new(false),
            interrupted: AtomicU64::new(0),
        }
    }

    pub(crate) fn now(&self) -> Instant {
        self.ports.now()
    }

    pub(crate) fn listen_for(&self, own: Ipv6Addr) {
        self.ports.listen_for(own);
    }

    pub(crate) fn wake(&self) {
        self.ports.wake();
    }

    /// Makes who waits look up: at once, or when it begins to wait. Any thread may call it, it never waits itself.
    pub(crate) fn interrupt(&self, what: Waiting) {
        match what {
            Waiting::Accept => self.is_interrupted.store(true, Ordering::SeqCst),
            Waiting::Connection(number) => self.interrupted.store(number, Ordering::SeqCst),
        }
        self.wake();
    }

    /// Was waiting for a donor interrupted? Once for each time, or for several.
    pub(crate) fn take_interruption(&self) -> bool {
        self.is_interrupted.swap(false, Ordering::SeqCst)
    }

    /// Was reading from this connection interrupted? For good.
    pub(crate) fn is_interrupted(&self, connection: u64) -> bool {
        self.interrupted.load(Ordering::SeqCst) == connection
    }

    /// A thread that panicked while it held the lock has already stopped the machine or failed its test.
    fn lock(&self) -> MutexGuard<'_, Shared<P>> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One look at the engine, without any network work.
    pub(crate) fn with<T>(&self, look: impl FnOnce(&mut Engine<P::Device>, Instant) -> T) -> T {
        let now = self.ports.now();
        look(&mut self.lock().engine, now)
    }

    /// One look at the engine, then whatever that look made due.
    pub(crate) fn with_pump<T>(
        &self,
        look: impl FnOnce(&mut Engine<P::Device>, Instant) -> T,
    ) -> T {
        let now = self.ports.now();
        let mut shared = self.lock();
        let result = look(&mut shared.engine, now);
        self.pump_beside(&mut shared, now);
        result
    }

    /// Sends what is due although somebody else may be asleep with the network in its care. That one must look up: what it waits
    /// for may just have been taken in, and what is due next may be due before it would wake.
    fn pump_beside(&self, shared: &mut Shared<P>, now: Instant) {
        shared.engine.pump(now);
        if shared.is_pumped {
            self.ports.wake();
        }
    }

    /// Does the network's work until `look` has what it looks for, or until `until`.
    pub(crate) fn work<T>(
        &self,
        until: Option<Instant>,
        mut look: impl FnMut(&mut Engine<P::Device>, Instant) -> Option<T>,
    ) -> Result<T, Late> {
        let mut shared = self.lock();
        shared.visits = shared.visits.wrapping_add(1);
        let mut has_woken = false;
        loop {
            let now = self.ports.now();
            if let Some(found) = look(&mut shared.engine, now) {
                if shared.engine.owes() {
                    self.pump_beside(&mut shared, now);
                }
                self.leave(&shared);
                return Ok(found);
            }
            if until.is_some_and(|until| until <= now) {
                self.leave(&shared);
                return Err(Late);
            }
            if shared.is_pumped {
                // What was just asked of the engine (a beacon, a FIN) may be due long before what the sleeper waits for; on
                // a quiet network it would sleep until the lease is to be renewed. Once: from then on the sleeper knows, and
                // tells us whenever it has pumped.
                if !has_woken {
                    has_woken = true;
                    self.ports.wake();
                }
                shared = self.await_turn(shared, until.map(|until| until - now));
                continue;
            }
            let has_more = self.pump(&mut shared, now);
            if let Some(found) = look(&mut shared.engine, now) {
                if shared.engine.owes() {
                    shared.engine.pump(now);
                }
                self.leave(&shared);
                return Ok(found);
            }
            // What we do not look for may be what another one waits for.
            self.leave(&shared);
            if !has_more {
                shared = self.sleep(shared, now, until);
            }
        }
    }

    fn pump(&self, shared: &mut Shared<P>, now: Instant) -> bool {
        for change in self.ports.changes() {
            shared.engine.apply(change, now);
        }
        shared.engine.pump(now)
    }

    /// Sleeps until frames arrive or something is due.
    fn sleep<'a>(
        &'a self,
        mut shared: MutexGuard<'a, Shared<P>>,
        now: Instant,
        until: Option<Instant>,
    ) -> MutexGuard<'a, Shared<P>> {
        let due = [shared.engine.deadline(now), until]
            .into_iter()
            .flatten()
            .min();
        if due.is_some_and(|due| due <= now) {
            return shared;
        }
        shared.is_pumped = true;
        drop(shared);
        self.ports.wait(due);
        let mut shared = self.lock();
        shared.is_pumped = false;
        shared
    }

    fn await_turn<'a>(
        &'a self,
        mut shared: MutexGuard<'a, Shared<P>>,
        at_most: Option<Duration>,
    ) -> MutexGuard<'a, Shared<P>> {
        shared.waiting = shared.waiting.saturating_add(1);
        let at_most = at_most.map_or(StdDuration::MAX, |wait| {
            StdDuration::from_micros(wait.total_micros())
        });
        let waited = self.turn.wait_timeout(shared, at_most);
        let (mut shared, _) = waited.unwrap_or_else(PoisonError::into_inner);
        shared.waiting = shared.waiting.saturating_sub(1);
        shared
    }

    /// Lets the others look, and work.
    fn leave(&self, shared: &MutexGuard<'_, Shared<P>>) {
        if shared.waiting > 0 {
            self.turn.notify_all();
        }
    }

    /// The caretaker's life: works while callers stay away, ends with the desk.
    pub(crate) fn take_care(desk: &Weak<Self>) {
        let mut visits_before = None;
        while let Some(desk) = desk.upgrade() {
            desk.take_care_once(&mut visits_before);
        }
    }

    fn take_care_once(self: &Arc<Self>, visits_before: &mut Option<u64>) {
        let shared = self.lock();
        let is_away =
            *visits_before == Some(shared.visits) && shared.waiting == 0 && !shared.is_pumped;
        *visits_before = Some(shared.visits);
        if !is_away {
            let waited = self.turn.wait_timeout(shared, ABSENCE);
            // Whether it was time or a call that ended the wait shows at the next round.
            drop(waited);
            return;
        }
        self.sleep_and_pump(shared);
    }

    fn sleep_and_pump<'a>(&'a self, mut shared: MutexGuard<'a, Shared<P>>) {
        let now = self.ports.now();
        if !self.pump(&mut shared, now) {
            // Also returns when the desk is about to go: see `wake`.
            shared = self.sleep(shared, now, None);
        }
        let now = self.ports.now();
        self.pump(&mut shared, now);
        self.leave(&shared);
    }

    /// What the caretaker does once callers stay away.
    #[cfg(any(test, feature = "sim"))]
    pub(crate) fn sleep_once(&self) {
        self.sleep_and_pump(self.lock());
    }
}
