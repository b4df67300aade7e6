//! Sets the firmware's boot option after a deploy, so that it boots the disk from then on
//! (`boot.md` 3).
//!
//! A fault here is only a warning: the disk is complete and boots through UEFI's fallback path once
//! the firmware tries it.

use std::fs;
use std::path::{Path, PathBuf};

use disk::boot_order::{self, Found, Wanted, load_option, name_of};
use disk::contents::DiskContents;
use machine::disks::Disks;
use machine::efivars::Variables;
use machine::gate::Contents;
use machine::mounts::EFIVARS;
use uuid::Uuid;
use wire::chain::chain;

use crate::console::Console;

/// The machine's disks.
const BLOCK: &str = "/sys/block";
/// The state of the firmware after a variable could not be set.
const OTHERWISE: &str = "the firmware starts this disk only if no other entry comes first";

/// Makes an entry the first boot option, and returns the option's name; `None` without UEFI, or,
/// after a warning, if the firmware did not take it.
pub fn prefer(wanted: &Wanted<'_>, console: &Console) -> Option<String> {
    let esp = &wanted.esp;
    let variables = variables()?;
    let found = match variables.boot() {
        Ok(found) => found,
        Err(error) => {
            console.warning(&format!("boot variables: {}; {OTHERWISE}", chain(&error)));
            return None;
        }
    };
    let kept = others(&found, esp.guid);
    let Some(steps) = boot_order::plan(&found, wanted, &kept) else {
        console.warning(&format!(
            "boot variables: all 65536 numbers are in use; {OTHERWISE}"
        ));
        return None;
    };
    for fault in variables.apply(&found, &steps) {
        console.warning(&format!("boot variables: {}; {OTHERWISE}", chain(&fault)));
    }
    let now = variables.boot().ok()?;
    boot_order::number_of(&now, esp.guid).map(name_of)
}

/// A BIOS starts only the first disk in its order, and the shim cannot change that order
/// (`boot.md` 4). Says so where there is a choice.
pub fn warn_of_order(installed: &str, console: &Console) {
    let count = fixed_disks(Path::new(BLOCK));
    if variables().is_none() && count > 1 {
        console.warning(&format!(
            "a BIOS starts only the first of {count} disks: if that is not {installed}, choose it \
             in the BIOS setup"
        ));
    }
}

/// How many there are that stay in the machine.
fn fixed_disks(block: &Path) -> usize {
    let disks = fs::read_dir(block).into_iter().flatten().flatten();
    let is_fixed = |disk: &PathBuf| {
        let removable = fs::read_to_string(disk.join("removable")).unwrap_or_default();
        // Loop devices and the like have no device behind them.
        disk.join("device").exists() && removable.trim() == "0"
    };
    disks.map(|disk| disk.path()).filter(is_fixed).count()
}

fn variables() -> Option<Variables<'static>> {
    let directory = Path::new(EFIVARS);
    directory.exists().then(|| Variables::new(directory))
}

/// The EFI system partitions of other disks that we have installed. Looked for only when there is
/// an option that may be one's.
fn others(found: &Found, ours: Uuid) -> Vec<Uuid> {
    let mut options = found.options.values();
    let is_other = |option: &Vec<u8>| load_option::ours(option).is_some_and(|esp| esp != ours);
    if !options.any(is_other) {
        return Vec::new();
    }
    let disks = Disks::Machine.look().unwrap_or_default(); // then they count as gone
    let esps = disks.iter().filter_map(|disk| match disk.contents() {
        Contents::Holds(DiskContents::Installed { esp, .. }) => Some(esp.guid),
        _ => None,
    });
    esps.filter(|esp| *esp != ours).collect()
}

#[cfg(test)]
mod tests {
    use super::fixed_disks;
    use std::fs;

    #[test]
    fn disks_that_come_and_go_are_not_counted() {
        let block = std::env::temp_dir().join(format!("smv-fixed-{}", std::process::id()));
        for (name, removable, has_device) in [
            ("vda", "0", true),
            ("nvme0n1", "0", true),
            ("sdb", "1", true),
            ("sr0", "1", true),
            ("loop0", "0", false),
        ] {
            let disk = block.join(name);
            fs::create_dir_all(&disk).unwrap();
            fs::write(disk.join("removable"), format!("{removable}\n")).unwrap();
            if has_device {
                fs::create_dir(disk.join("device")).unwrap();
            }
        }
        assert_eq!(fixed_disks(&block), 2);
        fs::remove_dir_all(&block).unwrap();
        assert_eq!(fixed_disks(&block), 0);
    }
}
