//! The order of a deploy as the machine sees it: disk, code, donor, stream, disk. PID 1 and
//! `receive-deploy` share it.
//!
//! Disks, a network and a reporter in; a [`Deployed`] machine out, or the error that no donor can
//! help with. Whatever a donor does wrong ends in a new code and another wait.

use std::time::Instant;

use disk::volumes::{Volumes, VolumesError};
use machine::blockdisk::BlockDisk;
use machine::volumes::KernelVolumes;
use wire::chain::chain;
use wire::outcome::Outcome;
use wire::stage::Stage;

use crate::attempt::{Attempt, Deployed, OpenVolumes};
use crate::disk_watch::DiskWatch;
use crate::donor::Network;
use crate::dry_run;
use crate::error::SessionError;
use crate::operator::CancelToken;
use crate::operator::event::ReceiverEvent;
use crate::operator::reporter::{Reporter, warn};
use crate::options::Options;
use crate::pairing::refusals::Refusals;
use crate::policy::Policy;

mod legacy;
pub(crate) mod paired;

/// Waits for donors until one has deployed this machine.
///
/// # Errors
/// Something that another donor would not change; it has been shown on the screen.
pub fn run(
    options: &Options,
    network: &mut dyn Network,
    reporter: &dyn Reporter,
) -> Result<Deployed, SessionError> {
    let volumes = |disk: &BlockDisk| -> Result<Box<dyn Volumes>, VolumesError> {
        Ok(Box::new(KernelVolumes::new(disk)?))
    };
    run_with(options, network, reporter, &volumes)
}

/// The same with file systems of the caller's making.
///
/// # Errors
/// As [`run`].
pub fn run_with(
    options: &Options,
    network: &mut dyn Network,
    reporter: &dyn Reporter,
    volumes: &OpenVolumes<'_>,
) -> Result<Deployed, SessionError> {
    let shown = |error: SessionError| {
        // The person who takes over has shown what is wanted instead.
        if !matches!(error, SessionError::TakenOver) {
            let reason = chain(&error).to_string();
            let is_fatal = error.outcome() == Outcome::Fatal;
            reporter.report(&ReceiverEvent::Failed { reason, is_fatal });
        }
        error
    };
    let token = CancelToken::of(reporter.operator());
    let _interrupter = token.attach(network.interrupter());
    let mut attempt = Attempt {
        options,
        disks: DiskWatch::open(options, reporter, &token).map_err(shown)?,
        network,
        refusals: Refusals::new(Instant::now()),
        reporter,
        volumes,
        token: token.clone(),
    };
    loop {
        let chosen = attempt.disks.wait_for_one().map_err(shown)?;
        if options.dry_run {
            let sizes = attempt.disks.deploy_options().sizes;
            let facts = dry_run::plan(chosen.candidate(), sizes).map_err(shown)?;
            let stage = Stage::Planned;
            reporter.report(&ReceiverEvent::Stage { stage, facts });
        }
        let result = match &options.policy {
            Policy::Legacy => legacy::deploy(&mut attempt, chosen.candidate()),
            Policy::Secret | Policy::Pinned(_) => paired::deploy(&mut attempt, chosen.candidate()),
        };
        let is_cancelled = token.end();
        let error = match result {
            Ok(deployed) => {
                if is_cancelled {
                    let disk = deployed.installed.disk_name();
                    warn(reporter, &format!("cancelled too late: {disk} is complete"));
                }
                return Ok(deployed);
            }
            Err(ended) => {
                let error = shown(ended.error);
                attempt.disks.follow();
                // Only now: a donor may take its time to close, and a person waits for this screen.
                if let Some(Err(error)) = ended.connection.map(|donor| donor.close()) {
                    let text = format!("closing the donor's connection: {}", chain(&error));
                    warn(reporter, &text);
                }
                error
            }
        };
        match error.outcome() {
            Outcome::Retry | Outcome::Refuse if !(options.is_once && error.ends_a_deploy()) => {}
            _ => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests;
