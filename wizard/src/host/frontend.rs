//! The two user interfaces: screens, or questions and lines. The host's loop is the same.

use std::time::{Duration, Instant};

use crate::command::Command;
use crate::event::MachineEvent;
use crate::{Plain, Wizard};

/// One for all terminals.
#[derive(Debug)]
pub(super) enum Frontend {
    /// Pictures out, keys in.
    Screens(Box<Wizard>),
    /// Lines out, lines in.
    Lines(Box<Plain>),
}

impl Frontend {
    pub(super) fn wizard(&self) -> &Wizard {
        match self {
            Self::Screens(wizard) => wizard,
            Self::Lines(plain) => plain.wizard(),
        }
    }

    pub(super) const fn is_lines(&self) -> bool {
        matches!(self, Self::Lines(_))
    }

    pub(super) fn learn(&mut self, fact: MachineEvent, now: Instant) {
        match self {
            Self::Screens(wizard) => wizard.learn(fact, now),
            Self::Lines(plain) => plain.learn(fact, now),
        }
    }

    pub(super) fn tick(&mut self, now: Instant) -> Vec<Command> {
        match self {
            Self::Screens(wizard) => wizard.tick(now),
            Self::Lines(plain) => plain.tick(now),
        }
    }

    pub(super) fn next_tick(&self, now: Instant) -> Option<Duration> {
        match self {
            Self::Screens(wizard) => wizard.next_tick(now),
            Self::Lines(plain) => plain.next_tick(now),
        }
    }

    /// Is there something to draw?
    pub(super) const fn is_changed(&mut self) -> bool {
        match self {
            Self::Screens(wizard) => wizard.is_changed(),
            Self::Lines(_) => false,
        }
    }

    /// The new text, and whether the next line that is typed must not be shown.
    pub(super) fn lines(&mut self) -> (Vec<String>, bool) {
        match self {
            Self::Screens(_) => (Vec::new(), false),
            Self::Lines(plain) => (plain.lines(), plain.is_secret()),
        }
    }
}
