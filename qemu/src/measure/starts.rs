//! From the kernel's first line to the first of `/sbin/init`: in a slot, by slot-init, with hash
//! tree and overlay, and from a plain ext4 that the same kernel mounts by itself. One tree of files
//! is packed both ways; its `/sbin/init` says that it runs, and switches the machine off.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use wire::ledger::Ledger;
use wire::record::{BootRecord, Slot};

use crate::actors::releases::{IMAGE, Maker, Version};
use crate::artifacts::Artifacts;
use crate::error::{Doing, Result};
use crate::lab::{BOOT, Lab, PLAIN, STEP};
use crate::machine::accel::Accel;
use crate::machine::{DiskSpec, Firmware, Machine, Medium};
use crate::media::image::Image;
use crate::media::node_disk::{GrubImages, NodeDisk, Release};
use crate::network::Dhcp;
use crate::process::run;

/// The tree, and where its init is: `/sbin` is a link.
const TREE: &str = "userland";
const INIT: &str = "usr/sbin/init";
/// File systems are left clean, as a shutdown leaves them.
const SCRIPT: &str = "#!/bin/sh
echo 'init: started'
[ -e /proc/mounts ] || mount -t proc proc /proc
umount -a -r
poweroff -f
";
/// The first line that the kernel writes at all, given `earlyprintk`.
const ENTRY: &str = "Linux version";
const STARTED: &str = "init: started";
const EXT4_MIB: u64 = 256;
/// Takes both in turn, and prints a line for each start.
pub(super) fn take(rounds: u32, artifacts: Artifacts, accel: Accel) -> Result<()> {
    let mut lab = Lab::set_up(artifacts, accel, Dhcp::On)?;
    let maker = Maker::new(&lab)?;
    let tree = Path::new(TREE);
    maker.unpack(tree)?;
    put_init(&tree.join(INIT))?;
    let (kernel, slot) = slot(&mut lab, &maker, tree)?;
    let mut kinds = [("slot", slot), ("ext4", ext4(&mut lab, kernel, tree)?)];
    // The first start makes what later ones find: identity, journal.
    for (_, machine) in &kinds {
        start(&lab, machine)?;
    }
    for round in 1..=rounds {
        for (name, machine) in &kinds {
            println!("start={name} us={}", start(&lab, machine)?.as_micros());
        }
        kinds.reverse();
        eprintln!("measure: round {round} of {rounds}");
    }
    Ok(())
}

/// In place of the link to busybox.
fn put_init(path: &Path) -> Result<()> {
    fs::remove_file(path).doing("removing", path.display())?;
    fs::write(path, SCRIPT).doing("writing", path.display())?;
    let mode = fs::Permissions::from_mode(0o755);
    fs::set_permissions(path, mode).doing("changing the mode of", path.display())
}

/// A machine that starts the tree as a slot, and its kernel.
fn slot(lab: &mut Lab, maker: &Maker, tree: &Path) -> Result<(PathBuf, Machine)> {
    let (path, image) = (Path::new("slot.img"), Path::new(IMAGE));
    let sources = [OsStr::new("--root"), tree.as_os_str()];
    maker.image(lab, &Version::healthy("v1", 1), &sources, image)?;
    let disk = NodeDisk::make(
        path,
        &GrubImages::make(&lab.artifacts.donor)?,
        &BootRecord::new(Slot::A),
        &[(Slot::A, &Release::unsigned(image)?)],
        &Ledger::default(),
        &lab.artifacts.built()?.mke2fs,
    )?;
    let (kernel, initramfs) = disk.boot_files(Slot::A)?;
    let medium = medium(kernel.clone(), initramfs, &format!("smv.slot={}", Slot::A));
    let disks = vec![DiskSpec::new(path, "SMV-slot")];
    Ok((kernel, lab.machine(Firmware::Bios, disks, medium)?))
}

/// A machine whose kernel mounts the tree by itself.
fn ext4(lab: &mut Lab, kernel: PathBuf, tree: &Path) -> Result<Machine> {
    let path = Path::new("ext4.img");
    Image::create(path, EXT4_MIB)?;
    let mut mke2fs = Command::new("mke2fs");
    mke2fs.args(["-q", "-F", "-t", "ext4", "-d"]).arg(tree);
    run(mke2fs.arg(path))?;
    let initramfs = PathBuf::from("no-files");
    fs::write(&initramfs, no_files()).doing("writing", initramfs.display())?;
    let medium = medium(kernel, initramfs, "root=/dev/vda rootfstype=ext4 rw");
    let disks = vec![DiskSpec::new(path, "SMV-ext4")];
    lab.machine(Firmware::Bios, disks, medium)
}

/// A cpio archive without a file, by Linux' `early-userspace/buffer-format.rst`: a kernel that
/// finds no `/init` in its initramfs mounts `root=`.
fn no_files() -> String {
    let name = "TRAILER!!!\0";
    // Of thirteen numbers, links and the length of the name are not 0.
    let numbers = (0..13).map(|field| match field {
        4 => 1,
        11 => name.len(),
        _ => 0,
    });
    let numbers: String = numbers.map(|number| format!("{number:08X}")).collect();
    format!("070701{numbers}{name}\0\0\0")
}

fn medium(kernel: PathBuf, initramfs: PathBuf, more: &str) -> Medium {
    let serial = "earlyprintk=serial,ttyS0,115200 console=ttyS0,115200";
    Medium::Kernel {
        kernel,
        initramfs,
        cmdline: format!("{serial} {PLAIN} panic=1 {more}"),
    }
}

/// One start; how long it took.
fn start(lab: &Lab, machine: &Machine) -> Result<Duration> {
    let mut target = lab.start(machine)?;
    target.console.await_text(ENTRY, BOOT)?;
    let began = Instant::now();
    target.console.await_text(STARTED, BOOT)?;
    let took = began.elapsed();
    target.await_power_off(STEP)?;
    Ok(took)
}

#[cfg(test)]
mod tests {
    #[test]
    fn an_archive_without_a_file_is_as_long_as_the_kernel_wants_it() {
        let archive = super::no_files();
        assert_eq!(archive.len(), 124);
        assert!(archive.ends_with("TRAILER!!!\0\0\0\0"));
        assert_eq!(&archive[94..102], "0000000B");
    }
}
