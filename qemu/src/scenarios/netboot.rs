//! Machines with nothing but a network card that has a cable: the firmware asks who can boot it,
//! and `serve-boot` answers.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::Path;

use wire::stage::Stage;

use crate::error::{Doing, HarnessError, Result};
use crate::lab::{BOOT, DISK_MIB, Lab, STEP};
use crate::machine::running::Running;
use crate::machine::{Firmware, Machine, Medium, NetBoot};
use crate::network::ROUTER_ADDRESS;
use crate::network::boot_server::BootServer;

use super::distribution;

const POWEROFF: &str = "smv.after=poweroff";

/// The server has told the ROM of this machine's card, which is iPXE, what to boot, and sent it.
pub(super) fn must_have_served_ipxe(server: &mut BootServer, machine: &Machine) -> Result<()> {
    let mac = mac(machine);
    server.await_event(
        "asked",
        &format!("\"mac\":\"{mac}\",\"client\":\"iPXE\""),
        STEP,
    )?;
    must_have_sent(server, &["boot.ipxe", "vmlinuz", "initramfs"])
}

/// Each of the files, in this order, by TFTP.
fn must_have_sent(server: &mut BootServer, files: &[&str]) -> Result<()> {
    for file in files {
        server.await_event(
            "sent",
            &format!("\"file\":\"{file}\",\"way\":\"TFTP\""),
            STEP,
        )?;
    }
    Ok(())
}

/// OVMF fetches GRUB by TFTP, GRUB the rest. The directory comes out the same when it is made
/// again.
pub(super) fn uefi(lab: &mut Lab) -> Result<()> {
    let tree = lab.boot_tree(POWEROFF, &[])?;
    let before = contents(&tree)?;
    if contents(&lab.boot_tree(POWEROFF, &[])?)? != before {
        return Err(HarnessError::unexpected(
            "the directory made again",
            "the same bytes",
            "others",
        ));
    }
    let mut server = lab.boot_server(&tree, &[])?;
    server.await_serving()?;
    let (machine, _target) = waiting(lab, "target", Firmware::Uefi, NetBoot::Pxe)?;
    let mac = mac(&machine);
    server.await_event(
        "asked",
        &format!("\"mac\":\"{mac}\",\"client\":\"UEFI\""),
        STEP,
    )?;
    must_have_sent(
        &mut server,
        &["grub-uefi.efi", "grub.cfg", "vmlinuz", "initramfs"],
    )?;
    server.end()
}

/// The same with Secure Boot: the first stage asks for GRUB beside itself, and that for its menu.
pub(super) fn secure(lab: &mut Lab) -> Result<()> {
    distribution::bake(lab, &["--module", "virtio_net", "--module", "virtio_blk"])?;
    let tree = lab.boot_tree(POWEROFF, &["--secure-boot"])?;
    let mut server = lab.boot_server(&tree, &[])?;
    server.await_serving()?;
    let _target = waiting(lab, "target", Firmware::SecureUefi, NetBoot::Pxe)?;
    let files = [
        "grub-uefi.efi",
        "grubx64.efi",
        "grub/grub.cfg",
        "vmlinuz",
        "initramfs",
    ];
    must_have_sent(&mut server, &files)?;
    server.end()
}

/// OVMF fetches one file by its URL.
pub(super) fn http(lab: &mut Lab) -> Result<()> {
    let tree = lab.boot_tree(POWEROFF, &[])?;
    let mut server = lab.boot_server(&tree, &[])?;
    server.await_serving()?;
    let (machine, _target) = waiting(lab, "target", Firmware::Uefi, NetBoot::Http)?;
    let client = format!(
        "\"mac\":\"{}\",\"client\":\"UEFI HTTP boot\"",
        mac(&machine)
    );
    server.await_event("asked", &client, STEP)?;
    server.await_event(
        "sent",
        "\"file\":\"deploy-shim.efi\",\"way\":\"HTTP\"",
        STEP,
    )?;
    server.end()
}

/// Another DHCP server gives the addresses, and does not know what to boot: a BIOS and UEFI get
/// that from the proxy. Without `--proxy` nothing starts beside that server.
pub(super) fn proxy(lab: &mut Lab) -> Result<()> {
    let tree = lab.boot_tree(POWEROFF, &[])?;
    lab.boot_server(&tree, &[])?
        .must_refuse(&ROUTER_ADDRESS.to_string())?;
    let mut server = lab.boot_server(&tree, &["--proxy"])?;
    server.await_serving()?;
    for (firmware, name, file) in [
        (Firmware::Bios, "bios", "boot.ipxe"),
        (Firmware::Uefi, "uefi", "deploy-shim.efi"),
    ] {
        let (machine, target) = waiting(lab, name, firmware, NetBoot::Pxe)?;
        let sent = format!("\"file\":\"{file}\",\"way\":\"TFTP\"");
        server.await_event("sent", &sent, STEP)?;
        if lab.network().lease(&mac(&machine)).is_none() {
            let none = "an address of the other server";
            return Err(HarnessError::unexpected(name, none, "none"));
        }
        drop(target);
    }
    server.end()
}

/// A BIOS whose ROM is not iPXE, as far as a server can tell: the tree's own configuration in a
/// dnsmasq that an operator runs, without the line that knows iPXE, sends GRUB.
pub(super) fn bios_grub(lab: &mut Lab) -> Result<()> {
    let tree = lab.boot_tree(POWEROFF, &[])?;
    let config = std::fs::read_to_string(tree.join("dnsmasq.conf")).unwrap_or_default();
    let lines = config.lines().filter(|line| !line.contains("set:ipxe"));
    let config = lines.collect::<Vec<_>>().join("\n");
    lab.network().serve_by(&config, &tree)?;
    waiting(lab, "target", Firmware::Bios, NetBoot::Pxe).map(drop)
}

/// Every file of a directory.
fn contents(tree: &Path) -> Result<BTreeMap<OsString, Vec<u8>>> {
    let mut files = BTreeMap::new();
    for entry in std::fs::read_dir(tree).doing("reading", tree.display())? {
        let path = entry.doing("reading", tree.display())?.path();
        let bytes = std::fs::read(&path).doing("reading", path.display())?;
        files.insert(path.into_os_string(), bytes);
    }
    Ok(files)
}

/// A machine of that name with a blank disk, up to the code on its screen.
fn waiting(
    lab: &mut Lab,
    name: &str,
    firmware: Firmware,
    way: NetBoot,
) -> Result<(Machine, Running)> {
    let disk = lab.disk(name, DISK_MIB)?;
    let machine = lab.machine(firmware, vec![disk], Medium::Network(way))?;
    let machine = Machine {
        name: name.to_owned(),
        // Then it is Debian's kernel.
        patches_itself: firmware == Firmware::SecureUefi,
        ..machine
    };
    let mut target = lab.start(&machine)?;
    target.console.await_stage(Stage::Waiting, BOOT)?;
    Ok((machine, target))
}

fn mac(machine: &Machine) -> String {
    let first = machine.nics.first();
    first.map(|nic| nic.mac.clone()).unwrap_or_default()
}
