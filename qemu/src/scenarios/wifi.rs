//! A machine whose only network is wireless: Debian's kernel, a radio of its own, and an access
//! point that is Debian's hostapd. The shim is PID 1 of name spaces inside the guest
//! (`qemu/access-point/init`); the donor is on the cable behind the access point.

use std::path::Path;

use wire::stage::Stage;

use crate::actors::donor::Order;
use crate::actors::policy::Shown;
use crate::error::{Doing, HarnessError, Result};
use crate::lab::{BOOT, DEPLOY, DISK_MIB, Lab, STEP, await_shown};
use crate::machine::running::Running;
use crate::machine::{Firmware, Machine};
use crate::network::access_point::{self, AccessPoint, MODULES, RDINIT};

use super::fillers::with_filler;
use super::networks::await_network;
use super::{image, resume};

/// The network that the image knows.
const SSID: &str = "Lab of spk-visor";
const PASSPHRASE: &str = "correct horse battery";

/// An access point that keeps its name to itself and has, at first, another passphrase than the
/// image knows.
pub(super) fn wpa2(lab: &mut Lab) -> Result<()> {
    let point = AccessPoint {
        ssid: SSID,
        passphrase: PASSPHRASE,
        is_wpa3: false,
        is_hidden: true,
    };
    let (machine, mut target, shown) = join(lab, &point)?;
    let packages = lab.artifacts.demo.clone();
    lab.deploy_shown(&mut target, &shown, &packages)?;
    target.await_power_off(STEP)?;
    image(&machine).must_be_complete()
}

/// One that takes WPA3 only, and has another passphrase at first too, falls silent in mid-stream
/// and comes back: the deploy goes on where it was.
pub(super) fn wpa3(lab: &mut Lab) -> Result<()> {
    let point = AccessPoint {
        ssid: SSID,
        passphrase: PASSPHRASE,
        is_wpa3: true,
        is_hidden: false,
    };
    let packages = with_filler(&lab.artifacts.demo, Path::new("packages"))?;
    let (machine, mut target, shown) = join(lab, &point)?;
    let order = Order::new(&shown, &packages).and(&["--json"]);
    let mut donor = lab.donor(&order)?;
    resume::await_enough(&mut donor)?;
    access_point::fall()?;
    await_network(&mut target, &["wifi=failed", "reason=lost"])?;
    target.console.await_stage(Stage::Waiting, DEPLOY)?;
    let sent_before = resume::sent(&donor.said());
    point.raise(STEP)?;
    target.console.await_stage(Stage::Installed, DEPLOY)?;
    donor.must_succeed(STEP)?;
    resume::must_have_resumed("wifi-wpa3", &donor, &packages, sent_before)?;
    target.await_power_off(STEP)?;
    image(&machine).must_be_complete()
}

/// A shim that has reported a wrong passphrase, and has joined after the access point took it.
fn join(lab: &mut Lab, right: &AccessPoint<'_>) -> Result<(Machine, Running, Shown)> {
    let wrong = AccessPoint {
        passphrase: "incorrect horse",
        ..*right
    };
    let (machine, mut target) = boot(lab, &wrong)?;
    let shown = await_shown(&mut target)?;
    await_network(&mut target, &["wifi=failed", "reason=passphrase"])?;
    right.raise(STEP)?;
    await_network(&mut target, &["wifi=joined"])?;
    Ok((machine, target, shown))
}

/// A guest whose access point is on the air, and in it the shim.
fn boot(lab: &mut Lab, point: &AccessPoint<'_>) -> Result<(Machine, Running)> {
    let missing = || HarnessError::Missing {
        what: "Debian's kernel, or the supplicant".into(),
        hint: "mkinitramfs/debian-kernel, mkinitramfs/wpa-build".into(),
    };
    let kernel = lab.artifacts.distribution.clone().ok_or_else(missing)?;
    let supplicant = lab.artifacts.supplicant.clone().ok_or_else(missing)?;
    let known = format!("ssid={SSID}\npassphrase={PASSPHRASE}\nhidden=yes\n");
    std::fs::write("network", known).doing("writing", "network")?;
    lab.artifacts.kernel = kernel.join("vmlinuz");
    let text = |path: &Path| path.display().to_string();
    let mut words = vec![
        "--kernel".to_owned(),
        text(&kernel.join("vmlinuz")),
        "--modules".to_owned(),
        text(&kernel.join("modules")),
    ];
    for module in MODULES {
        words.extend(["--module".to_owned(), module.to_owned()]);
    }
    words.extend(["--wifi", "--wifi-network", "network", "--supplicant"].map(str::to_owned));
    words.push(text(&supplicant));
    lab.bake(&words.iter().map(String::as_str).collect::<Vec<_>>())?;
    lab.append(&access_point::pack()?)?;
    let disk = lab.disk("disk", DISK_MIB)?;
    let medium = lab.kernel(&format!("smv.after=poweroff {RDINIT}"));
    let mut machine = lab.machine(Firmware::Bios, vec![disk], medium)?;
    machine.patches_itself = true;
    let target = lab.start(&machine)?;
    point.raise(BOOT)?;
    access_point::start_shim()?;
    Ok((machine, target))
}
