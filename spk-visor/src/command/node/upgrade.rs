//! `entire-system-upgrade`: everything of a node that has something newer, in an order in which a
//! failure of one part keeps what ran before running (`upgrade.md` 1).

use bundle::trust::{self, Approved, Wanted};
use fetch::Release;
use fetch::staging::Staging;
use machine::slot_disks::Access;
use update::admit::{Again, Refusal, admit};
use update::arm;
use update::plan::{self, Plan};
use update::stage::{self, StageError};
use wire::manifest::Role;
use wire::running::Running;

use super::error::NodeError;
use super::event::{Event, Phase};
use super::place::Place;
use super::report::Tell;
use super::take::{Watched, offered};
use super::trial::{check, keep_network, must_be_reset, put_right};
use crate::cli::Upgrade;
use crate::cli::upgrade::Extent;

/// What follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Upgraded {
    /// The next boot tries a new version.
    Armed,
    /// Nothing was newer, or nothing was to be done.
    Nothing,
}

/// Looks for newer releases and takes them: what serves first, the system last, so that the plan
/// and the locks are those of the whole command.
///
/// # Errors
/// See [`NodeError`]; the running system and its way back stay as they are.
pub fn upgrade(
    place: &Place,
    options: &Upgrade,
    may_hang: bool,
    tell: &mut dyn Tell,
) -> Result<Upgraded, NodeError> {
    let text = place.boot()?;
    let running = Running::parse(&text)?;
    let is_taken = options.extent == Extent::Take;
    let locks = is_taken.then(|| place.lock("entire-system-upgrade"));
    let _locks = locks.transpose()?;
    check(&running, tell);
    if is_taken {
        must_be_reset(place, may_hang)?;
        place.with(&running, Access::Change, |node| {
            put_right(node, &running, tell)
        })?;
    }
    System::look(place, &running, options, tell)?.upgrade(tell)
}

/// The system itself: role `os`.
struct System<'u> {
    place: &'u Place,
    running: &'u Running<'u>,
    options: &'u Upgrade,
    release: Box<dyn Release>,
    approved: Approved,
}

impl<'u> System<'u> {
    /// Finds the release, and whether it is signed for this node.
    fn look(
        place: &'u Place,
        running: &'u Running<'u>,
        options: &'u Upgrade,
        tell: &mut dyn Tell,
    ) -> Result<Self, NodeError> {
        let trust = place.trust()?;
        let wanted = Wanted {
            role: Role::Os,
            product: running.product,
        };
        let release: Box<dyn Release> = match options.is_offline {
            true => Box::new(Staging::open(&options.staging)?),
            false => {
                let chosen = options.source.as_ref();
                let (source, access) = place.source(chosen, &options.access, Role::Os)?;
                source.open(wanted, &access)?
            }
        };
        let approved = trust::approve(release.offered(), wanted, &trust)?;
        tell.tell(&offered(&approved));
        Ok(Self {
            place,
            running,
            options,
            release,
            approved,
        })
    }

    fn upgrade(self, tell: &mut dyn Tell) -> Result<Upgraded, NodeError> {
        if self.options.extent == Extent::Check {
            return self.place.with(self.running, Access::Look, |node| {
                admit(&node.facts()?, self.running, &self.approved, self.again())?;
                Ok(Upgraded::Nothing)
            });
        }
        let plan = match self.plan(tell) {
            Err(NodeError::Stage(StageError::Refused(Refusal::Current { counter }))) => {
                tell.tell(&Event::Newest { counter });
                return Ok(Upgraded::Nothing);
            }
            plan => plan?,
        };
        tell.tell(&Event::Planned {
            from: self.running.counter,
            plan,
        });
        match self.options.extent {
            Extent::Take => self.take(tell),
            _ => Ok(Upgraded::Nothing),
        }
    }

    fn again(&self) -> Again {
        Again(self.options.again)
    }

    fn plan(&self, tell: &mut dyn Tell) -> Result<Plan, NodeError> {
        self.place.with(self.running, Access::Look, |node| {
            let seen = &mut |done, total| tell.step(Phase::Compare, done, total);
            let plan = plan::plan(node, self.running, &self.approved, self.again(), seen);
            Ok(plan?)
        })
    }

    /// Staged, and armed in one go: what was read back a moment ago is not read once more.
    fn take(self, tell: &mut dyn Tell) -> Result<Upgraded, NodeError> {
        let again = self.again();
        let Self {
            place,
            running,
            release,
            approved,
            ..
        } = self;
        place.with(running, Access::Change, |node| {
            let mut chunks = release.chunks(&approved)?;
            let mut watched = Watched::new(&approved, &mut *tell);
            let seen = &mut |progress| watched.see(progress);
            let staged = stage::stage(node, running, &approved, &mut *chunks, again, seen)?;
            watched.end(&staged);
            keep_network(place)?;
            let armed = arm::arm(node, staged)?;
            tell.tell(&Event::Armed {
                slot: armed.slot(),
                version: *armed.version(),
            });
            Ok(Upgraded::Armed)
        })
    }
}
