//! Which source is asked for what: that of the command line for all that the node has, or for each
//! place that of the settings (`upgrade.md` 2).
//!
//! In: the options, the settings, the node's places. Out: a [`Group`] for each source.

use std::path::PathBuf;

use fetch::FetchError;
use fetch::catalog::Catalog;
use fetch::http::client::Access;
use fetch::source::Source;
use machine::snapshot::Snapshot;
use store::place::Place as ContentPlace;
use wire::manifest::Role;

use super::NodeError;
use crate::cli::Upgrade;
use crate::command::content::places::Places;
use crate::command::content::sets::change::Members;
use crate::command::node::offline;
use crate::command::node::place::Place;
use crate::command::node::report::Tell;

/// A source, and what it is asked for.
#[derive(Debug)]
pub(super) struct Group {
    from: From,
    access: Access,
    /// Content.
    pub places: Vec<ContentPlace>,
    /// Role `os`.
    pub has_system: bool,
    /// It was set for what it is asked for: that it has nothing is an error.
    pub is_set: bool,
}

#[derive(Debug, PartialEq, Eq)]
enum From {
    Source(Source),
    Staging(PathBuf),
}

impl Group {
    /// What it has. Of a staging directory that is going to be taken, what a snapshot has, which is
    /// to be kept for as long as the catalog's releases.
    pub(super) fn catalog(
        &self,
        is_taken: bool,
        snapshot: &mut Option<Snapshot>,
        tell: &mut dyn Tell,
    ) -> Result<Catalog, FetchError> {
        match &self.from {
            From::Source(source) => source.catalog(&self.access),
            From::Staging(path) => {
                let offline = offline::open(path, is_taken, tell)?;
                *snapshot = offline.snapshot;
                Ok(offline.catalog)
            }
        }
    }

    /// Is there content that it is asked for?
    pub(super) fn has_content(&self) -> bool {
        !self.places.is_empty()
    }

    /// As a person wrote it.
    pub(super) fn name(&self) -> String {
        match &self.from {
            From::Source(source) => source.to_string(),
            From::Staging(path) => path.display().to_string(),
        }
    }
}

/// The sources of an upgrade. Those of the settings are asked for the places that the node or its
/// system has, and for those that have a line of their own.
pub(super) fn groups(
    place: &Place,
    places: &Places,
    installed: &Members,
    options: &Upgrade,
) -> Result<Vec<Group>, NodeError> {
    let mut here = places.list()?;
    let package = |(name, _): &(String, _)| ContentPlace::package(name).ok();
    here.extend(installed.iter().filter_map(package));
    let chosen = match (&options.source, options.is_offline) {
        (_, true) => Some(From::Staging(options.staging.clone())),
        (Some(source), false) => Some(From::Source(source.clone())),
        (None, false) => None,
    };
    if let Some(from) = chosen {
        return Ok(vec![Group {
            from,
            access: options.access.clone(),
            places: here,
            has_system: true,
            is_set: false,
        }]);
    }
    let (sources, access) = place.sources(&options.access)?;
    for named in sources.named() {
        if !here.contains(named) {
            here.push(named.clone());
        }
    }
    let mut groups: Vec<Group> = Vec::new();
    let mut ask = |source: &Source, what: Option<ContentPlace>| {
        let from = From::Source(source.clone());
        let has_system = what.is_none();
        match groups.iter_mut().find(|group| group.from == from) {
            Some(group) => {
                group.places.extend(what);
                group.has_system |= has_system;
            }
            None => groups.push(Group {
                from,
                access: access.clone(),
                places: what.into_iter().collect(),
                has_system,
                is_set: true,
            }),
        }
    };
    for place in here {
        if let Some(source) = sources.of_place(&place) {
            ask(source, Some(place.clone()));
        }
    }
    if let Some(source) = sources.of(Role::Os) {
        ask(source, None);
    }
    match groups.is_empty() {
        true => Err(NodeError::NoSource { role: Role::Os }),
        false => Ok(groups),
    }
}
