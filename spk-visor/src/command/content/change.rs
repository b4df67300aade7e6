//! What changes a place: `bundle apply`, `rollback ROLE/NAME`, `recover`, `collect`; and what only
//! looks: `bundle open`, `status`.

use std::path::Path;
use std::thread;

use bundle::trust::{self, Approved, Voucher};
use bundle::unpack_pipeline::Resources;
use bundle::worker::Workers;
use fetch::Release;
use hold::client::{self, ClientError};
use hold::event::{self as held, Request};
use store::directory::Directory;
use store::place::Place;
use store::recover::Finding;
use store::shelf::{Chunks, Offer, Shelf, Target};
use store::stage::{Again, Staged, stage};
use store::{StoreError, activate, collect as rubbish, open as newest, recover as put_right};
use wire::chain::chain;
use wire::ledger::Version;
use wire::manifest::{Manifest, Role};

use super::Tell;
use super::error::ContentError;
use super::event::{Event, Standing};
use super::places::Places;

/// For decoding and unpacking.
const MEMORY_BYTES: u64 = 256 << 20;

/// Says whose error it is.
fn of<T>(place: &Place, result: Result<T, StoreError>) -> Result<T, ContentError> {
    result.map_err(|source| ContentError::Store {
        place: place.clone(),
        source: Box::new(source),
    })
}

/// Serves what a source has. A daemon is put in place by whoever holds it (`daemons.md` 2), and
/// stays staged where nobody does.
///
/// # Errors
/// See [`ContentError`]; what was served is served.
pub fn apply(
    places: &Places,
    source: &Path,
    again: bool,
    workers: &'static dyn Workers,
    tell: &mut dyn Tell,
) -> Result<(), ContentError> {
    let release = fetch::open(source)?;
    let (place, approved) = approve(places, &*release)?;
    tell.tell(&offered(&place, &approved));
    let command = format!("bundle apply {}", source.display());
    let (mut shelf, lock) = places.change(&place, &command)?;
    put_right_in(&place, &mut shelf, tell)?;
    let mut chunks = release.chunks(&approved)?;
    let threads = thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let mut offer = Offer {
        approved: &approved,
        role: place.role(),
        chunks: Chunks(&mut *chunks),
        resources: &Resources {
            memory_bytes: MEMORY_BYTES,
            threads: u32::try_from(threads).unwrap_or(1),
            workers,
        },
    };
    let staged = of(&place, stage(&mut shelf, &mut offer, Again(again)))?;
    let is_running = place.role() == Role::Daemon && of(&place, has_current(&mut shelf))?;
    if is_running {
        let version = *staged.version();
        tell.tell(&Event::Staged {
            place: place.clone(),
            version,
        });
        // It takes the lock for the swap.
        drop(lock);
        return swap(places, place, version, again, tell);
    }
    of(&place, activate::activate(&mut shelf, &staged))?;
    tell.tell(&applied(place, &shelf, &staged));
    Ok(())
}

/// Has the daemon changed while it serves.
fn swap(
    places: &Places,
    place: Place,
    version: Version,
    again: bool,
    tell: &mut dyn Tell,
) -> Result<(), ContentError> {
    let request = Request::Swap {
        counter: version.counter,
        is_again: again,
    };
    match client::ask(&places.run(), place.name(), request, &mut |_| {}) {
        Ok(held::Event::Swapped { pause_ms, .. }) => {
            tell.tell(&Event::Swapped {
                place,
                version,
                pause_ms,
            });
            Ok(())
        }
        Ok(answer) => Err(ContentError::NotSwapped { place, answer }),
        Err(ClientError::NotHeld { .. }) => Ok(()),
        Err(source) => Err(ContentError::Hold { place, source }),
    }
}

fn has_current(shelf: &mut Directory) -> Result<bool, StoreError> {
    let listing = shelf.look().map_err(|source| StoreError::Shelf {
        doing: "listing the generations",
        source,
    })?;
    Ok(listing.current.is_some())
}

/// The place that a bundle says it is for, and its approval for just that place.
fn approve(places: &Places, release: &dyn Release) -> Result<(Place, Approved), ContentError> {
    let offered = release.offered();
    let claimed = Manifest::parse(offered.manifest)?;
    let (role, product) = (claimed.head().role, claimed.head().product);
    let place = Place::new(role, product).map_err(|_| ContentError::NoPlace {
        role: role.to_string(),
        product: product.to_owned(),
    })?;
    let trust = places.trust(role)?;
    let approved = trust::approve(offered, place.wanted(), &trust)?;
    Ok((place, approved))
}

fn offered(place: &Place, approved: &Approved) -> Event {
    Event::Offered {
        place: place.clone(),
        name: approved.version().to_owned(),
        version: Version {
            digest: *approved.digest(),
            counter: approved.counter(),
        },
        key: match approved.voucher() {
            Voucher::Key(key) => key.clone(),
            Voucher::Sender { .. } => String::new(),
        },
        bytes: approved.size_bytes().unwrap_or(0),
    }
}

fn applied(place: Place, shelf: &Directory, staged: &Staged) -> Event {
    Event::Applied {
        place,
        version: *staged.version(),
        path: shelf.tree(staged.target()),
    }
}

fn put_right_in(
    place: &Place,
    shelf: &mut Directory,
    tell: &mut dyn Tell,
) -> Result<(), ContentError> {
    for finding in of(place, put_right::recover(shelf))? {
        tell.tell(&found(place, &finding));
    }
    Ok(())
}

fn found(place: &Place, finding: &Finding) -> Event {
    let (what, text) = match finding {
        Finding::Bad(target, reject) => return rejected(place, *target, reject),
        Finding::Left(counter) => (
            "left-over",
            format!("the rest of generation {counter} is removed"),
        ),
        Finding::Current(Some(target)) => ("pointed", format!("{target} is served")),
        Finding::Current(None) => (
            "nothing",
            "nothing is as it was signed, and nothing is served".to_owned(),
        ),
        Finding::Interrupted(version) => (
            "interrupted",
            format!("the trial of counter {} was interrupted", version.counter),
        ),
        Finding::LedgerLost => (
            "ledger-lost",
            "the ledger could not be read: floors and failed versions are forgotten".to_owned(),
        ),
        Finding::LedgerWritten => ("ledger", "the ledger follows what is served".to_owned()),
    };
    Event::Recovered {
        place: place.clone(),
        what,
        text,
    }
}

fn rejected(place: &Place, target: Target, reject: &store::generation::Reject) -> Event {
    Event::Rejected {
        place: place.clone(),
        target,
        word: reject.word(),
        reason: chain(reject).to_string(),
    }
}

/// Finds the newest content that is as it was signed.
///
/// # Errors
/// See [`ContentError`].
pub fn open(places: &Places, place: &Place, tell: &mut dyn Tell) -> Result<(), ContentError> {
    let mut shelf = places.look(place)?;
    let (rejects, found) = match newest::open(&mut shelf) {
        Ok(opened) => (opened.rejected, Ok((opened.target, opened.held))),
        Err(not) => (not.rejected, Err(not.error)),
    };
    for (target, reject) in &rejects {
        tell.tell(&rejected(place, *target, reject));
    }
    let (target, held) = of(place, found)?;
    tell.tell(&Event::Opened {
        place: place.clone(),
        target,
        version: held.version,
        path: shelf.tree(target),
    });
    Ok(())
}

/// Goes back to what was served before.
///
/// # Errors
/// See [`ContentError`].
pub fn rollback(places: &Places, place: &Place, tell: &mut dyn Tell) -> Result<(), ContentError> {
    let (mut shelf, _lock) = places.change(place, &format!("rollback {place}"))?;
    put_right_in(place, &mut shelf, tell)?;
    let back = of(place, store::rollback::rollback(&mut shelf))?;
    tell.tell(&Event::RolledBack {
        place: place.clone(),
        target: back.target,
        version: back.held.version,
    });
    Ok(())
}

/// Puts every place right. One that cannot be put right does not keep the others from it.
///
/// # Errors
/// The first of them.
pub fn recover(places: &Places, tell: &mut dyn Tell) -> Result<(), ContentError> {
    let mut first = Ok(());
    for place in places.list()? {
        let done = places.change(&place, "recover");
        let done = done.and_then(|(mut shelf, _lock)| put_right_in(&place, &mut shelf, tell));
        if first.is_ok() {
            first = done;
        }
    }
    first
}

/// Removes what nothing needs, in every place.
///
/// # Errors
/// See [`ContentError`].
pub fn collect(places: &Places, tell: &mut dyn Tell) -> Result<(), ContentError> {
    for place in places.list()? {
        let (mut shelf, _lock) = places.change(&place, "collect")?;
        put_right_in(&place, &mut shelf, tell)?;
        let mut gone = of(&place, rubbish::collect(&mut shelf))?;
        gone.extend(of(&place, rubbish::collect_bad(&mut shelf))?);
        for counter in gone {
            let place = place.clone();
            tell.tell(&Event::Collected { place, counter });
        }
    }
    Ok(())
}

/// Where every place stands.
///
/// # Errors
/// See [`ContentError`].
pub fn status(places: &Places) -> Result<Vec<Standing>, ContentError> {
    let mut standing = Vec::new();
    for place in places.list()? {
        let listing = places.look(&place)?.look();
        let listing = of(
            &place,
            listing.map_err(|source| StoreError::Shelf {
                doing: "listing the generations",
                source,
            }),
        )?;
        standing.push(Standing {
            current: listing.current,
            previous: listing.previous,
            ledger: listing.ledger(),
            is_ledger_readable: !matches!(listing.ledger, Some(Err(_))),
            generations: listing.generations,
            bad: listing.bad,
            seed: listing.seed,
            place,
        });
    }
    Ok(standing)
}
