//! The operator's instructions for the receiver, which works in another thread.
//!
//! Instructions come at any time and in any order, also twice. The receiver looks at them wherever
//! it may stop: before the first write it stops for every change of mind, after that for a cancel
//! only, and once the disk is complete for nothing. A receiver that waits is woken: at the disks by
//! a file descriptor, at the network by hooks (`cancel_token`).
//!
//! The other direction is [`event`]: what happens, as values with their console lines, for a
//! [`reporter`]. [`qr`] draws code and secret for a camera.

use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use disk::sizes::Sizes;
use machine::gate::Wish;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use sys::eventfd::EventFd;

use crate::donor::Interrupter;

pub(crate) use cancel_token::{Attached, CancelToken, Phase, Stop};

mod cancel_token;
pub mod event;
pub mod qr;
pub mod reporter;

/// Shared between the one who listens to the person and the receiver.
#[derive(Clone)]
pub struct OperatorControl {
    shared: Arc<Shared>,
    wakeup: EventFd,
}

#[derive(Default)]
struct Shared {
    state: Mutex<OperatorState>,
    /// Called when the receiver has to stop what it waits for.
    hooks: Mutex<Hooks>,
}

#[derive(Default)]
struct Hooks {
    all: Vec<(u64, Interrupter)>,
    next: u64,
}

#[derive(Debug, Default)]
struct OperatorState {
    /// The name of the installation that may be replaced.
    agreed: Option<String>,
    control: Control,
    /// How often that has changed.
    changes: u64,
    is_cancelled: bool,
    /// The deploy has failed by itself: nothing it waits for is wanted.
    is_abandoned: bool,
    /// The phase of the receiver.
    phase: Phase,
    /// The change of control under which it does that.
    begun_under: u64,
}

/// The party that decides about the disk.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Control {
    /// No operator: the machine follows the options of its start.
    #[default]
    Machine,
    /// A person, who has not decided yet.
    Held,
    /// A person, like this.
    Taken { wish: Wish, sizes: Sizes },
}

impl OperatorControl {
    /// Nothing has been said.
    ///
    /// # Errors
    /// No descriptor.
    pub fn new() -> io::Result<Self> {
        Ok(Self {
            shared: Arc::default(),
            wakeup: EventFd::new()?,
        })
    }

    /// The installation with this name may be replaced.
    pub fn agree(&self, name: String) {
        self.shared.lock().agreed = Some(name);
        self.wakeup.notify();
    }

    /// The contents that may be replaced, if any.
    #[must_use]
    pub fn agreed(&self) -> Option<String> {
        self.shared.lock().agreed.clone()
    }

    /// A person takes over: donors are not invited any more. A deploy that has begun to write goes
    /// on; should it come to nothing, the person decides what follows.
    pub fn hold(&self) {
        self.decide(Control::Held);
    }

    /// The machine goes on by itself, by the options of its start.
    pub fn go_on(&self) {
        self.decide(Control::Machine);
    }

    /// This disk is to be taken, with these sizes, and donors are to be invited. When it may not be
    /// taken, the machine holds.
    pub fn take(&self, wish: Wish, sizes: Sizes) {
        self.decide(Control::Taken { wish, sizes });
    }

    /// The deploy that runs is to be given up, from the moment a donor was accepted. At any other
    /// time it means nothing.
    pub fn cancel(&self) {
        let stops = {
            let mut state = self.shared.lock();
            state.is_cancelled |= state.phase.has_deploy();
            state.stop().is_some()
        };
        self.tell(stops);
    }

    fn decide(&self, control: Control) {
        let stops = {
            let mut state = self.shared.lock();
            if state.control == control {
                return;
            }
            state.control = control;
            state.changes = state.changes.wrapping_add(1);
            state.stop().is_some()
        };
        self.tell(stops);
    }

    fn tell(&self, stops: bool) {
        self.wakeup.notify();
        if stops {
            self.shared.call_hooks();
        }
    }

    /// Waits until something was said since [`OperatorControl::clear`], or `limit` has passed, or
    /// earlier.
    pub(crate) fn wait(&self, limit: Option<Duration>) -> io::Result<()> {
        let limit = limit.and_then(|limit| Timespec::try_from(limit).ok());
        let mut fds = [PollFd::new(self.wakeup(), PollFlags::IN)];
        match poll(&mut fds, limit.as_ref()) {
            Ok(_) | Err(Errno::INTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Readable when something was said since [`OperatorControl::clear`].
    pub(crate) fn wakeup(&self) -> &EventFd {
        &self.wakeup
    }

    /// Whether something was said since this was last called.
    pub(crate) fn clear(&self) -> bool {
        self.wakeup.clear()
    }
}

impl Shared {
    fn call_hooks(&self) {
        let hooks = self.hooks();
        hooks.all.iter().for_each(|(_, hook)| hook());
    }

    fn attach(&self, hook: Interrupter) -> u64 {
        let mut hooks = self.hooks();
        hooks.next = hooks.next.wrapping_add(1);
        let number = hooks.next;
        hooks.all.push((number, hook));
        number
    }

    fn detach(&self, number: u64) {
        self.hooks().all.retain(|(other, _)| *other != number);
    }

    /// Every change is complete before its lock is released, so a panic elsewhere harms nothing.
    fn lock(&self) -> MutexGuard<'_, OperatorState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn hooks(&self) -> MutexGuard<'_, Hooks> {
        self.hooks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for OperatorControl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("OperatorControl")
            .field(&*self.shared.lock())
            .finish()
    }
}

#[cfg(test)]
mod tests;
