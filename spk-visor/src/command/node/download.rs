//! `entire-system-upgrade --download-only`: what sources have into a staging directory, by somebody
//! who may write there and nowhere else, and on any machine.
//!
//! In: a source, or those of the settings. Out: the release of the system and one for each place of
//! content, each where `fetch::staging` has it, and an exit code. Which of them a node takes, the
//! node knows.

use std::io::ErrorKind;

use bundle::trust::{self, Trust, Wanted};
use fetch::catalog::Catalog;
use fetch::http::client::Access;
use fetch::source::Source;
use fetch::staging::Filling;
use store::place::Place as ContentPlace;
use wire::chain::chain;
use wire::manifest::Role;

use super::error::NodeError;
use super::event::{Event, Phase};
use super::place::Place;
use super::report::Tell;
use super::take::offered;
use super::upgrade::{Heard, joined};
use crate::cli::Upgrade;
use crate::command::content::Tell as ContentTell;
use crate::command::content::bundle::Bundle;
use crate::command::content::error::ContentError;
use crate::command::content::event::Event as ContentEvent;
use crate::command::content::places::Places;
use crate::exit::Exit;

/// Fills the staging directory. Where this system has keys, one of them must have signed a release;
/// the node that takes it decides in any case. A part that cannot be had keeps no other from
/// coming.
///
/// # Errors
/// Nothing was begun. What is there so far is gone on with the next time.
pub fn download(place: &Place, options: &Upgrade, tell: &mut dyn Tell) -> Result<Exit, NodeError> {
    let asked = asked(place, options)?;
    let mut download = Download {
        place,
        places: Places::at(place.root()),
        into: Filling::begin(&options.staging)?,
        exits: Vec::new(),
    };
    for asked in asked {
        let before = download.exits.len();
        match asked.source.catalog(&asked.access) {
            Ok(catalog) => download.from(&asked, catalog, tell),
            Err(error) => download.exits.push(tell.refuse(&error.into())),
        }
        if !asked.is_set && download.exits.len() == before {
            let name = asked.source.to_string();
            download
                .exits
                .push(tell.refuse(&NodeError::NothingFor { name }));
        }
    }
    Ok(joined(download.exits.into_iter()))
}

/// A source, and what it is asked for.
struct Asked {
    source: Source,
    access: Access,
    /// Whatever it has of them.
    roles: Vec<Role>,
    /// Places with a line of their own.
    named: Vec<ContentPlace>,
    /// Others, which have another source.
    elsewhere: Vec<ContentPlace>,
    /// It was set for what it is asked for: that it has no system is an error, and that it has
    /// nothing else is none.
    is_set: bool,
}

/// The source of the command line for everything, or those of the settings.
fn asked(place: &Place, options: &Upgrade) -> Result<Vec<Asked>, NodeError> {
    if let Some(source) = &options.source {
        return Ok(vec![Asked {
            source: source.clone(),
            access: options.access.clone(),
            roles: Role::ALL.to_vec(),
            named: Vec::new(),
            elsewhere: Vec::new(),
            is_set: false,
        }]);
    }
    let (sources, access) = place.sources(&options.access)?;
    let named: Vec<ContentPlace> = sources.named().cloned().collect();
    let mut all: Vec<Asked> = Vec::new();
    let mut ask = |source: &Source, role: Option<Role>, place: Option<&ContentPlace>| {
        let at = match all.iter().position(|asked| asked.source == *source) {
            Some(at) => at,
            None => {
                all.push(Asked {
                    source: source.clone(),
                    access: access.clone(),
                    roles: Vec::new(),
                    named: Vec::new(),
                    elsewhere: named.clone(),
                    is_set: true,
                });
                all.len().saturating_sub(1)
            }
        };
        if let Some(asked) = all.get_mut(at) {
            asked.roles.extend(role);
            asked.named.extend(place.cloned());
        }
    };
    for role in Role::ALL {
        if let Some(source) = sources.of(role) {
            ask(source, Some(role), None);
        }
    }
    for place in &named {
        if let Some(source) = sources.of_place(place) {
            ask(source, None, Some(place));
        }
    }
    match all.is_empty() {
        true => Err(NodeError::NoSource { role: Role::Os }),
        false => Ok(all),
    }
}

struct Download<'d> {
    place: &'d Place,
    places: Places,
    into: Filling,
    /// One for each release.
    exits: Vec<Exit>,
}

impl Download<'_> {
    /// What a source has: content, and then the system.
    fn from(&mut self, asked: &Asked, mut catalog: Catalog, tell: &mut dyn Tell) {
        let listed = catalog.listed_places().into_iter();
        let listed = listed.filter(|(role, _)| asked.roles.contains(role));
        let listed = listed.filter_map(|(role, name)| place_of(role, &name));
        let mut wanted: Vec<ContentPlace> = Vec::new();
        for place in listed.filter(|place| !asked.elsewhere.contains(place)) {
            if !wanted.contains(&place) {
                wanted.push(place);
            }
        }
        wanted.extend(asked.named.iter().cloned());
        for place in wanted {
            let done = self.content(&place, &mut catalog, tell);
            self.exits.extend(done.unwrap_or_else(|error| {
                let exit = Exit::from(&error);
                let reason = chain(&error).to_string();
                Heard(tell).tell(&ContentEvent::NotTaken {
                    place,
                    exit,
                    reason,
                });
                Some(exit)
            }));
        }
        if asked.roles.contains(&Role::Os) {
            match self.system(asked.is_set, catalog, tell) {
                Ok(exit) => self.exits.extend(exit),
                Err(error) => self.exits.push(tell.refuse(&error)),
            }
        }
    }

    /// `None`: the source has nothing for this place.
    fn content(
        &self,
        place: &ContentPlace,
        catalog: &mut Catalog,
        tell: &mut dyn Tell,
    ) -> Result<Option<Exit>, ContentError> {
        let Some(release) = catalog.open(place.wanted())? else {
            return Ok(None);
        };
        let trust = match self.places.trust(place.role()) {
            Err(ContentError::Read { source, .. }) if source.kind() == ErrorKind::NotFound => {
                Trust::default()
            }
            trust => trust?,
        };
        let bundle = Bundle::signed_by(&trust, place.clone(), release)?;
        let mut heard = Heard(tell);
        heard.tell(&bundle.offered());
        bundle.download(&self.into, &mut heard)?;
        Ok(Some(Exit::Installed))
    }

    /// Likewise.
    fn system(
        &self,
        is_set: bool,
        mut catalog: Catalog,
        tell: &mut dyn Tell,
    ) -> Result<Option<Exit>, NodeError> {
        let trust = match self.place.trust() {
            Err(NodeError::Read { source, .. }) if source.kind() == ErrorKind::NotFound => {
                Trust::default()
            }
            trust => trust?,
        };
        let release = match is_set {
            true => catalog.into_release(Wanted::SYSTEM)?,
            false => match catalog.open(Wanted::SYSTEM)? {
                Some(release) => release,
                None => return Ok(None),
            },
        };
        let approved = trust::approve(release.offered(), Wanted::SYSTEM, &trust)?;
        tell.tell(&offered(&approved));
        let seen = &mut |done, total| tell.step(Phase::Fetch, done, total);
        let filled = self.into.fill(Wanted::SYSTEM, release, &approved, seen)?;
        tell.tell(&Event::Downloaded {
            staging: self.into.path(Wanted::SYSTEM),
            fetched: filled.fetched_bytes,
            kept: filled.kept_bytes,
        });
        Ok(Some(Exit::Installed))
    }
}

/// A place for what a channel lists; its names are of the form of names.
fn place_of(role: Role, name: &str) -> Option<ContentPlace> {
    match role {
        Role::Os => None,
        Role::Store => ContentPlace::package(name).ok(),
        role => ContentPlace::new(role, name).ok(),
    }
}
