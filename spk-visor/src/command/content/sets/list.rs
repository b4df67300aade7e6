//! `package list`, and what `status` says about packages.

use std::collections::BTreeMap;
use std::fmt;

use fetch::http::client::Access;
use fetch::source::Source;
use machine::overlay::Usr;
use store::sets::directory::SetDirectory;
use store::shelf::Listing;
use wire::manifest::Role;
use wire::set::Set;

use super::change::source;
use super::event::{Known, SetEvent};
use super::{exist, look, number, parse, text};
use crate::command::content::Tell;
use crate::command::content::error::ContentError;
use crate::command::content::event::Event;
use crate::command::content::places::Places;

/// Where the sets of a node stand.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs)] // the fields name themselves
pub struct Standing {
    pub kept: Option<u64>,
    pub previous: Option<u64>,
    /// With the boots that are left to it.
    pub trial: Option<(u64, u8)>,
    pub mounted: Option<u64>,
    pub bad: Vec<u64>,
    pub failed: usize,
    pub is_ledger_readable: bool,
}

/// Says which packages are here; with `available` also which ones the source names.
///
/// # Errors
/// See [`ContentError`].
pub fn list(
    places: &Places,
    available: Option<(Option<&Source>, &Access)>,
    tell: &mut dyn Tell,
) -> Result<(), ContentError> {
    let mut all = All::new();
    if exist(places) {
        here(places, &mut all)?;
    }
    if let Some((chosen, access)) = available {
        offered(places, chosen, access, &mut all)?;
    }
    if all.is_empty() {
        tell.tell(&Event::Set(SetEvent::NoneKnown));
    }
    for known in all.into_values() {
        tell.tell(&Event::Set(SetEvent::Known(known)));
    }
    Ok(())
}

/// By name.
type All = BTreeMap<String, Known>;

fn entry<'k>(all: &'k mut All, name: &str) -> &'k mut Known {
    all.entry(name.to_owned()).or_insert_with(|| Known {
        name: name.to_owned(),
        ..Known::default()
    })
}

fn here(places: &Places, all: &mut All) -> Result<(), ContentError> {
    let mut shelf = places.sets()?;
    let standing = stand(places, &mut shelf)?;
    let trial = standing.trial.map(|(number, _)| number);
    for (number, which) in [(standing.kept, 0), (trial, 1), (standing.mounted, 2)] {
        let Some(number) = number else { continue };
        let text = text(&mut shelf, Some(number))?;
        let set: Set<'_> = parse(&text)?;
        for member in set.members() {
            let known = entry(all, member.name);
            let counter = Some(member.version.counter);
            match which {
                0 => known.kept = counter,
                1 => known.tried = counter,
                _ => known.laid = counter,
            }
        }
    }
    Ok(())
}

fn offered(
    places: &Places,
    chosen: Option<&Source>,
    access: &Access,
    all: &mut All,
) -> Result<(), ContentError> {
    let (source, access) = source(places, chosen, access)?;
    let catalog = source.catalog(&access)?;
    let names = catalog.names(Role::Store);
    let names = names.ok_or_else(|| ContentError::NoChannel {
        from: source.to_string(),
    })?;
    for (name, counter) in names {
        entry(all, name).available = Some(counter);
    }
    Ok(())
}

/// Where the sets stand; `None` where there are none.
///
/// # Errors
/// See [`ContentError`].
pub fn status(places: &Places) -> Result<Option<Standing>, ContentError> {
    match exist(places) {
        true => stand(places, &mut places.sets()?).map(Some),
        false => Ok(None),
    }
}

fn stand(places: &Places, shelf: &mut SetDirectory) -> Result<Standing, ContentError> {
    // The link is that of an earlier boot until this one has been here.
    let is_laid = Usr::of(places.root()).laid().is_some();
    let mounted = shelf.mounted().filter(|_| is_laid);
    let listing: Listing = look(shelf)?;
    let ledger = listing.ledger();
    Ok(Standing {
        kept: number(listing.current),
        previous: number(listing.previous),
        trial: ledger
            .trial
            .map(|trial| (trial.version.counter, trial.left)),
        mounted,
        failed: ledger.failed().len(),
        is_ledger_readable: !matches!(listing.ledger, Some(Err(_))),
        bad: listing.bad,
    })
}

impl fmt::Display for Standing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("packages: ")?;
        match self.kept {
            Some(number) => write!(f, "set {number} is kept")?,
            None => f.write_str("no set is kept")?,
        }
        if let Some((number, left)) = self.trial {
            write!(f, ", on trial: set {number}, {left} boots left")?;
        }
        if let Some(number) = self.previous {
            write!(f, ", before it set {number}")?;
        }
        if let Some(number) = self.mounted {
            write!(f, ", over /usr: set {number}")?;
        }
        for number in &self.bad {
            write!(f, "; set {number} was bad")?;
        }
        if self.failed > 0 {
            write!(f, "; {} failed", self.failed)?;
        }
        match self.is_ledger_readable {
            true => Ok(()),
            false => f.write_str("; the ledger cannot be read"),
        }
    }
}
