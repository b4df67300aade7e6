//! slot-init, without a boot loader in between: what starts, what is refused, and what follows.

use std::path::Path;

use wire::ledger::Ledger;
use wire::record::{BootRecord, COPY_LEN, Place, RecordError, Slot};
use wire::running;
use wire::stage::Stage;

use super::boots::look;
use super::{DEMO_LOGIN, LOGIN};
use crate::actors::node::log_in;
use crate::actors::releases::IMAGE;
use crate::error::{HarnessError, Result};
use crate::lab::{Lab, PLAIN, STEP};
use crate::machine::running::Running;
use crate::machine::{DiskSpec, Firmware, Machine, Medium};
use crate::media::node_disk::{GrubImages, NodeDisk, Release};

/// Reads a file of the last package to its end.
const LATE: &str = "cat /usr/bin/spk-visor >/dev/null";

/// What the kernel says when it stops.
const PANIC: &str = "Kernel panic";

/// A node whose both slots hold the demo, and a machine that starts `slot` of it.
fn node(lab: &mut Lab, record: &BootRecord, slot: Slot) -> Result<(NodeDisk, Machine)> {
    let Some(release) = lab.artifacts.slot.clone() else {
        return Err(HarnessError::Missing {
            what: "the demo as a slot image".into(),
            hint: "systems/slot demo".into(),
        });
    };
    let path = Path::new("node.img");
    let release = Release::unsigned(&release.join(IMAGE))?;
    let disk = NodeDisk::make(
        path,
        &GrubImages::make(&lab.artifacts.donor)?,
        record,
        &Slot::ALL.map(|slot| (slot, &release)),
        &Ledger::default(),
        &lab.artifacts.built()?.mke2fs,
    )?;
    let (kernel, initramfs) = disk.boot_files(slot)?;
    let medium = Medium::Kernel {
        kernel,
        initramfs,
        cmdline: format!("console=ttyS0,115200 {PLAIN} panic=1 smv.slot={slot}"),
    };
    let spec = DiskSpec::new(path, "SMV-node");
    let mut machine = lab.machine(Firmware::Bios, vec![spec], medium)?;
    machine.has_watchdog = true;
    Ok((disk, machine))
}

/// The slot boots; what is written stays, and its root cannot be written.
pub(super) fn start(lab: &mut Lab) -> Result<()> {
    let (_, machine) = node(lab, &BootRecord::new(Slot::A), Slot::A)?;
    let mut target = lab.start(&machine)?;
    log_in(&mut target, "a")?;
    let boot = format!("cat {}", running::PATH);
    let checks = [
        ("mount | grep ' / '", "squashfs"),
        ("mount | grep ' /etc '", "overlay"),
        ("mount | grep ' /var '", "ext4"),
        ("touch /usr/x 2>&1", "Read-only"),
        (boot.as_str(), "slot a\n"),
        (boot.as_str(), "trial 0\n"),
        (boot.as_str(), "watchdog -\n"),
        ("ls /run/smv", "boot"),
        ("echo kept | tee /etc/kept /var/kept /root/kept", "kept"),
        (
            "echo ann:x:1000:1000::/:/bin/sh >>/etc/passwd; sync; echo do''ne",
            "done",
        ),
    ];
    look(&mut target, &checks)?;
    target.reset()?;
    log_in(&mut target, "a")?;
    let checks = [
        ("cat /etc/kept /var/kept /root/kept", "kept\nkept\nkept"),
        ("grep -c ^ann: /etc/passwd", "1"),
    ];
    look(&mut target, &checks)?;
    target.quit()?;

    // The same on trial: a watchdog runs.
    let trial = BootRecord::new(Slot::B).armed().counted();
    let (_, machine) = node(lab, &trial, Slot::A)?;
    let mut target = lab.start(&machine)?;
    log_in(&mut target, "a")?;
    let checks = [
        (boot.as_str(), "trial 1\nleft 2\n"),
        (boot.as_str(), "watchdog /dev/watchdog0\n"),
        ("cat /sys/class/watchdog/watchdog0/state", "active"),
    ];
    look(&mut target, &checks)?;
    target.quit()
}

/// Changes the first block of a slot's root, behind the magic.
fn damage_root(disk: &NodeDisk, slot: Slot) -> Result<()> {
    let (start, _) = disk.root(slot)?;
    disk.flip(start + 100)
}

/// The record that counts.
fn read_record(disk: &NodeDisk) -> Result<std::result::Result<BootRecord, RecordError>> {
    Ok(disk.copies()?.record().map(|(record, _)| record))
}

/// A wrong block early: said, and the good slot falls to the other one. A wrong block late: the
/// kernel stops and starts again.
pub(super) fn tampered(lab: &mut Lab) -> Result<()> {
    let record = BootRecord::new(Slot::A);
    let (disk, machine) = node(lab, &record, Slot::A)?;
    damage_root(&disk, Slot::A)?;
    let mut target = lab.start(&machine)?;
    target.console.await_stage_of(&[Stage::Failed], LOGIN)?;
    target.console.await_stage_of(&[Stage::Leaving], STEP)?;
    target.quit()?;
    let found = read_record(&disk)?;
    if found != Ok(record.fallen().unwrap_or(record)) {
        return Err(HarnessError::unexpected(
            "the boot record",
            "slot b, once",
            format!("{found:?}"),
        ));
    }
    // The other slot now fails as well, and nothing changes any more.
    let fallen = record.fallen().unwrap_or(record);
    let (disk, machine) = node(lab, &fallen, Slot::B)?;
    damage_root(&disk, Slot::B)?;
    let mut target = lab.start(&machine)?;
    target.console.await_stage_of(&[Stage::Failed], LOGIN)?;
    target.console.await_stage_of(&[Stage::Leaving], STEP)?;
    target.quit()?;
    if read_record(&disk)? != Ok(fallen) {
        return Err(HarnessError::unexpected(
            "the boot record",
            "as it was",
            "another",
        ));
    }

    let (disk, machine) = node(lab, &record, Slot::A)?;
    let (start, len) = disk.root(Slot::A)?;
    disk.flip(start + len / 4 * 3)?;
    let mut target = lab.start(&machine)?;
    target.console.await_stage(Stage::Leaving, LOGIN)?;
    // A service may read that block while the system starts, or somebody does behind the login.
    if comes_before_a_panic(&mut target, DEMO_LOGIN)? {
        target.console.await_text(DEMO_LOGIN, STEP)?;
        target.console.send("root")?;
        if comes_before_a_panic(&mut target, "# ")? {
            target.console.send(LATE)?;
        }
    }
    target.console.await_text(PANIC, STEP)?;
    target.console.await_text("smv starting", LOGIN)?;
    target.quit()
}

/// Neither copy of the record is valid, and the state partition needs a person: without it the slot
/// starts in memory, where it is repaired, and then as ever.
pub(super) fn state(lab: &mut Lab) -> Result<()> {
    let (disk, mut machine) = node(lab, &BootRecord::new(Slot::A), Slot::A)?;
    for place in Place::ALL {
        disk.zero(disk.place(place)?, COPY_LEN)?;
    }
    disk.damage_state(&lab.artifacts.built()?.mke2fs)?;
    let mut target = lab.start(&machine)?;
    target.console.await_stage_of(&[Stage::Failed], LOGIN)?;
    target.console.await_stage_of(&[Stage::Leaving], STEP)?;
    target.quit()?;
    // slot-init does not know what was confirmed, and leaves the record to `recover`.
    if let Ok(record) = read_record(&disk)? {
        let found = format!("{record:?}");
        return Err(HarnessError::unexpected("the boot record", "none", found));
    }

    let usual = machine.medium.clone();
    if let Medium::Kernel { cmdline, .. } = &mut machine.medium {
        cmdline.push_str(" smv.state=empty");
    }
    let mut target = lab.start(&machine)?;
    log_in(&mut target, "a")?;
    let checks = [
        ("mount | grep ' /var '", "tmpfs"),
        ("echo kept | tee /etc/kept /var/kept", "kept"),
        // 1: errors were corrected.
        ("e2fsck -y /dev/vda6 >/dev/null; echo co''de $?", "code 1"),
    ];
    look(&mut target, &checks)?;
    target.quit()?;

    machine.medium = usual;
    let mut target = lab.start(&machine)?;
    log_in(&mut target, "a")?;
    let checks = [
        ("mount | grep ' /var '", "ext4"),
        ("ls /etc/kept /var/kept 2>&1 | grep -c No", "2"),
    ];
    look(&mut target, &checks)?;
    target.quit()?;
    let found = read_record(&disk)?;
    if found != Ok(BootRecord::new(Slot::A)) {
        let found = format!("{found:?}");
        return Err(HarnessError::unexpected("the boot record", "slot a", found));
    }
    Ok(())
}

/// Whether the console shows `wanted`; `false` when the kernel stops instead.
fn comes_before_a_panic(target: &mut Running, wanted: &str) -> Result<bool> {
    let from = target.console.position();
    let what = format!("{wanted:?} or a panic");
    target.console.await_since(from, &what, LOGIN, |text| {
        let stopped = text.contains(PANIC).then_some(false);
        stopped.or_else(|| text.contains(wanted).then_some(true))
    })
}
