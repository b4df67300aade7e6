//! One attempt at a deploy: what it needs, how its disk is opened, and what it comes to.

use std::net::SocketAddr;
use std::path::Path;

use bundle::trust::Approved;
use disk::disk::Disk as _;
use disk::volumes::{Volumes, VolumesError};
use install::commit::Installed;
use install::deploy;
use machine::blockdisk::BlockDisk;
use machine::disks::{self, IMAGE_SECTOR};
use machine::gate::{Candidate, Cleared};
use machine::inventory::SYS_DEV_BLOCK;
use wire::message::After;

use crate::connection::Connection;
use crate::disk_watch::DiskWatch;
use crate::donor::Network;
use crate::dry_run;
use crate::error::SessionError;
use crate::operator::CancelToken;
use crate::operator::event::ReceiverEvent;
use crate::operator::reporter::Reporter;
use crate::options::Options;
use crate::pairing::refusals::Refusals;

/// A deployed disk, still at hand for a boot from it.
#[derive(Debug)]
pub struct Deployed {
    /// The proof.
    pub installed: Installed,
    /// To read its ESP, for kexec.
    pub disk: BlockDisk,
    /// The action that the donor wants to follow; `None`: as the command line says.
    pub order: Option<After>,
}

/// Makes the file systems of an opened disk: the one thing in here that needs a kernel.
pub type OpenVolumes<'a> = dyn Fn(&BlockDisk) -> Result<Box<dyn Volumes>, VolumesError> + 'a;

/// An attempt that came to nothing.
pub(crate) struct Ended {
    pub(crate) error: SessionError,
    /// The donor that has been sent the success, with its answer still on the way.
    pub(crate) connection: Option<Box<Connection>>,
}

impl From<SessionError> for Ended {
    fn from(error: SessionError) -> Self {
        Self {
            error,
            connection: None,
        }
    }
}

/// The parts that every attempt needs.
pub(crate) struct Attempt<'a> {
    pub(crate) options: &'a Options,
    pub(crate) disks: DiskWatch<'a>,
    pub(crate) network: &'a mut dyn Network,
    pub(crate) refusals: Refusals,
    pub(crate) reporter: &'a dyn Reporter,
    pub(crate) volumes: &'a OpenVolumes<'a>,
    pub(crate) token: CancelToken,
}

/// The disk to take, now that a donor is there: another may have come since the invitation named
/// one. A dry run needs none.
pub(crate) fn open_disk(
    disks: &mut DiskWatch<'_>,
    volumes: &OpenVolumes<'_>,
    options: &Options,
    image: Option<&Approved>,
) -> Result<(Cleared, BlockDisk, Box<dyn Volumes>), SessionError> {
    let chosen = disks.choose_finally()?;
    if options.dry_run {
        let plan = dry_run::plan(chosen.candidate(), disks.deploy_options().sizes)?;
        return Err(SessionError::DryRun { plan });
    }
    let disk = claim(&chosen)?;
    // Before a donor is asked for anything.
    deploy::check(&disk, disks.deploy_options().sizes, image)?;
    let volumes = volumes(&disk)?;
    Ok((chosen, disk, volumes))
}

/// Opens the chosen disk for us alone. What the gate has judged was found by its path, and the path
/// may lead elsewhere by now: only the disk that was judged is given out.
pub(crate) fn claim(chosen: &Cleared) -> Result<BlockDisk, SessionError> {
    let mut disk = BlockDisk::open_to_write(chosen, IMAGE_SECTOR)?;
    must_be(chosen, &mut disk)?;
    Ok(disk)
}

/// Is an open disk the one that was chosen, with the same contents, as the disk itself has them
/// now?
pub(crate) fn must_be(chosen: &Cleared, disk: &mut BlockDisk) -> Result<(), SessionError> {
    let chosen = chosen.candidate();
    let failed = |source| SessionError::Identity {
        path: chosen.disk().path.clone(),
        source,
    };
    disk.forget_cache()?;
    let opened = disks::behind(disk, Path::new(SYS_DEV_BLOCK)).map_err(failed)?;
    if opened == *chosen {
        return Ok(());
    }
    Err(SessionError::Exchanged {
        chosen: chosen.to_string(),
        opened: opened.to_string(),
    })
}

/// The donor's image is worth an answer.
pub(crate) fn accepted(peer: SocketAddr, image: Option<&Approved>, facts: String) -> ReceiverEvent {
    let packages = image.iter().flat_map(|image| image.files());
    ReceiverEvent::Accepted {
        peer,
        version: image.map(|image| image.version().to_owned()),
        packages: packages.map(|file| file.name.to_string()).collect(),
        total_bytes: image.and_then(|image| image.size_bytes()),
        facts,
    }
}

/// The disk boots.
pub(crate) fn complete(disk: Candidate, installed: &Installed) -> ReceiverEvent {
    ReceiverEvent::Installed {
        disk: Box::new(disk),
        title: installed.title().to_owned(),
    }
}
