//! `entire-system-upgrade`: everything of a node that has something newer, in an order in which a
//! failure of one part keeps what ran before running (`upgrade.md` 1).
//!
//! [`asked`] says which source is asked for what, [`content`] is what the node serves, [`system`]
//! the image that it boots, [`kexec`] its start without the firmware.

mod asked;
mod content;
pub mod kexec;
mod system;

use bundle::worker::Workers;
use machine::snapshot::Snapshot;
use store::stage::Again;
use update::arm::Counted;
use wire::running::Running;

use super::error::NodeError;
use super::place::Place;
use super::report::Tell;
use crate::cli::Upgrade;
use crate::cli::upgrade::{COMMAND, Extent};
use crate::command::content::places::Places;
use crate::command::content::sets::change::members;
use crate::exit::Exit;
use asked::{Group, groups};
use content::Contents;
pub(super) use content::Heard;
use system::{Next, Node, System};

/// What an upgrade needs beside the node's files.
#[derive(Clone, Copy, Debug)]
pub struct Machine {
    /// Nothing has to reset it when it hangs, or something does.
    pub may_hang: bool,
    /// Who decodes content.
    pub workers: &'static dyn Workers,
    /// Who loads a kernel.
    pub load: kexec::Load,
}

/// How the system stands afterwards.
#[derive(Debug, PartialEq, Eq)]
pub enum Standing {
    /// The next boot tries a new version.
    Armed,
    /// Likewise; its kernel is loaded, and this start of it counted.
    Loaded(Counted),
    /// Something is newer, and was only looked for.
    Newer,
    /// Nothing is newer.
    Newest,
    /// No source has been asked for it, or none has it.
    NotAsked,
}

/// How an upgrade went.
#[derive(Debug)]
pub struct Upgraded {
    /// Each place of content, in the order in which they were done.
    pub content: Vec<Exit>,
    /// The system.
    pub system: Result<Standing, NodeError>,
}

impl Upgraded {
    /// That of what failed, if all that failed did so alike. With `--check`: whether anything is
    /// newer.
    #[must_use]
    pub fn exit(&self, extent: Extent) -> Exit {
        let system = match &self.system {
            Ok(Standing::Armed | Standing::Loaded(_) | Standing::Newer) => Some(Exit::Installed),
            Ok(Standing::Newest) => Some(Exit::Current),
            Ok(Standing::NotAsked) => None,
            Err(error) => Some(Exit::from(error)),
        };
        let exits = || self.content.iter().copied().chain(system);
        match joined(exits()) {
            Exit::Installed
                if extent == Extent::Check && !exits().any(|exit| exit == Exit::Installed) =>
            {
                Exit::Current
            }
            exit => exit,
        }
    }
}

/// That of the parts that failed, if all of them did so alike.
pub(super) fn joined(exits: impl Iterator<Item = Exit>) -> Exit {
    let mut failed = exits.filter(|exit| ![Exit::Installed, Exit::Current].contains(exit));
    match failed.next() {
        Some(first) if failed.all(|exit| exit == first) => first,
        Some(_) => Exit::Partly,
        None => Exit::Installed,
    }
}

/// Looks for newer releases and takes them: what serves first, the system last, so that the plan
/// and the locks are those of the whole command.
///
/// # Errors
/// Nothing was begun. What fails later is part of the answer; whatever it is, what runs and what is
/// served stay as they are.
pub fn upgrade(
    place: &Place,
    options: &Upgrade,
    machine: Machine,
    tell: &mut dyn Tell,
) -> Result<Upgraded, NodeError> {
    let places = Places::at(place.root());
    let boot = place.boot();
    let installed = members(&places)?;
    let groups = match groups(place, &places, &installed, options) {
        // Without anything to upgrade there is nothing to ask a source for.
        Err(NodeError::NoSource { .. }) if boot.is_err() => Vec::new(),
        groups => groups?,
    };
    let (text, no_node) = match boot {
        Ok(text) => (text, None),
        // A system without slots may have content.
        Err(error) if groups.iter().any(Group::has_content) => (Vec::new(), Some(error)),
        Err(error) => return Err(error),
    };
    let is_taken = options.extent == Extent::Take;
    let locks = (is_taken && no_node.is_none()).then(|| place.lock(COMMAND));
    let _locks = locks.transpose()?;
    let node = match no_node {
        Some(error) => Err(error),
        None => Ok(Node::new(place, Running::parse(&text)?, options)),
    };
    let node = node.and_then(|node| node.begin(machine.may_hang, tell));
    let mut contents = Contents::new(&places, &installed, Again(options.again));
    // Until the last chunk of a staging directory was read.
    let mut snapshot = None;
    let system = look(groups, node, &mut contents, (is_taken, &mut snapshot), tell);
    let system = match system {
        Ok(Some(system)) => system.plan(tell),
        Ok(None) => Ok(Next::Stands(Standing::NotAsked)),
        Err(error) => Err(error),
    };
    contents.plan(options.extent, tell);
    if is_taken {
        contents.take(machine.workers, tell);
    }
    let system = match system {
        Ok(Next::Stands(standing)) => Ok(standing),
        Ok(Next::Take(system)) => system.take(machine.load, tell),
        Err(error) => Err(error),
    };
    let content = contents.exits;
    Ok(Upgraded { content, system })
}

/// Asks every source for what it is asked for. A source that cannot be read is said once.
fn look<'u>(
    groups: Vec<Group>,
    node: Result<Node<'u>, NodeError>,
    contents: &mut Contents<'_>,
    (is_taken, snapshot): (bool, &mut Option<Snapshot>),
    tell: &mut dyn Tell,
) -> Result<Option<System<'u>>, NodeError> {
    let mut node = Some(node);
    let mut system = Ok(None);
    for group in groups {
        let mut places = group.places.clone();
        if is_taken {
            places.retain(|place| contents.put_right(place, tell));
        }
        let mut catalog = match group.catalog(is_taken, snapshot, tell) {
            Ok(catalog) => catalog,
            Err(error) if group.has_system => {
                system = Err(error.into());
                continue;
            }
            Err(error) => {
                contents.exits.push(tell.refuse(&error.into()));
                continue;
            }
        };
        for place in places {
            contents.look(place, &mut catalog, tell);
        }
        if let Some(node) = node.take_if(|_| group.has_system) {
            system = System::look(node, catalog, group.is_set, tell);
        }
        if !group.is_set && matches!(system, Ok(None)) && contents.is_empty() {
            system = Err(NodeError::NothingFor { name: group.name() });
        }
    }
    system
}
