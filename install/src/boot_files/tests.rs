mod hostile_names;

use super::images::{FIRST_STAGE, GRUB_BOOT, GRUB_CORE, GRUB_EFI, MOK_MANAGER};
use super::{BootFiles, BootFilesError, pretty_name, put};
use crate::options::Firmware;
use bundle::directory::Directory;
use disk::boot_order::load_option::Program;
use disk::disk::SectorSize;
use disk::entry::BootEntry;
use disk::esp::{self, EspError};
use disk::fakes::grub_images;
use disk::fakes::memory_disk::MemoryDisk;
use disk::layout::{Layout, Role, plan};
use std::fs;
use std::os::fd::AsFd;
use std::path::Path;
use tempfile::TempDir;
use uuid::Uuid;
use wire::outcome::Outcome;

fn layout(sector: SectorSize) -> Layout {
    let mut next = 0;
    plan(2 << 30, sector, disk::sizes::Sizes::USUAL, &mut || {
        next += 1;
        Uuid::from_u128(next)
    })
    .unwrap()
}

fn write(path: &Path, content: &[u8]) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, content).unwrap();
}

/// A root of these files, and the empty ESP of a disk.
struct Trees {
    root: fs::File,
    disk: MemoryDisk,
    layout: Layout,
    dir: TempDir,
}

impl Trees {
    fn new(files: &[(&str, &[u8])], sector: SectorSize) -> Self {
        let dir = TempDir::new().unwrap();
        let path = dir.path().join("root");
        fs::create_dir(&path).unwrap();
        for (name, content) in files {
            write(&path.join(name), content);
        }
        let layout = layout(sector);
        let mut disk = MemoryDisk::new(layout.disk_bytes(), sector);
        esp::format(&mut disk, &layout).unwrap();
        Self {
            root: fs::File::open(path).unwrap(),
            disk,
            layout,
            dir,
        }
    }

    fn put(&mut self) -> Result<BootFiles, BootFilesError> {
        self.put_for(None)
    }

    fn put_for(&mut self, firmware: Option<Firmware>) -> Result<BootFiles, BootFilesError> {
        let root = Directory::new(self.root.as_fd(), "in the root");
        let layout = &self.layout;
        esp::with(&mut self.disk, layout, |esp| {
            put(root, esp, layout, firmware)
        })
    }

    fn read(&mut self, path: &str) -> Result<String, EspError> {
        let mut content = Vec::new();
        esp::with(&mut self.disk, &self.layout, |esp| {
            esp.read(path, &mut content)
        })?;
        Ok(String::from_utf8(content).unwrap())
    }
}

#[test]
fn the_esp_gets_everything_that_both_firmwares_look_for() {
    let (boot, core) = (grub_images::boot_img(), grub_images::core_img(50_000));
    let files: [(&str, &[u8]); 7] = [
        ("boot/vmlinuz-6.1", b"kernel"),
        ("boot/initrd.img-6.1", b"initrd"),
        (GRUB_EFI, b"efi"),
        (GRUB_BOOT, &boot),
        (GRUB_CORE, &core),
        ("etc/kernel/cmdline", b"console=ttyS0 quiet\n"),
        ("etc/os-release", b"ID=x\nPRETTY_NAME=\"Some System 1\"\n"),
    ];
    for sector in [SectorSize::B512, SectorSize::B4096] {
        let mut trees = Trees::new(&files, sector);
        let made = trees.put().unwrap();
        for (name, content) in [
            ("smechvisor/vmlinuz", "kernel"),
            ("smechvisor/initrd", "initrd"),
            ("EFI/BOOT/BOOTX64.EFI", "efi"),
            ("EFI/smechvisor/grubx64.efi", "efi"),
            ("loader/loader.conf", "default smechvisor.conf\ntimeout 3\n"),
        ] {
            assert_eq!(trees.read(name).unwrap(), content, "{name}");
        }
        let entry = trees.read("loader/entries/smechvisor.conf").unwrap();
        let made_entry = made.entry.unwrap();
        assert_eq!(BootEntry::parse(&entry).unwrap(), made_entry);
        assert_eq!(made.title, "Some System 1");
        let guid = trees.layout.partition(Role::Root).unwrap().guid;
        assert_eq!(
            made_entry.options,
            format!("root=PARTUUID={guid} rw console=ttyS0 quiet")
        );
        let menu = trees.read("EFI/smechvisor/grub.cfg").unwrap();
        assert!(
            menu.contains("linux '/smechvisor/vmlinuz' 'root=PARTUUID="),
            "{menu}"
        );
        // No BIOS boots a 4Kn disk.
        assert_eq!(made.bios.is_some(), sector == SectorSize::B512);
    }
}

#[test]
fn what_is_missing_is_named() {
    let boot = grub_images::boot_img();
    let files: [(&str, &[u8]); 2] = [(GRUB_BOOT, &boot), (GRUB_EFI, b"efi")];
    let mut trees = Trees::new(&files, SectorSize::B512);
    let error = trees.put().unwrap_err();
    assert_eq!(
        error.to_string(),
        "the packages lack a kernel (boot/vmlinuz-*) and usr/lib/smechvisor/grub/core.img"
    );
    assert_eq!(error.outcome(), Outcome::Refuse);
    trees.read("EFI/BOOT/BOOTX64.EFI").unwrap_err();
}

#[test]
fn grub_for_one_firmware_is_enough_for_a_disk_that_it_starts() {
    let (boot, core) = (grub_images::boot_img(), grub_images::core_img(50_000));
    let kernel: (&str, &[u8]) = ("boot/vmlinuz-6.1", b"kernel");
    let uefi = [kernel, (GRUB_EFI, b"efi")];
    let bios = [kernel, (GRUB_BOOT, &boot), (GRUB_CORE, &core)];
    for known in [None, Some(Firmware::Uefi)] {
        let mut trees = Trees::new(&uefi, SectorSize::B512);
        let made = trees.put_for(known).unwrap();
        assert_eq!((made.only, made.bios), (Some(Firmware::Uefi), None));
        assert_eq!(trees.read("EFI/BOOT/BOOTX64.EFI").unwrap(), "efi");
    }
    for known in [None, Some(Firmware::Bios)] {
        let mut trees = Trees::new(&bios, SectorSize::B512);
        let made = trees.put_for(known).unwrap();
        assert_eq!(made.only, Some(Firmware::Bios));
        assert!(made.bios.is_some());
        assert!(
            trees
                .read("EFI/smechvisor/grub.cfg")
                .unwrap()
                .contains("linux")
        );
        trees.read("EFI/BOOT/BOOTX64.EFI").unwrap_err();
    }
    let refused = |files: &[(&str, &[u8])], sector, known| {
        let mut trees = Trees::new(files, sector);
        let error = trees.put_for(known).unwrap_err();
        assert_eq!(error.outcome(), Outcome::Refuse);
        trees.read("smechvisor/vmlinuz").unwrap_err();
        error.to_string()
    };
    assert_eq!(
        refused(&uefi, SectorSize::B512, Some(Firmware::Bios)),
        "the packages have GRUB for UEFI only, and this disk is started by a BIOS: \
         they lack usr/lib/smechvisor/grub/core.img"
    );
    for (sector, known) in [
        (SectorSize::B512, Some(Firmware::Uefi)),
        (SectorSize::B4096, None),
    ] {
        let text = refused(&bios, sector, known);
        assert!(
            text.contains("a BIOS only") && text.ends_with(GRUB_EFI),
            "{text}"
        );
    }
}

#[test]
fn a_modular_kernel_without_its_ramdisk_is_refused() {
    let (boot, core) = (grub_images::boot_img(), grub_images::core_img(50_000));
    let mut files: Vec<(&str, &[u8])> = vec![
        ("boot/vmlinuz-6.1", b"kernel"),
        ("lib/modules/6.1/modules.dep", b"kernel/fs/ext4/ext4.ko:"),
        (GRUB_EFI, b"efi"),
        (GRUB_BOOT, &boot),
        (GRUB_CORE, &core),
    ];
    let mut trees = Trees::new(&files, SectorSize::B512);
    let error = trees.put().unwrap_err();
    let text = error.to_string();
    assert!(
        text.contains("boot/vmlinuz-6.1 has ext4") && text.contains("boot/initrd.img-6.1,"),
        "{text}"
    );
    assert_eq!(error.outcome(), Outcome::Refuse);
    trees.read("smechvisor/vmlinuz").unwrap_err();
    files.push(("boot/initrd-6.1", b"ramdisk"));
    let mut trees = Trees::new(&files, SectorSize::B512);
    trees.put().unwrap();
    assert_eq!(trees.read("smechvisor/initrd").unwrap(), "ramdisk");
}

#[test]
fn options_that_begin_a_new_line_refuse_the_package() {
    let (boot, core) = (grub_images::boot_img(), grub_images::core_img(50_000));
    let files: [(&str, &[u8]); 5] = [
        ("boot/vmlinuz-6.1", b"kernel"),
        (GRUB_EFI, b"efi"),
        (GRUB_BOOT, &boot),
        (GRUB_CORE, &core),
        ("etc/kernel/cmdline", b"quiet\nlinux /evil\n"),
    ];
    let error = Trees::new(&files, SectorSize::B512).put().unwrap_err();
    assert!(matches!(error, BootFilesError::Entry(_)), "{error}");
}

#[test]
fn boot_files_larger_than_the_esp_are_refused_before_anything_is_copied() {
    let (boot, core) = (grub_images::boot_img(), grub_images::core_img(50_000));
    let files: [(&str, &[u8]); 4] = [
        ("boot/vmlinuz-6.1", b"kernel"),
        (GRUB_EFI, b"efi"),
        (GRUB_BOOT, &boot),
        (GRUB_CORE, &core),
    ];
    let mut trees = Trees::new(&files, SectorSize::B512);
    let kernel = trees.dir.path().join("root/boot/vmlinuz-6.1");
    let sparse = fs::File::options().write(true).open(kernel).unwrap();
    sparse.set_len(600 << 20).unwrap();
    let error = trees.put().unwrap_err();
    assert!(matches!(error, BootFilesError::Room { .. }), "{error}");
    assert_eq!(error.outcome(), Outcome::Refuse);
    trees.read("smechvisor/vmlinuz").unwrap_err();
}

#[test]
fn a_title_is_taken_only_as_it_is() {
    assert_eq!(
        pretty_name("PRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"").unwrap(),
        "Debian GNU/Linux 12 (bookworm)"
    );
    assert_eq!(pretty_name("PRETTY_NAME=\" x \"").unwrap(), "x");
    for bad in [
        "NAME=x",
        "PRETTY_NAME=",
        "PRETTY_NAME=\" \"",
        "PRETTY_NAME=\"a'b\"",
        "PRETTY_NAME=ä",
        "PRETTY_NAME=$(x)",
    ] {
        assert_eq!(pretty_name(bad), None, "{bad}");
    }
}

/// A program of which only the headers are there, with a certificate table.
fn signed() -> Vec<u8> {
    let mut program = vec![0; 512];
    program[0x3C] = 64;
    program[64..68].copy_from_slice(b"PE\0\0");
    program[88..90].copy_from_slice(&[0x0B, 0x02]);
    program[196] = 16;
    program[236] = 1;
    program
}

#[test]
fn a_signed_first_stage_stands_beside_grub_and_is_what_firmware_starts() {
    let first = signed();
    let files: [(&str, &[u8]); 4] = [
        ("boot/vmlinuz-6.1", b"kernel"),
        (GRUB_EFI, b"grub"),
        (FIRST_STAGE, &first),
        (MOK_MANAGER, b"keys"),
    ];
    for firmware in [None, Some(Firmware::Uefi), Some(Firmware::SecureUefi)] {
        let mut trees = Trees::new(&files, SectorSize::B512);
        let made = trees.put_for(firmware).unwrap();
        assert_eq!(made.program, Program::FirstStage);
        let entry = Program::FirstStage.path().replace('\\', "/");
        for path in [entry.trim_start_matches('/'), "EFI/BOOT/BOOTX64.EFI"] {
            assert_eq!(trees.read(path).unwrap().as_bytes(), first, "{path}");
        }
        for directory in ["EFI/BOOT", "EFI/smechvisor"] {
            for (name, content) in [("grubx64.efi", "grub"), ("mmx64.efi", "keys")] {
                assert_eq!(trees.read(&format!("{directory}/{name}")).unwrap(), content);
            }
        }
        let menu = trees.read("EFI/smechvisor/grub.cfg").unwrap();
        assert_eq!(trees.read("EFI/debian/grub.cfg").unwrap(), menu);
    }
    for lacking in [GRUB_EFI, MOK_MANAGER] {
        let files = files.iter().filter(|(path, _)| *path != lacking);
        let files: Vec<_> = files.copied().collect();
        let error = Trees::new(&files, SectorSize::B512).put().unwrap_err();
        assert!(error.to_string().contains(lacking), "{error}");
    }
}

#[test]
fn secure_boot_takes_only_what_is_signed() {
    let (boot, core) = (grub_images::boot_img(), grub_images::core_img(50_000));
    let signed = signed();
    let kernel: (&str, &[u8]) = ("boot/vmlinuz-6.1", b"kernel");
    let put = |files: &[(&str, &[u8])], firmware| {
        let files = [&[kernel], files].concat();
        Trees::new(&files, SectorSize::B512).put_for(Some(firmware))
    };
    let bios: [(&str, &[u8]); 2] = [(GRUB_BOOT, &boot), (GRUB_CORE, &core)];
    let plain: [(&str, &[u8]); 1] = [(GRUB_EFI, b"grub")];
    // By its owner's own key.
    let own: [(&str, &[u8]); 1] = [(GRUB_EFI, &signed)];
    assert_eq!(
        put(&own, Firmware::SecureUefi).unwrap().program,
        Program::Grub
    );
    put(&plain, Firmware::Uefi).unwrap();
    for files in [&plain[..], &[plain[0], bios[0], bios[1]]] {
        let error = put(files, Firmware::SecureUefi).unwrap_err();
        assert!(error.to_string().contains("--secure-boot"), "{error}");
        assert_eq!(error.outcome(), Outcome::Refuse);
    }
    let error = put(&bios, Firmware::SecureUefi).unwrap_err();
    assert!(
        matches!(error, BootFilesError::OtherFirmware { .. }),
        "{error}"
    );
}
