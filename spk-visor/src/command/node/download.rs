//! `entire-system-upgrade --download-only`: a release into a staging directory, by somebody who may
//! write there and nowhere else, and on any machine.

use std::io::ErrorKind;

use bundle::trust::{self, Trust, Wanted};
use fetch::staging::Filling;
use wire::manifest::Role;

use super::error::NodeError;
use super::event::{Event, Phase};
use super::place::Place;
use super::report::Tell;
use super::take::offered;
use crate::cli::Upgrade;

/// Fills the staging directory. Where this system has keys, one of them must have signed the
/// release; the node that takes it decides in any case.
///
/// # Errors
/// See [`NodeError`]; what is there so far is gone on with the next time.
pub fn download(place: &Place, options: &Upgrade, tell: &mut dyn Tell) -> Result<(), NodeError> {
    let (source, access) = place.source(options.source.as_ref(), &options.access, Role::Os)?;
    let trust = match place.trust() {
        Err(NodeError::Read { source, .. }) if source.kind() == ErrorKind::NotFound => {
            Trust::default()
        }
        trust => trust?,
    };
    let release = source.open(Wanted::SYSTEM, &access)?;
    let approved = trust::approve(release.offered(), Wanted::SYSTEM, &trust)?;
    tell.tell(&offered(&approved));
    let seen = &mut |done, total| tell.step(Phase::Write, done, total);
    let into = Filling::begin(&options.staging)?;
    let filled = into.fill(Wanted::SYSTEM, release, &approved, seen)?;
    tell.tell(&Event::Downloaded {
        staging: options.staging.clone(),
        fetched: filled.fetched_bytes,
        kept: filled.kept_bytes,
    });
    Ok(())
}
