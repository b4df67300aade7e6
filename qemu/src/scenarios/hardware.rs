//! Other disks, other cards, other networks, little memory.

use crate::error::{HarnessError, Result};
use crate::lab::{DISK_MIB, Lab, STEP};
use crate::machine::{Bus, Firmware, Machine, NicModel};

use super::{deploy_and_power_off, image, must_boot_from_disk};

const POWEROFF: &str = "smv.after=poweroff";

/// No BIOS boots from such disks, so UEFI it is; and where they are sold, they are NVMe disks.
pub(super) fn sectors_4096(lab: &mut Lab) -> Result<()> {
    let disk = lab.disk("disk", DISK_MIB)?.on(Bus::Nvme).sectors(4096);
    let medium = lab.kernel(POWEROFF);
    let machine = lab.machine(Firmware::Bios, vec![disk], medium)?;
    deploy_and_power_off(lab, &machine)?;
    must_boot_from_disk(
        lab,
        &Machine {
            firmware: Firmware::Uefi,
            ..machine
        },
    )
    .map(drop)
}

pub(super) fn link_local(lab: &mut Lab) -> Result<()> {
    let disk = lab.disk("disk", DISK_MIB)?;
    let medium = lab.kernel(POWEROFF);
    let machine = lab.machine(Firmware::Bios, vec![disk], medium)?;
    deploy_and_power_off(lab, &machine)
}

pub(super) fn two_nics(lab: &mut Lab) -> Result<()> {
    let disk = lab.disk("disk", DISK_MIB)?;
    let medium = lab.kernel(POWEROFF);
    let mut machine = lab.machine(Firmware::Bios, vec![disk], medium)?;
    machine.nics = vec![
        lab.network().nic(NicModel::E1000, false)?,
        lab.network().nic(NicModel::E1000e, true)?,
    ];
    deploy_and_power_off(lab, &machine)
}

pub(super) fn small_memory(lab: &mut Lab) -> Result<()> {
    let Some(packages) = lab.artifacts.big.clone() else {
        return Err(HarnessError::Missing {
            what: "the big system's packages".into(),
            hint: "systems/build big".into(),
        });
    };
    let disk = lab.disk("disk", DISK_MIB)?;
    let medium = lab.kernel(POWEROFF);
    let machine = Machine {
        memory_mib: 64,
        ..lab.machine(Firmware::Bios, vec![disk], medium)?
    };
    let mut target = lab.start(&machine)?;
    lab.deploy(&mut target, &packages)?;
    target.await_power_off(STEP)?;
    image(&machine).must_be_complete()?;
    // The installed system may need more memory than its installation did.
    must_boot_from_disk(
        lab,
        &Machine {
            memory_mib: 256,
            ..machine
        },
    )
    .map(drop)
}
