//! One deploy from a donor that has proved itself (`protocol.md` 3 and 4): pairing, manifest, disk,
//! chunks, and the last messages of both ends.

use std::net::SocketAddr;
use std::time::Duration;

use bundle::event::{Event, Observer};
use bundle::trust::{Approved, Voucher};
use bundle::verify::VerifiedPackages;
use install::deploy;
use install::options::Options;
use machine::blockdisk::BlockDisk;
use machine::gate::{Candidate, Cleared};
use wire::chain::chain;
use wire::message::RejectCode;

use crate::attempt::{Attempt, Deployed, Ended, accepted, complete, must_be, open_disk};
use crate::disk_watch::DiskWatch;
use crate::error::SessionError;
use crate::operator::Phase;
use crate::operator::reporter::DeployEvents;
use crate::options::image_facts;
use crate::pairing::admission::{Admission, Judgement};
use crate::pairing::consent::dismissed;
use crate::pairing::description::Description;
use crate::pairing::{Paired, PairingListener};
use crate::transfer::reports::Reports;
use crate::transfer::session_source::SessionChunkSource;

/// Waits until one donor has an image that is worth an answer and agrees to the disk, and takes it.
/// Every other connection is shown and forgotten.
///
/// # Errors
/// Why this deploy came to nothing. The donor has been sent the reason.
pub(crate) fn deploy(attempt: &mut Attempt<'_>, chosen: &Candidate) -> Result<Deployed, Ended> {
    let (reporter, options) = (attempt.reporter, attempt.options);
    let token = attempt.token.clone();
    let mut admission = Admission {
        listener: PairingListener::new(&options.policy, chosen.clone(), &token)?,
        network: attempt.network,
        refusals: &mut attempt.refusals,
        reporter,
        trust: &options.trust,
        token: token.clone(),
    };
    admission.invite();
    loop {
        token.enter(Phase::Inviting).map_err(SessionError::from)?;
        let (paired, judgement) = admission.accept_offer()?;
        let peer = paired.peer;
        if let Err(stop) = token.enter(Phase::Talking) {
            return Err(rejected(
                &mut admission,
                paired,
                RejectCode::NoDisk,
                stop.into(),
            ));
        }
        let image = match judgement {
            Judgement::Approved(image) => image,
            Judgement::Refused(source) => {
                let error = SessionError::Manifest { peer, source };
                return Err(rejected(
                    &mut admission,
                    paired,
                    RejectCode::Manifest,
                    error,
                ));
            }
        };
        let facts = format!("peer={peer} {}", image_facts(&image));
        reporter.report(&accepted(peer, Some(&image), facts));
        let (chosen, mut disk, volumes) =
            match open_disk(&mut attempt.disks, attempt.volumes, options, Some(&image)) {
                Ok(opened) => opened,
                Err(error) => {
                    let code = match error {
                        SessionError::Gate(_)
                        | SessionError::Exchanged { .. }
                        | SessionError::Deploy(_) => RejectCode::NoDisk,
                        SessionError::DryRun { .. } => RejectCode::DryRun,
                        _ => RejectCode::Internal,
                    };
                    return Err(rejected(&mut admission, paired, code, error));
                }
            };
        let shown = Description::of(
            chosen.candidate(),
            attempt.disks.deploy_options().sizes.layout,
        );
        let agreed = admission.consent(paired, &shown, options.patience.consent)?;
        let Some(paired) = agreed else {
            // It comes again by itself, or another one does.
            drop((disk, volumes));
            admission.listener.set_disk(chosen.candidate());
            admission.invite();
            continue;
        };
        // A person may have thought about it for minutes.
        if let Err(error) = still_there(&mut attempt.disks, &mut disk, &chosen, peer) {
            return Err(rejected(&mut admission, paired, RejectCode::NoDisk, error));
        }
        if let Err(stop) = token.enter(Phase::Writing) {
            return Err(dismissed(paired, stop.into()));
        }
        let target = Target {
            chosen,
            disk,
            volumes,
            patience: options.patience.resume,
            options: attempt.disks.deploy_options(),
        };
        return target.install(admission, paired, image, shown);
    }
}

/// The disk is what the donor has agreed to: the open one, and the one that would be chosen now.
fn still_there(
    disks: &mut DiskWatch<'_>,
    open: &mut BlockDisk,
    agreed: &Cleared,
    peer: SocketAddr,
) -> Result<(), SessionError> {
    let now = disks.choose()?;
    if now == *agreed {
        return must_be(agreed, open);
    }
    Err(SessionError::Changed {
        peer,
        agreed: agreed.candidate().to_string(),
        now: now.candidate().to_string(),
    })
}

/// A donor that was sent the reason.
fn rejected(
    admission: &mut Admission<'_>,
    paired: Paired,
    code: RejectCode,
    error: SessionError,
) -> Ended {
    let connection = admission
        .reject(paired, code, &chain(&error).to_string())
        .map(Box::new);
    Ended { error, connection }
}

/// The machine's side of one deploy.
struct Target {
    chosen: Cleared,
    disk: BlockDisk,
    volumes: Box<dyn disk::volumes::Volumes>,
    /// With a donor whose connection breaks.
    patience: Duration,
    options: Options,
}

impl Target {
    /// From the donor's consent to its last order. The first byte of the disk is written in here.
    fn install(
        mut self,
        admission: Admission<'_>,
        paired: Paired,
        image: Approved,
        disk: Description,
    ) -> Result<Deployed, Ended> {
        let (reporter, reports) = (admission.reporter, Reports::default());
        let observer = Both {
            events: DeployEvents::new(reporter),
            reports: &reports,
        };
        if let Voucher::Sender { .. } = image.voucher() {
            let text = format!(
                "{}: the paired donor vouches for the image",
                image.voucher()
            );
            observer.event(Event::Warning(text));
        }
        let mut source =
            SessionChunkSource::new(admission, &reports, image.clone(), disk, self.patience);
        source.connect(paired);
        let mut packages = VerifiedPackages::new(&image, &mut source);
        let (disk, volumes) = (&mut self.disk, self.volumes.as_mut());
        let result = deploy::deploy(&mut packages, disk, volumes, &self.options, &observer);
        drop(packages);
        match result {
            Ok(installed) => {
                reporter.report(&complete(self.chosen.into_candidate(), &installed));
                Ok(Deployed {
                    installed,
                    order: source.report_success(),
                    disk: self.disk,
                })
            }
            Err(error) => {
                let error = SessionError::from(error);
                let connection = source.report_failure(&error).map(Box::new);
                Err(Ended { error, connection })
            }
        }
    }
}

/// The events of the deploy, on this machine's screen and at the donor's.
struct Both<'a> {
    events: DeployEvents<'a>,
    reports: &'a Reports,
}

impl Observer for Both<'_> {
    fn event(&self, event: Event) {
        self.reports.event(&event);
        self.events.event(event);
    }
}

#[cfg(test)]
pub(crate) mod tests;
