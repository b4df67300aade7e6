//! How a trial ends: the version is kept, or the one before is back.

use std::time::{Duration, Instant};

use super::{Step, Trial, later};
use crate::event::{Event, Why};
use crate::keeper::{Keeper, Phase, millis};

impl Keeper<'_> {
    /// What is tried is not kept.
    pub(super) fn fail_trial(&mut self, why: Why, now: Instant) {
        if let Some(run) = self.main.take() {
            self.end(run, self.settings.times.grace);
        }
        let Some(trial) = self.trial() else { return };
        match trial.former.take() {
            // It has accepted connections all the time.
            Some(former) => {
                self.main = Some(former);
                self.point_back(why);
                self.finish_back(why, now);
            }
            None => {
                trial.dark.begins(now);
                self.step(Step::Clear { why });
                self.advance(now);
            }
        }
    }

    fn point_back(&mut self, why: Why) {
        let place = &self.settings.place;
        let Some(trial) = self.trial() else { return };
        let taken = trial.tried.as_ref();
        if let Some(Err(error)) = taken.map(|tried| place.take_back(tried, why.word())) {
            self.tell.fail(&error);
        }
        self.sockets.keep_only(&self.generation.plan.sockets);
    }

    pub(super) fn start_old(&mut self, why: Why, now: Instant) {
        let by = later(now, self.settings.times.ready);
        self.step(Step::Back { why, by });
        let started = self.start_confirmed();
        // Behind the start, which nobody should have to wait for longer.
        self.point_back(why);
        match started {
            Ok(()) => {
                let generation = self.generation.clone();
                self.await_ready(&generation, Instant::now());
            }
            Err(error) => {
                self.tell.fail(&error);
                self.finish_back(why, now);
                self.pause(Duration::ZERO, now);
            }
        }
    }

    pub(super) fn finish_back(&mut self, why: Why, now: Instant) {
        let Some(trial) = self.trial() else { return };
        trial.dark.ends(now);
        let (counter, pause_ms) = (trial.new.counter, millis(trial.dark.before));
        self.finish(&Event::TakenBack {
            counter,
            why,
            pause_ms,
        });
    }

    pub(super) fn commit(&mut self) {
        let place = &self.settings.place;
        let Some(trial) = self.trial() else { return };
        let kept = trial.tried.as_ref().map(|tried| place.keep(tried));
        if let Some(Err(error)) = kept {
            self.tell.fail(&error);
            return self.fail_trial(Why::Ledger, Instant::now());
        }
        let Some(trial) = self.trial() else { return };
        let pause_ms = millis(trial.dark.before);
        let (new, user) = (trial.new.clone(), trial.user.clone());
        let counter = new.counter;
        (self.generation, self.user) = (new, user);
        self.sockets.keep_only(&self.generation.plan.sockets);
        self.ends = 0;
        // Under the lock of the trial, which ends with it.
        if let Err(error) = self.settings.place.collect() {
            self.tell.fail(&error);
        }
        self.finish(&Event::Swapped { counter, pause_ms });
    }

    /// The client has heard the last.
    pub(super) fn finish(&mut self, event: &Event) {
        self.say(event);
        self.phase = match self.main {
            Some(_) => Phase::Steady,
            None => Phase::Pause(Instant::now()),
        };
    }

    /// Everything is being stopped: what was tried has not failed by that.
    pub(in crate::keeper) fn give_up(&mut self, trial: Trial) {
        let client = trial.client;
        let patience = self.settings.times.drain;
        if let Step::Selftest { run, .. } = trial.step {
            self.end(run, Duration::ZERO);
        }
        if let Some(former) = trial.former {
            self.end(former, patience);
        }
        let place = &self.settings.place;
        let taken = trial.tried.as_ref();
        if let Some(Err(error)) = taken.map(|tried| place.take_back(tried, None)) {
            self.tell.fail(&error);
        }
        self.control
            .tell(client, &Event::Refused { why: Why::Leaving });
    }
}
