//! What the machine's firmware is told after a deploy: to boot the disk, next time and from then on (`boot.md` 3).
//!
//! A fault here is a warning. The disk is complete and boots by UEFI's fallback path, when the firmware comes to it.

use std::path::Path;

use install::boot_order::{self, Found, load_option, name_of};
use install::state::{Slot, State};
use receiver::disks::Disks;
use receiver::gate::Contents;
use receiver::screen::{Screen, chain};
use uuid::Uuid;

use crate::efivars::Variables;
use crate::mounts::EFIVARS;

/// What is the case when a variable could not be set.
const OTHERWISE: &str = "the firmware starts this disk only when nothing else comes first";

/// Tells it about `esp`, under this title. Returns the name of the boot option; `None` without UEFI, or when there is none now,
/// which has been shown.
pub fn prefer(esp: &Slot, title: &str, screen: &dyn Screen) -> Option<String> {
    let variables = variables()?;
    let found = match variables.boot() {
        Ok(found) => found,
        Err(error) => {
            screen.warning(&format!("boot variables: {}; {OTHERWISE}", chain(&error)));
            return None;
        }
    };
    let kept = others(&found, esp.guid);
    let Some(steps) = boot_order::plan(&found, title, esp, &kept) else {
        screen.warning(&format!(
            "boot variables: all 65536 numbers are in use; {OTHERWISE}"
        ));
        return None;
    };
    for fault in variables.apply(&found, &steps) {
        screen.warning(&format!("boot variables: {}; {OTHERWISE}", chain(&fault)));
    }
    let now = variables.boot().ok()?;
    boot_order::number_of(&now, esp.guid).map(name_of)
}

/// Is it one that refuses programs nobody has signed? (UEFI 2.10 3.3, `SecureBoot`.)
#[must_use]
pub fn is_secure() -> bool {
    let value = variables().and_then(|variables| variables.read("SecureBoot").ok()?);
    value.is_some_and(|value| value.first() == Some(&1))
}

fn variables() -> Option<Variables<'static>> {
    let directory = Path::new(EFIVARS);
    directory.exists().then(|| Variables::new(directory))
}

/// The EFI system partitions of other disks that we have installed. Looked for only when there is an option that may be one's.
fn others(found: &Found, ours: Uuid) -> Vec<Uuid> {
    let mut options = found.options.values();
    let is_other = |option: &Vec<u8>| load_option::ours(option).is_some_and(|esp| esp != ours);
    if !options.any(is_other) {
        return Vec::new();
    }
    let disks = Disks::Machine.look().unwrap_or_default(); // then they count as gone
    let esps = disks.iter().filter_map(|disk| match &disk.contents {
        Contents::Holds(State::Installed { esp, .. }) => Some(esp.guid),
        _ => None,
    });
    esps.filter(|esp| *esp != ours).collect()
}
