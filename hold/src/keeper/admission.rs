//! A client wants another version. It is verified on a thread of its own, because reading all of it
//! takes as long as it is large, and the daemon is held meanwhile as ever.

use std::sync::mpsc::{Receiver, TryRecvError, channel};
use std::thread;
use std::time::{Duration, Instant};

use machine::locks::Lock;
use store::recover::Finding;

use super::{HoldError, Keeper, Phase};
use crate::control::ClientId;
use crate::event::{Event, Why};
use crate::place::{Candidate, Place, PlaceError, Wanted};

/// A version that is being verified.
pub(super) struct Admission {
    /// Hears how it ends.
    pub client: ClientId,
    /// Nobody else changes the place meanwhile.
    lock: Lock,
    from: Receiver<Result<Verified, PlaceError>>,
}

/// What was put right before, and what may be tried.
struct Verified {
    findings: Vec<Finding>,
    candidate: Result<Candidate, PlaceError>,
}

fn verify(place: &Place, wanted: Wanted) -> Result<Verified, PlaceError> {
    let findings = place.recover()?;
    let candidate = place.candidate(wanted);
    Ok(Verified {
        findings,
        candidate,
    })
}

impl Keeper<'_> {
    /// Has this generation verified, and tried then.
    pub(super) fn admit(&mut self, client: ClientId, wanted: Wanted) -> Result<(), Why> {
        match self.phase {
            Phase::Trial(_) => return Err(Why::Busy),
            Phase::Leaving => return Err(Why::Leaving),
            Phase::Steady | Phase::Pause(_) => {}
        }
        if self.admission.is_some() {
            return Err(Why::Busy);
        }
        let lock = self.settings.lock(Duration::ZERO).map_err(|_| Why::Busy)?;
        let (to, from) = channel();
        let (place, wake) = (self.settings.place.clone(), self.asker.wake().clone());
        let work = move || {
            // Nobody listens any more when the daemon is not held any more.
            let _ = to.send(verify(&place, wanted));
            wake.notify();
        };
        let spawned = thread::Builder::new().name("verify".into()).spawn(work);
        spawned.map_err(|error| {
            self.tell.fail(&HoldError::Wait(error));
            Why::Ledger
        })?;
        self.admission = Some(Admission { client, lock, from });
        Ok(())
    }

    /// Tries what was verified, when it was.
    pub(super) fn look_at_admission(&mut self, now: Instant) {
        let Some(admission) = &self.admission else {
            return;
        };
        let verified = match admission.from.try_recv() {
            Err(TryRecvError::Empty) => return,
            Err(TryRecvError::Disconnected) => None,
            Ok(verified) => Some(verified),
        };
        let Some(Admission { client, lock, .. }) = self.admission.take() else {
            return;
        };
        match self.accept(verified) {
            Ok(candidate) => self.begin(client, candidate, lock, now),
            Err(why) => self.control.tell(client, &Event::Refused { why }),
        }
    }

    fn accept(&mut self, verified: Option<Result<Verified, PlaceError>>) -> Result<Candidate, Why> {
        let verified = verified.ok_or(Why::Ledger)?;
        let candidate = verified.and_then(|verified| {
            self.say_findings(&verified.findings);
            verified.candidate
        });
        let candidate = candidate.map_err(|error| {
            self.tell.fail(&error);
            error.why()
        })?;
        // What is confirmed may be another one than when this was started.
        self.read_current().map_err(|error| {
            self.tell.fail(&error);
            Why::Ledger
        })?;
        Ok(candidate)
    }

    /// What was put right.
    pub(super) fn say_findings(&mut self, findings: &[Finding]) {
        for finding in findings {
            match finding {
                Finding::Interrupted(version) => self.say(&Event::Recovered {
                    counter: version.counter,
                }),
                Finding::Bad(_, reject) => self.tell.fail(reject),
                _ => {}
            }
        }
    }
}
