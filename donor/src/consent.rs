//! Questions to the person at the donor, before a disk that is not blank is taken.
//!
//! In: questions of the threads that serve targets, answers of a frontend. Out: one open question
//! at a time, and the answer for the thread that asked. A question whose target is gone is taken
//! back, and no answer to one question is ever taken for that of another.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use wire::code::Code;

use crate::target_disk::TargetDisk;

/// Questions that are open, for every thread.
#[derive(Debug, Default)]
pub struct Questions {
    has_person: bool,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    open: VecDeque<Question>,
    answers: BTreeMap<Code, bool>,
}

/// May this disk be taken?
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// The target's.
    pub code: Code,
    /// The disk it is about to take.
    pub disk: TargetDisk,
}

impl Questions {
    /// None is open yet.
    #[must_use]
    pub fn new(has_person: bool) -> Self {
        Self {
            has_person,
            state: Mutex::default(),
        }
    }

    /// Whether anybody can be asked.
    pub const fn has_person(&self) -> bool {
        self.has_person
    }

    /// Asks, unless that was asked already; the answer, once there is one.
    pub fn ask(&self, code: Code, disk: &TargetDisk) -> Option<bool> {
        let mut state = self.lock();
        if let Some(answer) = state.answers.remove(&code) {
            return Some(answer);
        }
        let is_asked = |question: &Question| question.code == code && question.disk == *disk;
        if !state.open.iter().any(is_asked) {
            state.open.retain(|question| question.code != code);
            let disk = disk.clone();
            state.open.push_back(Question { code, disk });
        }
        None
    }

    /// The target does not want to know any more.
    pub fn withdraw(&self, code: Code) {
        let mut state = self.lock();
        state.open.retain(|question| question.code != code);
        state.answers.remove(&code);
    }

    /// The one that has been open for longest.
    #[must_use]
    pub fn first(&self) -> Option<Question> {
        self.lock().open.front().cloned()
    }

    /// Whether an answer to it is still awaited.
    #[must_use]
    pub fn is_open(&self, question: &Question) -> bool {
        self.lock().open.contains(question)
    }

    /// Answers it.
    pub fn answer(&self, question: &Question, answer: bool) {
        let mut state = self.lock();
        // It may have been taken back this moment.
        if state.open.contains(question) {
            state.open.retain(|other| other != question);
            state.answers.insert(question.code, answer);
        }
    }

    /// Every change is one call, so a thread that panicked left nothing half done.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
