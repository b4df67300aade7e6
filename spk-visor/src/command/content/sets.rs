//! The packages of a node (`node-packages.md`): installed and removed as sets, laid over `/usr`,
//! kept and taken back. What is decided is in `store::sets`.
//!
//! [`change`] makes sets, [`payload`] of what disks have; [`trial`] has what the boots do with them,
//! [`list`] says what there is, [`event`] is what happens meanwhile.

pub mod change;
pub mod event;
pub mod list;
pub mod payload;
pub mod trial;

use std::path::PathBuf;
use std::time::Duration;

use bundle::trust::Trust;
use machine::locks::{self, Lock, Which};
use machine::overlay::Usr;
use store::StoreError;
use store::place::STATE;
use store::recover::{Finding, recover};
use store::sets::change as set_change;
use store::sets::directory::SetDirectory;
use store::sets::{SETS, SetShelf};
use store::shelf::{Listing, Shelf, Target};
use store::stage::Staged;
use wire::chain::chain;
use wire::manifest::Role;
use wire::running;
use wire::set::Set;

use self::event::SetEvent;
use super::Tell;
use super::error::ContentError;
use super::event::Event;
use super::places::Places;
use crate::command::node::place::Place as Node;
use crate::command::node::trial::keep_network;

/// The sets of a node, which nobody else changes meanwhile.
#[derive(Debug)]
pub struct Sets {
    shelf: SetDirectory,
    root: PathBuf,
    state: PathBuf,
    trust: Trust,
    usr: Usr,
    _lock: Lock,
}

/// Says whose error it is.
fn of<T>(result: Result<T, StoreError>) -> Result<T, ContentError> {
    result.map_err(|source| ContentError::Sets {
        source: Box::new(source),
    })
}

impl Sets {
    /// Opens them, made where they are missing, and puts them right.
    ///
    /// # Errors
    /// No keys, no room, or another command changes them.
    pub fn open(places: &Places, command: &str, tell: &mut dyn Tell) -> Result<Self, ContentError> {
        let (trust, state) = (places.trust(Role::Store)?, places.path(STATE));
        let shelf =
            SetDirectory::open(&state, trust.clone()).map_err(|source| ContentError::State {
                path: state.join(SETS),
                source,
            })?;
        let lock = locks::take(shelf.top(), Which::Place, command, Duration::ZERO)?;
        let mut sets = Self {
            shelf,
            root: places.root().to_owned(),
            state,
            trust,
            usr: Usr::of(places.root()),
            _lock: lock,
        };
        for finding in of(recover(&mut sets.shelf))? {
            tell.tell(&Event::Set(found(&finding)));
        }
        Ok(sets)
    }

    fn look(&mut self) -> Result<Listing, ContentError> {
        look(&mut self.shelf)
    }

    /// Lets the next boots try a set, on a network like this one.
    fn arm(&mut self, staged: &Staged, tell: &mut dyn Tell) -> Result<(), ContentError> {
        let node = Node::at(&self.root);
        keep_network(&node, node.set_network_file()).map_err(Box::new)?;
        of(set_change::arm(&mut self.shelf, staged))?;
        let number = staged.version().counter;
        tell.tell(&Event::Set(SetEvent::Armed { number }));
        Ok(())
    }

    /// The text of a set; that of the empty one for want of a number.
    fn text(&mut self, number: Option<u64>) -> Result<String, ContentError> {
        text(&mut self.shelf, number)
    }
}

/// Was this system started from a signed slot, which nobody installs into?
#[must_use]
pub fn is_sealed(places: &Places) -> bool {
    places.path(running::PATH).exists()
}

/// Are there sets on this node?
#[must_use]
pub fn exist(places: &Places) -> bool {
    places.path(STATE).join(SETS).is_dir()
}

fn look(shelf: &mut SetDirectory) -> Result<Listing, ContentError> {
    of(shelf.look().map_err(|source| StoreError::Shelf {
        doing: "listing the sets",
        source,
    }))
}

fn text(shelf: &mut SetDirectory, number: Option<u64>) -> Result<String, ContentError> {
    let text = number.map_or_else(
        || Ok(Set::default().to_string()),
        |number| shelf.text(number),
    );
    of(text.map_err(|source| StoreError::Shelf {
        doing: "reading a set",
        source,
    }))
}

fn parse(text: &str) -> Result<Set<'_>, ContentError> {
    of(
        Set::parse(text.as_bytes()).map_err(|error| StoreError::Set {
            source: Box::new(error.into()),
        }),
    )
}

/// A set of these numbers; there is none that is part of the system.
const fn number(target: Option<Target>) -> Option<u64> {
    match target {
        Some(Target::Generation(number)) => Some(number),
        _ => None,
    }
}

fn found(finding: &Finding) -> SetEvent {
    let (what, text) = match finding {
        Finding::Left(number) => ("left-over", format!("the rest of set {number} is removed")),
        Finding::Bad(target, reject) => {
            return SetEvent::Rejected {
                number: number(Some(*target)).unwrap_or(0),
                word: reject.word(),
                reason: chain(reject).to_string(),
            };
        }
        Finding::Current(target) => match number(*target) {
            Some(number) => ("pointed", format!("set {number} is the one that was kept")),
            None => ("nothing", "no set is as it was kept".to_owned()),
        },
        Finding::LedgerLost => (
            "ledger-lost",
            "the ledger of the sets could not be read: a trial and failed sets are forgotten"
                .to_owned(),
        ),
        Finding::Interrupted(_) | Finding::LedgerWritten => (
            "ledger",
            "the ledger of the sets follows what was kept".to_owned(),
        ),
    };
    SetEvent::Recovered { what, text }
}
