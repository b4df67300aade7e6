//! The content of a node: its sites, models and daemons, each in a place of its own
//! (`bundles.md` 5, 6). Options in, events and an exit code out. What is decided is in `store`.
//!
//! [`places`] opens them, [`bundle`] is what a source has for one, [`change`] has what changes one,
//! [`sets`] is about packages, [`event`] is what happens meanwhile; an
//! [`error::ContentError`] is why a command did not do what it was asked for.

pub mod bundle;
pub mod change;
pub mod error;
pub mod event;
pub mod places;
pub mod sets;

use std::error::Error;
use std::io::{self, Write};
use std::time::Instant;

use machine::cage::Caged;
use store::stage::Again;
use wire::chain::chain;

use self::error::ContentError;
use self::event::Event;
use self::places::Places;
use self::sets::change::Install;
use crate::cli::content::Content;
use crate::cli::sets::{self as cli, Action};
use crate::exit::Exit;
use crate::json;

pub(super) static WORKERS: Caged = Caged::where_possible();

/// Who hears what happens.
pub trait Tell: Send {
    /// Something happened.
    fn tell(&mut self, event: &Event);

    /// So many bytes of a bundle have come. A command about one bundle says so at its end.
    fn step(&mut self, done: u64, total: u64) {
        let _ = (done, total);
    }
}

/// Standard output and error.
#[derive(Debug)]
pub struct Report<W, E> {
    out: W,
    errors: E,
    is_json: bool,
    start: Instant,
}

impl<W: Write + Send, E: Write + Send> Report<W, E> {
    /// Lines to `out`, what went wrong to `errors`.
    pub fn new(out: W, errors: E, is_json: bool) -> Self {
        Self {
            out,
            errors,
            is_json,
            start: Instant::now(),
        }
    }

    /// The end of a command.
    pub fn finish(&mut self, done: Result<(), ContentError>) -> Exit {
        let exit = self.exit(done);
        self.tell(&Event::End { exit });
        exit
    }

    /// The end of a part of one.
    fn exit(&mut self, done: Result<(), ContentError>) -> Exit {
        match done {
            Ok(()) => Exit::Installed,
            Err(error) => {
                let (exit, reason) = (Exit::from(&error), chain(&error as &dyn Error).to_string());
                self.tell(&Event::Refused { exit, reason });
                exit
            }
        }
    }
}

impl<W: Write + Send, E: Write + Send> Tell for Report<W, E> {
    fn tell(&mut self, event: &Event) {
        // Nobody is left to tell when an end is closed; the exit code says how it went.
        if self.is_json {
            let _ = writeln!(
                self.out,
                "{}",
                json::content::event(event, self.start.elapsed())
            );
        }
        if event.is_complaint() {
            let _ = writeln!(self.errors, "spk-visor: {event}");
        } else if !self.is_json && !matches!(event, Event::End { .. }) {
            let _ = writeln!(self.out, "{event}");
        }
    }
}

fn stdout(is_json: bool) -> Report<io::Stdout, io::Stderr> {
    Report::new(io::stdout(), io::stderr(), is_json)
}

/// Runs one of the commands on this machine.
#[must_use]
pub fn run(command: &Content) -> Exit {
    let (Content::Apply { is_json, .. }
    | Content::Seed { is_json, .. }
    | Content::Open { is_json, .. }
    | Content::Rollback { is_json, .. }
    | Content::RollbackSets { is_json }
    | Content::Collect { is_json }) = command;
    let (places, mut report) = (Places::default(), stdout(*is_json));
    let tell = &mut report;
    let done = match command {
        Content::Apply {
            source,
            access,
            again,
            ..
        } => change::apply(&places, (source, access), *again, &WORKERS, tell),
        Content::Seed {
            root,
            source,
            access,
            ..
        } => change::seed(&Places::at(root), (source, access), &WORKERS, tell),
        Content::Open { place, .. } => change::open(&places, place, tell),
        Content::Rollback { place, .. } => change::rollback(&places, place, tell),
        Content::RollbackSets { .. } => sets::trial::rollback(&places, tell),
        Content::Collect { .. } => {
            change::collect(&places, tell).and_then(|()| sets::trial::collect_all(&places, tell))
        }
    };
    report.finish(done)
}

/// The part of `recover` that is about content. `None`: there is none.
#[must_use]
pub fn recover(is_json: bool) -> Option<Exit> {
    let (places, mut report) = (Places::default(), stdout(is_json));
    // One of them that cannot be put right does not keep the other from it.
    let packages = sets::trial::recover(&places, &WORKERS, &mut report);
    let done = match places.list() {
        Ok(list) if list.is_empty() && packages.is_ok() && !sets::exist(&places) => return None,
        Ok(_) => change::recover(&places, &mut report),
        Err(error) => Err(error),
    };
    Some(report.exit(done.and(packages)))
}

/// Runs a command about packages on this machine.
#[must_use]
pub fn packages(command: &cli::Sets) -> Exit {
    let (places, mut report) = (Places::default(), stdout(command.is_json));
    let again = Again(command.again);
    if command.only_unsealed && sets::is_sealed(&places) {
        return report.finish(Err(ContentError::Sealed));
    }
    let tell = &mut report;
    let done = match &command.action {
        Action::Install {
            what,
            source,
            access,
        } => {
            let how = Install {
                what,
                source: source.as_ref(),
                access,
                again,
                workers: &WORKERS,
            };
            sets::change::install(&places, &how, tell)
        }
        Action::Remove { names } => sets::change::remove(&places, names, again, tell),
        Action::Activate { now } => sets::trial::activate(&places, *now, again, &WORKERS, tell),
        Action::List { available } => {
            let available = available.as_ref();
            let available = available.map(|(source, access)| (source.as_ref(), access));
            sets::list::list(&places, available, tell)
        }
    };
    report.finish(done)
}

/// Are there packages on this machine, whether it has slots or not?
#[must_use]
pub fn has_sets() -> bool {
    sets::exist(&Places::default())
}

/// The set that this boot tries, and how it went to find out.
///
/// # Errors
/// The exit code, which was said.
pub fn tried_set(is_json: bool) -> Result<Option<u64>, Exit> {
    let tried = sets::trial::tried(&Places::default());
    tried.map_err(|error| stdout(is_json).exit(Err(error)))
}

/// Keeps it, if this boot tries one.
#[must_use]
pub fn keep_set(is_json: bool) -> Exit {
    let (places, mut report) = (Places::default(), stdout(is_json));
    let done = sets::trial::tried(&places).and_then(|tried| match tried {
        Some(_) => sets::trial::keep(&places, &mut report),
        None => Ok(()),
    });
    report.exit(done)
}

/// The part of `status` that is about content: a line or an object for each place, and how it went.
#[must_use]
pub fn status(is_json: bool) -> (Vec<String>, Exit) {
    let line = |standing: &event::Standing| match is_json {
        true => json::content::standing(standing),
        false => standing.to_string(),
    };
    let of_sets = |standing: &sets::list::Standing| match is_json {
        true => json::sets::standing(standing),
        false => standing.to_string(),
    };
    let places = Places::default();
    let found = change::status(&places).and_then(|standing| {
        let packages = sets::list::status(&places)?;
        let lines = standing.iter().map(line);
        Ok(lines.chain(packages.as_ref().map(of_sets)).collect())
    });
    match found {
        Ok(lines) => (lines, Exit::Installed),
        Err(error) => (Vec::new(), stdout(is_json).exit(Err(error))),
    }
}
