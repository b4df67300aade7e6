//! The receiver's side of a person's words: one attempt at a deploy, and what stops it.

use std::sync::Arc;

use super::{Control, OperatorControl, OperatorState, Shared};
use crate::donor::Interrupter;

/// The phase of the receiver, as far as a person may stop it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Nothing that could be stopped.
    #[default]
    Idle,
    /// Donors are invited, and proved.
    Inviting,
    /// One is accepted; nothing is written.
    Talking,
    /// The disk is being written.
    Writing,
    /// The disk is complete, or about to be.
    Finishing,
}

impl Phase {
    /// Is there a deploy that a person could mean?
    pub(super) const fn has_deploy(self) -> bool {
        match self {
            Phase::Idle | Phase::Inviting => false,
            Phase::Talking | Phase::Writing | Phase::Finishing => true,
        }
    }
}

/// Why an attempt ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    /// The person wants something else than it was begun with.
    TakenOver,
    /// The person wants this deploy to end, or it has failed and abandons its source.
    Cancelled,
}

impl OperatorState {
    /// The reason that stops the running attempt, if any.
    pub(super) const fn stop(&self) -> Option<Stop> {
        let has_changed = self.begun_under != self.changes;
        match self.phase {
            Phase::Talking | Phase::Writing if self.is_cancelled || self.is_abandoned => {
                Some(Stop::Cancelled)
            }
            Phase::Inviting | Phase::Talking if has_changed => Some(Stop::TakenOver),
            Phase::Idle | Phase::Inviting | Phase::Talking | Phase::Writing | Phase::Finishing => {
                None
            }
        }
    }
}

/// One attempt. Without a person only the deploy itself stops it.
#[derive(Clone, Default)]
pub(crate) struct CancelToken(Arc<Shared>);

impl CancelToken {
    /// The token of this operator, or of a machine without one.
    pub(crate) fn of(operator: Option<&OperatorControl>) -> Self {
        Self(
            operator
                .map(|operator| Arc::clone(&operator.shared))
                .unwrap_or_default(),
        )
    }

    /// A new attempt, under what has been said until now; nothing stops it before
    /// [`CancelToken::enter`].
    pub(crate) fn begin(&self) -> Control {
        let mut state = self.0.lock();
        state.begun_under = state.changes;
        state.phase = Phase::Idle;
        state.is_cancelled = false;
        state.is_abandoned = false;
        state.control.clone()
    }

    /// The attempt goes on to `phase`.
    pub(crate) fn enter(&self, phase: Phase) -> Result<(), Stop> {
        let mut state = self.0.lock();
        let before = state.stop();
        if before.is_none() {
            state.phase = phase;
        }
        match before.or_else(|| state.stop()) {
            Some(stop) => Err(stop),
            None => Ok(()),
        }
    }

    /// To be looked at before and after everything that waits.
    pub(crate) fn stop(&self) -> Option<Stop> {
        self.0.lock().stop()
    }

    /// For another thread, once this deploy has failed by itself: what waits for a donor stops at
    /// once.
    pub(crate) fn abandoner(&self) -> Interrupter {
        let shared = Arc::clone(&self.0);
        Box::new(move || {
            shared.lock().is_abandoned = true;
            shared.call_hooks();
        })
    }

    /// The attempt is over. Was there a cancel that nobody has followed?
    pub(crate) fn end(&self) -> bool {
        let mut state = self.0.lock();
        state.phase = Phase::Idle;
        std::mem::take(&mut state.is_cancelled)
    }

    /// The decision cannot be carried out: the person decides again, unless that has happened
    /// already.
    pub(crate) fn hand_back(&self) {
        let mut state = self.0.lock();
        if state.begun_under == state.changes {
            state.control = Control::Held;
            state.changes = state.changes.wrapping_add(1);
            state.begun_under = state.changes;
        }
    }

    /// Until the guard is dropped, `hook` is called in the thread of the operator or of the deploy
    /// when the attempt has to stop. For what came before, ask [`CancelToken::stop`].
    pub(crate) fn attach(&self, hook: Interrupter) -> Attached {
        let number = self.0.attach(hook);
        Attached(Arc::clone(&self.0), number)
    }
}

/// A hook that is forgotten when this is dropped.
pub(crate) struct Attached(Arc<Shared>, u64);

impl Drop for Attached {
    fn drop(&mut self) {
        self.0.detach(self.1);
    }
}
