//! Disks that take more than a few characters to be wiped, and those that are never offered
//! (`disk-gate.md` 2 to 5).

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::Command;
use std::time::SystemTime;

use wire::stage::Stage;

use crate::actors::donor::Order;
use crate::error::{Doing, HarnessError, Result};
use crate::lab::{BOOT, DISK_MIB, Lab, STEP, await_shown};
use crate::machine::running::Running;
use crate::machine::{DiskSpec, Firmware, Machine};
use crate::process::run;

use super::disks::refused;

const MEMBER_MIB: u64 = 64;
const MEMBER_BYTES: u64 = MEMBER_MIB << 20;

/// One partition of type 83 from 1 MiB on.
const MBR: &[u8] = b"\0\0\0\0\x83\0\0\0\0\x08\0\0\0\x40\x01\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x55\xAA";

/// A disk's name, what the screen says of it, and its bytes.
type Member = (&'static str, &'static str, &'static [(u64, &'static [u8])]);

const MEMBERS: [Member; 8] = [
    ("lvm", "LVM", &[(512, b"LABELONE")]),
    ("md", "md RAID", &[(4096, b"\xFC\x4E\x2B\xA9")]),
    (
        "luks",
        "MBR partition table (1: LUKS)",
        &[(446, MBR), (1 << 20, b"LUKS\xBA\xBE")],
    ),
    // The last of its labels alone.
    (
        "zfs",
        "ZFS",
        &[(MEMBER_BYTES - 124 * 1024, b"\x0C\xB1\xBA\0\0\0\0\0")],
    ),
    ("ceph", "Ceph", &[(0, b"bluestore block device\n")]),
    ("vmfs", "VMFS", &[(1 << 20, b"\x0D\xD0\x01\xC0")]),
    (
        "imsm",
        "IMSM RAID",
        &[(MEMBER_BYTES - 1024, b"Intel Raid ISM Cfg Sig. ")],
    ),
    (
        "ddf",
        "DDF RAID",
        &[(MEMBER_BYTES - 512, b"\xDE\x11\xDE\x11")],
    ),
];

/// The end of every serial number: what would do for any other disk does for none of these, the
/// whole number for one.
pub(super) fn protected(lab: &mut Lab) -> Result<()> {
    let mut disks = Vec::new();
    for (name, _, pieces) in MEMBERS {
        let mut disk = lab.disk(name, MEMBER_MIB)?;
        disk.serial = format!("{name}-COMMON");
        write(&disk, pieces)?;
        disks.push(disk);
    }
    let before = written(&disks)?;
    let medium = lab.kernel("smv.wipe=COMMON");
    let machine = lab.machine(Firmware::Bios, disks, medium)?;
    let mut target = lab.start(&machine)?;
    refused(&mut target)?;
    for (name, what, _) in MEMBERS {
        must_list(&mut target, &format!("serial {name}-COMMON): {what}"))?;
    }
    drop(target);
    let medium = lab.kernel("smv.wipe=luks-COMMON");
    let machine = Machine { medium, ..machine };
    let mut target = lab.start(&machine)?;
    let facts = target.console.await_stage(Stage::Waiting, BOOT)?;
    if !facts.contains("LUKS") {
        return Err(HarnessError::unexpected("the chosen disk", "LUKS", facts));
    }
    drop(target);
    must_be_the_same(&before, &machine.disks)
}

/// Screen and donor learn what would be done; a second donor is as welcome as the first, and
/// nothing is written.
pub(super) fn dry_run(lab: &mut Lab) -> Result<()> {
    let disk = lab.disk("disk", DISK_MIB)?;
    write(&disk, &[(0, b"XFSB")])?;
    let before = written(std::slice::from_ref(&disk))?;
    let medium = lab.kernel("smv.dry-run smv.wipe=V-disk smv.disk=transport=virtio,size=1G-");
    let machine = lab.machine(Firmware::Bios, vec![disk], medium)?;
    let mut target = lab.start(&machine)?;
    for _ in 0..2 {
        let plan = target.console.await_stage(Stage::Planned, BOOT)?;
        if !plan.contains("dry-run disk=/dev/vda size=6144MiB")
            || !plan.contains("destroys=\"XFS\"")
        {
            let expected = "disk, layout and what would be destroyed";
            return Err(HarnessError::unexpected("the plan", expected, plan));
        }
        let shown = await_shown(&mut target)?;
        let mut donor = lab.donor(&Order::new(&shown, &lab.artifacts.demo))?;
        donor.must_fail_saying("nothing was written", STEP)?;
        target.console.await_stage(Stage::Failed, STEP)?;
    }
    drop(target);
    must_be_the_same(&before, &machine.disks)
}

/// The product's own image on a disk that nothing else sets apart: its bus does not carry sticks.
pub(super) fn shim_medium(lab: &mut Lab) -> Result<()> {
    let disk = lab.disk("medium", 1)?;
    let parts = &lab.artifacts;
    let mut command = Command::new(&parts.donor);
    command
        .args(["media", "iso", "--kernel"])
        .arg(&parts.kernel);
    command.arg("--initramfs").arg(&parts.initramfs);
    run(command.arg("-o").arg(&disk.image))?;
    let before = written(std::slice::from_ref(&disk))?;
    // Neither the word that would confirm any other disk, nor a description that fits.
    for words in [
        "smv.wipe=medium",
        "smv.wipe=SMV-medium smv.disk=transport=virtio",
    ] {
        let medium = lab.kernel(words);
        let machine = lab.machine(Firmware::Bios, vec![disk.clone()], medium)?;
        let mut target = lab.start(&machine)?;
        refused(&mut target)?;
        must_list(&mut target, "medium of a Deploy Shim")?;
    }
    must_be_the_same(&before, &[disk])
}

fn must_list(target: &mut Running, words: &str) -> Result<()> {
    target
        .console
        .await_since(0, words, STEP, |text| text.contains(words).then_some(()))
}

fn write(disk: &DiskSpec, pieces: &[(u64, &[u8])]) -> Result<()> {
    let file = File::options().write(true).open(&disk.image);
    let file = file.doing("opening", disk.image.display())?;
    for (at, bytes) in pieces {
        file.write_all_at(bytes, *at)
            .doing("writing", disk.image.display())?;
    }
    Ok(())
}

/// When each image was written last.
fn written(disks: &[DiskSpec]) -> Result<Vec<SystemTime>> {
    let time = |path: &Path| std::fs::metadata(path)?.modified();
    let times = disks
        .iter()
        .map(|disk| time(&disk.image).doing("looking at", disk.image.display()));
    times.collect()
}

fn must_be_the_same(before: &[SystemTime], disks: &[DiskSpec]) -> Result<()> {
    if written(disks)? == before {
        return Ok(());
    }
    let names: Vec<&str> = disks.iter().map(|disk| disk.serial.as_str()).collect();
    let names = names.join(", ");
    Err(HarnessError::unexpected(
        names,
        "nothing written",
        "a later time of writing",
    ))
}
