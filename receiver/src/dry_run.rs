//! A dry run (`disk-gate.md` 5): what a deploy would do to which disk. The disk is opened to be
//! read and never written.

use disk::sizes::Sizes;
use install::deploy;
use machine::blockdisk::BlockDisk;
use machine::disks::IMAGE_SECTOR;
use machine::gate::Candidate;

use crate::error::SessionError;

/// The plan for the disk that was chosen, and what would be gone after it, in one line.
///
/// # Errors
/// The disk cannot be opened, or has no room for the plan.
pub(crate) fn plan(chosen: &Candidate, sizes: Sizes) -> Result<String, SessionError> {
    let disk = BlockDisk::open_to_read(&chosen.disk().path, IMAGE_SECTOR)?;
    let facts = deploy::outline(&disk, sizes)?;
    let contents = chosen.contents().to_string();
    let fate = if chosen.contents().is_free() {
        "contents"
    } else {
        "destroys"
    };
    Ok(format!("dry-run {facts} {fate}={contents:?}"))
}
