//! The disk gate: what may not be taken is refused before anything is written.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::Duration;

use wire::stage::Stage;

use crate::actors::donor::Order;
use crate::actors::exit::Exit;
use crate::error::{Doing, HarnessError, Result};
use crate::lab::{BOOT, DEPLOY, DISK_MIB, Lab, STEP, await_shown, shown};
use crate::machine::running::Running;
use crate::machine::{Bus, DiskSpec, Firmware, Machine, Medium};
use crate::media::image::{FirstSector, Image};

use super::{deploy_and_power_off, image, must_boot_from_disk, with_filler};

/// Nothing moves for 20 s, the watchdog waits for 60 s, and the machine boots.
const RESET: Duration = Duration::from_secs(420);

pub(super) fn too_small(lab: &mut Lab) -> Result<()> {
    let disk = lab.disk("disk", 256)?;
    let (machine, mut target) = start(lab, vec![disk], "")?;
    // Refused before a donor is invited, or when one has come.
    let before = target.console.position();
    if let (Stage::Waiting, facts) = target
        .console
        .await_stage_of(&[Stage::Waiting, Stage::Failed], BOOT)?
    {
        let shown = shown(&mut target, before, &facts)?;
        let mut donor = lab.donor(&Order::new(&shown, &lab.artifacts.demo))?;
        target.console.await_stage(Stage::Failed, DEPLOY)?;
        donor.must_fail(STEP)?;
    }
    image(&machine).must_be_untouched()
}

/// None at all; then two that are write-protected, a fixed one and a stick.
pub(super) fn none(lab: &mut Lab) -> Result<()> {
    let (_, mut target) = start(lab, Vec::new(), "")?;
    refused(&mut target)?;
    drop(target);
    let disks = vec![
        lab.disk("fixed", DISK_MIB)?.protected(),
        lab.disk("stick", DISK_MIB)?.on(Bus::Usb).protected(),
    ];
    let medium = lab.kernel("");
    let machine = lab.machine(Firmware::Uefi, disks, medium)?;
    let mut target = lab.start(&machine)?;
    refused(&mut target)?;
    // The stick may come after the fixed one was refused; then both are listed.
    for remark in ["SMV-fixed, read-only", "SMV-stick, removable, read-only"] {
        let words = format!("serial {remark}): blank");
        target
            .console
            .await_since(0, &words, STEP, |text| text.contains(&words).then_some(()))?;
    }
    Ok(())
}

pub(super) fn two(lab: &mut Lab) -> Result<()> {
    let disks = vec![lab.disk("first", DISK_MIB)?, lab.disk("second", DISK_MIB)?];
    let (machine, mut target) = start(lab, disks, "")?;
    refused(&mut target)?;
    for serial in ["SMV-first", "SMV-second"] {
        target.console.await_since(0, serial, STEP, |text| {
            text.contains(&format!("serial {serial}): blank"))
                .then_some(())
        })?;
    }
    drop(target);
    let [first, second] = machine.disks.as_slice() else {
        return Ok(());
    };
    let first = Image::new(&first.image, 512);
    first.must_be_untouched()?;
    Image::new(&second.image, 512).must_be_untouched()?;
    // By serial number: which of the two is vda is nobody's business.
    let medium = lab.kernel("smv.after=poweroff smv.disk=transport=virtio,serial=SMV-second");
    let mut target = lab.start(&Machine {
        medium,
        ..machine.clone()
    })?;
    lab.deploy_demo(&mut target)?;
    target.await_power_off(STEP)?;
    first.must_be_untouched()?;
    Image::new(&second.image, 512).must_be_complete()
}

/// PID 1 waits for a disk that never answers, and no signal would reach it. The machine has no
/// watchdog but the kernel's own.
pub(super) fn hangs(lab: &mut Lab, machine: &Machine) -> Result<()> {
    let packages = with_filler(&lab.artifacts.demo, Path::new("filler"))?;
    let mut target = lab.start(machine)?;
    let shown = await_shown(&mut target)?;
    let mut donor = lab.donor(&Order::new(&shown, &packages))?;
    target.console.await_stage(Stage::Receiving, DEPLOY)?;
    target.hold_writes(0, true)?;
    let ends = [Stage::Starting, Stage::Failed, Stage::Installed];
    let (stage, facts) = target.console.await_stage_of(&ends, RESET)?;
    donor.kill();
    if stage != Stage::Starting {
        let found = format!("{stage}: {facts}");
        return Err(HarnessError::unexpected(
            "a disk that hangs",
            "a reset",
            found,
        ));
    }
    target.hold_writes(0, false)?;
    image(machine).must_be_interrupted()?;
    // An interrupted install counts as blank.
    await_shown(&mut target).map(drop)
}

/// The same disk with somebody's table of partitions, and somebody's data behind it.
pub(crate) fn somebodys(disk: DiskSpec) -> Result<DiskSpec> {
    let path = disk.image.display();
    let file = File::options()
        .write(true)
        .open(&disk.image)
        .doing("opening", &path)?;
    for (at, bytes) in [
        (446, &[0x80_u8, 1, 1, 0, 0x83][..]),
        (510, &[0x55, 0xaa]),
        (1 << 20, b"somebody's thesis"),
    ] {
        file.write_all_at(bytes, at).doing("writing", &path)?;
    }
    Ok(disk)
}

pub(super) fn used(lab: &mut Lab) -> Result<()> {
    let disk = somebodys(lab.disk("disk", DISK_MIB)?)?;
    let file = File::open(&disk.image).doing("opening", disk.image.display())?;
    let before = image_bytes(&file)?;
    // Six characters, one of them wrong.
    let (machine, mut target) = start(lab, vec![disk], "smv.wipe=W-disk")?;
    refused(&mut target)?;
    drop(target);
    if image(&machine).first_sector()? != FirstSector::BootCode || image_bytes(&file)? != before {
        return Err(HarnessError::unexpected(
            "the used disk",
            "no change",
            "other bytes in its first 2 MiB",
        ));
    }
    // The end of the serial number, SMV-disk: the kernel command line agrees. So must the
    // donor.
    let medium = lab.kernel("smv.after=poweroff smv.wipe=V-disk");
    let machine = Machine { medium, ..machine };
    let mut target = lab.start(&machine)?;
    let shown = await_shown(&mut target)?;
    let order = Order::new(&shown, &lab.artifacts.demo);
    let mut donor = lab.donor(&order)?;
    donor.must_exit(Exit::Declined, STEP)?;
    target.console.await_stage(Stage::Failed, STEP)?;
    if image_bytes(&file)? != before {
        return Err(HarnessError::unexpected(
            "the disk that nobody at the donor has agreed to",
            "no change",
            "other bytes in its first 2 MiB",
        ));
    }
    let shown = await_shown(&mut target)?;
    let order = Order::new(&shown, &lab.artifacts.demo).and(&["--yes"]);
    let mut donor = lab.donor(&order)?;
    target.console.await_stage(Stage::Installed, DEPLOY)?;
    donor.must_succeed(STEP)?;
    target.await_power_off(STEP)?;
    image(&machine).must_be_complete()
}

pub(super) fn sizes(lab: &mut Lab) -> Result<()> {
    let disk = lab.disk("disk", DISK_MIB)?.on(Bus::Ahci);
    let more = format!("smv.after=poweroff smv.swap={DISK_MIB}M");
    let (machine, mut target) = start(lab, vec![disk], &more)?;
    let shown = await_shown(&mut target)?;
    let order = Order::new(&shown, &lab.artifacts.demo);
    let mut donor = lab.donor(&order)?;
    donor.must_exit(Exit::Target, STEP)?;
    // Both sizes, and whose they are.
    for part in [
        format!("planning a disk of {DISK_MIB} MiB"),
        format!("{DISK_MIB} MiB for swap"),
    ] {
        if !donor.said().contains(&part) {
            return Err(HarnessError::unexpected("the donor", part, donor.said()));
        }
    }
    target.console.await_stage(Stage::Failed, STEP)?;
    drop(target);
    image(&machine).must_be_untouched()?;

    // An ESP whose clusters are smaller than usual: firmware reads them, too.
    let medium = lab.kernel("smv.after=poweroff smv.swap=none smv.esp=64M smv.root=ext4");
    let machine = Machine { medium, ..machine };
    deploy_and_power_off(lab, &machine)?;
    let found = image(&machine).partitions()?;
    let expected = [(1, 64), (3, DISK_MIB - 66), (4, 0)];
    if found != expected {
        return Err(HarnessError::unexpected(
            "the partitions",
            format!("{expected:?}"),
            format!("{found:?}"),
        ));
    }
    let machine = Machine {
        firmware: Firmware::Uefi,
        ..machine
    };
    must_boot_from_disk(lab, &machine).map(drop)
}

fn image_bytes(file: &File) -> Result<Vec<u8>> {
    let mut bytes = vec![0; 2 << 20];
    file.read_exact_at(&mut bytes, 0)
        .doing("reading", "the used disk")?;
    Ok(bytes)
}

fn start(lab: &mut Lab, disks: Vec<DiskSpec>, more: &str) -> Result<(Machine, Running)> {
    let medium: Medium = lab.kernel(more);
    let machine = lab.machine(Firmware::Bios, disks, medium)?;
    let target = lab.start(&machine)?;
    Ok((machine, target))
}

/// The target says why it takes no disk, and shows no code.
pub(super) fn refused(target: &mut Running) -> Result<()> {
    match target
        .console
        .await_stage_of(&[Stage::Failed, Stage::Waiting], BOOT)?
    {
        (Stage::Failed, _) => Ok(()),
        (stage, facts) => Err(HarnessError::unexpected(
            "the target",
            "a refusal",
            format!("{stage}: {facts}"),
        )),
    }
}
