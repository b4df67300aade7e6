//! What is tried, and what comes back after it, is asked whether it is well.

use std::time::{Duration, Instant};

use super::{Step, later};
use crate::event::Why;
use crate::health::Answer;
use crate::keeper::{HoldError, Keeper};

/// Between two questions to one that is not ready yet.
const ASK_SOON: Duration = Duration::from_millis(50);
/// Between two questions to one that is well.
const ASK_AGAIN: Duration = Duration::from_millis(250);
/// For an answer of one that is ready.
const ANSWER: Duration = Duration::from_secs(1);

impl Keeper<'_> {
    /// Asks the program in service whether it is well.
    pub(super) fn ask(&mut self, now: Instant) {
        let confirmed = self.generation.plan.health.clone();
        let Some(trial) = self.trial() else { return };
        let (url, limit) = match &trial.step {
            Step::Ready { by } => (
                trial.new.plan.health.clone(),
                by.saturating_duration_since(now),
            ),
            Step::Back { by, .. } => (confirmed, by.saturating_duration_since(now)),
            Step::Prove { .. } => (trial.new.plan.health.clone(), ANSWER),
            Step::Selftest { .. } | Step::Drain | Step::Clear { .. } => return,
        };
        trial.health.ask_at = None;
        trial.health.question = trial.health.question.saturating_add(1);
        let question = trial.health.question;
        let Some(url) = url else { return };
        let limit = limit.max(Duration::from_millis(1));
        if let Err(error) = self.asker.ask(question, url, limit) {
            self.tell.fail(&HoldError::Wait(error));
            self.on_answer(
                &Answer {
                    question,
                    outcome: Err(String::new()),
                },
                now,
            );
        }
    }

    pub(in crate::keeper) fn on_answer(&mut self, answer: &Answer, now: Instant) {
        let Some(trial) = self.trial() else { return };
        if answer.question != trial.health.question {
            return;
        }
        match (&trial.step, &answer.outcome) {
            (Step::Ready { .. } | Step::Back { .. }, Ok(())) => self.on_ready(now),
            (Step::Ready { .. } | Step::Back { .. }, Err(_)) => {
                trial.health.ask_at = Some(later(now, ASK_SOON));
            }
            (Step::Prove { .. }, Ok(())) => {
                trial.health.is_well = true;
                trial.health.ask_at = Some(later(now, ASK_AGAIN));
            }
            (Step::Prove { .. }, Err(_)) => self.fail_trial(Why::Unhealthy, now),
            (Step::Selftest { .. } | Step::Drain | Step::Clear { .. }, _) => {}
        }
    }
}
