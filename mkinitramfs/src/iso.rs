//! A shim in, one hybrid image out for CD and USB stick, which BIOS and UEFI both start
//! (`boot-iso.md`).
//!
//! GRUB, xorriso and mtools make the parts. The same versions of those make the same bytes of the
//! same shim.

use std::fmt::Write;
use std::path::Path;

use pack::grub_image::{ImageError, Parts, Platform, Recipe};
use sha2::{Digest, Sha256};

use wire::names::SHIM_LABEL;

use crate::menu;
use crate::output::OutputError;
use crate::scratch::Scratch;
use crate::shim::Shim;
use crate::tool::{EPOCH_SECONDS, Tool, ToolError};

/// Name and serial number of the FAT volume; nothing depends on them.
const ESP_LABEL: &str = "SMV_ESP";
const ESP_SERIAL: &str = "534D5631";
const ESP_TYPE: &str = "C12A7328-F81F-11D2-BA4B-00A0C93EC93B";
/// Free space on the FAT volume, for files that a person adds.
const ESP_SPARE_BYTES: usize = 512 * 1024;
const MIB: usize = 1024 * 1024;

/// Modules that find the kernel, besides those of the menu.
const FINDER_MODULES: &str = "iso9660 fat part_gpt part_msdos search search_fs_file";
/// The BIOS's own disk calls.
const BIOS_MODULES: &str = "biosdisk";

/// The image cannot be made.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)] // the fields name themselves
pub enum IsoError {
    /// An image of GRUB.
    #[error("making GRUB's image")]
    Grub(#[from] ImageError),
    /// The FAT volume or the image.
    #[error("making {what}")]
    Tool {
        /// Kernel or initramfs.
        what: &'static str,
        source: ToolError,
    },
    /// A file on the way.
    #[error(transparent)]
    Output(#[from] OutputError),
}

/// Makes the image; the menu waits so many seconds, or is not shown at all. Its parts are made next
/// to `output`.
///
/// # Errors
/// See [`IsoError`].
pub fn image(shim: &Shim, timeout_seconds: u32, output: &Path) -> Result<Vec<u8>, IsoError> {
    let scratch = Scratch::beside(output)?;
    // The name of its directory is what GRUB looks for: it never starts the kernel of another
    // stick.
    let directory = format!("boot/{}", name_of(shim));
    let kernel = format!("/{directory}/vmlinuz");
    let initramfs = format!("/{directory}/initramfs");
    let finder = menu::finder(&kernel);
    let grub = Parts::default();
    let image = |platform, modules| {
        let recipe = Recipe {
            platform,
            modules: &[menu::MODULES, FINDER_MODULES, modules],
            prefix: menu::DIRECTORY,
            config: &finder,
        };
        grub.image(&recipe)
    };
    let bios = image(Platform::BiosCd, BIOS_MODULES)?;
    let efi = image(Platform::Efi, menu::EFI_MODULES)?;
    let esp = esp(&scratch, &efi)?;
    let menu = menu::menu(shim, &kernel, &initramfs, timeout_seconds);
    let files = [
        (kernel.as_str(), scratch.write("vmlinuz", shim.kernel())?),
        (&initramfs, scratch.write("initramfs", shim.initramfs())?),
        (menu::MENU, scratch.write("menu", menu.as_bytes())?),
        (BIOS_IMAGE, scratch.write("bios", &bios)?),
    ];
    let boot_sector = grub.path(Platform::BiosCd, "boot_hybrid.img")?;
    let mut xorriso = Tool::new("xorriso", "xorriso")
        .args(["-as", "mkisofs", "-quiet", "-V", SHIM_LABEL])
        // Rock Ridge with nothing of the files' owners and modes; and nothing of their times.
        .args(["-r", "--set_all_file_dates", &format!("={EPOCH_SECONDS}")])
        // The padding is for drives that read ahead of the end of a CD; there the FAT volume is.
        .arg("-no-pad");
    // A stick under a BIOS: GRUB's boot sector, which records where GRUB's image is. Some firmware
    // wants an active partition.
    xorriso = xorriso
        .arg("--grub2-mbr")
        .arg(boot_sector)
        .arg("--mbr-force-bootable");
    // A stick under UEFI: a GPT with an EFI system partition.
    xorriso = xorriso
        .args(["-append_partition", &menu::ESP_NUMBER.to_string(), ESP_TYPE])
        .arg(esp)
        .arg("-appended_part_as_gpt");
    // A CD under a BIOS (El Torito without emulation; the load size is that of cdboot.img), and
    // under UEFI.
    xorriso = xorriso
        .args(["-c", "boot/grub/boot.cat", "-b", BIOS_IMAGE])
        .args(["-no-emul-boot", "-boot-load-size", "4", "-boot-info-table"])
        .args(["--grub2-boot-info", "-eltorito-alt-boot", "-e"])
        .arg(format!(
            "--interval:appended_partition_{}:all::",
            menu::ESP_NUMBER
        ))
        .arg("-no-emul-boot")
        .arg("-o")
        .arg(scratch.file("iso"))
        .arg("-graft-points");
    for (place, file) in files {
        let place = place.trim_start_matches('/');
        let mut graft = std::ffi::OsString::from(format!("{place}="));
        graft.push(file);
        xorriso = xorriso.arg(graft);
    }
    let what = "the image";
    xorriso
        .run()
        .map_err(|source| IsoError::Tool { what, source })?;
    Ok(scratch.read("iso")?)
}

/// Where El Torito's catalogue finds GRUB for a BIOS.
const BIOS_IMAGE: &str = "boot/grub/bios.img";

/// Sixteen digits that are the same for the same parts only.
fn name_of(shim: &Shim) -> String {
    let mut hash = Sha256::new();
    for part in [shim.kernel(), shim.initramfs(), shim.cmdline().as_bytes()] {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    let mut name = String::new();
    for byte in hash.finalize().iter().take(8) {
        // Writing to a text cannot fail.
        let _ = write!(name, "{byte:02x}");
    }
    name
}

/// The FAT volume with GRUB for UEFI and what a stick remembers; returns its path.
fn esp(scratch: &Scratch, efi: &[u8]) -> Result<std::path::PathBuf, IsoError> {
    let len = (efi.len() + ESP_SPARE_BYTES).next_multiple_of(MIB);
    let volume = scratch.write("esp", &vec![0; len])?;
    let grub = scratch.write("grub.efi", efi)?;
    let env_block = scratch.write("grubenv", &menu::empty_env_block())?;
    let mtool = |program| Tool::new(program, "mtools").arg("-i").arg(&volume);
    let steps = [
        mtool("mformat").args(["-N", ESP_SERIAL, "-v", ESP_LABEL, "::"]),
        mtool("mmd").args(["::/EFI", "::/EFI/BOOT", "::/smechvisor"]),
        mtool("mcopy").arg(grub).arg("::/EFI/BOOT/BOOTX64.EFI"),
        mtool("mcopy")
            .arg(env_block)
            .arg(format!("::/{}", menu::ENV_BLOCK)),
    ];
    let what = "the EFI system partition";
    for step in steps {
        step.run()
            .map_err(|source| IsoError::Tool { what, source })?;
    }
    Ok(volume)
}

#[cfg(test)]
mod tests {
    use super::{SHIM_LABEL, image};
    use crate::shim::{Shim, tests::kernel};
    use std::time::Duration;

    fn shim(cmdline: &str) -> Shim {
        Shim::new(kernel(), b"070701 and so on".to_vec(), cmdline).unwrap()
    }

    fn iso(name: &str, cmdline: &str) -> Vec<u8> {
        let output =
            std::env::temp_dir().join(format!("mkinitramfs-{name}-{}", std::process::id()));
        image(&shim(cmdline), 5, &output).unwrap()
    }

    #[test]
    fn the_same_shim_gives_the_same_bytes_later_and_elsewhere() {
        let one = iso("one", "quiet");
        // FAT counts in steps of two seconds, ISO 9660 in seconds.
        std::thread::sleep(Duration::from_millis(2100));
        assert!(one == iso("two", "quiet"), "the second image differs");
        assert!(one != iso("three", "loud"), "another command line shows");
    }

    #[test]
    fn the_image_is_a_cd_and_a_disk_for_both_kinds_of_firmware() {
        let iso = iso("layout", "");
        // ECMA-119 8.4: the primary volume descriptor in sector 16, the label at 40.
        let descriptor = &iso[16 * 2048..][..2048];
        assert_eq!(&descriptor[..6], b"\x01CD001");
        assert_eq!(descriptor[40..72].trim_ascii_end(), SHIM_LABEL.as_bytes());
        // El Torito 2.0: the boot record in sector 17 leads to a catalogue with an entry for a BIOS
        // (0) and one for EFI (0xEF).
        let record = &iso[17 * 2048..][..2048];
        assert_eq!(&record[7..30], b"EL TORITO SPECIFICATION");
        let catalogue = u32::from_le_bytes(record[0x47..0x4B].try_into().unwrap()) as usize * 2048;
        assert_eq!(iso[catalogue + 1], 0, "platform of the first entry");
        assert_eq!(iso[catalogue + 32], 0x88, "the first entry boots");
        assert_eq!(iso[catalogue + 64 + 1], 0xEF, "platform of the second");
        assert_eq!(iso[catalogue + 96], 0x88, "the second entry boots");
        // UEFI 2.10 5.2.3 and 5.3.2, and a boot sector for a BIOS.
        assert_eq!(&iso[510..512], b"\x55\xAA");
        assert_eq!(iso[446 + 4], 0xEE, "type of the protective partition");
        assert_eq!(&iso[512..520], b"EFI PART");
        let second = &iso[1024 + 128..][..128];
        assert_eq!(&second[..4], b"\x28\x73\x2A\xC1", "an EFI system partition");
        let start = u64::from_le_bytes(second[32..40].try_into().unwrap()) as usize * 512;
        assert_eq!(&iso[start + 510..][..2], b"\x55\xAA", "a FAT volume");
        let efi =
            u32::from_le_bytes(iso[catalogue + 104..][..4].try_into().unwrap()) as usize * 2048;
        assert_eq!(efi, start, "CD and disk start the same GRUB");
    }
}
