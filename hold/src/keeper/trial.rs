//! A version in place of another: prepared, written down, started, ready, healthy for a while, and
//! kept; or the one before is back.
//!
//! | step | what is waited for | then |
//! | --- | --- | --- |
//! | `Selftest` | its test of itself ends with 0 | ledger, `current`; the old one is stopped |
//! | `Drain` | the old one has ended | the new one is started |
//! | `Ready` | it says so, or answers | `overlap`: the old one is asked to end |
//! | `Prove` | its time is over, and it was well | the ledger keeps it |
//! | `Clear` | it has ended, after it failed | the old one is pointed to and started |
//! | `Back` | the old one is ready again | the client hears why |

mod health;
mod verdict;

use std::time::{Duration, Instant};

use machine::locks::Lock;
use store::stage::Staged;
use store::trial::Trial as Tried;
use wire::service::{Mode, Ready};

use super::{Keeper, Phase, millis};
use crate::control::ClientId;
use crate::event::{Event, Why};
use crate::fit;
use crate::place::{Candidate, Generation};
use crate::run::{Run, Start};
use crate::user::User;

/// A trial.
pub(super) struct Trial {
    /// Hears what happens.
    pub client: ClientId,
    new: Generation,
    staged: Staged,
    /// As soon as the ledger names it.
    tried: Option<Tried>,
    user: User,
    is_overlap: bool,
    step: Step,
    /// With `overlap`, until the new one is ready: it still accepts.
    former: Option<Run>,
    health: Health,
    dark: Dark,
    /// Given back when this is dropped.
    _lock: Lock,
}

enum Step {
    Selftest { run: Run, by: Instant },
    Drain,
    Ready { by: Instant },
    Prove { until: Instant },
    Clear { why: Why },
    Back { why: Why, by: Instant },
}

/// What was asked, and answered.
#[derive(Default)]
struct Health {
    question: u64,
    /// `None`: an answer is to come, or nothing is asked.
    ask_at: Option<Instant>,
    is_well: bool,
}

/// How long nobody accepts connections.
#[derive(Default)]
struct Dark {
    since: Option<Instant>,
    before: Duration,
}

impl Dark {
    fn begins(&mut self, now: Instant) {
        self.since.get_or_insert(now);
    }

    fn ends(&mut self, now: Instant) {
        if let Some(since) = self.since.take() {
            let took = now.saturating_duration_since(since);
            self.before = self.before.saturating_add(took);
        }
    }
}

impl Trial {
    pub(super) fn deadline(&self) -> Option<Instant> {
        let step = match &self.step {
            Step::Selftest { by, .. } | Step::Ready { by } | Step::Back { by, .. } => Some(*by),
            // Behind its time only the answer that is still to come counts.
            Step::Prove { until } => {
                (!self.is_asking() || *until > Instant::now()).then_some(*until)
            }
            Step::Drain | Step::Clear { .. } => None,
        };
        step.into_iter().chain(self.health.ask_at).min()
    }

    /// It was well whenever it was asked, and no answer is to come.
    const fn is_proved(&self) -> bool {
        self.new.plan.health.is_none() || (!self.is_asking() && self.health.is_well)
    }

    /// Its health counts, and an answer is to come.
    const fn is_asking(&self) -> bool {
        self.new.plan.health.is_some() && self.health.ask_at.is_none()
    }
}

impl Keeper<'_> {
    /// Programs that only a trial has.
    pub(super) fn trial_runs(&self) -> impl Iterator<Item = &Run> {
        let trial = match &self.phase {
            Phase::Trial(trial) => Some(trial),
            _ => None,
        };
        let former = trial.and_then(|trial| trial.former.as_ref());
        let selftest = trial.and_then(|trial| match &trial.step {
            Step::Selftest { run, .. } => Some(run),
            _ => None,
        });
        former.into_iter().chain(selftest)
    }

    /// A client wants this version. What stands against it is found before anything is stopped.
    pub(super) fn begin(
        &mut self,
        client: ClientId,
        candidate: Candidate,
        lock: Lock,
        now: Instant,
    ) {
        let Candidate {
            generation: new,
            staged,
        } = candidate;
        let counter = new.counter;
        let prepared = self.prepare(&new);
        let (user, why) = match prepared {
            Ok(user) => (user, None),
            Err(why) => (self.user.clone(), Some(why)),
        };
        let is_overlap = [&new, &self.generation].map(|one| one.plan.mode) == [Mode::Overlap; 2];
        let trial = Trial {
            client,
            new,
            staged,
            tried: None,
            user,
            is_overlap: is_overlap && self.main.is_some(),
            step: Step::Drain,
            former: None,
            health: Health::default(),
            dark: Dark::default(),
            _lock: lock,
        };
        self.phase = Phase::Trial(Box::new(trial));
        self.say(&Event::Trial { counter });
        match why {
            Some(why) => self.refuse(why),
            None => self.test_or_stop(now),
        }
    }

    /// Its user, its program and its sockets are there.
    fn prepare(&mut self, new: &Generation) -> Result<User, Why> {
        let user = fit::user_of(self.settings, new, self.tell)?;
        let added = self
            .sockets
            .add(&new.plan.sockets, &user.identity, self.reserved);
        added.map_err(|error| {
            self.tell.fail(&error);
            Why::Sockets
        })?;
        Ok(user)
    }

    fn trial(&mut self) -> Option<&mut Trial> {
        match &mut self.phase {
            Phase::Trial(trial) => Some(trial),
            _ => None,
        }
    }

    fn test_or_stop(&mut self, now: Instant) {
        let notify = self.notify_path();
        let reserved = self.reserved;
        let by = later(now, self.settings.times.selftest);
        let Some(trial) = self.trial() else { return };
        let Some(argument) = &trial.new.plan.selftest else {
            return self.stop_old(now);
        };
        let what = Start {
            counter: trial.new.counter,
            plan: &trial.new.plan,
            user: &trial.user,
            sockets: &[],
            notify,
        };
        match Run::selftest(what, argument, reserved) {
            Ok(run) => trial.step = Step::Selftest { run, by },
            Err(_) => self.refuse(Why::Selftest),
        }
    }

    /// It failed before anything was stopped for it.
    fn refuse(&mut self, why: Why) {
        let place = &self.settings.place;
        let Some(trial) = self.trial() else { return };
        let counter = trial.new.counter;
        let remembered = why.word().map(|word| place.refuse(&trial.staged, word));
        if let Some(Err(error)) = remembered {
            self.tell.fail(&error);
        }
        self.sockets.keep_only(&self.generation.plan.sockets);
        self.finish(&Event::TakenBack {
            counter,
            why,
            pause_ms: 0,
        });
    }

    /// From here on the ledger says that something is tried.
    fn stop_old(&mut self, now: Instant) {
        let place = &self.settings.place;
        let Some(trial) = self.trial() else { return };
        // Before anything is stopped: what is flushed meanwhile, nobody waits for.
        match place.begin(trial.staged.clone()) {
            Ok(tried) => trial.tried = Some(tried),
            Err(error) => {
                self.tell.fail(&error);
                self.sockets.keep_only(&self.generation.plan.sockets);
                return self.finish(&Event::Refused { why: Why::Ledger });
            }
        }
        let old = self.main.take();
        let Some(trial) = self.trial() else { return };
        trial.step = Step::Drain;
        match old {
            Some(old) if trial.is_overlap => trial.former = Some(old),
            Some(old) => {
                trial.dark.begins(now);
                self.end(old, self.settings.times.drain);
            }
            None => trial.dark.begins(now),
        }
        self.advance(now);
    }

    /// What is due, or has become possible.
    pub(super) fn advance(&mut self, now: Instant) {
        let is_clear = self.ending.is_empty();
        let Some(trial) = self.trial() else { return };
        match &trial.step {
            Step::Selftest { by, .. } if *by <= now => {
                let step = std::mem::replace(&mut trial.step, Step::Drain);
                if let Step::Selftest { run, .. } = step {
                    self.end(run, self.settings.times.grace);
                }
                return self.refuse(Why::Selftest);
            }
            Step::Drain if is_clear || trial.is_overlap => return self.start_new(now),
            Step::Ready { by } if *by <= now => return self.fail_trial(Why::NotReady, now),
            Step::Prove { until } if *until <= now && trial.is_proved() => return self.commit(),
            Step::Clear { why } if is_clear || trial.is_overlap => {
                let why = *why;
                return self.start_old(why, now);
            }
            Step::Back { why, by } if *by <= now => {
                let why = *why;
                return self.finish_back(why, now);
            }
            _ => {}
        }
        if self
            .trial()
            .and_then(|trial| trial.health.ask_at)
            .is_some_and(|at| at <= now)
        {
            self.ask(now);
        }
    }

    fn start_new(&mut self, now: Instant) {
        let Some(trial) = self.trial() else { return };
        let (new, user, since) = (trial.new.clone(), trial.user.clone(), trial.dark.since);
        if let Err(error) = self.start(&new, &user) {
            self.tell.fail(&error);
            return self.fail_trial(Why::Exec, now);
        }
        let now = Instant::now();
        let times = self.settings.times;
        let by = later(now, times.ready);
        let by = since.map_or(by, |since| by.min(later(since, times.dark)));
        self.step(Step::Ready { by });
        self.await_ready(&new, now);
    }

    /// By whatever its plan says.
    fn await_ready(&mut self, generation: &Generation, now: Instant) {
        match generation.plan.ready {
            Ready::Started => self.on_ready(now),
            Ready::Health => self.ask(now),
            Ready::Notify => {}
        }
    }

    fn step(&mut self, step: Step) {
        if let Some(trial) = self.trial() {
            trial.step = step;
            trial.health.ask_at = None;
            trial.health.is_well = false;
        }
    }

    /// The program in service says that it is ready, or is known to be.
    fn on_ready(&mut self, now: Instant) {
        let since = self.main.as_ref().map(|run| run.since);
        let Some(trial) = self.trial() else { return };
        match trial.step {
            Step::Ready { .. } => {
                trial.dark.ends(now);
                let former = trial.former.take();
                let counter = trial.new.counter;
                if let Some(former) = former {
                    self.end(former, self.settings.times.drain);
                }
                let ms = since.map_or(0, |since| millis(now.saturating_duration_since(since)));
                self.say(&Event::Ready { counter, ms });
                let until = later(now, self.settings.times.healthy);
                self.step(Step::Prove { until });
                self.ask(now);
            }
            Step::Back { why, .. } => self.finish_back(why, now),
            _ => {}
        }
    }

    /// Programs that only a trial has, and what the one in service says.
    pub(super) fn look_at_trial(&mut self, now: Instant) {
        let is_ready = self.main.as_ref().is_some_and(Run::says_ready);
        let Some(trial) = self.trial() else { return };
        if trial
            .former
            .as_mut()
            .is_some_and(|run| run.ended().is_some())
        {
            trial.former = None; // by itself; whoever follows is started
        }
        let tested = match &mut trial.step {
            Step::Selftest { run, .. } => run.ended(),
            _ => None,
        };
        match tested {
            Some(Why::Exit(0)) => return self.stop_old(now),
            Some(_) => return self.refuse(Why::Selftest),
            None => {}
        }
        let is_notified = match (&trial.step, trial.new.plan.ready) {
            (Step::Ready { .. }, ready) => ready == Ready::Notify,
            (Step::Back { .. }, _) => self.generation.plan.ready == Ready::Notify,
            _ => false,
        };
        if is_ready && is_notified {
            self.on_ready(now);
        }
    }

    /// The program in service has ended by itself.
    pub(super) fn on_end_in_trial(&mut self, how: Why, now: Instant) {
        let Some(trial) = self.trial() else { return };
        match trial.step {
            Step::Ready { .. } | Step::Prove { .. } => self.fail_trial(how, now),
            Step::Back { why, .. } => {
                self.finish_back(why, now);
                self.pause(Duration::ZERO, now);
            }
            // Before the old one was asked to end it ended by itself: that is not the new one's.
            Step::Selftest { .. } | Step::Drain | Step::Clear { .. } => {}
        }
    }
}

fn later(from: Instant, time: Duration) -> Instant {
    from.checked_add(time).unwrap_or(from)
}
