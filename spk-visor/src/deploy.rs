//! `deploy-system-img-copy`: packages onto the machines that show the codes.
//!
//! In: options. Out: events for a person or a script, and an exit code: `Installed` only when every target has said that it is
//! installed. Each target has a thread of its own, and none of them waits for another.

#[cfg(test)]
mod fake;
mod legacy;
mod paired;

use std::fs::OpenOptions;
use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use thiserror::Error;
use wire::code::Code;

use crate::board::Board;
use crate::cli::Deploy;
use crate::cli::deploy::Trust;
use crate::consent::{Clerk, Person, Questions};
use crate::discovery::DiscoveryError;
use crate::event::{About, Event};
use crate::exit::Exit;
use crate::interrupt::Interrupt;
use crate::keys::KeysCommandError;
use crate::offer::{Directory, OfferError};
use crate::package::{self, PackageError};
use crate::packages::Packages;
use crate::screen::Screen;
use crate::secrets::SecretsError;
use crate::socket::ConnectError;
use crate::source::Item;
use crate::transfer::TransferError;

/// How often what is going on is drawn when nothing is told.
const TICK: Duration = Duration::from_millis(200);
/// How often reading the packages is told of.
const HASHING: Duration = Duration::from_millis(500);

/// Why nothing was deployed.
#[derive(Debug, Error)]
pub enum DeployError {
    /// The log cannot be kept.
    #[error("keeping the log in {}", path.display())]
    Log {
        /// Where.
        path: PathBuf,
        /// The kernel's reason.
        source: io::Error,
    },
    /// Ctrl-C would not be heard of.
    #[error("taking signals")]
    Signals(#[source] io::Error),
    /// The packages cannot be sent.
    #[error(transparent)]
    Offer(#[from] OfferError),
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
    /// The target does not answer.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The connection or the target failed.
    #[error(transparent)]
    Transfer(#[from] TransferError),
}

impl DeployError {
    /// The exit code.
    #[must_use]
    pub fn exit(&self) -> Exit {
        match self {
            Self::Log { .. } | Self::Keys(_) => Exit::Usage,
            Self::Signals(_) => Exit::Connection,
            Self::NotSure { .. } => Exit::Declined,
            Self::Offer(error) => error.exit(),
            Self::Live(error) => error.exit(),
            Self::Secrets(error) => error.exit(),
            Self::Discovery(error) => error.exit(),
            Self::Connect(_) => Exit::Connection,
            Self::Transfer(error) => error.exit(),
        }
    }
}

/// How one target tells what happens to it; the end is told as well.
pub type Tell<'a> = &'a (dyn Fn(About) + Sync);

/// Deploys, with standard output as the screen.
pub fn run(options: &Deploy) -> Exit {
    let screen = Screen::stdout();
    let log = match open_log(options) {
        Ok(log) => log,
        Err(error) => {
            let mut board = Board::new(screen, io::stderr(), options.is_json, None);
            return board.fail(&error, error.exit());
        }
    };
    let mut board = Board::new(screen, io::stderr(), options.is_json, log);
    let interrupt = match Interrupt::listen().map_err(DeployError::Signals) {
        Ok(interrupt) => interrupt,
        Err(error) => return board.fail(&error, error.exit()),
    };
    let person: Person = if io::stdin().is_terminal() {
        Some(Box::new(io::stdin()))
    } else {
        None
    };
    run_on(options, person, &interrupt, &mut board)
}

fn open_log(options: &Deploy) -> Result<Option<std::fs::File>, DeployError> {
    let Some(path) = &options.log else {
        return Ok(None);
    };
    let opened = OpenOptions::new().create(true).append(true).open(path);
    opened.map(Some).map_err(|source| DeployError::Log {
        path: path.clone(),
        source,
    })
}

/// Deploys; `person` is asked before a disk that holds something is erased, `interrupt` ends it.
pub fn run_on<W: Write, E: Write>(
    options: &Deploy,
    person: Person,
    interrupt: &Interrupt,
    board: &mut Board<W, E>,
) -> Exit {
    match deploy(options, person, interrupt, board) {
        Ok(exit) => exit,
        Err(error) => board.fail(&error, error.exit()),
    }
}

fn deploy<W: Write, E: Write>(
    options: &Deploy,
    person: Person,
    interrupt: &Interrupt,
    board: &mut Board<W, E>,
) -> Result<Exit, DeployError> {
    // The packages first: a directory that cannot be sent is told before anybody waits for a beacon.
    let directory = options
        .packages
        .as_deref()
        .map(Directory::open)
        .transpose()?;
    let live = match &options.live {
        None => Vec::new(),
        Some(live) => package::live::start(live, directory.is_some(), interrupt)?,
    };
    for item in &live {
        board.tell(&Event::Package {
            name: item.name().to_owned(),
            bytes: None,
        });
    }
    if let Some(directory) = &directory {
        list(&directory.packages, board);
    }
    match directory {
        Some(directory) if options.trust == Trust::Legacy => {
            let total = directory.packages.total_bytes();
            let records = legacy::records(directory, &mut hashing(board, total))?;
            let questions = Questions::default(); // that stream has no way to ask any
            let mut clerk = Clerk::new(&questions, None, false);
            let serve = |code, tell: Tell<'_>| legacy::run(options, code, &records, tell);
            Ok(each(&options.codes, board, interrupt, &mut clerk, serve))
        }
        directory => paired::deploy(options, directory, live, person, interrupt, board),
    }
}

/// Shows how far reading the packages is.
fn hashing<W: Write, E: Write>(board: &mut Board<W, E>, total: u64) -> impl FnMut(u64) {
    let mut done = 0u64;
    let mut told = Instant::now();
    move |bytes| {
        done = done.saturating_add(bytes);
        if told.elapsed() >= HASHING {
            told = Instant::now();
            board.tell(&Event::Hashing { done, total });
        }
    }
}

fn list<W: Write, E: Write>(found: &Packages, board: &mut Board<W, E>) {
    for (name, reason) in &found.ignored {
        board.tell(&Event::Ignored {
            name: name.display().to_string(),
            reason: (*reason).to_owned(),
        });
    }
    for package in &found.packages {
        board.tell(&Event::Package {
            name: package.name.to_string(),
            bytes: Some(package.len_bytes),
        });
    }
}

/// Serves every target in a thread of its own, and shows what they tell until the last one has ended.
fn each<W: Write, E: Write>(
    codes: &[Code],
    board: &mut Board<W, E>,
    interrupt: &Interrupt,
    clerk: &mut Clerk<'_>,
    serve: impl Fn(Code, Tell<'_>) + Sync,
) -> Exit {
    let (events, told) = mpsc::channel();
    let mut ends = Vec::new();
    thread::scope(|scope| {
        for &code in codes {
            let (events, serve) = (events.clone(), &serve);
            scope.spawn(move || {
                serve(code, &|what| {
                    // The board is there until all of us have ended.
                    let _ = events.send((code, what));
                });
            });
        }
        drop(events);
        let mut is_told = false;
        loop {
            clerk.turn(board);
            if interrupt.came().is_some() && !std::mem::replace(&mut is_told, true) {
                board.tell(&Event::Interrupted);
            }
            match told.recv_timeout(TICK) {
                Ok((code, what)) => {
                    ends.extend(end(&what));
                    board.tell(&Event::Target { code, what });
                }
                Err(RecvTimeoutError::Timeout) => board.tick(),
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        // A question that was open has been taken back.
        clerk.turn(board);
    });
    let exit = together(&ends);
    let installed = ends.iter().filter(|end| **end == Exit::Installed).count();
    board.tell(&Event::End {
        exit,
        installed,
        failed: codes.len() - installed,
    });
    exit
}

const fn end(what: &About) -> Option<Exit> {
    match what {
        About::Installed { .. } => Some(Exit::Installed),
        About::Failed { exit, .. } => Some(*exit),
        _ => None,
    }
}

/// One exit code for all targets.
fn together(ends: &[Exit]) -> Exit {
    match ends.split_first() {
        Some((first, others)) if others.iter().all(|other| other == first) => *first,
        _ => Exit::Partly,
    }
}

#[cfg(test)]
mod tests;
