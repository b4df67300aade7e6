//! Another version of a daemon that binds its sockets itself and that nobody holds: this machine's
//! init stops and starts it (`daemons.md` 4.2).
//!
//! In: a generation. Out: the events of a trial, of which the last one is returned. The order of
//! every step is that of a daemon that is held, and so are ledger and pointer; only clients are
//! refused while nothing listens.

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::thread;
use std::time::{Duration, Instant};

use machine::health::answer::must_answer;
use store::recover::Finding;
use store::trial::Trial;
use sys::handover::Reserved;
use wire::service::{Mode, Ready};

use crate::event::{Event, Why};
use crate::fit;
use crate::keeper::{DIRECTORY, HoldError, Settings, Tell, millis};
use crate::manager::{Manager, Verb};
use crate::place::{Candidate, Generation, Wanted};
use crate::run::{Run, Start};

/// For the init system, which waits for the program in its own way.
const PATIENCE: Duration = Duration::from_secs(10);
/// Between two looks at a service.
const PAUSE: Duration = Duration::from_millis(100);
/// For an answer of one that is ready.
const ANSWER: Duration = Duration::from_secs(1);

/// Whether what is wanted is for the init system: its mode is `plain`, and there is a service of
/// its name.
#[must_use]
pub fn is_for_init(settings: &Settings, wanted: Wanted) -> bool {
    let generation = match wanted {
        Wanted::Version { counter, .. } => settings.place.generation(counter),
        // The one that it takes the place of.
        Wanted::Former => settings.place.current(),
    };
    let is_plain = generation.is_ok_and(|generation| generation.plan.mode == Mode::Plain);
    is_plain && Manager::find(&settings.root, &settings.name).is_some()
}

/// Puts a generation in place of the one that runs, and returns the last event.
pub fn swap(settings: &Settings, wanted: Wanted, tell: &mut dyn Tell) -> Event {
    let swapped = Swap {
        settings,
        tell,
        dark: Duration::ZERO,
    }
    .run(wanted);
    match swapped {
        Ok(event) | Err(event) => event,
    }
}

struct Swap<'a> {
    settings: &'a Settings,
    tell: &'a mut dyn Tell,
    /// How long nobody accepted connections.
    dark: Duration,
}

const fn refused(why: Why) -> Event {
    Event::Refused { why }
}

impl Swap<'_> {
    /// Likewise; `Err`: it was not kept.
    fn run(&mut self, wanted: Wanted) -> Result<Event, Event> {
        let place = &self.settings.place;
        let lock = self.settings.lock(Duration::ZERO);
        let _lock = lock.map_err(|_| refused(Why::Busy))?;
        let prepared = place.recover().and_then(|findings| {
            self.say_findings(&findings);
            Ok((place.candidate(wanted)?, place.current()?))
        });
        let (candidate, old) = prepared.map_err(|error| {
            self.tell.fail(&error);
            refused(error.why())
        })?;
        let counter = candidate.generation.counter;
        let manager = Manager::find(&self.settings.root, &self.settings.name);
        let manager = manager.ok_or(refused(Why::Service))?;
        self.tell.tell(&Event::Trial { counter });
        self.test(&candidate)?;
        let trial = place.begin(candidate.staged.clone()).map_err(|error| {
            self.tell.fail(&error);
            refused(Why::Ledger)
        })?;
        let since = Instant::now();
        match self.prove(&manager, &candidate.generation, since, &trial) {
            Ok(()) => Ok(Event::Swapped {
                counter,
                pause_ms: millis(self.dark),
            }),
            Err(why) => {
                if self.dark.is_zero() {
                    self.dark = since.elapsed();
                }
                self.back(&manager, &old, &trial, why);
                Err(self.taken_back(counter, why))
            }
        }
    }

    fn say_findings(&mut self, findings: &[Finding]) {
        for finding in findings {
            if let Finding::Interrupted(version) = finding {
                let counter = version.counter;
                self.tell.tell(&Event::Recovered { counter });
            }
        }
    }

    fn taken_back(&self, counter: u64, why: Why) -> Event {
        Event::TakenBack {
            counter,
            why,
            pause_ms: millis(self.dark),
        }
    }

    /// Its user and its program are there, and it passes its own test. Nothing was stopped for it.
    fn test(&mut self, candidate: &Candidate) -> Result<(), Event> {
        let generation = &candidate.generation;
        let tested = self.is_fit(generation);
        tested.map_err(|why| {
            let place = &self.settings.place;
            let refused = why.word().map(|word| place.refuse(&candidate.staged, word));
            if let Some(Err(error)) = refused {
                self.tell.fail(&error);
            }
            self.taken_back(generation.counter, why)
        })
    }

    fn is_fit(&mut self, generation: &Generation) -> Result<(), Why> {
        let plan = &generation.plan;
        let user = fit::user_of(self.settings, generation, self.tell)?;
        let Some(argument) = &plan.selftest else {
            return Ok(());
        };
        let Settings {
            run, name, times, ..
        } = self.settings;
        let directory = run.join(DIRECTORY);
        let mut builder = DirBuilder::new();
        let made = builder.recursive(true).mode(0o711).create(&directory);
        made.map_err(|_| Why::Selftest)?;
        let what = Start {
            counter: generation.counter,
            plan,
            user: &user,
            sockets: &[],
            notify: directory.join(format!("{name}.test")),
        };
        let test = Reserved::new().and_then(|none| Run::selftest(what, argument, &none));
        let mut test = test.map_err(|_| Why::Selftest)?;
        let began = Instant::now();
        loop {
            match test.ended() {
                Some(Why::Exit(0)) => return Ok(()),
                Some(_) => return Err(Why::Selftest),
                None if began.elapsed() >= times.selftest => {
                    test.kill();
                    return Err(Why::Selftest);
                }
                None => thread::sleep(PAUSE),
            }
        }
    }

    /// Stops the old one, starts the new one, and keeps it when it is well for its time.
    fn prove(
        &mut self,
        manager: &Manager,
        new: &Generation,
        since: Instant,
        trial: &Trial,
    ) -> Result<(), Why> {
        self.must(manager, Verb::Stop)?;
        let started = Instant::now();
        self.must(manager, Verb::Start)?;
        if !is_ready(new, self.settings.times.ready) {
            return Err(Why::NotReady);
        }
        self.dark = since.elapsed();
        self.tell.tell(&Event::Ready {
            counter: new.counter,
            ms: millis(started.elapsed()),
        });
        let proving = Instant::now();
        loop {
            let health = new.plan.health.as_ref();
            let is_well = health.is_none_or(|url| must_answer(url, ANSWER).is_ok());
            if !is_well || !self.is_done(manager, Verb::Status) {
                return Err(Why::Unhealthy);
            }
            if proving.elapsed() >= self.settings.times.healthy {
                break;
            }
            thread::sleep(PAUSE);
        }
        let place = &self.settings.place;
        place.keep(trial).map_err(|error| {
            self.tell.fail(&error);
            Why::Ledger
        })?;
        if let Err(error) = place.collect() {
            self.tell.fail(&error);
        }
        Ok(())
    }

    /// The old one is pointed to and started.
    fn back(&mut self, manager: &Manager, old: &Generation, trial: &Trial, why: Why) {
        let since = Instant::now();
        // It may have stopped, or never have started.
        self.is_done(manager, Verb::Stop);
        if let Err(error) = self.settings.place.take_back(trial, why.word()) {
            self.tell.fail(&error);
        }
        if self.is_done(manager, Verb::Start) {
            is_ready(old, self.settings.times.ready);
        }
        self.dark = self.dark.saturating_add(since.elapsed());
    }

    fn must(&mut self, manager: &Manager, verb: Verb) -> Result<(), Why> {
        match self.is_done(manager, verb) {
            true => Ok(()),
            false => Err(Why::Service),
        }
    }

    fn is_done(&mut self, manager: &Manager, verb: Verb) -> bool {
        manager.run(verb, PATIENCE).unwrap_or_else(|error| {
            self.tell.fail(&HoldError::Wait(error));
            false
        })
    }
}

/// As its plan says, within `limit`.
fn is_ready(generation: &Generation, limit: Duration) -> bool {
    let (Ready::Health, Some(url)) = (generation.plan.ready, &generation.plan.health) else {
        return true;
    };
    let began = Instant::now();
    loop {
        let left = limit.saturating_sub(began.elapsed());
        if must_answer(url, left.max(PAUSE)).is_ok() {
            return true;
        }
        if left.is_zero() {
            return false;
        }
        thread::sleep(PAUSE);
    }
}
