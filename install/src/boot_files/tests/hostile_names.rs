//! Names that are one name to FAT, and links where boot files are looked for: what reaches the EFI
//! System Partition.
//!
//! FAT knows no case, makes up short names (`VMLINU~1`) and takes no `:`. No name of a package gets
//! there: the paths on the ESP are constants, their contents come from a kernel and from GRUB's
//! images found in the root. So names that collide are not refused (Linux's own headers have some),
//! and the ESP looks the same whatever stands around.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Read;
use std::os::fd::AsFd;
use std::sync::atomic::AtomicU64;

use bundle::directory::Directory;
use bundle::fakes::archive::{Head, dir, file, hard_link, symlink, tar};
use bundle::unpack::{UnpackLimits, unpack};
use disk::disk::SectorSize;
use disk::esp;
use disk::fakes::grub_images;
use disk::fakes::memory_disk::MemoryDisk;
use disk::layout::{Layout, Role, plan};
use tempfile::TempDir;
use uuid::Uuid;

use crate::boot_files::{self, BootFilesError};

const KERNEL: &[u8] = b"the kernel";
const GRUB: &str = "usr/lib/smechvisor/grub/";

fn holding(path: &str, content: &[u8]) -> Vec<u8> {
    Head::new(b'0', path).with(content)
}

/// The files that every system needs to boot.
fn honest() -> Vec<u8> {
    [
        holding("boot/vmlinuz-6.1", KERNEL),
        holding(&format!("{GRUB}grubx64.efi"), b"the loader"),
        holding(&format!("{GRUB}boot.img"), &grub_images::boot_img()),
        holding(&format!("{GRUB}core.img"), &grub_images::core_img(50_000)),
    ]
    .concat()
}

/// Every file of an ESP with its contents, by path.
type Files = BTreeMap<String, Vec<u8>>;

/// Unpacks the packages below a directory with a canary beside it, and fills an ESP from them.
fn filled(packages: &[Vec<u8>]) -> Result<Files, BootFilesError> {
    let dir = TempDir::new().unwrap();
    for name in ["root", "outside"] {
        fs::create_dir(dir.path().join(name)).unwrap();
    }
    fs::write(dir.path().join("outside/canary"), "alive").unwrap();
    let root = File::open(dir.path().join("root")).unwrap();
    let limits = UnpackLimits::for_memory(16 << 20);
    for package in packages {
        unpack(&package[..], root.as_fd(), &limits, &AtomicU64::new(0)).unwrap();
    }
    let mut next = 0;
    let layout = plan(
        2 << 30,
        SectorSize::B512,
        disk::sizes::Sizes::USUAL,
        &mut || {
            next += 1;
            Uuid::from_u128(next)
        },
    )
    .unwrap();
    let mut disk = MemoryDisk::new(layout.disk_bytes(), SectorSize::B512);
    esp::format(&mut disk, &layout).unwrap();
    let root = Directory::new(root.as_fd(), "in the root");
    let put = esp::with(&mut disk, &layout, |esp| {
        boot_files::put(root, esp, &layout, None)
    });
    let canary = fs::read_to_string(dir.path().join("outside/canary"));
    assert_eq!(canary.unwrap(), "alive");
    put.map(|_| files(&disk, &layout))
}

/// Read by the library, not by our own code.
fn files(disk: &MemoryDisk, layout: &Layout) -> Files {
    let dir = TempDir::new().unwrap();
    let image = dir.path().join("image");
    let partition = layout.partition(Role::Esp).unwrap();
    disk.save_part(
        &image,
        layout.offset_bytes(partition),
        layout.len_bytes(partition),
    );
    let image = File::options().read(true).write(true).open(&image).unwrap();
    let volume = fatfs::FileSystem::new(image, fatfs::FsOptions::new()).unwrap();
    let mut files = Files::new();
    let mut directories = vec![(String::new(), volume.root_dir())];
    while let Some((path, directory)) = directories.pop() {
        for entry in directory.iter().map(Result::unwrap) {
            let name = entry.file_name();
            if name == "." || name == ".." {
                continue;
            }
            let path = format!("{path}/{name}");
            if entry.is_dir() {
                directories.push((path, entry.to_dir()));
            } else {
                let mut content = Vec::new();
                entry.to_file().read_to_end(&mut content).unwrap();
                files.insert(path, content);
            }
        }
    }
    files
}

/// Packages around the honest one, before and behind; the ESP must not show them.
fn around() -> Vec<(&'static str, Vec<Vec<u8>>)> {
    let behind = |parts: &[Vec<u8>]| vec![tar(&[honest()]), tar(parts)];
    vec![
        (
            "a kernel in capitals",
            behind(&[file("boot/VMLINUZ-6.1"), file("boot/VMLINUZ-9.9")]),
        ),
        (
            "a kernel by its short name",
            behind(&[file("boot/VMLINU~1.1"), file("boot/vmlinu~1.1")]),
        ),
        (
            "a boot directory in capitals",
            behind(&[file("BOOT/vmlinuz-9.9"), file("Boot/vmlinuz-9.8")]),
        ),
        (
            "boot loaders in three spellings",
            behind(&[
                file("EFI/BOOT/BOOTX64.EFI"),
                file("efi/boot/bootx64.efi"),
                file("Efi/Boot/BOOTX6~1.EFI"),
            ]),
        ),
        (
            "a boot loader where the ESP is mounted",
            behind(&[
                file("boot/efi/EFI/BOOT/BOOTX64.EFI"),
                file("boot/efi/efi/boot/bootx64.EFI"),
                file("boot/efi/loader/entries/SMECHV~1.CON"),
            ]),
        ),
        (
            "GRUB's images in capitals",
            behind(&[
                file("usr/lib/smechvisor/GRUB/GRUBX64.EFI"),
                file("usr/lib/smechvisor/grub/GRUBX64.EFI"),
            ]),
        ),
        (
            "GRUB's images by their short names",
            behind(&[
                file("usr/lib/SMECHV~1/grub/grubx64.efi"),
                file("usr/lib/smechvisor/grub/GRUBX6~1.EFI"),
            ]),
        ),
        (
            "a menu beside ours",
            behind(&[
                file("EFI/smechvisor/grub.cfg"),
                file("smechvisor/GRUB.CFG"),
                file("boot/grub/grub.cfg"),
            ]),
        ),
        (
            "names that FAT cannot hold",
            behind(&[
                file("boot/con"),
                file("boot/nul.efi"),
                file("boot/a:b"),
                file("boot/a."),
                file("boot/a "),
                file("boot/\"a*?<>|"),
            ]),
        ),
        (
            "a kernel with a trailing dot",
            behind(&[dir("boot/vmlinuz-6.2."), file("boot/vmlinuz")]),
        ),
        (
            "files that are no kernels",
            behind(&[
                dir("boot/vmlinuz-9.1"),
                Head::new(b'6', "boot/vmlinuz-9.2").bytes(),
                symlink("boot/vmlinuz-9.3", "../../outside/canary"),
                symlink("boot/vmlinuz-9.4", "/etc/passwd"),
                symlink("boot/vmlinuz-9.5", "vmlinuz-9.5"),
                symlink("boot/vmlinuz-9.6", "/proc/self/exe"),
                symlink("boot/vmlinuz-9.7", "../../canary"),
            ]),
        ),
        (
            "files that are no initial ramdisks",
            behind(&[
                symlink("boot/initrd.img-6.1", "../../outside/canary"),
                Head::new(b'6', "boot/initramfs-6.1.img").bytes(),
            ]),
        ),
        (
            "a kernel by another name of its directory",
            vec![
                tar(&[dir("usr/boot"), symlink("boot", "usr/boot")]),
                tar(&[honest()]),
            ],
        ),
        (
            "a boot directory that leads out, replaced by none",
            vec![
                tar(&[symlink("boot", "../outside"), dir("outside")]),
                tar(&[honest()]),
            ],
        ),
        (
            "a second name of the kernel",
            behind(&[hard_link("boot/vmlinuz-6.1.old", "boot/vmlinuz-6.1")]),
        ),
    ]
}

#[test]
fn names_that_collide_on_fat_change_nothing_there() {
    let expected = filled(&[tar(&[honest()])]).unwrap();
    let paths: Vec<_> = expected.keys().map(String::as_str).collect();
    assert_eq!(
        paths,
        [
            "/EFI/BOOT/BOOTX64.EFI",
            "/EFI/smechvisor/grub.cfg",
            "/EFI/smechvisor/grubx64.efi",
            "/loader/entries/smechvisor.conf",
            "/loader/loader.conf",
            "/smechvisor/vmlinuz",
        ]
    );
    assert_eq!(expected["/smechvisor/vmlinuz"], KERNEL);
    for (what, packages) in around() {
        let found = filled(&packages).unwrap_or_else(|error| panic!("{what}: {error}"));
        assert_eq!(found, expected, "{what}");
    }
}

#[test]
fn nothing_outside_the_root_is_taken_for_a_boot_file() {
    // Where the honest packages are not: the only kernel and the only images lead out.
    let out = "../../../../outside/canary";
    for (what, parts) in [
        (
            "a kernel that leads out",
            vec![symlink("boot/vmlinuz-6.1", "../../outside/canary")],
        ),
        (
            "a boot directory that leads out",
            vec![symlink("boot", "../outside")],
        ),
        (
            "a loader that leads out",
            vec![
                file("boot/vmlinuz-6.1"),
                symlink(format!("{GRUB}grubx64.efi"), out),
            ],
        ),
        (
            "a loader that is the machine's own",
            vec![
                file("boot/vmlinuz-6.1"),
                symlink(format!("{GRUB}grubx64.efi"), "/proc/self/exe"),
            ],
        ),
    ] {
        let error = filled(&[tar(&parts)]).expect_err(what);
        assert!(
            matches!(error, BootFilesError::Missing { .. }),
            "{what}: {error}"
        );
    }
    assert!(fs::symlink_metadata("/smv-escape").is_err());
}
