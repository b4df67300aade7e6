//! Packages onto the machines that show the codes.
//!
//! In: options. Out: events for a [`Frontend`], and how it ended: `Installed` only when every
//! target has said that it is installed. Each target has a thread of its own, and none of them
//! waits for another.

mod legacy;
mod paired;

use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use thiserror::Error;
use wire::code::Code;
use wire::manifest::CHUNK_SIZE_DEFAULT;

use crate::consent::Questions;
use crate::discovery::DiscoveryError;
use crate::ending::Ending;
use crate::event::{Event, TargetEvent};
use crate::interrupt::Interrupt;
use crate::keys::KeysCommandError;
use crate::options::{Options, Trust};
use crate::secrets::SecretsError;
use crate::source::Item;
use crate::source::live::Live;
use pack::manifest::directory::Directory;
use pack::manifest::listing::ListingError;
use pack::packages::Packages;
use pack::{PackageError, live};

/// How often progress is drawn when there are no events.
const TICK: Duration = Duration::from_millis(200);
/// How often the reading of packages is reported.
const HASHING: Duration = Duration::from_millis(500);

/// Why nothing was deployed.
#[derive(Debug, Error)]
pub enum DeployError {
    /// The packages cannot be sent.
    #[error(transparent)]
    Offer(#[from] ListingError),
    /// This machine cannot be packed.
    #[error(transparent)]
    Live(#[from] PackageError),
    /// There is no secret to pair with.
    #[error(transparent)]
    Secrets(#[from] SecretsError),
    /// There are no keys to pair with.
    #[error(transparent)]
    Keys(#[from] KeysCommandError),
    /// `--all` was not confirmed.
    #[error(
        "nobody said yes to deploying onto {} machines; --yes says it beforehand",
        machines
    )]
    NotSure {
        /// How many were heard.
        machines: usize,
    },
    /// The target is not found.
    #[error(transparent)]
    Discovery(#[from] DiscoveryError),
}

/// Receives the events of one target, its end included.
pub type Tell<'a> = &'a (dyn Fn(TargetEvent) + Sync);

/// Shows a deploy and answers its questions.
pub trait Frontend {
    /// From now on there may be several targets.
    fn expect_several(&mut self);

    /// Shows one event.
    fn tell(&mut self, event: &Event);

    /// Draws what is going on; called several times a second while nothing happens.
    fn tick(&mut self);

    /// Asks what is open and takes answers. Called several times a second, it never waits.
    fn attend(&mut self, questions: &Questions);

    /// Whether anybody is there to answer.
    fn has_person(&self) -> bool;

    /// Asks, and waits for the answer, whether to deploy onto so many machines.
    fn confirm(&mut self, machines: usize, may_erase: bool) -> bool;
}

/// Deploys. `front` is asked before a disk that is not blank is erased, `interrupt` ends it.
///
/// # Errors
/// An error that stops the deploy before there are targets.
pub fn run(
    options: &Options,
    interrupt: &Interrupt,
    front: &mut dyn Frontend,
) -> Result<Ending, DeployError> {
    // The packages first: a directory that cannot be sent is an error before any wait for beacons.
    let directory = options
        .packages
        .as_deref()
        .map(Directory::open)
        .transpose()?;
    let live = match &options.live {
        None => Vec::new(),
        Some(live) => packed(live, directory.is_some(), interrupt)?,
    };
    for item in &live {
        front.tell(&Event::Package {
            name: item.name().to_owned(),
            bytes: None,
        });
    }
    if let Some(directory) = &directory {
        list(&directory.packages, front);
    }
    match directory {
        Some(directory) if options.trust == Trust::Legacy => {
            let total = directory.packages.total_bytes();
            let records = legacy::records(directory, &mut hashing(front, total))?;
            let questions = Questions::default(); // that stream has no way to ask any
            let serve = |code, tell: Tell<'_>| legacy::run(options, code, &records, tell);
            Ok(each(&options.codes, front, interrupt, &questions, serve))
        }
        directory => paired::deploy(options, directory, live, interrupt, front),
    }
}

/// The items that are packed while they are sent.
fn packed(
    options: &live::Options,
    has_packages: bool,
    interrupt: &Interrupt,
) -> Result<Vec<Live>, PackageError> {
    let interrupt = interrupt.clone();
    let is_interrupted = Arc::new(move || interrupt.came().is_some());
    let made = live::start(options, has_packages, is_interrupted)?;
    let item = |made: live::Made| Live::new(made.name, CHUNK_SIZE_DEFAULT, made.stream, made.notes);
    Ok(made.into_iter().map(item).collect())
}

/// Shows how far reading the packages is.
fn hashing(front: &mut dyn Frontend, total: u64) -> impl FnMut(u64) {
    let mut done = 0u64;
    let mut told = Instant::now();
    move |bytes| {
        done = done.saturating_add(bytes);
        if told.elapsed() >= HASHING {
            told = Instant::now();
            front.tell(&Event::Hashing { done, total });
        }
    }
}

fn list(found: &Packages, front: &mut dyn Frontend) {
    for (name, reason) in &found.ignored {
        front.tell(&Event::Ignored {
            name: name.display().to_string(),
            reason: (*reason).to_owned(),
        });
    }
    for package in &found.packages {
        front.tell(&Event::Package {
            name: package.name.to_string(),
            bytes: Some(package.len_bytes),
        });
    }
}

/// Serves every target in a thread of its own, and shows what they tell until the last one has
/// ended.
fn each(
    codes: &[Code],
    front: &mut dyn Frontend,
    interrupt: &Interrupt,
    questions: &Questions,
    serve: impl Fn(Code, Tell<'_>) + Sync,
) -> Ending {
    let (events, told) = mpsc::channel();
    let mut ends = Vec::new();
    thread::scope(|scope| {
        for &code in codes {
            let (events, serve) = (events.clone(), &serve);
            scope.spawn(move || {
                serve(code, &|what| {
                    // The receiver is there until all of us have ended.
                    let _ = events.send((code, what));
                });
            });
        }
        drop(events);
        let mut is_told = false;
        loop {
            front.attend(questions);
            if interrupt.came().is_some() && !std::mem::replace(&mut is_told, true) {
                front.tell(&Event::Interrupted);
            }
            match told.recv_timeout(TICK) {
                Ok((code, what)) => {
                    ends.extend(end(&what));
                    front.tell(&Event::Target { code, what });
                }
                Err(RecvTimeoutError::Timeout) => front.tick(),
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        // A question that was open has been taken back.
        front.attend(questions);
    });
    let ending = Ending::together(&ends);
    let is_installed = |end: &&Ending| **end == Ending::Installed;
    let installed = ends.iter().filter(is_installed).count();
    front.tell(&Event::End {
        ending,
        installed,
        failed: codes.len() - installed,
    });
    ending
}

const fn end(what: &TargetEvent) -> Option<Ending> {
    match what {
        TargetEvent::Installed { .. } => Some(Ending::Installed),
        TargetEvent::Failed { ending, .. } => Some(*ending),
        _ => None,
    }
}
