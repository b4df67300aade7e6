//! A shim in, one hybrid image out for CD and USB stick, which BIOS and UEFI both start
//! (`boot-iso.md`).
//!
//! GRUB, xorriso and mtools make the parts. The same versions of those make the same bytes of the
//! same shim.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use pack::grub_image::{ImageError, Parts, Platform, Recipe};
use pack::secure_boot::{Chain, GRUB_NAME, MOK_MANAGER_NAME, Purpose};
use sha2::{Digest, Sha256};

use wire::names::SHIM_LABEL;

use crate::menu::{self, Entries, Reader};
use crate::output::OutputError;
use crate::scratch::Scratch;
use crate::shim::Shim;
use crate::tool::{EPOCH_SECONDS, Tool, ToolError};

/// Name and serial number of the FAT volume; nothing depends on them.
const ESP_LABEL: &str = "SMV_ESP";
const ESP_SERIAL: &str = "534D5631";
const ESP_TYPE: &str = "C12A7328-F81F-11D2-BA4B-00A0C93EC93B";
/// What firmware starts on a medium (UEFI 2.10 3.5.1.1).
const FIRST_PROGRAM: &str = "EFI/BOOT/BOOTX64.EFI";
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
    /// GRUB's boot sector.
    #[error("reading {}", path.display())]
    Read {
        path: PathBuf,
        source: std::io::Error,
    },
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

impl IsoError {
    /// Is it this machine that failed, and not what was given: no room, no tool?
    #[must_use]
    pub const fn is_of_this_machine(&self) -> bool {
        matches!(
            self,
            Self::Output(_) | Self::Tool { .. } | Self::Read { .. }
        )
    }
}

/// What starts the kernel, made or taken from another image.
#[derive(Debug)]
pub struct Loader {
    /// What a BIOS starts from a stick.
    pub boot_sector: Vec<u8>,
    /// What a BIOS starts from a CD.
    pub bios: Vec<u8>,
    /// The FAT volume from which UEFI starts.
    pub esp: Vec<u8>,
}

/// Makes the image; the menu waits so many seconds, or is not shown at all. With `chain` machines
/// with Secure Boot start it. Its parts are made next to `output`.
///
/// # Errors
/// See [`IsoError`].
pub fn image(
    shim: &Shim,
    timeout_seconds: u32,
    chain: Option<&Chain>,
    output: &Path,
) -> Result<Vec<u8>, IsoError> {
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
    let (programs, reader) = match chain {
        Some(chain) => (signed_programs(chain, &finder), Reader::Signed),
        None => {
            let efi = image(Platform::Efi, menu::EFI_MODULES)?;
            (vec![(FIRST_PROGRAM.to_owned(), efi)], Reader::Ours)
        }
    };
    let loader = Loader {
        boot_sector: boot_sector(&grub)?,
        bios,
        esp: esp(&scratch, &programs)?,
    };
    let entries = Entries {
        kernel,
        initramfs,
        timeout_seconds,
        reader,
    };
    compose(shim, &entries, &loader, &scratch)
}

fn boot_sector(grub: &Parts) -> Result<Vec<u8>, IsoError> {
    let path = grub.path(Platform::BiosCd, "boot_hybrid.img")?;
    std::fs::read(&path).map_err(|source| IsoError::Read { path, source })
}

/// Puts the parts together.
///
/// # Errors
/// See [`IsoError`].
pub fn compose(
    shim: &Shim,
    entries: &Entries,
    loader: &Loader,
    scratch: &Scratch,
) -> Result<Vec<u8>, IsoError> {
    let menu = menu::menu(shim.cmdline(), entries);
    let files = [
        (
            entries.kernel.as_str(),
            scratch.write("vmlinuz", shim.kernel())?,
        ),
        (
            &entries.initramfs,
            scratch.write("initramfs", shim.initramfs())?,
        ),
        (menu::MENU, scratch.write("menu", menu.as_bytes())?),
        (BIOS_IMAGE, scratch.write("bios", &loader.bios)?),
    ];
    let boot_sector = scratch.write("boot-sector", &loader.boot_sector)?;
    let esp = scratch.write("esp", &loader.esp)?;
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
pub(crate) const BIOS_IMAGE: &str = "boot/grub/bios.img";

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

/// The programs on the FAT volume that firmware with Secure Boot starts. The signed GRUB reads
/// `finder` there, unless it looks into the whole medium and finds the menu itself.
fn signed_programs(chain: &Chain, finder: &str) -> Vec<(String, Vec<u8>)> {
    let beside = |name: &str| format!("EFI/BOOT/{name}");
    let config = format!("{finder}configfile $prefix/grub.cfg\n");
    vec![
        (FIRST_PROGRAM.to_owned(), chain.first_stage.clone()),
        (beside(GRUB_NAME), chain.grub.clone()),
        (beside(MOK_MANAGER_NAME), chain.mok_manager.clone()),
        (Purpose::Medium.config().to_owned(), config.into_bytes()),
    ]
}

/// The FAT volume with the programs for UEFI and what a stick remembers.
fn esp(scratch: &Scratch, programs: &[(String, Vec<u8>)]) -> Result<Vec<u8>, IsoError> {
    let lens = programs.iter().map(|(_, bytes)| bytes.len());
    let len = (lens.sum::<usize>() + ESP_SPARE_BYTES).next_multiple_of(MIB);
    let volume = scratch.write("volume", &vec![0; len])?;
    let env_block = scratch.write("grubenv", &menu::empty_env_block())?;
    let mtool = |program| Tool::new(program, "mtools").arg("-i").arg(&volume);
    let mut directories = vec!["smechvisor"];
    for (path, _) in programs {
        let above = path.match_indices('/').filter_map(|(at, _)| path.get(..at));
        directories.extend(above);
    }
    directories.sort_unstable();
    directories.dedup();
    let directories = directories.iter().map(|path| format!("::/{path}"));
    let mut steps = vec![
        mtool("mformat").args(["-N", ESP_SERIAL, "-v", ESP_LABEL, "::"]),
        directories.fold(mtool("mmd"), |mmd, path| mmd.arg(path)),
    ];
    for (number, (path, bytes)) in programs.iter().enumerate() {
        let file = scratch.write(&format!("program-{number}"), bytes)?;
        steps.push(mtool("mcopy").arg(file).arg(format!("::/{path}")));
    }
    let env_block_path = format!("::/{}", menu::ENV_BLOCK);
    steps.push(mtool("mcopy").arg(env_block).arg(env_block_path));
    let what = "the EFI system partition";
    for step in steps {
        step.run()
            .map_err(|source| IsoError::Tool { what, source })?;
    }
    Ok(scratch.read("volume")?)
}

#[cfg(test)]
mod tests {
    use super::{Chain, SHIM_LABEL, image, name_of};
    use crate::shim::{Shim, tests::kernel};
    use crate::test_dir::TestDir;
    use std::path::Path;
    use std::process::Command;
    use std::time::Duration;

    fn shim(cmdline: &str) -> Shim {
        Shim::new(kernel(), b"070701 and so on".to_vec(), cmdline).unwrap()
    }

    fn iso(name: &str, cmdline: &str) -> Vec<u8> {
        let output =
            std::env::temp_dir().join(format!("mkinitramfs-{name}-{}", std::process::id()));
        image(&shim(cmdline), 5, None, &output).unwrap()
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

    /// What mtools reads of the volume in an ISO image.
    fn on_the_esp(iso: &Path, path: &str) -> Vec<u8> {
        let bytes = std::fs::read(iso).unwrap();
        let start = u64::from_le_bytes(bytes[1024 + 128 + 32..][..8].try_into().unwrap()) * 512;
        let volume = format!("{}@@{start}", iso.display());
        let read = Command::new("mtype")
            .args(["-i", &volume, &format!("::/{path}")])
            .output()
            .unwrap();
        assert!(read.status.success(), "{path}: {read:?}");
        read.stdout
    }

    #[test]
    fn signed_programs_stand_where_firmware_and_they_themselves_look() {
        let dir = TestDir::new("iso-signed");
        let chain = Chain {
            first_stage: b"first".to_vec(),
            grub: b"grub".to_vec(),
            mok_manager: b"keys".to_vec(),
        };
        let output = dir.path().join("iso");
        let image = image(&shim("quiet"), 5, Some(&chain), &output).unwrap();
        std::fs::write(&output, image).unwrap();
        for (path, content) in [
            ("EFI/BOOT/BOOTX64.EFI", "first"),
            ("EFI/BOOT/grubx64.efi", "grub"),
            ("EFI/BOOT/mmx64.efi", "keys"),
        ] {
            assert_eq!(on_the_esp(&output, path), content.as_bytes(), "{path}");
        }
        let config = String::from_utf8(on_the_esp(&output, "boot/grub/grub.cfg")).unwrap();
        let finds = format!("search.file /boot/{}/vmlinuz root", name_of(&shim("quiet")));
        assert!(config.contains(&finds), "{config}");
        assert!(
            config.ends_with("configfile $prefix/grub.cfg\n"),
            "{config}"
        );
    }
}
