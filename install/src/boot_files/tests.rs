use super::{BootFilesError, pretty_name, put};
use crate::directory::Directory;
use crate::disk::SectorSize;
use crate::entry::BootEntry;
use crate::grub::test_images;
use crate::layout::{Layout, Role, plan};
use crate::test_dir::TestDir;
use std::fs;
use std::os::fd::AsFd;
use std::path::Path;
use uuid::Uuid;
use wire::outcome::Outcome;

fn layout(sector: SectorSize) -> Layout {
    let mut next = 0;
    plan(2 << 30, sector, &mut || {
        next += 1;
        Uuid::from_u128(next)
    })
    .unwrap()
}

fn write(path: &Path, content: &[u8]) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, content).unwrap();
}

fn with_trees(files: &[(&str, &[u8])], test: impl FnOnce(Directory<'_>, Directory<'_>, &Path)) {
    let dir = TestDir::new("boot-files");
    for name in ["root", "esp"] {
        fs::create_dir(dir.path().join(name)).unwrap();
    }
    for (path, content) in files {
        write(&dir.path().join("root").join(path), content);
    }
    let root = fs::File::open(dir.path().join("root")).unwrap();
    let esp = fs::File::open(dir.path().join("esp")).unwrap();
    let esp_path = dir.path().join("esp");
    test(
        Directory::new(root.as_fd(), "in the root"),
        Directory::new(esp.as_fd(), "on the ESP"),
        &esp_path,
    );
}

#[test]
fn the_esp_gets_everything_that_both_firmwares_look_for() {
    let (boot, core) = (test_images::boot_img(), test_images::core_img(50_000));
    let files: [(&str, &[u8]); 7] = [
        ("boot/vmlinuz-6.1", b"kernel"),
        ("boot/initrd.img-6.1", b"initrd"),
        (super::GRUB_EFI, b"efi"),
        (super::GRUB_BOOT, &boot),
        (super::GRUB_CORE, &core),
        ("etc/kernel/cmdline", b"console=ttyS0 quiet\n"),
        ("etc/os-release", b"ID=x\nPRETTY_NAME=\"Some System 1\"\n"),
    ];
    with_trees(&files, |root, esp, path| {
        let made = put(root, esp, &layout(SectorSize::B512)).unwrap();
        for (name, content) in [
            ("smechvisor/vmlinuz", "kernel"),
            ("smechvisor/initrd", "initrd"),
            ("EFI/BOOT/BOOTX64.EFI", "efi"),
            ("EFI/smechvisor/grubx64.efi", "efi"),
            ("loader/loader.conf", "default smechvisor.conf\ntimeout 3\n"),
        ] {
            assert_eq!(
                fs::read_to_string(path.join(name)).unwrap(),
                content,
                "{name}"
            );
        }
        let entry = fs::read_to_string(path.join("loader/entries/smechvisor.conf")).unwrap();
        assert_eq!(BootEntry::parse(&entry).unwrap(), made.entry);
        assert_eq!(made.entry.title, "Some System 1");
        let guid = layout(SectorSize::B512).partition(Role::Root).unwrap().guid;
        assert_eq!(
            made.entry.options,
            format!("root=PARTUUID={guid} rw console=ttyS0 quiet")
        );
        let menu = fs::read_to_string(path.join("EFI/smechvisor/grub.cfg")).unwrap();
        assert!(
            menu.contains("linux '/smechvisor/vmlinuz' 'root=PARTUUID="),
            "{menu}"
        );
        assert!(made.bios.is_some());
        let made = put(root, esp, &layout(SectorSize::B4096)).unwrap();
        assert!(made.bios.is_none(), "no BIOS boots a 4Kn disk");
    });
}

#[test]
fn what_is_missing_is_named() {
    let boot = test_images::boot_img();
    with_trees(
        &[(super::GRUB_BOOT, &boot), (super::GRUB_EFI, b"efi")],
        |root, esp, path| {
            let error = put(root, esp, &layout(SectorSize::B512)).unwrap_err();
            assert_eq!(
                error.to_string(),
                "the packages lack a kernel (boot/vmlinuz-*) and usr/lib/smechvisor/grub/core.img"
            );
            assert_eq!(error.outcome(), Outcome::Refuse);
            assert_eq!(
                fs::read_dir(path).unwrap().count(),
                0,
                "nothing half-done on the ESP"
            );
        },
    );
}

#[test]
fn options_that_begin_a_new_line_refuse_the_package() {
    let (boot, core) = (test_images::boot_img(), test_images::core_img(50_000));
    let files: [(&str, &[u8]); 5] = [
        ("boot/vmlinuz-6.1", b"kernel"),
        (super::GRUB_EFI, b"efi"),
        (super::GRUB_BOOT, &boot),
        (super::GRUB_CORE, &core),
        ("etc/kernel/cmdline", b"quiet\nlinux /evil\n"),
    ];
    with_trees(&files, |root, esp, _| {
        let error = put(root, esp, &layout(SectorSize::B512)).unwrap_err();
        assert!(matches!(error, BootFilesError::Entry(_)), "{error}");
    });
}

#[test]
fn a_title_is_taken_only_as_it_is() {
    assert_eq!(
        pretty_name("PRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"").unwrap(),
        "Debian GNU/Linux 12 (bookworm)"
    );
    for bad in [
        "NAME=x",
        "PRETTY_NAME=",
        "PRETTY_NAME=\"a'b\"",
        "PRETTY_NAME=ä",
        "PRETTY_NAME=$(x)",
    ] {
        assert_eq!(pretty_name(bad), None, "{bad}");
    }
}
