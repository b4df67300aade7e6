//! One deploy from anybody: the original stream (`protocol.md` 2). The donor learns the outcome by the way its connection
//! ends.

use install::deploy;
use install::legacy;
use wire::message::After;
use wire::stage::Stage;
use wire::stream::{NAME_LEN_BYTES, Opening};

use crate::connection::Connection;
use crate::gate::Candidate;
use crate::screen::{Narrator, chain};
use crate::session::{
    Attempt, Deployed, Ended, SessionError, disk_facts, draw_code, image_facts, open_disk,
};

/// Waits for one donor and takes what it sends.
///
/// # Errors
/// Anything that was wrong with the donor, its stream or the machine.
pub(crate) fn deploy(attempt: &mut Attempt<'_>, chosen: &Candidate) -> Result<Deployed, Ended> {
    let (code, policy) = (draw_code()?, &attempt.options.policy);
    let facts = format!("code={code} policy={policy} {}", disk_facts(chosen));
    attempt.screen.stage(Stage::Waiting, &facts);
    attempt.screen.hint(&format!(
        "  UNAUTHENTICATED: anybody on this network may install this machine\n  \
         on the donor: spk-visor deploy-system-img-copy {code} --legacy"
    ));
    let donor = attempt
        .network
        .accept(code.as_str(), NAME_LEN_BYTES, None)
        .map_err(SessionError::Network)?;
    let mut connection = Connection::new(donor);
    let peer = connection.peer();
    let screen = attempt.screen;
    screen.stage(Stage::Accepted, &format!("peer={peer}"));
    let first = connection
        .peek()
        .map_err(|source| SessionError::Opening { peer, source })?;
    if matches!(Opening::of(first), Ok(Opening::Session)) {
        return Err(SessionError::NotLegacy { peer }.into());
    }
    let deployed = take(attempt, &mut connection)?;
    // From here on the donor may take the end of the connection for success; before, dropping it was a reset.
    if let Err(error) = connection.close() {
        let text = format!("telling the donor of success: {}", chain(&error));
        attempt.screen.warning(&text);
    }
    Ok(deployed)
}

fn take(attempt: &mut Attempt<'_>, connection: &mut Connection) -> Result<Deployed, SessionError> {
    let mut packages = legacy::open(connection, &attempt.options.trust)?;
    if let Some(image) = packages.approved() {
        let facts = image_facts(image);
        attempt.screen.stage(Stage::Accepted, &facts);
    }
    let (_, mut disk, mut volumes) =
        open_disk(&mut attempt.disks, attempt.volumes, attempt.options)?;
    let narrator = Narrator::new(attempt.screen);
    let options = &attempt.options.deploy;
    let installed = deploy::deploy(
        &mut packages,
        &mut disk,
        volumes.as_mut(),
        options,
        &narrator,
    )?;
    Ok(Deployed {
        installed,
        disk,
        order: After::TargetsChoice,
    })
}
