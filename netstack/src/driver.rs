//! Scheduling: callers drive the shared engine while they wait; a background thread takes over
//! after [`ABSENCE`] without a call.
//!
//! A reader that finds no bytes sleeps until frames arrive, takes them in itself and goes on with
//! what they brought, without a switch to another thread. While no caller drives the engine (a full
//! pipe, a slow disk), the background poller does, so that ARP, DHCP, acknowledgements and resets
//! go on. At most one thread at a time sleeps in [`crate::Wait::wait`]; the others wait on a
//! condition variable for its progress.

use std::net::Ipv6Addr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration as StdDuration;

use smoltcp::time::{Duration, Instant};

use crate::engine::Engine;
use crate::interfaces::Interfaces;

/// How long no caller may drive the engine before the background poller does. The kernel queues
/// what arrives meanwhile; a sender begins to retransmit after 200 ms.
const ABSENCE: StdDuration = StdDuration::from_millis(50);

/// The state behind the mutex.
struct Shared<I: Interfaces> {
    engine: Engine<I::Device>,
    /// A thread sleeps in `wait` and will pump when it wakes.
    is_pumped: bool,
    /// Callers that wait for that thread.
    waiting: u32,
    /// Counts calls of [`Driver::drive`]: while it stays the same, no caller drives the engine.
    calls: u64,
}

/// The engine, the interfaces it works with, and who drives it.
pub(crate) struct Driver<I: Interfaces> {
    interfaces: I,
    shared: Mutex<Shared<I>>,
    /// Notified when a pump may have brought what another thread waits for.
    progress: Condvar,
    /// The thread that waits for a donor, or the next one that will, has to stop.
    is_interrupted: AtomicBool,
    /// The connection whose reads have to stop; connections are numbered from 1.
    interrupted: AtomicU64,
}

/// The callers to interrupt.
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

impl<I: Interfaces> Driver<I> {
    pub(crate) fn new(interfaces: I, engine: Engine<I::Device>) -> Self {
        let shared = Shared {
            engine,
            is_pumped: false,
            waiting: 0,
            calls: 0,
        };
        Self {
            interfaces,
            shared: Mutex::new(shared),
            progress: Condvar::new(),
            is_interrupted: AtomicBool::new(false),
            interrupted: AtomicU64::new(0),
        }
    }

    pub(crate) fn now(&self) -> Instant {
        self.interfaces.now()
    }

    pub(crate) fn listen_for(&self, own: Ipv6Addr) {
        self.interfaces.listen_for(own);
    }

    pub(crate) fn wake(&self) {
        self.interfaces.wake();
    }

    /// Ends a wait of another thread: now, or as soon as it begins. Never blocks.
    pub(crate) fn interrupt(&self, what: Waiting) {
        match what {
            Waiting::Accept => self.is_interrupted.store(true, Ordering::SeqCst),
            Waiting::Connection(number) => self.interrupted.store(number, Ordering::SeqCst),
        }
        self.wake();
    }

    /// Whether waiting for a donor was interrupted since the last call.
    pub(crate) fn take_interruption(&self) -> bool {
        self.is_interrupted.swap(false, Ordering::SeqCst)
    }

    /// Whether reading from this connection was interrupted. It stays so.
    pub(crate) fn is_interrupted(&self, connection: u64) -> bool {
        self.interrupted.load(Ordering::SeqCst) == connection
    }

    /// A thread that panicked while it held the lock has stopped the machine or failed its test.
    fn lock(&self) -> MutexGuard<'_, Shared<I>> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives access to the engine, without any network work.
    pub(crate) fn with<T>(&self, look: impl FnOnce(&mut Engine<I::Device>, Instant) -> T) -> T {
        let now = self.interfaces.now();
        look(&mut self.lock().engine, now)
    }

    /// Gives access to the engine, then pumps: `look` may have made something due.
    pub(crate) fn with_pump<T>(
        &self,
        look: impl FnOnce(&mut Engine<I::Device>, Instant) -> T,
    ) -> T {
        let now = self.interfaces.now();
        let mut shared = self.lock();
        let result = look(&mut shared.engine, now);
        self.pump_beside(&mut shared, now);
        result
    }

    /// Pumps although another thread may sleep in `wait`, and wakes that one: what it waits for may
    /// just have been taken in, and the next deadline may come before it would wake.
    fn pump_beside(&self, shared: &mut Shared<I>, now: Instant) {
        shared.engine.pump(now);
        if shared.is_pumped {
            self.interfaces.wake();
        }
    }

    /// Drives the engine until `look` returns something, or until `until`.
    pub(crate) fn drive<T>(
        &self,
        until: Option<Instant>,
        mut look: impl FnMut(&mut Engine<I::Device>, Instant) -> Option<T>,
    ) -> Result<T, Late> {
        let mut shared = self.lock();
        shared.calls = shared.calls.wrapping_add(1);
        let mut has_woken = false;
        loop {
            let now = self.interfaces.now();
            if let Some(found) = look(&mut shared.engine, now) {
                if shared.engine.owes() {
                    self.pump_beside(&mut shared, now);
                }
                self.notify_waiting(&shared);
                return Ok(found);
            }
            if until.is_some_and(|until| until <= now) {
                self.notify_waiting(&shared);
                return Err(Late);
            }
            if shared.is_pumped {
                // A packet that the engine was just asked for (a beacon, a FIN) may be due long
                // before the sleeper's deadline; on a quiet network it would sleep until the lease
                // has to be renewed. Once is enough: from then on it notifies us after each pump.
                if !has_woken {
                    has_woken = true;
                    self.interfaces.wake();
                }
                shared = self.await_progress(shared, until.map(|until| until - now));
                continue;
            }
            let has_more = self.pump(&mut shared, now);
            if let Some(found) = look(&mut shared.engine, now) {
                if shared.engine.owes() {
                    shared.engine.pump(now);
                }
                self.notify_waiting(&shared);
                return Ok(found);
            }
            // Another caller may wait for an event that this one does not look for.
            self.notify_waiting(&shared);
            if !has_more {
                shared = self.sleep(shared, now, until);
            }
        }
    }

    fn pump(&self, shared: &mut Shared<I>, now: Instant) -> bool {
        for change in self.interfaces.changes() {
            shared.engine.apply(change, now);
        }
        shared.engine.pump(now)
    }

    /// Sleeps until frames arrive or something is due.
    fn sleep<'a>(
        &'a self,
        mut shared: MutexGuard<'a, Shared<I>>,
        now: Instant,
        until: Option<Instant>,
    ) -> MutexGuard<'a, Shared<I>> {
        let due = [shared.engine.deadline(now), until]
            .into_iter()
            .flatten()
            .min();
        if due.is_some_and(|due| due <= now) {
            return shared;
        }
        shared.is_pumped = true;
        drop(shared);
        self.interfaces.wait(due);
        let mut shared = self.lock();
        shared.is_pumped = false;
        shared
    }

    fn await_progress<'a>(
        &'a self,
        mut shared: MutexGuard<'a, Shared<I>>,
        at_most: Option<Duration>,
    ) -> MutexGuard<'a, Shared<I>> {
        shared.waiting = shared.waiting.saturating_add(1);
        let at_most = at_most.map_or(StdDuration::MAX, |wait| {
            StdDuration::from_micros(wait.total_micros())
        });
        let waited = self.progress.wait_timeout(shared, at_most);
        let (mut shared, _) = waited.unwrap_or_else(PoisonError::into_inner);
        shared.waiting = shared.waiting.saturating_sub(1);
        shared
    }

    /// Wakes the callers that wait for progress; one of them drives next.
    fn notify_waiting(&self, shared: &MutexGuard<'_, Shared<I>>) {
        if shared.waiting > 0 {
            self.progress.notify_all();
        }
    }

    /// The background poller: drives while no caller does, ends with the driver.
    pub(crate) fn run_in_background(driver: &Weak<Self>) {
        let mut calls_before = None;
        while let Some(driver) = driver.upgrade() {
            driver.poll_if_idle(&mut calls_before);
        }
    }

    fn poll_if_idle(self: &Arc<Self>, calls_before: &mut Option<u64>) {
        let shared = self.lock();
        let is_away =
            *calls_before == Some(shared.calls) && shared.waiting == 0 && !shared.is_pumped;
        *calls_before = Some(shared.calls);
        if !is_away {
            let waited = self.progress.wait_timeout(shared, ABSENCE);
            // The next round sees whether the time or a call ended the wait.
            drop(waited);
            return;
        }
        self.sleep_and_pump(shared);
    }

    fn sleep_and_pump<'a>(&'a self, mut shared: MutexGuard<'a, Shared<I>>) {
        let now = self.interfaces.now();
        if !self.pump(&mut shared, now) {
            // Also returns when the driver is about to go: see `wake`.
            shared = self.sleep(shared, now, None);
        }
        let now = self.interfaces.now();
        self.pump(&mut shared, now);
        self.notify_waiting(&shared);
    }

    /// One round of the background poller while no caller drives.
    #[cfg(any(test, feature = "sim"))]
    pub(crate) fn poll_once(&self) {
        self.sleep_and_pump(self.lock());
    }
}
