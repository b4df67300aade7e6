//! Generations of packages: which of them sets name, and which may go.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::Path;

use bundle::trust::Trust;
use wire::manifest::Role;
use wire::set::Set;

use super::SetShelf;
use crate::directory::Directory;
use crate::place::Place;
use crate::shelf::{Entry, Shelf, Target};
use crate::{StoreError, doing, look, stage, write_ledger};

/// The packages below `state`, in the order of their names; also those of which nothing is left
/// but the memory of what was kept.
///
/// # Errors
/// The directory cannot be read.
pub fn list(state: &Path) -> io::Result<Vec<Place>> {
    let entries = match fs::read_dir(state.join(Role::Store.name())) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut names = Vec::new();
    for entry in entries {
        names.push(entry?.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    // A directory of another name is no package.
    let places = names.iter().filter_map(|name| Place::package(name).ok());
    Ok(places.collect())
}

/// The text of every set that is here.
///
/// # Errors
/// One cannot be read: then nothing may be removed.
fn texts(sets: &mut dyn SetShelf) -> Result<Vec<String>, StoreError> {
    let numbers = look(sets)?.generations;
    let texts = numbers.iter().map(|number| sets.text(*number));
    doing("reading a set", texts.collect())
}

/// Removes generations that no set names, and what is left of interrupted work. The sets are
/// locked.
///
/// # Errors
/// Some are left.
pub fn collect(sets: &mut dyn SetShelf, state: &Path) -> Result<Vec<(Place, u64)>, StoreError> {
    let texts = texts(sets)?;
    let named: Result<Vec<Set<'_>>, _> = texts
        .iter()
        .map(|text| Set::parse(text.as_bytes()))
        .collect();
    let named = named.map_err(|error| StoreError::Set {
        source: Box::new(error.into()),
    })?;
    let mut gone = Vec::new();
    for place in doing("listing the packages", list(state))? {
        let mut shelf = Directory::of(&place, state, Path::new(""), Trust::default());
        let listing = look(&mut shelf)?;
        for part in &listing.parts {
            let removed = shelf.remove(Entry::Part(*part));
            doing("removing what is left of a package", removed)?;
        }
        let is_named = |counter: &u64| {
            let mut members = named.iter().filter_map(|set| set.find(place.name()));
            members.any(|member| member.version.counter == *counter)
        };
        let unused = listing
            .generations
            .iter()
            .filter(|counter| !is_named(counter));
        for counter in unused {
            stage::remove(&mut shelf, *counter)?;
            gone.push((place.clone(), *counter));
        }
    }
    Ok(gone)
}

/// Raises the floors of the packages of a set that was kept: older ones are not taken any more.
///
/// # Errors
/// Some floors are lower; the next time they are raised.
pub fn raise_floors(set: &Set<'_>, state: &Path, trust: &Trust) -> Result<(), StoreError> {
    for member in set.members() {
        let Ok(place) = Place::package(member.name) else {
            continue; // a set has no other names
        };
        let mut shelf = Directory::of(&place, state, Path::new(""), trust.clone());
        let mut ledger = look(&mut shelf)?.ledger();
        let counter = member.version.counter;
        let target = Target::Generation(counter);
        let key = shelf.signed_by(target);
        let key = key.map_err(|source| StoreError::Rejected {
            target,
            source: Box::new(source),
        })?;
        if let Some(key) = key.filter(|key| ledger.floor(*key) < counter) {
            ledger.raise_floor(key, counter);
            write_ledger(&mut shelf, &ledger)?;
        }
    }
    Ok(())
}
