//! One deploy from a donor that has proved itself (`protocol.md` 3 and 4): pairing, manifest, disk, chunks, and what both ends
//! say to each other in the end.

use install::deploy;
use install::event::{Event, Observer};
use install::trust::{Approved, Voucher};
use install::verify::VerifiedPackages;
use wire::message::RejectCode;
use wire::stage::Stage;

use crate::blockdisk::BlockDisk;
use crate::door::{Door, Paired};
use crate::gate::Candidate;
use crate::lobby::Lobby;
use crate::reports::Reports;
use crate::screen::{Narrator, chain};
use crate::session::{Attempt, Deployed, Ended, SessionError, disk_facts, image_facts, open_disk};
use crate::supply::Supply;

/// Waits until one donor has an image that is worth an answer, and takes it. Whoever else connects meanwhile is shown and
/// forgotten.
///
/// # Errors
/// Why this deploy came to nothing. The donor has been told.
pub(crate) fn deploy(attempt: &mut Attempt<'_>, chosen: &Candidate) -> Result<Deployed, Ended> {
    let door = Door::new(&attempt.options.policy)?;
    let screen = attempt.screen;
    let facts = format!("{} {}", door.facts(), disk_facts(chosen));
    screen.stage(Stage::Waiting, &facts);
    door.show(screen);
    let mut lobby = Lobby {
        door,
        network: attempt.network,
        refusals: &mut attempt.refusals,
        screen,
        trust: &attempt.options.trust,
    };
    // Without a deadline there always is one in the end.
    let Some((paired, judgement)) = lobby.offer(None)? else {
        return deploy(attempt, chosen);
    };
    let peer = paired.peer;
    let image = match judgement {
        Ok(image) => image,
        Err(source) => {
            let source = Box::new(source);
            let error = SessionError::Manifest { peer, source };
            let connection = lobby.reject(paired, RejectCode::Manifest, &chain(&error));
            let connection = connection.map(Box::new);
            return Err(Ended { error, connection });
        }
    };
    screen.stage(
        Stage::Accepted,
        &format!("peer={peer} {}", image_facts(&image)),
    );
    let (disk, volumes) = match open_disk(&mut attempt.disks, attempt.volumes) {
        Ok(opened) => opened,
        Err(error) => {
            let code = match error {
                SessionError::Gate(_) => RejectCode::NoDisk,
                _ => RejectCode::Internal,
            };
            let connection = lobby.reject(paired, code, &chain(&error)).map(Box::new);
            return Err(Ended { error, connection });
        }
    };
    let target = Target {
        disk,
        volumes,
        options: &attempt.options.deploy,
    };
    target.install(lobby, paired, image)
}

/// The machine's side of one deploy.
struct Target<'a> {
    disk: BlockDisk,
    volumes: Box<dyn install::volumes::Volumes>,
    options: &'a install::options::Options,
}

impl Target<'_> {
    /// From Accept to the donor's last order. The first byte of the disk is written in here.
    fn install(
        mut self,
        lobby: Lobby<'_>,
        paired: Paired,
        image: Approved,
    ) -> Result<Deployed, Ended> {
        let (screen, reports) = (lobby.screen, Reports::default());
        let name = self.disk.path().display().to_string();
        let observer = Both {
            narrator: Narrator::new(screen),
            reports: &reports,
        };
        if let Voucher::Sender { .. } = image.voucher() {
            let text = format!(
                "the image is {}: the paired donor vouches for it",
                image.voucher()
            );
            observer.event(Event::Warning(text));
        }
        let mut supply = Supply::new(lobby, &reports, image.clone(), name);
        supply.accept(paired);
        let mut packages = VerifiedPackages::new(&image, &mut supply);
        let (disk, volumes) = (&mut self.disk, self.volumes.as_mut());
        let result = deploy::deploy(&mut packages, disk, volumes, self.options, &observer);
        drop(packages);
        match result {
            Ok(installed) => Ok(Deployed {
                installed,
                order: supply.farewell(),
                disk: self.disk,
            }),
            Err(error) => {
                let error = error.into();
                let connection = supply.fail(&error).map(Box::new);
                Err(Ended { error, connection })
            }
        }
    }
}

/// What the deploy tells, on this machine's screen and at the donor's.
struct Both<'a> {
    narrator: Narrator<'a>,
    reports: &'a Reports,
}

impl Observer for Both<'_> {
    fn event(&self, event: Event) {
        self.reports.event(&event);
        self.narrator.event(event);
    }
}

#[cfg(test)]
mod tests;
