//! The machine comes back from the disk that was installed, whatever its firmware prefers; and
//! nothing is installed twice unless somebody says so.

use std::collections::BTreeMap;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use wire::stage::Stage;

use crate::actors::donor::Order;
use crate::error::{Doing, HarnessError, Result};
use crate::lab::{BOOT, DEPLOY, DISK_MIB, Lab, STEP, await_shown};
use crate::machine::running::Running;
use crate::machine::variables::Variables;
use crate::machine::{Firmware, Machine, Medium, NetBoot, Prefers};

use super::boots::login_and_look;
use super::fillers::with_files;
use super::netboot::must_have_served_ipxe;
use super::{DEMO_LOGIN, LOGIN, another_machine, image};

/// In the path that our boot options start, as firmware keeps it: two bytes for each character.
const OURS: &str = "smechvisor\\grubx64.efi";

/// A blank disk and a CD with the shim, under UEFI.
fn machine(lab: &mut Lab, prefers: Prefers, more: &str) -> Result<Machine> {
    let disk = lab.disk("disk", DISK_MIB)?;
    let medium = lab.cd(more)?;
    let machine = lab.machine(Firmware::Uefi, vec![disk], medium)?;
    Ok(Machine { prefers, ..machine })
}

/// OVMF without advice from QEMU keeps its order in its variables, as firmware on metal does.
pub(super) fn boot_order(lab: &mut Lab) -> Result<()> {
    let machine = machine(lab, Prefers::Variables, "smv.after=reboot")?;
    let mut target = lab.start(&machine)?;
    let shown = await_shown(&mut target)?;
    let before = target.variables()?;
    let packages = lab.artifacts.demo.clone();
    lab.deploy_shown(&mut target, &shown, &packages)?;
    let option = left_with_option(&mut target)?;
    must_start(&mut target, &option)?;
    lab.health(&machine, STEP)?;
    login_and_look(&mut target)?;
    must_have_in_front(&before, &target.variables()?, &option)?;
    // BootNext counts once; from here on the order does.
    target.reset()?;
    must_start(&mut target, &option)
}

/// A BIOS whose card's ROM is iPXE, and that boots over the network whenever it can: script, kernel
/// and initramfs by TFTP from a server that always answers. The command line it serves would
/// install for ever.
pub(super) fn network_first(lab: &mut Lab) -> Result<()> {
    let tree = lab.boot_tree("smv.after=reboot smv.wipe=V-disk", &[])?;
    let mut server = lab.boot_server(&tree, &[])?;
    server.await_serving()?;
    let disk = lab.disk("disk", DISK_MIB)?;
    let machine = Machine {
        prefers: Prefers::Medium,
        ..lab.machine(Firmware::Bios, vec![disk], Medium::Network(NetBoot::Pxe))?
    };
    let mut target = lab.start(&machine)?;
    let shown = await_shown(&mut target)?;
    must_have_served_ipxe(&mut server, &machine)?;
    let packages = lab.artifacts.demo.clone();
    lab.deploy_shown(&mut target, &shown, &packages)?;
    target.console.await_stage(Stage::Leaving, STEP)?;
    must_hold(&mut target)?;
    image(&machine).must_be_complete()?;
    server.end()
}

/// Firmware that insists on the CD: it boots the disk once, as BootNext asks, and then comes
/// back with the same command line. A person boots the disk again.
pub(super) fn medium_first(lab: &mut Lab) -> Result<()> {
    let machine = machine(lab, Prefers::Medium, "smv.after=reboot smv.wipe=V-disk")?;
    let mut target = lab.start(&machine)?;
    lab.deploy_demo(&mut target)?;
    let option = left_with_option(&mut target)?;
    must_start(&mut target, &option)?;
    let table = image(&machine).table()?;
    target.reset()?;
    must_hold(&mut target)?;
    // Neither a word for nothing nor the time that passes changes anything.
    target.console.send("00000000")?;
    target.console.send("boot")?;
    let again = left_with_option(&mut target)?;
    must_start(&mut target, &again)?;
    if again != option || image(&machine).table()? != table {
        return Err(HarnessError::unexpected(
            "the machine that held",
            "the same installation",
            again,
        ));
    }
    must_have_one_option(&target.variables()?).map(drop)
}

/// A disk of DISK_MIB whose MBR had its partitions where ours will be: members of RAIDs, LVM, ZFS,
/// LUKS and btrfs.
const PARTITIONS: [(u64, u64); 3] = [(1, 512), (513, 2048), (2561, DISK_MIB - 2562)];
/// From the start of each partition.
const MEMBERS: [(u64, &[u8]); 6] = [
    (512, b"LABELONE"),
    MD,
    (64 * 1024 + 64, b"_BHRfS_M"),
    (128 * 1024 + 4 * 1024, b"\x0C\xB1\xBA\0\0\0\0\0"),
    (1 << 20, b"\x0D\xD0\x01\xC0"),
    (4 << 20, b"SKUL\xBA\xBE"),
];
const MD: (u64, &[u8]) = (4096, b"\xFC\x4E\x2B\xA9");
/// Before the end of each.
const IMSM: (u64, &[u8]) = (1024, b"Intel Raid ISM Cfg Sig. ");

fn full_of_members(disk: &Path) -> Result<()> {
    let mut pieces: Vec<(u64, Vec<u8>)> = vec![(510, vec![0x55, 0xAA])];
    for (number, (start, len)) in (0..).zip(PARTITIONS) {
        let sectors = |mib: u64| u32::try_from(mib * 2048).unwrap_or(u32::MAX).to_le_bytes();
        let entry = [
            &[0, 0, 0, 0, 0x83, 0, 0, 0],
            &sectors(start)[..],
            &sectors(len),
        ]
        .concat();
        pieces.push((446 + number * 16, entry));
        let members = MEMBERS.iter();
        pieces.extend(members.map(|(at, magic)| ((start << 20) + at, magic.to_vec())));
        pieces.push((((start + len) << 20) - IMSM.0, IMSM.1.to_vec()));
    }
    write(disk, &pieces)
}

/// Data that a system may write into its own swap and into the last block of its root.
fn full_swap(disk: &Path) -> Result<()> {
    let [_, (swap, _), (root, len)] = PARTITIONS;
    write(
        disk,
        &[
            ((swap << 20) + MD.0, MD.1.to_vec()),
            (((root + len) << 20) - IMSM.0, IMSM.1.to_vec()),
        ],
    )
}

fn write(disk: &Path, pieces: &[(u64, Vec<u8>)]) -> Result<()> {
    let file = File::options().write(true).open(disk);
    let file = file.doing("opening", disk.display())?;
    pieces.iter().try_for_each(|(at, bytes)| {
        let written = file.write_all_at(bytes, *at);
        written.doing("writing", disk.display())
    })
}

/// A command line that is served for ever, on a machine whose firmware cannot be told anything, and
/// whose disk was used before.
pub(super) fn reinstalled_once(lab: &mut Lab) -> Result<()> {
    // The contents of the disk take the whole of its serial number.
    let fixed = "smv.after=poweroff smv.wipe=SMV-disk";
    let machine = another_machine(lab, "disk", DISK_MIB, fixed)?;
    let disks = machine.disks.iter().map(|disk| disk.image.clone());
    let disks: Vec<PathBuf> = disks.collect();
    disks.iter().try_for_each(|disk| full_of_members(disk))?;
    let mut target = lab.start(&machine)?;
    redeploy(lab, &mut target)?;
    target.await_power_off(STEP)?;
    disks.iter().try_for_each(|disk| full_swap(disk))?;
    let mut target = lab.start(&machine)?;
    let name = must_hold(&mut target)?;
    target.console.send("boot")?;
    target.console.await_stage(Stage::Leaving, STEP)?;
    target.console.await_text(DEMO_LOGIN, LOGIN)?;
    drop(target);
    let table = image(&machine).table()?;
    let medium = lab.kernel(&format!("{fixed} smv.reinstall={name}"));
    let machine = Machine { medium, ..machine };
    let mut target = lab.start(&machine)?;
    redeploy(lab, &mut target)?;
    target.await_power_off(STEP)?;
    if image(&machine).table()? == table {
        return Err(HarnessError::unexpected(
            "the disk",
            "a new installation",
            "the old one",
        ));
    }
    let mut target = lab.start(&machine)?;
    let other = must_hold(&mut target)?;
    if other == name {
        return Err(HarnessError::unexpected(
            "the new installation",
            "a name of its own",
            other,
        ));
    }
    image(&machine).must_be_complete()?;
    // The name that is on the screen says the same as on the command line.
    target.console.send(&other)?;
    await_shown(&mut target).map(drop)
}

/// A machine that is installed at each start, as somebody wants it. The firmware obeys BootNext
/// once, then the CD comes first again.
pub(super) fn ten_deploys(lab: &mut Lab) -> Result<()> {
    let more = "smv.after=reboot smv.reinstall=always smv.wipe=V-disk";
    let machine = machine(lab, Prefers::Medium, more)?;
    let mut target = lab.start(&machine)?;
    let mut before = None;
    for _ in 0..10 {
        let shown = await_shown(&mut target)?;
        if before.is_none() {
            before = Some(target.variables()?);
        }
        let order = Order::new(&shown, &lab.artifacts.demo).and(&["--yes"]);
        let mut donor = lab.donor(&order)?;
        target.console.await_stage(Stage::Installed, DEPLOY)?;
        donor.must_succeed(STEP)?;
        let option = left_with_option(&mut target)?;
        target
            .console
            .await_text(&format!("starting {option} "), BOOT)?;
        target.reset()?;
    }
    let after = target.variables()?;
    target.quit()?;
    // The order is the firmware's own again by now; what stands in it is not.
    let option = must_have_one_option(&after)?;
    let others: BTreeMap<_, _> = after
        .options()
        .filter(|(name, _)| *name != option)
        .collect();
    if before.is_none_or(|before| before.options().collect::<BTreeMap<_, _>>() != others) {
        let found = format!("{after:?}");
        return Err(HarnessError::unexpected(
            "everybody else's boot options",
            "no change",
            found,
        ));
    }
    image(&machine).must_be_complete()
}

/// A disk that hangs while PID 1 deploys onto it, and a kernel that never appears after kexec: a
/// watchdog resets the machine, and the firmware starts the same disk. A kernel that appears takes
/// the watchdog over.
pub(super) fn watchdog(lab: &mut Lab) -> Result<()> {
    let hanging = packages(lab, "hanging", hangs_after_kexec)?;
    let hung = another_machine(lab, "hung", DISK_MIB, "smv.stall=20")?;
    super::disks::hangs(lab, &hung)?;
    let words = "smv.after=kexec smv.watchdog=10";
    let machine = Machine {
        has_watchdog: true,
        ..machine(lab, Prefers::Disks, words)?
    };
    let mut target = lab.start(&machine)?;
    lab.deploy(&mut target, &hanging)?;
    let option = left_with_watchdog(&mut target, "seconds=10")?;
    must_start(&mut target, &option)?;
    drop(target);

    let healthy = packages(lab, "healthy", |kernel| kernel)?;
    let machine = another_machine(lab, "second", DISK_MIB, "smv.after=kexec")?;
    let machine = Machine {
        has_watchdog: true,
        ..machine
    };
    let mut target = lab.start(&machine)?;
    lab.deploy(&mut target, &healthy)?;
    left_with_watchdog(&mut target, "seconds=180")?;
    target.console.await_text(DEMO_LOGIN, LOGIN)?;
    target.console.send("root")?;
    target.console.await_text("# ", STEP)?;
    let (state, _) = target
        .console
        .shell("cat /sys/class/watchdog/watchdog0/state", STEP)?;
    if state != "inactive" {
        return Err(HarnessError::unexpected(
            "the watchdog after a good kexec",
            "inactive",
            state,
        ));
    }
    Ok(())
}

/// The demo with another kernel, newer by its name, whose list of modules says that it has the
/// watchdog's driver.
fn packages(
    lab: &Lab,
    name: &str,
    change: impl Fn(Vec<u8>) -> Vec<u8>,
) -> Result<std::path::PathBuf> {
    let kernel = std::fs::read(&lab.artifacts.kernel).doing("reading", "the kernel")?;
    let kernel = change(kernel);
    let make = |to: &Path| {
        let modules = to.join("lib/modules/99-test");
        std::fs::create_dir_all(to.join("boot"))?;
        std::fs::create_dir_all(&modules)?;
        std::fs::write(to.join("boot/vmlinuz-99-test"), &kernel)?;
        std::fs::write(
            modules.join("modules.builtin"),
            "kernel/drivers/watchdog/i6300esb.ko\n",
        )
    };
    with_files(&lab.artifacts.demo, Path::new(name), &["boot", "lib"], make)
}

/// A kernel that never gets beyond its first instructions when kexec has started it, and is as it
/// was for everybody else (`Documentation/arch/x86/boot.rst`): its 64-bit entry, 0x200 behind the
/// real-mode part, asks in the unused bytes before it which loader it was, and jumps in a circle
/// when that was kexec.
fn hangs_after_kexec(mut kernel: Vec<u8>) -> Vec<u8> {
    const CLD_CLI: [u8; 2] = [0xFC, 0xFA];
    const JUMP_BACK: [u8; 2] = [0xEB, 0xEE];
    // cmp byte [rsi + type_of_loader], kexec's; je self; what the jump has replaced; jmp behind it.
    const QUESTION: [u8; 13] = [
        0x80, 0xBE, 0x10, 0x02, 0, 0, 0xD0, 0x74, 0xFE, 0xFC, 0xFA, 0xEB, 5,
    ];
    let setup_sectors = kernel.get(0x1F1).copied().unwrap_or(0);
    let entry = (usize::from(setup_sectors) + 1) * 512 + 0x200;
    if let Some(code) = kernel.get_mut(entry - 0x10..entry + 2)
        && code.ends_with(&CLD_CLI)
        && code.starts_with(&[0; 16])
    {
        for (at, bytes) in [(0, QUESTION.as_slice()), (0x10, &JUMP_BACK)] {
            if let Some(place) = code.get_mut(at..at + bytes.len()) {
                place.copy_from_slice(bytes);
            }
        }
    }
    kernel
}

fn left_with_watchdog(target: &mut Running, seconds: &str) -> Result<String> {
    let facts = target.console.await_stage(Stage::Leaving, STEP)?;
    let option = facts
        .split_whitespace()
        .find_map(|fact| fact.strip_prefix("option="));
    let option = option.unwrap_or_default().to_owned();
    for fact in ["how=kexec", "watchdog=i6300esb", seconds] {
        if !facts.split_whitespace().any(|found| found == fact) {
            return Err(HarnessError::unexpected(
                "the way the target leaves",
                fact,
                facts,
            ));
        }
    }
    Ok(option)
}

/// Nobody is invited, and the screen names the installation.
fn must_hold(target: &mut Running) -> Result<String> {
    let (stage, facts) = target
        .console
        .await_stage_of(&[Stage::Holding, Stage::Waiting], BOOT)?;
    let name = facts
        .split_whitespace()
        .find_map(|fact| fact.strip_prefix("installation="));
    match (stage, name) {
        (Stage::Holding, Some(name)) => Ok(name.to_owned()),
        _ => {
            let found = format!("{stage}: {facts}");
            Err(HarnessError::unexpected(
                "an installed machine",
                "holding",
                found,
            ))
        }
    }
}

/// A deploy of the demo onto a disk that is not blank.
fn redeploy(lab: &mut Lab, target: &mut Running) -> Result<()> {
    let shown = await_shown(target)?;
    let order = Order::new(&shown, &lab.artifacts.demo).and(&["--yes"]);
    let mut donor = lab.donor(&order)?;
    target.console.await_stage(Stage::Installed, DEPLOY)?;
    donor.must_succeed(STEP)
}

/// The one boot option that starts our program.
fn must_have_one_option(variables: &Variables) -> Result<String> {
    let path: Vec<u8> = OURS.bytes().flat_map(|byte| [byte, 0]).collect();
    let starts_ours = |option: &[u8]| option.windows(path.len()).any(|part| part == path);
    let ours: Vec<&str> = variables
        .options()
        .filter(|(_, option)| starts_ours(option))
        .map(|(name, _)| name)
        .collect();
    match ours.as_slice() {
        [name] => Ok((*name).to_owned()),
        _ => Err(HarnessError::unexpected(
            "our boot options",
            "one",
            format!("{ours:?}"),
        )),
    }
}

/// The boot option that the target says it has made.
fn left_with_option(target: &mut Running) -> Result<String> {
    let facts = target.console.await_stage(Stage::Leaving, STEP)?;
    let option = facts
        .split_whitespace()
        .find_map(|fact| fact.strip_prefix("option="));
    let option = option.map(str::to_owned);
    option
        .ok_or_else(|| HarnessError::unexpected("the way the target leaves", "option=Boot…", facts))
}

/// The firmware says that it starts `option`, and the system comes up.
fn must_start(target: &mut Running, option: &str) -> Result<()> {
    target
        .console
        .await_text(&format!("starting {option} "), BOOT)?;
    target.console.await_text(DEMO_LOGIN, LOGIN).map(drop)
}

/// `option` is new and first; everything else is where it was.
fn must_have_in_front(before: &Variables, after: &Variables, option: &str) -> Result<()> {
    let mut order = after.order();
    let first = (!order.is_empty()).then(|| order.remove(0));
    let mut options: BTreeMap<_, _> = after.options().collect();
    let is_new = options.remove(option).is_some();
    let others: BTreeMap<_, _> = before.options().collect();
    if first.as_deref() == Some(option)
        && is_new
        && order == before.order()
        && !others.is_empty()
        && options == others
    {
        return Ok(());
    }
    let expected = format!(
        "{option} in front of {:?}, nothing else changed",
        before.order()
    );
    Err(HarnessError::unexpected(
        "the boot variables",
        expected,
        format!("{after:?}"),
    ))
}
