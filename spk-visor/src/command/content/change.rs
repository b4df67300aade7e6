//! What changes a place: `bundle apply`, `rollback ROLE/NAME`, `recover`, `collect`; and what only
//! looks: `bundle open`, `status`.

use bundle::worker::Workers;
use fetch::http::client::Access;
use fetch::source::Source;
use store::directory::Directory;
use store::place::Place;
use store::recover::Finding;
use store::shelf::{Shelf, Target};
use store::stage::Again;
use store::{StoreError, collect as rubbish, open as newest, recover as put_right};
use wire::chain::chain;
use wire::manifest::Role;

use super::Tell;
use super::bundle::{Bundle, How, go_back};
use super::error::ContentError;
use super::event::{Event, Standing};
use super::places::Places;

/// Says whose error it is.
pub(super) fn of<T>(place: &Place, result: Result<T, StoreError>) -> Result<T, ContentError> {
    result.map_err(|source| ContentError::Store {
        place: place.clone(),
        source: Box::new(source),
    })
}

/// Serves what a source has, in the place that it says it is for.
///
/// # Errors
/// See [`ContentError`]; what was served is served.
pub fn apply(
    places: &Places,
    (source, access): (&Source, &Access),
    again: bool,
    workers: &'static dyn Workers,
    tell: &mut dyn Tell,
) -> Result<(), ContentError> {
    let bundle = Bundle::of_itself(places, source.alone(access)?)?;
    tell.tell(&bundle.offered());
    let how = How {
        command: &format!("bundle apply {source}"),
        again: Again(again),
        workers,
    };
    bundle.take(places, how, tell)
}

/// Makes what a source has the own content of the system whose tree has these places: a node that
/// has nothing else serves it. The keys are those of that system.
///
/// # Errors
/// See [`ContentError`].
pub fn seed(
    places: &Places,
    (source, access): (&Source, &Access),
    workers: &'static dyn Workers,
    tell: &mut dyn Tell,
) -> Result<(), ContentError> {
    let bundle = Bundle::of_itself(places, source.alone(access)?)?;
    tell.tell(&bundle.offered());
    let how = How {
        command: "bundle seed",
        again: Again(false),
        workers,
    };
    bundle.plant(places, how, tell)
}

pub(super) fn put_right_in(
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

/// Goes back to what was served before. A daemon goes back while it serves, and stays as it is when
/// the former version does not prove itself; where nobody runs it, it does so when it is started.
///
/// # Errors
/// See [`ContentError`].
pub fn rollback(places: &Places, place: &Place, tell: &mut dyn Tell) -> Result<(), ContentError> {
    if place.role() == Role::Daemon && go_back(places, place, tell)? {
        return Ok(());
    }
    let (mut shelf, _lock) = places.change(place, &format!("rollback {place}"))?;
    put_right_in(place, &mut shelf, tell)?;
    let back = of(place, store::rollback::rollback(&mut shelf))?;
    tell.tell(&Event::RolledBack {
        place: place.clone(),
        target: back.target,
        version: back.held.version,
        pause_ms: None,
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
        let done = put_place_right(places, &place, "recover", tell);
        if first.is_ok() {
            first = done;
        }
    }
    first
}

/// Puts one place right, for a command that others read where they find it locked.
///
/// # Errors
/// See [`ContentError`].
pub fn put_place_right(
    places: &Places,
    place: &Place,
    command: &str,
    tell: &mut dyn Tell,
) -> Result<(), ContentError> {
    let (mut shelf, _lock) = places.change(place, command)?;
    put_right_in(place, &mut shelf, tell)
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
