//! One deploy from anybody: the original stream (`protocol.md` 2). The donor learns the outcome by
//! how its connection ends.

use std::io;
use wire::chain::chain;

use bundle::legacy;
use bundle::package_stream::Packages as _;
use bundle::trust::Wanted;
use install::deploy;
use machine::gate::Candidate;
use wire::stream::{NAME_LEN_BYTES, Opening};

use crate::attempt::{Attempt, Deployed, Ended, accepted, complete, open_disk};
use crate::connection::Connection;
use crate::error::SessionError;
use crate::operator::event::ReceiverEvent;
use crate::operator::reporter::{DeployEvents, warn};
use crate::operator::{CancelToken, Phase};
use crate::options::{draw_code, image_facts};

/// Waits for one donor and takes what it sends.
///
/// # Errors
/// Anything that was wrong with the donor, its stream or the machine.
pub(crate) fn deploy(attempt: &mut Attempt<'_>, chosen: &Candidate) -> Result<Deployed, Ended> {
    let (code, policy) = (draw_code()?, &attempt.options.policy);
    attempt.reporter.report(&ReceiverEvent::Inviting {
        code: code.to_string(),
        secret: None,
        policy: policy.name().to_owned(),
        disk: Box::new(chosen.clone()),
        addresses: attempt.network.addresses(),
        is_renewed: false,
    });
    let token = attempt.token.clone();
    token.enter(Phase::Inviting).map_err(SessionError::from)?;
    let donor = Connection::accept(attempt.network, &token, &code, NAME_LEN_BYTES, None)?;
    // Without a deadline there is one.
    let mut connection = donor.ok_or(SessionError::Network(io::ErrorKind::TimedOut.into()))?;
    token.enter(Phase::Talking).map_err(SessionError::from)?;
    let deployed = take(attempt, &mut connection)?;
    // From here on the donor may take the end of the connection for success; before, dropping it
    // was a reset.
    if let Err(error) = connection.close() {
        let text = format!("telling the donor of success: {}", chain(&error));
        warn(attempt.reporter, &text);
    }
    Ok(deployed)
}

fn take(attempt: &mut Attempt<'_>, connection: &mut Connection) -> Result<Deployed, SessionError> {
    let (reporter, peer) = (attempt.reporter, connection.peer());
    reporter.report(&ReceiverEvent::Connected { peer });
    let first = connection
        .peek()
        .map_err(|source| unless_stopped(&attempt.token, SessionError::Opening { peer, source }))?;
    if matches!(Opening::of(first), Ok(Opening::Session)) {
        return Err(SessionError::NotLegacy { peer });
    }
    let mut packages = legacy::open(connection, Wanted::SYSTEM, &attempt.options.trust)
        .map_err(|error| unless_stopped(&attempt.token, error.into()))?;
    let image = packages.approved();
    let facts = image.map(image_facts).unwrap_or_default();
    reporter.report(&accepted(peer, image, facts));
    let (chosen, mut disk, mut volumes) = open_disk(
        &mut attempt.disks,
        attempt.volumes,
        attempt.options,
        packages.approved(),
    )?;
    attempt.token.enter(Phase::Writing)?;
    let observer = DeployEvents::new(reporter);
    let installed = deploy::deploy(
        &mut packages,
        &mut disk,
        volumes.as_mut(),
        &attempt.disks.deploy_options(),
        &observer,
    )?;
    reporter.report(&complete(chosen.into_candidate(), &installed));
    Ok(Deployed {
        installed,
        disk,
        order: None,
    })
}

/// Why a read has failed: a person who wants something else goes before what broke because of that.
fn unless_stopped(token: &CancelToken, error: SessionError) -> SessionError {
    token.stop().map_or(error, SessionError::from)
}
