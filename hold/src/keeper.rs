//! The loop over a daemon that is held: its program, its sockets, the control socket, and the trial
//! of another version.
//!
//! In: what happens, by one `poll(2)`; every deadline is its timeout. Out: events. When it returns,
//! nothing that it started as the daemon runs any more, and its sockets are closed.

mod admission;
mod trial;

use std::error::Error;
use std::fs::DirBuilder;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use machine::locks::{self, CHANGE_PATIENCE, Lock, LockError, Which};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use store::stage::Again;
use sys::handover::Reserved;
use thiserror::Error;

use self::admission::Admission;
use self::trial::Trial;
use crate::control::{ClientId, Control};
use crate::event::{Event, Request, Why};
use crate::health::Asker;
use crate::place::{Generation, Place, PlaceError, Wanted};
use crate::run::{Run, Start};
use crate::sockets::{SHUT, SocketError, Sockets};
use crate::times::Times;
use crate::user::{self, User};

/// Below the directory of what runs: control and notification sockets.
pub const DIRECTORY: &str = "hold";
/// A program that shuts its sockets down more often is not helped until it is started again.
const MENDS_MAX: u32 = 16;

/// What is held, and where.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Of the daemon.
    pub name: String,
    /// Its versions.
    pub place: Place,
    /// Sockets: `/run/smv`.
    pub run: PathBuf,
    /// `/`: whose users there are.
    pub root: PathBuf,
    /// How long everything may take.
    pub times: Times,
}

impl Settings {
    /// Of the control socket.
    #[must_use]
    pub fn control_path(&self) -> PathBuf {
        control_path(&self.run, &self.name)
    }

    /// Nobody else changes links and ledger of the place meanwhile.
    pub(crate) fn lock(&self, patience: Duration) -> Result<Lock, LockError> {
        let command = format!("hold {}", self.name);
        locks::take(self.place.directory(), Which::Place, &command, patience)
    }
}

/// Where a daemon of this name is asked.
#[must_use]
pub fn control_path(run: &std::path::Path, name: &str) -> PathBuf {
    run.join(DIRECTORY).join(format!("{name}.sock"))
}

/// Nothing is held, or not any more.
#[derive(Debug, Error)]
#[allow(missing_docs)] // the fields name themselves
pub enum HoldError {
    /// A version, its links or its ledger.
    #[error(transparent)]
    Place(#[from] PlaceError),
    /// Another command changes the place for a long time.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// The daemon's own sockets.
    #[error(transparent)]
    Socket(#[from] SocketError),
    /// In `/etc/passwd`.
    #[error("there is no user named {name}")]
    NoUser { name: String },
    /// `/etc/passwd`.
    #[error("looking for the user {name}")]
    User {
        name: String,
        #[source]
        source: io::Error,
    },
    /// The directory or the socket of [`DIRECTORY`].
    #[error("making {}", path.display())]
    Control {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    /// The program.
    #[error("starting {}", path.display())]
    Start {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    /// Descriptors, threads, poll(2).
    #[error("waiting for the daemon")]
    Wait(#[source] io::Error),
}

/// Hears what happens.
pub trait Tell {
    /// Something happened.
    fn tell(&mut self, event: &Event);
    /// Something did not work, and the daemon is held all the same.
    fn fail(&mut self, error: &dyn Error);
}

/// Holds the daemon until `stop` is readable, and lets it end then.
///
/// # Errors
/// It cannot be held from the beginning on: see [`HoldError`].
pub fn keep(
    settings: &Settings,
    reserved: &Reserved,
    stop: &impl AsFd,
    tell: &mut dyn Tell,
) -> Result<(), HoldError> {
    let directory = settings.run.join(DIRECTORY);
    let made = DirBuilder::new()
        .recursive(true)
        .mode(0o711)
        .create(&directory);
    made.map_err(|source| HoldError::Control {
        path: directory,
        source,
    })?;
    let path = settings.control_path();
    let control = Control::bind(path.clone());
    let control = control.map_err(|source| HoldError::Control { path, source })?;
    settings.place.make()?;
    let lock = settings.lock(CHANGE_PATIENCE)?;
    let findings = settings.place.recover()?;
    drop(lock);
    let generation = settings.place.current()?;
    let user = find_user(settings, &generation)?;
    let mut sockets = Sockets::default();
    sockets.add(&generation.plan.sockets, &user.identity, reserved)?;
    let mut keeper = Keeper {
        settings,
        reserved,
        tell,
        control,
        asker: Asker::new().map_err(HoldError::Wait)?,
        sockets,
        generation,
        user,
        main: None,
        ending: vec![],
        phase: Phase::Pause(Instant::now()),
        admission: None,
        ends: 0,
        mends: 0,
        starts: 0,
    };
    keeper.say_findings(&findings);
    keeper.run(stop)
}

pub(crate) fn find_user(settings: &Settings, generation: &Generation) -> Result<User, HoldError> {
    let name = &generation.plan.user;
    let found = user::find(&settings.root, name);
    let found = found.map_err(|source| HoldError::User {
        name: name.clone(),
        source,
    })?;
    found.ok_or_else(|| HoldError::NoUser { name: name.clone() })
}

/// What is going on.
enum Phase {
    /// The daemon runs.
    Steady,
    /// It is started then.
    Pause(Instant),
    /// Another version is tried.
    Trial(Box<Trial>),
    /// Everything ends.
    Leaving,
}

struct Keeper<'a> {
    settings: &'a Settings,
    reserved: &'a Reserved,
    tell: &'a mut dyn Tell,
    control: Control,
    asker: Asker,
    sockets: Sockets,
    /// What is confirmed, and its user.
    generation: Generation,
    user: User,
    /// What is in service, or is about to be.
    main: Option<Run>,
    /// What was asked to end, and when it is killed.
    ending: Vec<(Run, Instant)>,
    phase: Phase,
    /// Another version is verified.
    admission: Option<Admission>,
    /// How often in a row it has ended by itself.
    ends: u32,
    mends: u32,
    /// For names.
    starts: u64,
}

impl Keeper<'_> {
    fn run(&mut self, stop: &impl AsFd) -> Result<(), HoldError> {
        loop {
            let now = Instant::now();
            self.kill_overdue(now);
            self.on_time(now);
            if matches!(self.phase, Phase::Leaving) && self.ending.is_empty() {
                return Ok(());
            }
            let woken = self.wait(stop).map_err(HoldError::Wait)?;
            if woken.is_stop {
                self.leave();
            }
            if woken.is_shut {
                self.mend();
            }
            self.look();
        }
    }

    /// Until something happens or the next deadline.
    fn wait(&self, stop: &impl AsFd) -> io::Result<Woken> {
        let is_leaving = matches!(self.phase, Phase::Leaving);
        let mut fds = vec![];
        if !is_leaving {
            fds.push(PollFd::new(stop, PollFlags::IN));
        }
        let sockets = fds.len();
        if self.mends < MENDS_MAX {
            let shut = |fd| PollFd::from_borrowed_fd(fd, PollFlags::RDHUP);
            fds.extend(self.sockets.descriptors().map(shut));
        }
        let others = fds.len();
        let readable = |fd| PollFd::from_borrowed_fd(fd, PollFlags::IN);
        fds.extend(self.control.descriptors().map(readable));
        fds.push(readable(self.asker.wake().as_fd()));
        let runs = self.ending.iter().map(|(run, _)| run);
        let runs = runs.chain(&self.main).chain(self.trial_runs());
        fds.extend(runs.flat_map(Run::descriptors).map(readable));
        let timeout = self.deadline().map(|deadline| {
            let left = deadline.saturating_duration_since(Instant::now());
            // A millisecond more, for one that is rounded down would wake us too early, twice.
            let left = left.saturating_add(Duration::from_millis(1));
            Timespec::try_from(left).unwrap_or_default()
        });
        match poll(&mut fds, timeout.as_ref()) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
        let any = |fds: Option<&[PollFd<'_>]>, flags: PollFlags| {
            let mut fds = fds.unwrap_or_default().iter();
            fds.any(|fd| fd.revents().intersects(flags))
        };
        Ok(Woken {
            is_stop: any(fds.get(..sockets), PollFlags::all()),
            is_shut: any(fds.get(sockets..others), SHUT),
        })
    }

    /// The next moment at which something is due.
    fn deadline(&self) -> Option<Instant> {
        let phase = match &self.phase {
            Phase::Steady | Phase::Leaving => None,
            Phase::Pause(until) => Some(*until),
            Phase::Trial(trial) => trial.deadline(),
        };
        let killed = self.ending.iter().map(|(_, at)| *at);
        killed.chain(phase).chain(self.control.deadline()).min()
    }

    fn kill_overdue(&self, now: Instant) {
        for (run, at) in &self.ending {
            if *at <= now {
                run.kill();
            }
        }
    }

    /// What is due now.
    fn on_time(&mut self, now: Instant) {
        match &self.phase {
            Phase::Pause(until) if *until <= now => self.start_again(),
            Phase::Trial(_) => self.advance(now),
            _ => {}
        }
    }

    /// What has happened: processes first, because they decide what may be asked.
    fn look(&mut self) {
        let now = Instant::now();
        self.ending.retain_mut(|(run, _)| run.ended().is_none());
        self.look_at_trial(now);
        if let Some(how) = self.main.as_mut().and_then(Run::ended) {
            self.on_end(how, now);
        }
        for answer in self.asker.answers() {
            self.on_answer(&answer, now);
        }
        self.look_at_admission(now);
        for (client, request) in self.control.requests(now) {
            self.on_request(client, request);
        }
    }

    /// The program in service has ended by itself.
    fn on_end(&mut self, how: Why, now: Instant) {
        let Some(run) = self.main.take() else { return };
        let counter = run.counter;
        self.say(&Event::Ended { counter, how });
        if matches!(self.phase, Phase::Trial(_)) {
            return self.on_end_in_trial(how, now);
        }
        self.pause(now.saturating_duration_since(run.since), now);
    }

    /// It will be started again.
    fn pause(&mut self, ran: Duration, now: Instant) {
        if ran >= self.settings.times.stable {
            self.ends = 0;
        }
        self.ends = self.ends.saturating_add(1);
        let pause = self.settings.times.pause_after(self.ends);
        let ms = millis(pause);
        self.say(&Event::Waiting { ms });
        self.phase = Phase::Pause(now.checked_add(pause).unwrap_or(now));
    }

    /// Starts what `current` is by now.
    fn start_again(&mut self) {
        self.phase = Phase::Steady;
        if let Err(error) = self.read_current().and_then(|()| self.start_confirmed()) {
            self.tell.fail(&error);
            self.pause(Duration::ZERO, Instant::now());
        }
    }

    /// Somebody may have changed it while nothing ran.
    fn read_current(&mut self) -> Result<(), HoldError> {
        let generation = self.settings.place.current()?;
        if generation != self.generation {
            let user = find_user(self.settings, &generation)?;
            let wanted = &generation.plan.sockets;
            self.sockets.add(wanted, &user.identity, self.reserved)?;
            self.sockets.keep_only(wanted);
            (self.generation, self.user) = (generation, user);
        }
        Ok(())
    }

    fn start_confirmed(&mut self) -> Result<(), HoldError> {
        let (generation, user) = (self.generation.clone(), self.user.clone());
        self.start(&generation, &user)
    }

    /// Puts the program of a generation into service.
    fn start(&mut self, generation: &Generation, user: &User) -> Result<(), HoldError> {
        self.mends = 0;
        let notify = self.notify_path();
        let wanted = &generation.plan.sockets;
        let sockets = self.sockets.handed(wanted, &user.identity, self.reserved)?;
        let what = Start {
            counter: generation.counter,
            plan: &generation.plan,
            user,
            sockets: &sockets,
            notify,
        };
        let run = Run::start(what, self.reserved).map_err(|source| HoldError::Start {
            path: generation.plan.program.clone(),
            source,
        })?;
        let (counter, pid) = (run.counter, run.pid());
        self.main = Some(run);
        self.say(&Event::Started { counter, pid });
        Ok(())
    }

    /// One for each start.
    fn notify_path(&mut self) -> PathBuf {
        self.starts = self.starts.saturating_add(1);
        let Settings { run, name, .. } = self.settings;
        run.join(DIRECTORY).join(format!("{name}.{}", self.starts))
    }

    /// Asks it to end, and kills it after `patience`.
    fn end(&mut self, run: Run, patience: Duration) {
        run.terminate();
        let now = Instant::now();
        self.ending
            .push((run, now.checked_add(patience).unwrap_or(now)));
    }

    fn leave(&mut self) {
        if let Some(admission) = self.admission.take() {
            let why = Why::Leaving;
            self.control.tell(admission.client, &Event::Refused { why });
        }
        let phase = std::mem::replace(&mut self.phase, Phase::Leaving);
        if let Phase::Trial(trial) = phase {
            self.give_up(*trial);
        }
        if let Some(run) = self.main.take() {
            self.end(run, self.settings.times.drain);
        }
    }

    /// Lets sockets listen again that a program has shut down.
    fn mend(&mut self) {
        self.mends = self.mends.saturating_add(1);
        match self.sockets.mend(&self.user.identity, self.reserved) {
            Ok(sockets) => self.say(&Event::Mended {
                sockets: u64::try_from(sockets).unwrap_or(u64::MAX),
            }),
            Err(error) => self.tell.fail(&error),
        }
    }

    fn on_request(&mut self, client: ClientId, request: Request) {
        let answer = match request {
            Request::Status => Some(self.running()),
            Request::Swap { counter, is_again } => {
                let again = Again(is_again);
                self.wish(client, Wanted::Version { counter, again })
            }
            Request::Back => self.wish(client, Wanted::Former),
        };
        if let Some(answer) = answer {
            self.control.tell(client, &answer);
        }
    }

    /// Why it cannot be; `None`: it is being looked at.
    fn wish(&mut self, client: ClientId, wanted: Wanted) -> Option<Event> {
        let refused = self.admit(client, wanted).err();
        refused.map(|why| Event::Refused { why })
    }

    fn running(&self) -> Event {
        let counter = self.generation.counter;
        match &self.main {
            Some(run) => Event::Running {
                counter: run.counter,
                pid: run.pid(),
            },
            None => Event::Running { counter, pid: 0 },
        }
    }

    /// To the log, and to the client that has asked for what happens.
    fn say(&mut self, event: &Event) {
        self.tell.tell(event);
        if let Phase::Trial(trial) = &self.phase {
            self.control.tell(trial.client, event);
        }
    }
}

/// Why the loop goes on.
struct Woken {
    is_stop: bool,
    is_shut: bool,
}

pub(crate) fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
