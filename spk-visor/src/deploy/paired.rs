//! A deploy by authenticated sessions: who, with what proof, and what is offered to all of them.
//!
//! In: options and an opened directory. Out: every target served, and one exit code.

use std::io::{self, BufRead, IsTerminal, Read, Write};

use session::Credential;
use wire::code::Code;

use super::{DeployError, each, hashing};
use crate::board::Board;
use crate::cli::Deploy;
use crate::cli::deploy::{ERASE, Trust, YES};
use crate::consent::{Clerk, Person, Questions};
use crate::delivery::{Delivery, Finder};
use crate::discovery::{Listener, Watch};
use crate::event::Event;
use crate::exit::Exit;
use crate::hash;
use crate::interrupt::Interrupt;
use crate::keys;
use crate::offer::{self, Directory, Made, Offer};
use crate::secrets;
use crate::source::live::Live;

/// Deploys what is made live and what `directory` holds.
///
/// # Errors
/// What stops it before there are targets.
pub fn deploy<W: Write, E: Write>(
    options: &Deploy,
    directory: Option<Directory>,
    live: Vec<Live>,
    person: Person,
    interrupt: &Interrupt,
    board: &mut Board<W, E>,
) -> Result<Exit, DeployError> {
    // Beacons are heard from now on: who is there already is found at once when the packages have been read.
    let watch = watch(options)?.map(|watch| watch.until(interrupt));
    let codes = codes(options, watch.as_ref(), board)?;
    let credentials = credentials(options, &codes)?;
    if codes.len() > 1 {
        board.expect_several();
    }
    let total = directory.as_ref().map(|found| found.packages.total_bytes());
    let offer = offer::prepare(
        directory,
        live.into_iter().map(made).collect(),
        codes.len(),
        &mut hashing(board, total.unwrap_or(0)),
    )?;
    tell(&offer, board);
    let finder = match (options.to, &watch) {
        (Some(to), _) => Some(Finder::At(to)),
        (None, Some(watch)) => Some(Finder::Beacons {
            watch,
            port: options.stream_port,
            timeout: options.timeout,
        }),
        (None, None) => None,
    };
    let questions = Questions::to(&person);
    let mut clerk = Clerk::new(&questions, person, codes.len() > 1);
    let (is_sure, sure_word) = if options.is_all() {
        (options.may_erase, ERASE)
    } else {
        (options.is_sure, YES)
    };
    interrupt.tell_targets_first();
    Ok(each(&codes, board, interrupt, &mut clerk, |code, tell| {
        let at = codes.iter().position(|known| *known == code);
        if let Some((credential, finder)) = at.and_then(|at| credentials.get(at)).zip(finder) {
            let delivery = Delivery {
                code,
                credential,
                offer: &offer,
                finder,
                interface: options.interface.as_deref(),
                retry: options.retry,
                after: options.after,
                is_sure,
                sure_word,
                questions: &questions,
                limits: options.limits,
                interrupt,
                tell,
            };
            delivery.run();
        }
    }))
}

fn made(live: Live) -> Made {
    Made {
        file: live.announced(),
        item: Box::new(live),
    }
}

fn watch(options: &Deploy) -> Result<Option<Watch>, DeployError> {
    if options.to.is_some() {
        return Ok(None);
    }
    let listener = Listener::open(options.beacon_port, options.interface.as_deref())?;
    Ok(Some(Watch::start(listener, &options.codes)?))
}

/// The targets: those named, or all that are heard.
fn codes<W: Write, E: Write>(
    options: &Deploy,
    watch: Option<&Watch>,
    board: &mut Board<W, E>,
) -> Result<Vec<Code>, DeployError> {
    let Some(watch) = watch.filter(|_| options.codes.is_empty()) else {
        return Ok(options.codes.clone());
    };
    board.tell(&Event::Listening);
    let codes = watch.all(options.timeout)?;
    board.tell(&Event::Heard {
        codes: codes.clone(),
    });
    if options.is_sure || is_confirmed(codes.len(), options.may_erase) {
        Ok(codes)
    } else {
        Err(DeployError::NotSure {
            machines: codes.len(),
        })
    }
}

/// Asks the person, if there is one.
fn is_confirmed(machines: usize, may_erase: bool) -> bool {
    let stdin = io::stdin();
    if !stdin.is_terminal() {
        return false;
    }
    let _ = write!(
        io::stderr(),
        "deploy onto these {machines} machines{}? [y/N] ",
        if may_erase {
            ", whatever is on their disks"
        } else {
            ""
        }
    );
    let mut line = String::new();
    let read = stdin.lock().take(64).read_line(&mut line);
    read.is_ok() && matches!(line.trim(), "y" | "Y" | "yes")
}

/// What is to be proved to each target.
fn credentials(options: &Deploy, codes: &[Code]) -> Result<Vec<Credential>, DeployError> {
    match &options.trust {
        Trust::Secret(file) => {
            let secrets = secrets::gather(codes, file.as_deref())?;
            Ok(secrets.into_iter().map(Credential::Secret).collect())
        }
        Trust::Pinned(path) => {
            let keys = keys::read_donors(path)?;
            Ok(vec![Credential::Pinned(keys); codes.len()])
        }
        // Never comes here; and nobody could be paired with nothing.
        Trust::Legacy => Ok(Vec::new()),
    }
}

fn tell<W: Write, E: Write>(offer: &Offer, board: &mut Board<W, E>) {
    board.tell(&Event::Manifest {
        sha256: hash::hex(&offer.digest),
        version: offer.version.clone(),
        is_signed: !offer.signature.is_empty(),
    });
}
