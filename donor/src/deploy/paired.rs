//! A deploy by authenticated sessions: who, with what proof, and what is offered to all of them.
//!
//! In: options and an opened directory. Out: every target served, and one ending.

use session::Credential;
use wire::code::Code;

use super::{DeployError, Frontend, each, hashing};
use crate::consent::Questions;
use crate::delivery::{Delivery, Finder};
use crate::discovery::{Listener, Watch};
use crate::ending::Ending;
use crate::event::Event;
use crate::interrupt::Interrupt;
use crate::keys;
use crate::offer::{self, Made, Offer};
use crate::options::{ERASE, Options, Trust, YES};
use crate::secrets;
use crate::source::live::Live;
use pack::hash;
use pack::manifest::directory::Directory;

/// Deploys what is made live and what `directory` holds.
///
/// # Errors
/// An error that stops the deploy before there are targets.
pub fn deploy(
    options: &Options,
    directory: Option<Directory>,
    live: Vec<Live>,
    interrupt: &Interrupt,
    front: &mut dyn Frontend,
) -> Result<Ending, DeployError> {
    // Beacons are heard from now on: who is there already is found at once when the packages have
    // been read.
    let watch = watch(options)?.map(|watch| watch.until(interrupt));
    let codes = codes(options, watch.as_ref(), front)?;
    let credentials = credentials(options, &codes)?;
    if codes.len() > 1 {
        front.expect_several();
    }
    let total = directory.as_ref().map(|found| found.packages.total_bytes());
    let offer = offer::prepare(
        directory,
        live.into_iter().map(made).collect(),
        codes.len(),
        &mut hashing(front, total.unwrap_or(0)),
    )?;
    tell(&offer, front);
    let finder = match (options.to, &watch) {
        (Some(to), _) => Some(Finder::At(to)),
        (None, Some(watch)) => Some(Finder::Beacons {
            watch,
            port: options.stream_port,
            timeout: options.timeout,
        }),
        (None, None) => None,
    };
    let questions = Questions::new(front.has_person());
    let (is_sure, sure_word) = if options.is_all() {
        (options.may_erase, ERASE)
    } else {
        (options.is_sure, YES)
    };
    interrupt.tell_targets_first();
    Ok(each(&codes, front, interrupt, &questions, |code, tell| {
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

fn watch(options: &Options) -> Result<Option<Watch>, DeployError> {
    if options.to.is_some() {
        return Ok(None);
    }
    let listener = Listener::open(options.beacon_port, options.interface.as_deref())?;
    Ok(Some(Watch::start(listener, &options.codes)?))
}

/// The targets: those named, or all that are heard.
fn codes(
    options: &Options,
    watch: Option<&Watch>,
    front: &mut dyn Frontend,
) -> Result<Vec<Code>, DeployError> {
    let Some(watch) = watch.filter(|_| options.codes.is_empty()) else {
        return Ok(options.codes.clone());
    };
    front.tell(&Event::Listening);
    let codes = watch.all(options.timeout)?;
    front.tell(&Event::Heard {
        codes: codes.clone(),
    });
    if options.is_sure || front.confirm(codes.len(), options.may_erase) {
        Ok(codes)
    } else {
        Err(DeployError::NotSure {
            machines: codes.len(),
        })
    }
}

/// The credential for each target.
fn credentials(options: &Options, codes: &[Code]) -> Result<Vec<Credential>, DeployError> {
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

fn tell(offer: &Offer, front: &mut dyn Frontend) {
    front.tell(&Event::Manifest {
        sha256: hash::hex(&offer.digest),
        version: offer.version.clone(),
        is_signed: !offer.signature.is_empty(),
    });
}
