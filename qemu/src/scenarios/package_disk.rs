//! A package on a disk of its own: a node finds it when it boots, lays it over its `/usr`, and keeps
//! it (`node-packages.md` 7).

use std::fs;

use crate::actors::node::must_exit;
use crate::actors::releases::bundle_disk;
use crate::error::{Doing, Result};
use crate::lab::Lab;
use crate::machine::DiskSpec;
use crate::machine::running::Running;

const NAME: &str = "note";
/// Below `/usr`.
const PATH: &str = "share/note";
const TEXT: &str = "of a package";

/// A bundle that begins with the disk.
///
/// # Errors
/// A tool failed.
pub(super) fn disk(lab: &Lab) -> Result<DiskSpec> {
    fs::create_dir_all("note/share").doing("making", "note/share")?;
    let path = format!("{NAME}/{PATH}");
    fs::write(&path, TEXT).doing("writing", &path)?;
    bundle_disk(lab, NAME, &["--role", "store", "--counter", "1"])
}

/// The boot that found it has laid it.
pub(super) fn is_laid(target: &mut Running) -> Result<()> {
    must_exit(target, &format!("[ \"$(cat /usr/{PATH})\" = '{TEXT}' ]"), 0).map(drop)
}

/// A boot that was healthy has kept it.
pub(super) fn is_kept(target: &mut Running) -> Result<()> {
    is_laid(target)?;
    let kept = format!("spk-visor package list | grep '^{NAME}: kept 1, over /usr 1$'");
    must_exit(target, &kept, 0).map(drop)
}
