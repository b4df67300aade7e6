//! The disk of a node with two slots, from which firmware and GRUB start, made on the host by the
//! product's own code: for scenarios that begin where a deploy and an update end. What a machine
//! left on it can be read, and every part of it can be damaged.

mod release;

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::Command;

use disk::boot_record::{self, RecordPlaces};
use disk::disk::Disk;
use disk::esp::{self, Esp, EspError, EspReader};
use disk::grub::BiosBoot;
use disk::layout::{self, Layout, Partition, Role};
use disk::sizes::{LayoutKind, Sizes, Swap};
use disk::slots::SlotArea;
use disk::{head, slot_menu, table};
use uuid::Uuid;
use wire::chain::chain;
use wire::label::Label;
use wire::ledger::Ledger;
use wire::record::{BootRecord, Copies, Place, Slot};

use crate::error::{Doing, HarnessError, Result};
use crate::media::disk_file::DiskFile;
use crate::media::image::Image;
use crate::process::{outcome, run};

use release::CHUNK_BYTES;
pub use release::{GrubImages, Release};

const MIB: u64 = 1 << 20;
/// Room for an ESP, two slots and the smallest state.
const DISK_MIB: u64 = 1024;
/// Of each slot.
const SLOT_BYTES: u64 = 64 * MIB;
const SECTOR_BYTES: u32 = 512;
/// A squashfs begins with it, at a whole MiB behind the head.
const SQUASHFS: &[u8; 4] = b"hsqs";
/// Where its superblock says how many bytes it has.
const SQUASHFS_USED: u64 = 40;
/// The ledger of updates, from the top of the state partition.
const LEDGER: &str = "var/lib/smv/os/ledger";

/// The disk: a file and the plan that it was made by.
#[derive(Clone, Debug)]
pub struct NodeDisk {
    path: PathBuf,
    layout: Layout,
}

impl NodeDisk {
    /// Makes it at `path`: GRUB for both firmwares, this boot record, these releases in their
    /// slots with complete labels, and a state partition that has nothing but the ledger.
    ///
    /// # Errors
    /// A release does not fit, or a tool is missing.
    pub fn make(
        path: &Path,
        images: &GrubImages,
        record: &BootRecord,
        held: &[(Slot, &Release)],
        ledger: &Ledger,
        mke2fs: &Path,
    ) -> Result<Self> {
        Image::create(path, DISK_MIB)?;
        let mut file = DiskFile::open(path, SECTOR_BYTES)?;
        let made = Self {
            path: path.to_owned(),
            layout: plan(&file, 1, SLOT_BYTES)?,
        };
        made.make_esp(&mut file, images, record)
            .map_err(|error| made.wrong("an ESP", &error))?;
        for (slot, release) in held {
            made.fill(*slot, release)?;
        }
        made.make_state(ledger, mke2fs)?;
        finish(&mut file, &made.layout, Vec::new(), Some(images))?;
        Ok(made)
    }

    fn make_esp(
        &self,
        file: &mut DiskFile,
        images: &GrubImages,
        record: &BootRecord,
    ) -> std::result::Result<(), EspError> {
        esp::format(file, &self.layout)?;
        esp::with(file, &self.layout, |esp| {
            let menu = menu(&self.layout);
            put(esp, "EFI/BOOT/BOOTX64.EFI", &mut images.efi.as_slice())?;
            put(esp, "EFI/smechvisor/grub.cfg", &mut menu.as_bytes())?;
            boot_record::make(esp, record)
        })
    }

    /// Writes a release into a slot as an update does, up to the label.
    fn fill(&self, slot: Slot, release: &Release) -> Result<()> {
        let area = self.slot(slot)?;
        let mut file = self.open()?;
        let wrong = |error: &dyn std::error::Error| self.wrong("a slot", error);
        let begun = area.begin(&mut file, &release.image());
        let mut writing = begun.map_err(|error| wrong(&error))?;
        for chunk in release.image.chunks(CHUNK_BYTES as usize) {
            writing.chunk(chunk).map_err(|error| wrong(&error))?;
        }
        let read_back = writing.read_back(&mut |_| ());
        let read_back = read_back.map_err(|error| wrong(&error))?;
        let complete = read_back.complete(&release.manifest, &release.signature);
        complete.map(drop).map_err(|error| wrong(&error))
    }

    fn make_state(&self, ledger: &Ledger, mke2fs: &Path) -> Result<()> {
        let tree = self.path.with_extension("state");
        let file = tree.join(LEDGER);
        let above = file.parent().unwrap_or(&tree);
        std::fs::create_dir_all(above).doing("making", above.display())?;
        std::fs::write(&file, ledger.to_string()).doing("writing", file.display())?;
        self.put_state(|image| {
            let mut maker = Command::new(mke2fs);
            maker.args(["-q", "-F", "-t", "ext4", "-d"]);
            run(maker.arg(&tree).arg(image)).map(drop)
        })
    }

    /// Makes a file system in a file and copies it to the state partition.
    fn put_state(&self, make: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
        let state = partition(&self.layout, Role::State)?;
        let image = self.path.with_extension("ext4");
        Image::create(&image, self.layout.len_bytes(state) / MIB)?;
        make(&image)?;
        let mut dd = Command::new("dd");
        dd.arg(format!("if={}", image.display()));
        dd.arg(format!("of={}", self.path.display()));
        dd.arg(format!("seek={}", self.layout.offset_bytes(state) / MIB));
        run(dd.args(["bs=1M", "conv=notrunc,sparse", "status=none"]))?;
        std::fs::remove_file(&image).doing("removing", image.display())
    }

    /// Puts a state partition there that is beyond what `e2fsck -p` repairs: without a root
    /// directory.
    ///
    /// # Errors
    /// A tool is missing.
    pub fn damage_state(&self, mke2fs: &Path) -> Result<()> {
        self.put_state(|image| {
            let mut maker = Command::new(mke2fs);
            run(maker.args(["-q", "-F", "-t", "ext4"]).arg(image))?;
            for order in ["clri <2>", "set_super_value state 0"] {
                let mut debugfs = Command::new("debugfs");
                run(debugfs.args(["-w", "-R", order]).arg(image))?;
            }
            Ok(())
        })
    }

    /// Another file that is the same disk, or was.
    #[must_use]
    pub fn at(&self, path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            layout: self.layout.clone(),
        }
    }

    /// Copies the disk, holes and all.
    ///
    /// # Errors
    /// The host's disk is full.
    pub fn copy(&self, path: &Path) -> Result<Self> {
        let mut copy = Command::new("cp");
        copy.args(["--sparse=always", "--reflink=auto"]);
        run(copy.arg(&self.path).arg(path))?;
        Ok(self.at(path))
    }

    /// Its file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where a slot lies on it.
    ///
    /// # Errors
    /// The plan has none.
    pub fn slot(&self, slot: Slot) -> Result<SlotArea> {
        let none = || HarnessError::unexpected("the layout", format!("slot {slot}"), "none");
        self.layout.slot(slot).ok_or_else(none)
    }

    /// Whether a slot begins with exactly this release.
    ///
    /// # Errors
    /// The file.
    pub fn holds(&self, slot: Slot, release: &Release) -> Result<bool> {
        let mut file = self.open()?;
        let hash = self
            .slot(slot)?
            .hash(&mut file, release.len_bytes(), &mut |_| ());
        let hash = hash.map_err(|error| self.wrong("a slot", &error))?;
        Ok(hash == release.sha256)
    }

    /// What the label of a slot says, when there is one.
    ///
    /// # Errors
    /// The file.
    pub fn label(&self, slot: Slot) -> Result<Option<Label>> {
        let label = self.slot(slot)?.label(&mut self.open()?);
        label
            .map(std::result::Result::ok)
            .map_err(|error| self.wrong("a label", &error))
    }

    /// Both copies of the boot record.
    ///
    /// # Errors
    /// The FAT is damaged, or the file cannot be read.
    pub fn copies(&self) -> Result<Copies> {
        let (start, len) = self.esp()?;
        let mut file = self.open()?;
        RecordPlaces::locate(&mut file, start, len)
            .and_then(|places| places.read(&mut file))
            .map_err(|error| self.wrong("a boot record", &error))
    }

    /// Writes a record as software does.
    ///
    /// # Errors
    /// As for [`NodeDisk::copies`].
    pub fn write_record(&self, record: &BootRecord) -> Result<()> {
        let (start, len) = self.esp()?;
        let mut file = self.open()?;
        RecordPlaces::locate(&mut file, start, len)
            .and_then(|places| places.write(&mut file, record))
            .map_err(|error| self.wrong("a boot record", &error))
    }

    /// Where a copy of the boot record lies, in bytes from the start of the disk.
    ///
    /// # Errors
    /// As for [`NodeDisk::copies`].
    pub fn place(&self, place: Place) -> Result<u64> {
        let (start, len) = self.esp()?;
        let mut file = self.open()?;
        EspReader::open_area(&mut file, start, len)
            .and_then(|mut reader| reader.locate(place.path()))
            .map(|extent| extent.offset)
            .map_err(|error| self.wrong("a boot record", &error))
    }

    /// Where these bytes lie in a slot, in bytes from the start of the disk.
    ///
    /// # Errors
    /// They are not there.
    pub fn find(&self, slot: Slot, wanted: &[u8]) -> Result<u64> {
        let area = self.slot(slot)?;
        let mut bytes = vec![0; usize::try_from(area.len_bytes).unwrap_or(0)];
        area.read(&mut self.open()?, 0, &mut bytes)
            .map_err(|error| self.wrong("a slot", &error))?;
        let found = bytes
            .windows(wanted.len().max(1))
            .position(|at| at == wanted);
        found
            .map(|at| area.offset_bytes.saturating_add(at as u64))
            .ok_or_else(|| {
                let bytes = format!("{} bytes of slot {slot}", wanted.len());
                HarnessError::unexpected(self.path.display().to_string(), bytes, "none such")
            })
    }

    /// Where the root of a slot begins, in bytes from the start of the disk, and how long it is by
    /// its superblock.
    ///
    /// # Errors
    /// There is no squashfs behind a head.
    pub fn root(&self, slot: Slot) -> Result<(u64, u64)> {
        let area = self.slot(slot)?;
        let mut file = self.open()?;
        let mut read = |at: u64, to: &mut [u8]| {
            let read = area.read(&mut file, at, to);
            read.map_err(|error| self.wrong("a slot", &error))
        };
        for at in (head::LEN_MIN..=head::LEN_MAX).step_by(MIB as usize) {
            let mut magic = [0; SQUASHFS.len()];
            read(at, &mut magic)?;
            if magic == *SQUASHFS {
                let mut used = [0; 8];
                read(at.saturating_add(SQUASHFS_USED), &mut used)?;
                let start = area.offset_bytes.saturating_add(at);
                return Ok((start, u64::from_le_bytes(used)));
            }
        }
        let object = self.path.display().to_string();
        Err(HarnessError::unexpected(object, "a squashfs", "none"))
    }

    /// Kernel and initramfs of a slot as files in the current directory.
    ///
    /// # Errors
    /// mtools.
    pub fn boot_files(&self, slot: Slot) -> Result<(PathBuf, PathBuf)> {
        let copy = |name: &str| {
            let to = self.path.with_extension(name);
            std::fs::write(&to, self.head_file(slot, name)?).doing("writing", to.display())?;
            Ok(to)
        };
        Ok((
            copy(wire::slot::head::KERNEL)?,
            copy(wire::slot::head::INITRD)?,
        ))
    }

    /// A file in the head of a slot.
    ///
    /// # Errors
    /// mtools.
    pub fn head_file(&self, slot: Slot, name: &str) -> Result<Vec<u8>> {
        let output = outcome(&mut self.mtool("mtype", slot, name)?)?;
        match output.status.success() {
            true => Ok(output.stdout),
            false => Err(HarnessError::unexpected(
                format!("{name} of slot {slot}"),
                "a file",
                String::from_utf8_lossy(&output.stderr).into_owned(),
            )),
        }
    }

    /// Deletes a file in the head of a slot.
    ///
    /// # Errors
    /// mtools.
    pub fn remove_head_file(&self, slot: Slot, name: &str) -> Result<()> {
        run(&mut self.mtool("mdel", slot, name)?).map(drop)
    }

    fn mtool(&self, tool: &str, slot: Slot, name: &str) -> Result<Command> {
        let mut command = Command::new(tool);
        let at = self.slot(slot)?.offset_bytes;
        command.env("MTOOLS_SKIP_CHECK", "1");
        command.args(["-i", &format!("{}@@{at}", self.path.display())]);
        command.arg(format!("::{name}"));
        Ok(command)
    }

    /// Changes a bit of the byte that is so far from the start of the disk.
    ///
    /// # Errors
    /// The file.
    pub fn flip(&self, at: u64) -> Result<()> {
        let mut byte = [0];
        self.with(|file| {
            file.read_at(at, &mut byte)?;
            file.write_at(at, &byte.map(|byte| byte ^ 1))
        })
    }

    /// Overwrites bytes with zeros.
    ///
    /// # Errors
    /// The file.
    pub fn zero(&self, at: u64, len: usize) -> Result<()> {
        self.with(|file| file.write_at(at, &vec![0; len]))
    }

    fn with(
        &self,
        work: impl FnOnce(&mut DiskFile) -> std::result::Result<(), disk::disk::DiskError>,
    ) -> Result<()> {
        work(&mut self.open()?).map_err(|error| self.wrong("bytes", &error))
    }

    fn esp(&self) -> Result<(u64, u64)> {
        let esp = partition(&self.layout, Role::Esp)?;
        Ok((self.layout.offset_bytes(esp), self.layout.len_bytes(esp)))
    }

    fn open(&self) -> Result<DiskFile> {
        DiskFile::open(&self.path, SECTOR_BYTES)
    }

    fn wrong(&self, expected: &str, error: &dyn std::error::Error) -> HarnessError {
        wrong(&self.path.display().to_string(), expected, error)
    }
}

fn wrong(object: &str, expected: &str, error: &dyn std::error::Error) -> HarnessError {
    HarnessError::unexpected(object, expected, chain(error).to_string())
}

/// The plan of a disk with two slots and no swap. `serial` becomes the serial number of its ESP.
pub(crate) fn plan(disk: &DiskFile, serial: usize, slot_bytes: u64) -> Result<Layout> {
    let sizes = Sizes {
        layout: LayoutKind::Ab {
            slot_bytes: Some(slot_bytes),
        },
        esp_bytes: None,
        swap: Swap::None,
    };
    // The first four bytes of an identity are the serial number of the ESP.
    let mut ids = (u128::try_from(serial).unwrap_or_default() << 96)..;
    let mut fresh_id = || Uuid::from_u128(ids.next().unwrap_or_default());
    let planned = layout::plan(disk.size_bytes(), disk.sector_size(), sizes, &mut fresh_id);
    planned.map_err(|error| HarnessError::unexpected("the disk", "a plan", error.to_string()))
}

/// What a deploy writes of GRUB's configuration.
pub(crate) fn menu(layout: &Layout) -> String {
    slot_menu::grub_cfg(|slot| {
        let partition = layout.partition(Role::Slot(slot));
        partition.map_or(0, |partition| partition.number)
    })
}

pub(crate) fn put(
    esp: &Esp<'_, '_>,
    path: &str,
    content: &mut dyn Read,
) -> std::result::Result<(), EspError> {
    let (directory, _) = path.rsplit_once('/').unwrap_or_default();
    esp.make_directories(directory)?;
    // What is in memory does not fail to be read.
    let _ = esp.write(path, content)?;
    Ok(())
}

pub(crate) fn partition(layout: &Layout, role: Role) -> Result<&Partition> {
    let none = || HarnessError::unexpected("the layout", format!("{role:?}"), "none");
    layout.partition(role).ok_or_else(none)
}

/// Writes these pieces, the tables, and what a BIOS starts.
pub(crate) fn finish(
    disk: &mut DiskFile,
    layout: &Layout,
    mut pieces: Vec<(u64, Vec<u8>)>,
    images: Option<&GrubImages>,
) -> Result<()> {
    let name = disk.name().to_owned();
    let tables = table::build(layout).map_err(|error| wrong(&name, "tables", &error))?;
    pieces.extend([
        (tables.backup.offset_bytes, tables.backup.bytes),
        (tables.primary.offset_bytes, tables.primary.bytes),
    ]);
    let mut first = tables.protective_mbr;
    if let Some(images) = images {
        let gap = partition(layout, Role::BiosBoot)?;
        let bios = BiosBoot::new(&images.boot, &images.core, gap.first_lba, gap.sectors)
            .map_err(|error| wrong(&name, "boot code", &error))?;
        pieces.push((layout.offset_bytes(gap), bios.core().to_vec()));
        first = bios.lba0(&first);
    }
    pieces.push((0, first));
    for (offset, bytes) in pieces {
        let written = disk.write_at(offset, &bytes);
        written.map_err(|error| wrong(&name, "a disk", &error))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
