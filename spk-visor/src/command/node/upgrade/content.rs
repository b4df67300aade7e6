//! Content in an upgrade: each place by itself, so that one that fails keeps nothing else from
//! being upgraded; packages together, for they become one set. In: the places and what sources have
//! for them. Out: an exit code for each.

use std::error::Error;

use bundle::worker::Workers;
use fetch::catalog::Catalog;
use store::place::Place;
use store::stage::Again;
use wire::chain::chain;
use wire::manifest::Role;

use super::COMMAND;
use crate::cli::upgrade::Extent;
use crate::command::content::Tell as ContentTell;
use crate::command::content::bundle::{Bundle, How};
use crate::command::content::change;
use crate::command::content::error::ContentError;
use crate::command::content::event::{Event as ContentEvent, Plan};
use crate::command::content::places::Places;
use crate::command::content::sets::change::{Change, Members};
use crate::command::node::event::{Event, Phase};
use crate::command::node::report::Tell;
use crate::exit::Exit;

/// Hears about content as a node hears.
pub(in crate::command::node) struct Heard<'t>(pub &'t mut dyn Tell);

impl ContentTell for Heard<'_> {
    fn tell(&mut self, event: &ContentEvent) {
        self.0.tell(&Event::Content(event.clone()));
    }

    fn step(&mut self, done: u64, total: u64) {
        self.0.step(Phase::Fetch, done, total);
    }
}

/// The content of a node that is being upgraded.
pub(super) struct Contents<'u> {
    places: &'u Places,
    installed: &'u Members,
    again: Again,
    found: Vec<Bundle>,
    planned: Vec<(Bundle, Plan)>,
    /// One for each place that was looked at.
    pub exits: Vec<Exit>,
}

impl<'u> Contents<'u> {
    pub(super) const fn new(places: &'u Places, installed: &'u Members, again: Again) -> Self {
        Self {
            places,
            installed,
            again,
            found: Vec::new(),
            planned: Vec::new(),
            exits: Vec::new(),
        }
    }

    /// What a power cut has left, before anything is changed. Packages are put right where their
    /// set is made.
    pub(super) fn put_right(&mut self, place: &Place, tell: &mut dyn Tell) -> bool {
        if place.role() == Role::Store {
            return true;
        }
        let done = change::put_place_right(self.places, place, COMMAND, &mut Heard(tell));
        done.map_err(|error| self.fail(place, &error, tell)).is_ok()
    }

    /// What a source has for a place. Nothing is no failure: content that came with the system, or
    /// from elsewhere, need not be published.
    pub(super) fn look(&mut self, place: Place, catalog: &mut Catalog, tell: &mut dyn Tell) {
        let bundle = match catalog.open(place.wanted()) {
            Ok(None) => return,
            Ok(Some(release)) => Bundle::of(self.places, place.clone(), release),
            Err(error) => Err(error.into()),
        };
        match bundle {
            Ok(bundle) => {
                Heard(tell).tell(&bundle.offered());
                self.found.push(bundle);
            }
            Err(error) => self.fail(&place, &error, tell),
        }
    }

    /// Nothing was found, and nothing has failed.
    pub(super) const fn is_empty(&self) -> bool {
        self.found.is_empty() && self.exits.is_empty()
    }

    /// What is newer. Daemons come first: what serves is changed while everything else is as it
    /// was. Packages come last: they wait for the next boot.
    pub(super) fn plan(&mut self, extent: Extent, tell: &mut dyn Tell) {
        let mut found = std::mem::take(&mut self.found);
        found.sort_by_key(|bundle| match bundle.place().role() {
            Role::Daemon => 0,
            Role::Store => 2,
            _ => 1,
        });
        for bundle in found {
            let place = bundle.place().clone();
            match self.plan_of(&bundle) {
                Ok(Some(plan)) => {
                    if extent != Extent::Check {
                        Heard(tell).tell(&ContentEvent::Planned { place, plan });
                    }
                    match extent {
                        Extent::Take => self.planned.push((bundle, plan)),
                        _ => self.exits.push(Exit::Installed),
                    }
                }
                Ok(None) => {
                    let counter = bundle.counter();
                    Heard(tell).tell(&ContentEvent::Newest { place, counter });
                    self.exits.push(Exit::Current);
                }
                Err(error) => self.fail(&place, &error, tell),
            }
        }
    }

    fn plan_of(&self, bundle: &Bundle) -> Result<Option<Plan>, ContentError> {
        let name = bundle.place().name();
        match bundle.place().role() {
            Role::Store => {
                let installed = self.installed.iter().find(|(member, _)| member == name);
                let (_, version) = installed.ok_or_else(|| {
                    let name = name.to_owned();
                    ContentError::NotInstalled { name }
                })?;
                bundle.plan_package(self.places, version, self.again)
            }
            _ => bundle.plan(self.places, self.again),
        }
    }

    /// One after the other; packages behind everything that serves.
    pub(super) fn take(&mut self, workers: &'static dyn Workers, tell: &mut dyn Tell) {
        let how = How {
            command: COMMAND,
            again: self.again,
            workers,
        };
        let planned = std::mem::take(&mut self.planned).into_iter();
        let (packages, places): (Vec<_>, Vec<_>) =
            planned.partition(|(bundle, _)| bundle.place().role() == Role::Store);
        for (bundle, plan) in places {
            let place = bundle.place().clone();
            fetching(&place, plan, tell);
            match bundle.take(self.places, how, &mut Heard(tell)) {
                Ok(()) => self.exits.push(Exit::Installed),
                Err(error) => self.fail(&place, &error, tell),
            }
        }
        if !packages.is_empty() {
            self.take_packages(packages, how, tell);
        }
    }

    /// All that can be had become one set, which the next boots try. If they cannot be together
    /// none is upgraded.
    fn take_packages(&mut self, packages: Vec<(Bundle, Plan)>, how: How<'_>, tell: &mut dyn Tell) {
        let mut change = match Change::begin(self.places, how, &mut Heard(tell)) {
            Ok(change) => change,
            Err(error) => {
                for (bundle, _) in &packages {
                    self.fail(bundle.place(), &error, tell);
                }
                return;
            }
        };
        let mut taken: Vec<Place> = Vec::new();
        for (bundle, plan) in packages {
            let place = bundle.place().clone();
            fetching(&place, plan, tell);
            match change.add(bundle, &mut Heard(tell)) {
                Ok(()) => taken.push(place),
                Err(error) => self.fail(&place, &error, tell),
            }
        }
        if taken.is_empty() {
            return;
        }
        let done = change.finish(&mut Heard(tell));
        for place in &taken {
            match &done {
                Ok(()) => self.exits.push(Exit::Installed),
                Err(error) => self.fail(place, error, tell),
            }
        }
    }

    fn fail(&mut self, place: &Place, error: &ContentError, tell: &mut dyn Tell) {
        let exit = Exit::from(error);
        let reason = chain(error as &dyn Error).to_string();
        let own = format!("{place}: ");
        let reason = reason.strip_prefix(&own).unwrap_or(&reason).to_owned();
        let place = place.clone();
        Heard(tell).tell(&ContentEvent::NotTaken {
            place,
            exit,
            reason,
        });
        self.exits.push(exit);
    }
}

fn fetching(place: &Place, plan: Plan, tell: &mut dyn Tell) {
    let bytes = plan.fetched_bytes();
    if bytes > 0 {
        let place = place.clone();
        Heard(tell).tell(&ContentEvent::Fetching { place, bytes });
    }
}
