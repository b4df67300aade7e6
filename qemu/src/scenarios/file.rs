//! A disk image filled on a running Linux by `receive-deploy`, and booted afterwards under both
//! firmwares.

use std::path::Path;
use std::process::Command;

use crate::actors::donor::Order;
use crate::actors::policy::{Shown, secret_in};
use crate::actors::stranger::hear_beacon;
use crate::error::{Doing, HarnessError, Result};
use crate::lab::{DEPLOY, DISK_MIB, Lab, STEP};
use crate::machine::{Firmware, Medium};
use crate::process::Process;

use super::{image, must_boot_from_disk};

pub(super) fn receive(lab: &mut Lab) -> Result<()> {
    let disk = lab.disk("disk", DISK_MIB)?;
    let log = Path::new("receiver.log");
    let mut command = Command::new(&lab.artifacts.donor);
    command.args(["receive-deploy", "--disk"]).arg(&disk.image);
    let mut receiver = Process::spawn("receive-deploy", &mut command, log)?;
    let (code, _) = hear_beacon(STEP)?;
    // Shown before the first beacon.
    let screen = std::fs::read_to_string(log).doing("reading", log.display())?;
    let secret = secret_in(&screen);
    let shown = Shown { code, secret };
    let order = Order::new(&shown, &lab.artifacts.demo);
    lab.donor(&order)?.must_succeed(DEPLOY)?;
    let status = receiver.wait(STEP)?;
    if !status.success() {
        return Err(HarnessError::unexpected(
            "receive-deploy",
            "success",
            status.to_string(),
        ));
    }
    let bios = lab.machine(Firmware::Bios, vec![disk], Medium::None)?;
    image(&bios).must_be_complete()?;
    must_boot_from_disk(lab, &bios).map(drop)?;
    let uefi = crate::machine::Machine {
        name: "uefi".to_owned(),
        firmware: Firmware::Uefi,
        ..bios
    };
    must_boot_from_disk(lab, &uefi).map(drop)
}
