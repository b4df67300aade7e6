//! From an unpacked root to an ESP that boots: kernel, initial ramdisk, GRUB, its menu, and the
//! boot entry.
//!
//! When this has returned, the ESP's content is complete; what remains for a BIOS is
//! [`BootFiles::bios`], which the commit writes outside every file system.

mod images;

use std::fs::File;
use std::io;

use thiserror::Error;
use wire::outcome::Outcome;
use wire::record::{BootRecord, Slot};
use wire::slot::head;

use self::images::{FIRST_STAGE, Images};
use crate::options::Firmware;
use crate::watchdog;
use bundle::directory::{Directory, DirectoryError};
use bundle::kernel::{self, Kernel, NoRamdisk, Ramdisk};
use disk::boot_order::load_option::Program;
use disk::boot_record::{self, BootRecordError, RecordPlaces};
use disk::disk::{Disk, SectorSize};
use disk::entry::{self, BootEntry, EntryError};
use disk::esp::{self, Esp, EspError, EspReader};
use disk::grub::{BIOS_SECTOR, BiosBoot, GrubError};
use disk::layout::{Layout, Role};
use disk::menu::{self, MenuError};
use disk::slot_menu;
use disk::slots::SlotArea;

/// Options that a package wants on the kernel command line.
const OPTIONS: &str = "etc/kernel/cmdline";
const LOADER_CONF: &str = "loader/loader.conf";
const GRUB_CFG: &str = "EFI/smechvisor/grub.cfg";
const DIRECTORIES: [&str; 4] = ["EFI/BOOT", "EFI/smechvisor", "smechvisor", "loader/entries"];
const TEXT_MAX: u64 = 64 * 1024;
const DEFAULT_TITLE: &str = "smechvisor";

/// The system cannot be made bootable.
#[derive(Debug, Error)]
#[allow(missing_docs)] // the fields name themselves
pub enum BootFilesError {
    /// The packages brought no system that boots.
    #[error("the packages lack {}", missing.join(" and "))]
    Missing {
        /// The missing files, with the paths where each was looked for.
        missing: Vec<&'static str>,
    },
    /// The kernel would find no root.
    #[error(transparent)]
    NoRamdisk(#[from] NoRamdisk),
    /// GRUB for another firmware only.
    #[error(
        "the packages have GRUB for {has} only, and this disk is started by {needed}: \
         they lack {lacking}"
    )]
    OtherFirmware {
        /// For which.
        has: Firmware,
        /// By which the disk is started.
        needed: Firmware,
        /// The missing part.
        lacking: &'static str,
    },
    /// Firmware would not start it.
    #[error(
        "this machine has Secure Boot on, and the GRUB of the packages is not signed: \
         they lack {FIRST_STAGE} (spk-visor package grub --secure-boot)"
    )]
    NotSigned,
    /// The boot entry.
    #[error("making the boot entry")]
    Entry(#[from] EntryError),
    /// GRUB's menu.
    #[error("making GRUB's menu")]
    Menu(#[from] MenuError),
    /// The images for a BIOS.
    #[error("preparing GRUB for a BIOS")]
    Grub(#[from] GrubError),
    /// A file of the root.
    #[error("reading the boot files")]
    Root(#[from] DirectoryError),
    /// A file in the head of the image.
    #[error("reading {path} in the image's head")]
    Head {
        path: String,
        #[source]
        source: io::Error,
    },
    /// No head at all.
    #[error("reading the image's head")]
    NoHead(#[source] io::Error),
    /// The boot record.
    #[error("making the boot record")]
    Record(#[from] BootRecordError),
    /// A file of the root, while it was being copied.
    #[error("reading {path} in the installed root")]
    Copy {
        /// Relative to the root.
        path: String,
        #[source]
        source: io::Error,
    },
    /// A kernel or ramdisk of unusual size.
    #[error("the boot files need {needed_bytes} bytes, the ESP has room for {free_bytes}")]
    Room {
        /// In whole clusters.
        needed_bytes: u64,
        /// Likewise.
        free_bytes: u64,
    },
    /// The ESP.
    #[error("writing the boot files")]
    Esp(#[from] EspError),
}

impl BootFilesError {
    /// Mostly the packages' fault; a file system that fails is the machine's.
    #[must_use]
    pub fn outcome(&self) -> Outcome {
        match self {
            BootFilesError::Missing { .. }
            | BootFilesError::NoRamdisk(_)
            | BootFilesError::OtherFirmware { .. }
            | BootFilesError::NotSigned
            | BootFilesError::Room { .. } => Outcome::Refuse,
            BootFilesError::Head { .. } | BootFilesError::NoHead(_) => Outcome::Refuse,
            BootFilesError::Copy { .. } => Outcome::Fatal,
            BootFilesError::Record(error) => error.outcome(),
            BootFilesError::Entry(error) => error.outcome(),
            BootFilesError::Menu(error) => error.outcome(),
            BootFilesError::Grub(error) => error.outcome(),
            BootFilesError::Root(error) => error.outcome(),
            BootFilesError::Esp(error) => error.outcome(),
        }
    }
}

/// The files that were made.
#[derive(Debug)]
pub struct BootFiles {
    /// The name of the system in menus.
    pub title: String,
    /// The entry that boots it without GRUB's menu. A slot has none: its own script starts it.
    pub entry: Option<BootEntry>,
    /// For LBA 0 and the BIOS boot partition; none on a disk no BIOS can boot.
    pub bios: Option<BiosBoot>,
    /// Hardware watchdogs that this system takes over ([`wire::names::WATCHDOG_TIMERS`]).
    pub watchdogs: Vec<&'static str>,
    /// The only firmware that starts it, when the packages have GRUB for one alone.
    pub only: Option<Firmware>,
    /// What the firmware's boot entry has to start.
    pub program: Program,
}

/// Fills the ESP from the root. `firmware` is what will start the disk, when that is known.
///
/// # Errors
/// The packages lack a kernel, its ramdisk or GRUB, brought something unusable, or a file system
/// failed.
pub fn put(
    root: Directory<'_>,
    esp: &Esp<'_, '_>,
    layout: &Layout,
    firmware: Option<Firmware>,
) -> Result<BootFiles, BootFilesError> {
    let mut missing = Vec::new();
    let found = kernel::find(root)?;
    if found.is_none() {
        missing.push("a kernel (boot/vmlinuz-*)");
    }
    let images = Images::read(root, &mut missing)?;
    let kernel = match &found {
        Some(kernel) if missing.is_empty() => kernel,
        _ => return Err(BootFilesError::Missing { missing }),
    };
    if let Ramdisk::Missing(error) = &kernel.ramdisk {
        return Err(error.clone().into());
    }
    images.expect(firmware, layout)?;
    let bios = match &images.bios {
        Some((boot, core)) => bios(boot, core, layout)?,
        None => None,
    };
    let entry = entry_of(root, kernel, layout)?;
    let menu = menu::grub_cfg(&entry)?;
    let watchdogs = watchdog::taken_over(root, &kernel.release)?;

    let mut large = open_large(root, kernel, &entry)?;
    let entry_text = entry.to_string();
    let mut small = images.programs(&menu);
    small.extend([
        (GRUB_CFG, menu.as_bytes()),
        (LOADER_CONF, entry::LOADER_CONF.as_bytes()),
        (entry::PATH, entry_text.as_bytes()),
    ]);
    for path in DIRECTORIES {
        esp.make_directories(path)?;
    }
    if images.program() == Program::FirstStage {
        esp.make_directories("EFI/debian")?;
    }
    let lens = small.iter().map(|(_, content)| content.len() as u64);
    check_room(esp, &large, lens)?;
    for (file, from, to) in &mut large {
        let copied = esp.write(to, file)?;
        copied.map_err(|source| BootFilesError::Copy {
            path: (*from).to_owned(),
            source,
        })?;
    }
    for (path, mut content) in small {
        // Reading from memory does not fail.
        let _ = esp.write(path, &mut content)?;
    }
    Ok(BootFiles {
        title: entry.title.clone(),
        entry: Some(entry),
        bios,
        watchdogs,
        only: images.only(),
        program: images.program(),
    })
}

/// Fills the ESP of a disk with two slots: GRUB out of slot A's head, its script, and both copies
/// of a boot record that says slot A. `title` is the system's name in firmware's menu.
///
/// # Errors
/// The image lacks GRUB or a kernel, brought something unusable, or the disk failed.
pub fn put_slots(
    disk: &mut dyn Disk,
    layout: &Layout,
    firmware: Option<Firmware>,
    title: String,
) -> Result<BootFiles, BootFilesError> {
    let images = head_images(disk, layout)?;
    images.expect(firmware, layout)?;
    let bios = match &images.bios {
        Some((boot, core)) => bios(boot, core, layout)?,
        None => None,
    };
    let script = slot_menu::grub_cfg(|slot| Role::Slot(slot).number());
    esp::with(disk, layout, |esp| -> Result<(), BootFilesError> {
        // First, so that both copies lie in one piece.
        boot_record::make(esp, &BootRecord::new(Slot::A))?;
        for path in ["EFI/BOOT", "EFI/smechvisor"] {
            esp.make_directories(path)?;
        }
        let mut files = images.programs(&script);
        files.push((GRUB_CFG, script.as_bytes()));
        for (path, mut content) in files {
            // Reading from memory does not fail.
            let _ = esp.write(path, &mut content)?;
        }
        Ok(())
    })?;
    let area = layout.partition(Role::Esp).map(|esp| {
        let (start, len) = (layout.offset_bytes(esp), layout.len_bytes(esp));
        RecordPlaces::locate(disk, start, len)
    });
    // Found now as an update will find it.
    area.transpose()?;
    Ok(BootFiles {
        title,
        entry: None,
        bios,
        watchdogs: Vec::new(),
        only: images.only(),
        program: images.program(),
    })
}

/// GRUB's images in the head of slot A, and proof that it has a kernel and a script to start it.
fn head_images(disk: &mut dyn Disk, layout: &Layout) -> Result<Images, BootFilesError> {
    let area = layout.slot(Slot::A).unwrap_or(SlotArea {
        offset_bytes: 0,
        len_bytes: 0,
    });
    let mut reader = EspReader::open_area(disk, area.offset_bytes, area.len_bytes)
        .map_err(|error| BootFilesError::NoHead(error.source))?;
    let mut missing = Vec::new();
    for path in [head::SCRIPT, head::KERNEL] {
        match reader.locate(path) {
            Err(error) if error.source.kind() == io::ErrorKind::NotFound => missing.push(path),
            _ => {}
        }
    }
    let images = Images::read_head(&mut reader, &mut missing)?;
    match missing.is_empty() {
        true => Ok(images),
        false => Err(BootFilesError::Missing { missing }),
    }
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
        kernel.initrd().is_some(),
        &options,
    )?)
}

/// `PRETTY_NAME` of os-release(5), when it can stand in a menu as it is.
#[must_use]
pub fn pretty_name(release: &str) -> Option<String> {
    let value = release
        .lines()
        .find_map(|line| line.strip_prefix("PRETTY_NAME="))?;
    // Blanks around it would not come back from the boot entry.
    let name = value.trim().trim_matches(['"', '\'']).trim();
    let is_plain = |byte: u8| {
        matches!(byte, b' '..=b'~') && !matches!(byte, b'\'' | b'"' | b'\\' | b'$' | b'`')
    };
    (!name.is_empty() && name.len() <= 80 && name.bytes().all(is_plain)).then(|| name.to_owned())
}

/// An open file of the root, its path there, its path on the ESP.
type Large<'a> = (File, &'a str, &'a str);

/// Kernel and initial ramdisk: too large for memory, so copied from file to file.
fn open_large<'a>(
    root: Directory<'_>,
    kernel: &'a Kernel,
    entry: &'a BootEntry,
) -> Result<Vec<Large<'a>>, DirectoryError> {
    let mut large = Vec::new();
    let pairs = [
        (Some(kernel.image.as_str()), Some(&entry.linux)),
        (kernel.initrd(), entry.initrd.as_ref()),
    ];
    for (from, to) in pairs {
        if let (Some(from), Some(to)) = (from, to)
            && let Some(file) = root.open(from)?
        {
            large.push((file, from, to.as_str()));
        }
    }
    Ok(large)
}

/// Before the first byte is copied: does it all fit?
fn check_room(
    esp: &Esp<'_, '_>,
    large: &[Large<'_>],
    small_lens: impl Iterator<Item = u64>,
) -> Result<(), BootFilesError> {
    let mut needed_bytes = 0_u64;
    for (file, path, _) in large {
        let len = file.metadata().map_err(|source| BootFilesError::Copy {
            path: (*path).to_owned(),
            source,
        })?;
        needed_bytes = needed_bytes.saturating_add(esp.taken_bytes(len.len()));
    }
    let small: u64 = small_lens.map(|len| esp.taken_bytes(len)).sum();
    let needed_bytes = needed_bytes.saturating_add(small);
    let free_bytes = esp.free_bytes()?;
    if needed_bytes > free_bytes {
        return Err(BootFilesError::Room {
            needed_bytes,
            free_bytes,
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests;
