//! `package install` and `package remove`: a new set for the next boots.

use std::path::Path;

use bundle::worker::Workers;
use fetch::Release;
use fetch::http::client::Access;
use fetch::source::Source;
use machine::overlay::hidden;
use store::directory::Directory;
use store::place::Place;
use store::sets::change::{make, wanted};
use store::sets::packages;
use store::stage::Again;
use wire::files::Files;
use wire::ledger::Version;
use wire::manifest::{Manifest, Role};
use wire::set::{Member, Set};

use super::event::SetEvent;
use super::{Sets, exist, look, of, parse, text};
use crate::cli::sets::What;
use crate::command::content::Tell;
use crate::command::content::bundle::{Bundle, How};
use crate::command::content::error::ContentError;
use crate::command::content::event::Event;
use crate::command::content::places::Places;
use crate::command::node::place::Place as Node;

const COMMAND: &str = "package install";

/// Packages by name.
pub type Members = Vec<(String, Version)>;

/// How packages are installed.
#[derive(Debug)]
#[allow(missing_docs)] // the fields name themselves
pub struct Install<'a> {
    pub what: &'a [What],
    /// Of names; `None`: the node's own.
    pub source: Option<&'a Source>,
    pub access: &'a Access,
    pub again: Again,
    pub workers: &'static dyn Workers,
}

/// A set that is being put together: what the next boots take, and packages in place of those of
/// the same name.
#[derive(Debug)]
pub struct Change<'a> {
    sets: Sets,
    members: Members,
    how: How<'a>,
}

impl<'a> Change<'a> {
    /// Nobody else changes the sets from here on.
    ///
    /// # Errors
    /// See [`Sets::open`].
    pub fn begin(places: &Places, how: How<'a>, tell: &mut dyn Tell) -> Result<Self, ContentError> {
        let mut sets = Sets::open(places, how.command, tell)?;
        let members = base(&mut sets)?;
        Ok(Self { sets, members, how })
    }

    /// Unpacks a package, unless it is here.
    ///
    /// # Errors
    /// See [`ContentError`]; the set is as it was.
    pub fn add(&mut self, bundle: Bundle, tell: &mut dyn Tell) -> Result<(), ContentError> {
        let (sets, place) = (&self.sets, bundle.place().clone());
        let shelf = Directory::create(&place, &sets.state, Path::new(""), sets.trust.clone());
        let mut shelf = shelf.map_err(|source| ContentError::State {
            path: place.below(&sets.state),
            source,
        })?;
        let version = bundle.take_package(&mut shelf, self.how, tell)?;
        let name = place.name().to_owned();
        self.members.retain(|(member, _)| *member != name);
        self.members.push((name, version));
        Ok(())
    }

    /// Lets the next boots try it.
    ///
    /// # Errors
    /// Its packages cannot be together, or not now; the sets that there are stay as they are.
    pub fn finish(mut self, tell: &mut dyn Tell) -> Result<(), ContentError> {
        next(&mut self.sets, &self.members, self.how.again, tell)
    }
}

/// Takes packages and lets the next boots try a set that has them.
///
/// # Errors
/// See [`ContentError`]; the sets that there are stay as they are.
pub fn install(
    places: &Places,
    how: &Install<'_>,
    tell: &mut dyn Tell,
) -> Result<(), ContentError> {
    let taken = How {
        command: COMMAND,
        again: how.again,
        workers: how.workers,
    };
    let mut change = Change::begin(places, taken, tell)?;
    for what in how.what {
        let bundle = open(places, how, what)?;
        tell.tell(&bundle.offered());
        change.add(bundle, tell)?;
    }
    change.finish(tell)
}

/// Lets the next boots try a set without these packages.
///
/// # Errors
/// One is not there, or another one needs it.
pub fn remove(
    places: &Places,
    names: &[String],
    again: Again,
    tell: &mut dyn Tell,
) -> Result<(), ContentError> {
    let mut sets = Sets::open(places, "package remove", tell)?;
    let mut members = base(&mut sets)?;
    for name in names {
        let before = members.len();
        members.retain(|(member, _)| member != name);
        if members.len() == before {
            let name = name.clone();
            return Err(ContentError::NotInstalled { name });
        }
    }
    next(&mut sets, &members, again, tell)
}

/// The packages that a change begins with.
fn base(sets: &mut Sets) -> Result<Members, ContentError> {
    let number = wanted(&sets.look()?);
    listed(&sets.text(number)?)
}

/// The packages that a change would begin with.
///
/// # Errors
/// The sets cannot be read.
pub fn members(places: &Places) -> Result<Members, ContentError> {
    if !exist(places) {
        return Ok(Vec::new());
    }
    let mut shelf = places.sets()?;
    let number = wanted(&look(&mut shelf)?);
    listed(&text(&mut shelf, number)?)
}

fn listed(text: &str) -> Result<Members, ContentError> {
    let set = parse(text)?;
    let members = set.members().iter();
    let members = members.map(|member| (member.name.to_owned(), member.version));
    Ok(members.collect())
}

/// What an operand names.
fn open(places: &Places, how: &Install<'_>, what: &What) -> Result<Bundle, ContentError> {
    let (place, release) = match what {
        What::Source(Source::Path(path)) => local(path)?,
        What::Source(source) => {
            let text = source.to_string();
            let name = text.rsplit('/').next().unwrap_or_default();
            let name = name.strip_suffix(".smv").unwrap_or(name);
            let place = Place::package(name);
            let place = place.map_err(|_| ContentError::NoName { from: text })?;
            let release = source.open(place.wanted(), how.access)?;
            (place, release)
        }
        What::Name(name) => {
            let place = Place::package(name);
            let place = place.map_err(|_| ContentError::NotInstalled { name: name.clone() })?;
            let (source, access) = source(places, how.source, how.access)?;
            let release = source.open(place.wanted(), &access)?;
            (place, release)
        }
    };
    Bundle::of(places, place, release)
}

/// Where packages of a name are, and how.
pub(super) fn source(
    places: &Places,
    chosen: Option<&Source>,
    access: &Access,
) -> Result<(Source, Access), ContentError> {
    let found = Node::at(places.root()).source(chosen, access, Role::Store);
    Ok(found.map_err(Box::new)?)
}

/// Whatever package a bundle file, a directory or a disk says that it has.
fn local(path: &Path) -> Result<(Place, Box<dyn Release>), ContentError> {
    let release = fetch::open(path)?;
    let claimed = Manifest::parse(release.offered().manifest)?;
    let (role, product) = (claimed.head().role, claimed.head().product);
    let place = match role {
        Role::Store => Place::package(product).ok(),
        _ => None,
    };
    let place = place.ok_or_else(|| ContentError::NoPackage {
        role: role.to_string(),
        product: product.to_owned(),
    })?;
    Ok((place, release))
}

/// Makes the set of these packages, and arms it.
fn next(
    sets: &mut Sets,
    members: &Members,
    again: Again,
    tell: &mut dyn Tell,
) -> Result<(), ContentError> {
    let of_set = members.iter().map(|(name, version)| Member {
        name,
        version: *version,
    });
    let set = Set::new(of_set).map_err(|member| ContentError::TooMany {
        name: member.name.to_owned(),
    })?;
    hides(sets, &set)?;
    let staged = of(make(&mut sets.shelf, &set, again))?;
    let number = staged.version().counter;
    let list = |member: &Member<'_>| (member.name.to_owned(), member.version.counter);
    let members = set.members().iter().map(list).collect();
    tell.tell(&Event::Set(SetEvent::Made { number, members }));
    sets.arm(&staged, tell)?;
    collect(sets, tell)
}

/// Nothing of the system but files is hidden by a package.
pub(super) fn hides(sets: &Sets, set: &Set<'_>) -> Result<(), ContentError> {
    let own = sets.usr.own();
    for member in set.members() {
        let list = of(sets.shelf.list(member).map_err(|source| {
            let source = Box::new(source);
            store::StoreError::Set { source }
        }))?;
        // It was compared with the manifest when it was taken.
        let Ok(files) = Files::parse(&list) else {
            continue;
        };
        if let Some(path) = hidden(&files, &own) {
            let name = member.name.to_owned();
            return Err(ContentError::Hides { name, path });
        }
    }
    Ok(())
}

/// Removes packages that no set names.
pub(super) fn collect(sets: &mut Sets, tell: &mut dyn Tell) -> Result<(), ContentError> {
    let gone = of(packages::collect(&mut sets.shelf, &sets.state))?;
    for (place, counter) in gone {
        tell.tell(&Event::Collected { place, counter });
    }
    Ok(())
}
