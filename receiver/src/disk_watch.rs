//! A disk that may be taken: the session waits for it as disks come and go, and asks once more when
//! a donor is there.

use std::time::{Duration, Instant};

use disk::sizes::Sizes;
use install::{deploy, options};
use machine::blockdisk::BlockDisk;
use machine::disks::{Disks, IMAGE_SECTOR};
use machine::gate::reinstall::name_of;
use machine::gate::{self, Candidate, Cleared, GateError, Reinstall, Selector, Wish};
use machine::uevents::Uevents;
use wire::chain::chain;

use crate::error::SessionError;
use crate::operator::event::ReceiverEvent;
use crate::operator::reporter::{Reporter, warn};
use crate::operator::{CancelToken, Control, OperatorControl};
use crate::options::Options;

/// While drivers are still probing, a missing disk is no news. After this, the screen says so.
const PROBING: Duration = Duration::from_secs(3);
/// When no disk is named, or only described, no block device may have come or gone for this long
/// before one is taken ...
const QUIET: Duration = Duration::from_secs(1);
/// ... but something that never settles does not hold up a deploy for longer than this.
const SETTLING: Duration = Duration::from_secs(10);

/// The disks and their announcements.
pub(crate) struct DiskWatch<'a> {
    options: &'a Options,
    reporter: &'a dyn Reporter,
    token: CancelToken,
    /// None where one disk is named by the caller: it is there or it is not.
    uevents: Option<Uevents>,
    /// The installation that a person at the machine has given up.
    agreed: Option<String>,
    /// The operator's decision in place of the options.
    taken: Option<Decision>,
    /// The last of these that could be followed.
    standing: Option<Decision>,
    /// The screen says that a person holds the machine.
    is_held: bool,
    /// The last report about the disks.
    told: Option<Seen>,
}

type Decision = (Wish, Sizes);
/// All disks, and the one that may be taken.
type Seen = (Vec<Candidate>, Result<Cleared, GateError>);

impl<'a> DiskWatch<'a> {
    pub(crate) fn open(
        options: &'a Options,
        reporter: &'a dyn Reporter,
        token: &CancelToken,
    ) -> Result<Self, SessionError> {
        let uevents = match options.disks {
            Disks::Machine => Some(Uevents::open().map_err(SessionError::Uevents)?),
            Disks::One(_) => None,
        };
        Ok(Self {
            options,
            reporter,
            token: token.clone(),
            uevents,
            agreed: None,
            taken: None,
            standing: None,
            is_held: false,
            told: None,
        })
    }

    fn wish(&self) -> &Wish {
        let taken = self.taken.as_ref().map(|(wish, _)| wish);
        taken.unwrap_or(&self.options.wish)
    }

    /// How the disk is to be written.
    pub(crate) fn deploy_options(&self) -> options::Options {
        let mut options = self.options.deploy;
        if let Some((_, sizes)) = &self.taken {
            options.sizes = *sizes;
        }
        options
    }

    /// The disk that may be taken as things stand.
    pub(crate) fn choose(&mut self) -> Result<Cleared, SessionError> {
        let seen = self.look()?;
        Ok(self.tell(seen)?)
    }

    fn look(&self) -> Result<Seen, SessionError> {
        let candidates = self.options.disks.look()?;
        let mut wish = self.wish().clone();
        // A donor that names a disk means the only one that is looked at.
        if let (Disks::One(_), [only]) = (&self.options.disks, candidates.as_slice()) {
            wish.disk = Some(Selector::of_path(&only.disk().path));
        }
        if let Some(name) = &self.agreed {
            wish.reinstall = Reinstall::Only(name.clone());
        }
        let choice = gate::choose(&candidates, &wish);
        Ok((candidates, choice))
    }

    /// Says what was seen, unless it was said before.
    fn tell(&mut self, seen: Seen) -> Result<Cleared, GateError> {
        let choice = seen.1.clone();
        if self.told.as_ref() != Some(&seen) {
            self.reporter.report(&ReceiverEvent::Disks {
                seen: seen.0.clone(),
                choice: choice.clone().map(Cleared::into_candidate).map(Box::new),
            });
            self.told = Some(seen);
        }
        choice
    }

    /// Returns a disk that may be taken as things stand. Without one, or while a person holds the
    /// machine, nobody is invited: the screen says why, once for each reason, and we look again
    /// whenever a disk comes or goes, or the person says something.
    pub(crate) fn wait_for_one(&mut self) -> Result<Cleared, SessionError> {
        let probing_ends = Instant::now() + PROBING;
        let mut shown = None;
        loop {
            let control = self.token.begin();
            self.agreed = self.reporter.operator().and_then(OperatorControl::agreed);
            self.taken = match control {
                Control::Machine => None,
                Control::Taken { wish, sizes } => Some((wish, sizes)),
                Control::Held => {
                    self.held(None);
                    shown = None;
                    // Under what a person would see without deciding anything.
                    self.taken = None;
                    let seen = self.look()?;
                    let _ = self.tell(seen); // nobody asks for it
                    self.wait(None)?;
                    continue;
                }
            };
            let seen = self.look()?;
            let refused = match (&seen.1, &self.taken) {
                (Ok(chosen), taken) => match self.check(chosen.candidate()) {
                    Ok(()) => {
                        self.standing.clone_from(taken);
                        self.is_held = false;
                        return Ok(self.tell(seen)?);
                    }
                    Err(error) => error,
                },
                (Err(error), _) => error.clone().into(),
            };
            if self.taken.is_some() && self.taken != self.standing {
                let _ = self.tell(seen); // what is wrong follows
                self.token.hand_back();
                self.is_held = false;
                self.held(Some(chain(&refused).to_string()));
                shown = None;
                continue;
            }
            let SessionError::Gate(error) = refused else {
                return Err(refused);
            };
            let can_wait = self.uevents.is_some() || self.reporter.operator().is_some();
            let left = probing_ends.saturating_duration_since(Instant::now());
            if self.uevents.is_some() && self.wait(Some(left))? {
                continue;
            }
            let _ = self.tell(seen); // shown in a moment, or returned
            if !can_wait {
                return Err(error.into());
            }
            self.is_held = false;
            if shown.as_ref() != Some(&error) {
                show(&error, self.reporter);
                shown = Some(error);
            }
            self.wait(None)?;
        }
    }

    /// Whether the operator's decision can be carried out on this disk. The machine's own options
    /// are checked when a donor is there.
    fn check(&self, chosen: &Candidate) -> Result<(), SessionError> {
        if let Some((_, sizes)) = &self.taken {
            let disk = BlockDisk::open_to_read(&chosen.disk().path, IMAGE_SECTOR)?;
            deploy::outline(&disk, *sizes)?;
        }
        Ok(())
    }

    /// Says at once that a person holds the machine, if one does.
    pub(crate) fn follow(&mut self) {
        if self.token.begin() == Control::Held {
            self.held(None);
        }
    }

    /// Nobody is invited any more; `refused` says why not, after all. Said once.
    fn held(&mut self, refused: Option<String>) {
        if std::mem::replace(&mut self.is_held, true) {
            return;
        }
        self.reporter.report(&ReceiverEvent::Held { refused });
    }

    /// Waits until a disk comes or goes, or the person says something; false when `limit` has
    /// passed.
    fn wait(&mut self, limit: Option<Duration>) -> Result<bool, SessionError> {
        let operator = self.reporter.operator();
        let waited = match (&mut self.uevents, operator) {
            (Some(uevents), operator) => {
                uevents.wait_or(limit, operator.map(OperatorControl::wakeup))
            }
            (None, Some(operator)) => operator.wait(limit).map(|()| operator.clear()),
            (None, None) => Ok(false),
        };
        waited.map_err(SessionError::Uevents)
    }

    /// The same question once a donor is there and the disks have settled: another may have come
    /// since the first answer.
    pub(crate) fn choose_finally(&mut self) -> Result<Cleared, SessionError> {
        let is_named = self.wish().disk.as_ref().is_some_and(Selector::is_name);
        if let (Some(uevents), false) = (&mut self.uevents, is_named) {
            uevents
                .settle(QUIET, SETTLING)
                .map_err(SessionError::Uevents)?;
        }
        self.choose()
    }
}

/// Why nobody is invited; and what a person can do about a disk that already has an installation.
fn show(error: &GateError, reporter: &dyn Reporter) {
    reporter.report(&ReceiverEvent::NoDisk(error.clone()));
    let GateError::Installed { candidate, .. } = error else {
        return;
    };
    warn(reporter, &chain(error).to_string());
    if reporter.operator().is_some() {
        let name = candidate.installation().map(name_of).unwrap_or_default();
        reporter.report(&ReceiverEvent::ReplaceByName { name });
    }
}
