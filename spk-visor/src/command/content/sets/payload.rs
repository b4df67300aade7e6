//! Packages on disks of their own: a bundle file that begins with the disk or partition is found at
//! boot and installed, as by `package install /dev/vdb` (`node-packages.md` 7).
//!
//! What has no bundle in its first sector, and a bundle of something else, is passed over. What is
//! installed already, or is here in a newer version, is not looked at further: its manifest tells.

use std::fs;
use std::path::{Path, PathBuf};

use bundle::worker::Workers;
use fetch::http::client::Access;
use fetch::source::Source;
use store::stage::Again;
use wire::chain::chain;
use wire::ledger::Version;
use wire::manifest::{Manifest, Role};

use super::change::{Install, install, members};
use super::event::SetEvent;
use crate::cli::sets::What;
use crate::command::content::Tell;
use crate::command::content::error::ContentError;
use crate::command::content::event::Event;
use crate::command::content::places::Places;

/// Disks and partitions, by name.
const CLASS: &str = "/sys/class/block";
const DEVICES: &str = "/dev";
/// Devices that are made of memory or of other files.
const PASSED_OVER: [&str; 4] = ["loop", "ram", "zram", "dm-"];

/// Installs what disks have. One that is not taken is said, and keeps nothing else from running.
///
/// # Errors
/// The sets cannot be read.
pub fn take(
    places: &Places,
    workers: &'static dyn Workers,
    tell: &mut dyn Tell,
) -> Result<(), ContentError> {
    let found = devices(&places.path(CLASS));
    let found = found
        .iter()
        .map(|name| places.path(DEVICES).join(name))
        .filter_map(|path| Some((claimed(&path)?, path)));
    let found: Vec<_> = found.collect();
    if found.is_empty() {
        return Ok(());
    }
    let here = members(places)?;
    for ((name, counter), path) in found {
        let is_here = |(member, has): &(String, Version)| *member == name && has.counter >= counter;
        if here.iter().any(is_here) {
            continue;
        }
        let how = Install {
            what: &[What::Source(Source::Path(path.clone()))],
            source: None,
            access: &Access::default(),
            again: Again(false),
            workers,
        };
        if let Err(error) = install(places, &how, tell) {
            let text = format!("{} is not installed: {}", path.display(), chain(&error));
            let what = "disk-not-taken";
            tell.tell(&Event::Set(SetEvent::Recovered { what, text }));
        }
    }
    Ok(())
}

/// In the order of their names.
fn devices(class: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(class).into_iter().flatten().flatten();
    let names = entries.map(|entry| entry.file_name());
    let mut names: Vec<PathBuf> = names.map(PathBuf::from).collect();
    names.retain(|name| {
        let name = name.to_string_lossy();
        !PASSED_OVER.iter().any(|other| name.starts_with(other))
    });
    names.sort();
    names
}

/// Name and counter of the package that a disk says it has.
fn claimed(path: &Path) -> Option<(String, u64)> {
    // Without a medium, or with anything else on it.
    let release = fetch::open(path).ok()?;
    let manifest = Manifest::parse(release.offered().manifest).ok()?;
    let head = manifest.head();
    (head.role == Role::Store).then(|| (head.product.to_owned(), head.counter))
}
