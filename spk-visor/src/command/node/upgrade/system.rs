//! The system in an upgrade: an image of role `os` for the slot that does not run. In: a node with
//! slots, and what a source has. Out: how the system stands.

use bundle::trust::{self, Approved, Wanted};
use fetch::Release;
use fetch::catalog::Catalog;
use machine::slot_disks::Access;
use update::admit::{Again, Refusal, admit};
use update::arm;
use update::plan::{self, Plan};
use update::stage::{self, StageError};
use wire::chain::chain;
use wire::manifest::{PRODUCT, Role};
use wire::running::Running;

use super::Standing;
use super::kexec::{self, Load};
use crate::cli::Upgrade;
use crate::cli::upgrade::{After, Extent};
use crate::command::node::error::NodeError;
use crate::command::node::event::{Event, Phase};
use crate::command::node::place::Place;
use crate::command::node::report::Tell;
use crate::command::node::take::{Watched, offered};
use crate::command::node::trial::{check, keep_network, must_be_reset, put_right};

/// A node with slots.
pub(super) struct Node<'u> {
    place: &'u Place,
    running: Running<'u>,
    options: &'u Upgrade,
}

/// An image that is signed for it.
pub(super) struct System<'u> {
    node: Node<'u>,
    release: Box<dyn Release>,
    approved: Approved,
}

/// What comes behind the plan.
pub(super) enum Next<'u> {
    /// Nothing.
    Stands(Standing),
    /// It is taken.
    Take(System<'u>),
}

impl<'u> Node<'u> {
    pub(super) const fn new(place: &'u Place, running: Running<'u>, options: &'u Upgrade) -> Self {
        Self {
            place,
            running,
            options,
        }
    }

    /// What an upgrade that changes something does first.
    pub(super) fn begin(self, may_hang: bool, tell: &mut dyn Tell) -> Result<Self, NodeError> {
        check(&self.running, tell);
        if self.options.extent == Extent::Take {
            must_be_reset(self.place, may_hang)?;
            self.place.with(&self.running, Access::Change, |node| {
                put_right(node, &self.running, tell)
            })?;
        }
        Ok(self)
    }
}

impl<'u> System<'u> {
    /// Finds the release, and whether it is signed for this node. A source that `is_set` for the
    /// system has to have one.
    pub(super) fn look(
        node: Result<Node<'u>, NodeError>,
        mut catalog: Catalog,
        is_set: bool,
        tell: &mut dyn Tell,
    ) -> Result<Option<Self>, NodeError> {
        let wanted = Wanted {
            role: Role::Os,
            product: match &node {
                Ok(node) => node.running.product,
                Err(_) => PRODUCT,
            },
        };
        let release = match is_set {
            true => catalog.into_release(wanted)?,
            false => match catalog.open(wanted)? {
                Some(release) => release,
                None => return Ok(None),
            },
        };
        let node = node?;
        let trust = node.place.trust()?;
        let approved = trust::approve(release.offered(), wanted, &trust)?;
        tell.tell(&offered(&approved));
        Ok(Some(Self {
            node,
            release,
            approved,
        }))
    }

    /// What it would do, shown unless the question was only whether it is newer.
    pub(super) fn plan(self, tell: &mut dyn Tell) -> Result<Next<'u>, NodeError> {
        let plan = match self.node.options.extent {
            Extent::Check => self.admit().map(|()| None),
            _ => self.compare(tell).map(Some),
        };
        match plan {
            Ok(Some(plan)) => tell.tell(&Event::Planned {
                from: self.node.running.counter,
                plan,
            }),
            Ok(None) => {}
            Err(
                NodeError::Refused(Refusal::Current { counter })
                | NodeError::Stage(StageError::Refused(Refusal::Current { counter })),
            ) => {
                tell.tell(&Event::Newest { counter });
                return Ok(Next::Stands(Standing::Newest));
            }
            Err(error) => return Err(error),
        }
        Ok(match self.node.options.extent {
            Extent::Take => Next::Take(self),
            _ => Next::Stands(Standing::Newer),
        })
    }

    const fn again(&self) -> Again {
        Again(self.node.options.again)
    }

    fn admit(&self) -> Result<(), NodeError> {
        let Node { place, running, .. } = &self.node;
        place.with(running, Access::Look, |node| {
            let admitted = admit(&node.facts()?, running, &self.approved, self.again());
            Ok(admitted.map(drop)?)
        })
    }

    fn compare(&self, tell: &mut dyn Tell) -> Result<Plan, NodeError> {
        let Node { place, running, .. } = &self.node;
        place.with(running, Access::Look, |node| {
            let seen = &mut |done, total| tell.step(Phase::Compare, done, total);
            Ok(plan::plan(
                node,
                running,
                &self.approved,
                self.again(),
                seen,
            )?)
        })
    }

    /// Staged, and armed in one go: what was read back a moment ago is not read once more.
    pub(super) fn take(self, load: Load, tell: &mut dyn Tell) -> Result<Standing, NodeError> {
        let again = self.again();
        let Self {
            node:
                Node {
                    place,
                    running,
                    options,
                },
            release,
            approved,
        } = self;
        place.with(&running, Access::Change, |node| {
            let mut chunks = release.chunks(&approved)?;
            let mut watched = Watched::new(&approved, &mut *tell);
            let seen = &mut |progress| watched.see(progress);
            let staged = stage::stage(node, &running, &approved, &mut *chunks, again, seen)?;
            watched.end(&staged);
            keep_network(place, place.network_file())?;
            let armed = arm::arm(node, staged)?;
            tell.tell(&Event::Armed {
                slot: armed.slot(),
                version: *armed.version(),
            });
            if options.after != After::Kexec {
                return Ok(Standing::Armed);
            }
            match kexec::prepare(node, armed, load) {
                Ok(counted) => {
                    let (slot, left) = (counted.slot(), counted.left().get());
                    tell.tell(&Event::Loaded { slot, left });
                    Ok(Standing::Loaded(counted))
                }
                Err(error) => {
                    let reason = chain(&error).to_string();
                    tell.tell(&Event::NotLoaded { reason });
                    Ok(Standing::Armed)
                }
            }
        })
    }
}
