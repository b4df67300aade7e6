//! The kernel for real machines. Each row is a whole deploy through the one card and onto the one
//! disk that the machine has, so nothing but their drivers can have carried it.

use wire::stage::Stage;

use crate::error::Result;
use crate::lab::{BOOT, DISK_MIB, Lab, STEP, shown};
use crate::machine::{Bus, Firmware, Machine, NicModel};

use super::image;

struct Row {
    card: NicModel,
    bus: Bus,
    firmware: Firmware,
}

const fn row(card: NicModel, bus: Bus) -> Row {
    Row {
        card,
        bus,
        firmware: Firmware::Bios,
    }
}

const SERVERS: [Row; 4] = [
    Row {
        firmware: Firmware::Uefi,
        ..row(NicModel::E1000e, Bus::Megasas)
    },
    row(NicModel::Igb, Bus::Nvme),
    row(NicModel::Vmxnet3, Bus::Pvscsi),
    row(NicModel::Virtio, Bus::VirtioScsi),
];

const DESKTOPS: [Row; 5] = [
    row(NicModel::Rtl8139, Bus::Ahci),
    row(NicModel::Usb, Bus::Usb),
    row(NicModel::I82559, Bus::Virtio),
    row(NicModel::Pcnet, Bus::MptSas),
    row(NicModel::E1000, Bus::Lsi),
];

pub(super) fn servers(lab: &mut Lab) -> Result<()> {
    SERVERS
        .iter()
        .enumerate()
        .try_for_each(|(number, row)| deploy(lab, number, row))
}

pub(super) fn desktops(lab: &mut Lab) -> Result<()> {
    DESKTOPS
        .iter()
        .enumerate()
        .try_for_each(|(number, row)| deploy(lab, number, row))
}

fn deploy(lab: &mut Lab, number: usize, row: &Row) -> Result<()> {
    let name = format!("target-{number}");
    println!("{name}: {:?}, {:?}, {}", row.card, row.bus, row.firmware);
    // A removable disk has to be named.
    let named = match row.bus {
        Bus::Usb => "transport=usb".to_owned(),
        _ => format!("SMV-{name}"),
    };
    let disk = lab.disk(&name, DISK_MIB)?.on(row.bus);
    let medium = lab.metal(&format!("smv.after=poweroff smv.disk={named}"))?;
    let mut machine = Machine {
        nics: vec![lab.network().nic(row.card, true)?],
        name,
        ..lab.machine(row.firmware, vec![disk], medium)?
    };
    if row.card == NicModel::Igb {
        machine.qemu = lab.newer_qemu()?;
    }
    let mut target = lab.start(&machine)?;
    let before = target.console.position();
    // A disk on USB may come after the screen has reported no disk.
    let (_, facts) = target.console.await_stage_of(&[Stage::Waiting], BOOT)?;
    let shown = shown(&mut target, before, &facts)?;
    let packages = lab.artifacts.demo.clone();
    lab.deploy_shown(&mut target, &shown, &packages)?;
    target.await_power_off(STEP)?;
    image(&machine).must_be_complete()
}
