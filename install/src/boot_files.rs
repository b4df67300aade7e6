//! From an unpacked root to an ESP that boots: kernel, initial ramdisk, GRUB, its menu, and the boot entry.
//!
//! When this has returned, the ESP's content is complete; what remains for a BIOS is [`BootFiles::bios`], which the commit
//! writes outside every file system.

use std::io::Read;

use thiserror::Error;
use wire::outcome::Outcome;

use crate::directory::{Directory, DirectoryError};
use crate::disk::SectorSize;
use crate::entry::{self, BootEntry, EntryError};
use crate::grub::{BIOS_SECTOR, BiosBoot, GrubError};
use crate::kernel::{self, Kernel};
use crate::layout::{Layout, Role};
use crate::menu::{self, MenuError};

/// Where the package `bootloader-grub` puts its images in the root.
const GRUB_EFI: &str = "usr/lib/smechvisor/grub/grubx64.efi";
const GRUB_BOOT: &str = "usr/lib/smechvisor/grub/boot.img";
const GRUB_CORE: &str = "usr/lib/smechvisor/grub/core.img";
/// Options that a package wants on the kernel command line.
const OPTIONS: &str = "etc/kernel/cmdline";
/// UEFI's fallback, booted without a Boot#### variable (UEFI 2.10 3.5.1.1), and our own directory.
const EFI_COPIES: [&str; 2] = ["EFI/BOOT/BOOTX64.EFI", "EFI/smechvisor/grubx64.efi"];
const GRUB_CFG: &str = "EFI/smechvisor/grub.cfg";
const DIRECTORIES: [&str; 4] = ["EFI/BOOT", "EFI/smechvisor", "smechvisor", "loader/entries"];
/// More than any image of GRUB; read into memory.
const IMAGE_MAX: u64 = 1024 * 1024;
const TEXT_MAX: u64 = 64 * 1024;
const DEFAULT_TITLE: &str = "smechvisor";

/// The system cannot be made bootable.
#[derive(Debug, Error)]
pub enum BootFilesError {
    /// The packages brought no system that boots.
    #[error("the packages lack {}", missing.join(" and "))]
    Missing {
        /// What, with the paths where it was looked for.
        missing: Vec<&'static str>,
    },
    /// The boot entry.
    #[error("making the boot entry")]
    Entry(#[from] EntryError),
    /// GRUB's menu.
    #[error("making GRUB's menu")]
    Menu(#[from] MenuError),
    /// The images for a BIOS.
    #[error("preparing GRUB for a BIOS")]
    Grub(#[from] GrubError),
    /// A file.
    #[error("copying the boot files")]
    File(#[from] DirectoryError),
}

impl BootFilesError {
    /// Mostly the packages' fault; a file system that fails is the machine's.
    #[must_use]
    pub fn outcome(&self) -> Outcome {
        match self {
            BootFilesError::Missing { .. } => Outcome::Refuse,
            BootFilesError::Entry(error) => error.outcome(),
            BootFilesError::Menu(error) => error.outcome(),
            BootFilesError::Grub(error) => error.outcome(),
            BootFilesError::File(error) => error.outcome(),
        }
    }
}

/// What was made.
#[derive(Debug)]
pub struct BootFiles {
    /// What to boot.
    pub entry: BootEntry,
    /// For LBA 0 and the BIOS boot partition; none on a disk no BIOS can boot.
    pub bios: Option<BiosBoot>,
}

/// Fills the ESP from the root.
///
/// # Errors
/// The packages lack a kernel or GRUB, brought something unusable, or a file system failed.
pub fn put(
    root: Directory<'_>,
    esp: Directory<'_>,
    layout: &Layout,
) -> Result<BootFiles, BootFilesError> {
    let kernel = kernel::find(root)?;
    let images = (
        root.read(GRUB_EFI, IMAGE_MAX * 16)?,
        root.read(GRUB_BOOT, IMAGE_MAX)?,
        root.read(GRUB_CORE, IMAGE_MAX)?,
    );
    let (Some(kernel), (Some(efi), Some(boot), Some(core))) = (&kernel, &images) else {
        let missing = [
            ("a kernel (boot/vmlinuz-*)", kernel.is_none()),
            (GRUB_EFI, images.0.is_none()),
            (GRUB_BOOT, images.1.is_none()),
            (GRUB_CORE, images.2.is_none()),
        ];
        let missing = missing
            .into_iter()
            .filter_map(|(what, is_missing)| is_missing.then_some(what))
            .collect();
        return Err(BootFilesError::Missing { missing });
    };
    let bios = bios(boot, core, layout)?;
    let entry = entry_of(root, kernel, layout)?;
    let menu = menu::grub_cfg(&entry)?;

    for path in DIRECTORIES {
        esp.make_directories(path)?;
    }
    copy(root, &kernel.image, esp, &entry.linux)?;
    if let (Some(from), Some(to)) = (&kernel.initrd, &entry.initrd) {
        copy(root, from, esp, to)?;
    }
    for path in EFI_COPIES {
        esp.write(path, 0o644, &mut efi.as_slice())?;
    }
    esp.write(GRUB_CFG, 0o644, &mut menu.as_bytes())?;
    esp.write(
        "loader/loader.conf",
        0o644,
        &mut entry::LOADER_CONF.as_bytes(),
    )?;
    esp.write(entry::PATH, 0o644, &mut entry.to_string().as_bytes())?;
    Ok(BootFiles { entry, bios })
}

/// Checked even where it is not used: a package that boots on one disk boots on the next.
fn bios(boot: &[u8], core: &[u8], layout: &Layout) -> Result<Option<BiosBoot>, GrubError> {
    let Some(gap) = layout.partition(Role::BiosBoot) else {
        return Ok(None);
    };
    let room = layout.len_bytes(gap) / BIOS_SECTOR as u64;
    let ready = BiosBoot::new(boot, core, gap.first_lba, room)?;
    Ok((layout.sector == SectorSize::B512).then_some(ready))
}

fn entry_of(
    root: Directory<'_>,
    kernel: &Kernel,
    layout: &Layout,
) -> Result<BootEntry, BootFilesError> {
    let root_guid = layout
        .partition(Role::Root)
        .map(|partition| partition.guid)
        .unwrap_or_default();
    // Not UTF-8 becomes a character that the entry refuses.
    let text = |path| -> Result<Option<String>, DirectoryError> {
        Ok(root
            .read(path, TEXT_MAX)?
            .map(|bytes| String::from_utf8_lossy(&bytes).into_owned()))
    };
    let title = text("etc/os-release")?.and_then(|release| pretty_name(&release));
    let options = text(OPTIONS)?.unwrap_or_default();
    let title = title.as_deref().unwrap_or(DEFAULT_TITLE);
    Ok(BootEntry::new(
        title,
        root_guid,
        kernel.initrd.is_some(),
        &options,
    )?)
}

/// `PRETTY_NAME` of os-release(5), when it can stand in a menu as it is.
fn pretty_name(release: &str) -> Option<String> {
    let value = release
        .lines()
        .find_map(|line| line.strip_prefix("PRETTY_NAME="))?;
    let name = value.trim().trim_matches(['"', '\'']);
    let is_plain = |byte: u8| {
        matches!(byte, b' '..=b'~') && !matches!(byte, b'\'' | b'"' | b'\\' | b'$' | b'`')
    };
    (!name.is_empty() && name.len() <= 80 && name.bytes().all(is_plain)).then(|| name.to_owned())
}

fn copy(
    root: Directory<'_>,
    from: &str,
    esp: Directory<'_>,
    to: &str,
) -> Result<(), DirectoryError> {
    let file = root.open(from)?;
    let mut content: Box<dyn Read> = match file {
        Some(file) => Box::new(file),
        None => Box::new(std::io::empty()),
    };
    esp.write(to.trim_start_matches('/'), 0o644, &mut *content)
}

#[cfg(test)]
mod tests;
