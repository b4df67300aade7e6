//! A disk that may be taken: waited for as disks come and go, asked for once more when a donor is there.

use std::time::{Duration, Instant};

use wire::stage::Stage;

use crate::disks::Disks;
use crate::gate::reinstall::name_of;
use crate::gate::{self, Candidate, GateError, Reinstall, Selector};
use crate::person::Person;
use crate::screen::{Screen, chain};
use crate::session::{Options, SessionError, disk_facts};
use crate::uevents::Uevents;

/// While drivers are still probing, a missing disk is no news. After this, the screen says so.
const PROBING: Duration = Duration::from_secs(3);
/// When no disk is named, or only described, no block device may have come or gone for this long before one is taken ...
const QUIET: Duration = Duration::from_secs(1);
/// ... but something that never settles does not hold up a deploy for longer than this.
const SETTLING: Duration = Duration::from_secs(10);

/// The disks and their announcements.
pub(crate) struct Watch<'a> {
    options: &'a Options,
    /// None where one disk is named by the caller: it is there or it is not.
    uevents: Option<Uevents>,
    /// The installation that a person at the machine has given up.
    agreed: Option<String>,
}

impl<'a> Watch<'a> {
    pub(crate) fn open(options: &'a Options) -> Result<Self, SessionError> {
        let uevents = match options.disks {
            Disks::Machine => Some(Uevents::open().map_err(SessionError::Uevents)?),
            Disks::One(_) => None,
        };
        Ok(Self {
            options,
            uevents,
            agreed: None,
        })
    }

    /// The disk that may be taken as things stand.
    pub(crate) fn choose(&self) -> Result<Candidate, SessionError> {
        let candidates = self.options.disks.look()?;
        let mut wish = self.options.wish.clone();
        // Whoever names the only disk that is looked at means that one.
        if let (Disks::One(_), [only]) = (&self.options.disks, candidates.as_slice()) {
            wish.disk = Some(Selector::of_path(&only.disk.path));
        }
        if let Some(name) = &self.agreed {
            wish.reinstall = Reinstall::Only(name.clone());
        }
        Ok(gate::choose(&candidates, &wish)?.clone())
    }

    /// Returns a disk that may be taken as things stand. Without one nobody is invited: the screen says why, once for each
    /// reason, and we look again whenever a disk comes or goes.
    pub(crate) fn wait_for_one(&mut self, screen: &dyn Screen) -> Result<Candidate, SessionError> {
        let probing_ends = Instant::now() + PROBING;
        let mut shown = None;
        let person = screen.person();
        loop {
            self.agreed = person.and_then(Person::agreed);
            let error = match self.choose() {
                Err(SessionError::Gate(error)) => error,
                other => return other,
            };
            let Some(uevents) = &mut self.uevents else {
                return Err(error.into());
            };
            let left = probing_ends.saturating_duration_since(Instant::now());
            if uevents.wait(Some(left)).map_err(SessionError::Uevents)? {
                continue;
            }
            if shown.as_ref() != Some(&error) {
                show(&error, screen);
                shown = Some(error);
            }
            uevents
                .wait_or(None, person)
                .map_err(SessionError::Uevents)?;
        }
    }

    /// The same question once a donor is there and the disks have settled: another may have come since the first answer.
    pub(crate) fn choose_finally(&mut self) -> Result<Candidate, SessionError> {
        let is_named = self
            .options
            .wish
            .disk
            .as_ref()
            .is_some_and(Selector::is_name);
        if let (Some(uevents), false) = (&mut self.uevents, is_named) {
            uevents
                .settle(QUIET, SETTLING)
                .map_err(SessionError::Uevents)?;
        }
        self.choose()
    }
}

/// Why nobody is invited; and what a person can do about a disk that we have installed.
fn show(error: &GateError, screen: &dyn Screen) {
    let GateError::Installed { candidate, .. } = error else {
        screen.stage(Stage::Failed, &chain(error));
        return;
    };
    let name = candidate.installation().map(name_of).unwrap_or_default();
    let facts = disk_facts(candidate);
    screen.stage(Stage::Holding, &format!("installation={name} {facts}"));
    screen.warning(&chain(error));
    if screen.person().is_some() {
        screen.hint(&format!(
            "  This machine is installed, and nothing is changed.\n  Type  boot      and Enter: start its system.\n  \
             Type  {name}  and Enter: install it again; what is on the disk is lost when a donor comes."
        ));
    }
}
