//! The disk of a node with two slots, made on the host: for scenarios about what starts from it.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use wire::label::{AREA_BYTES, Label, State};
use wire::record::{BootRecord, Copies, Place, RecordError, Slot};
use wire::slot::{head, partition_name};
use wire::state::PARTITION_NAME;

use crate::error::{Doing, HarnessError, Result};
use crate::media::image::Image;
use crate::process::run;

const SECTOR_BYTES: u64 = 512;
const MIB: u64 = 1 << 20;
const ESP_MIB: u64 = 40;
const SLOT_MIB: u64 = 96;
const STATE_MIB: u64 = 64;
/// Each with its number in the table and where it begins.
const ESP: (u32, u64) = (1, 1);
const SLOTS: [(u32, u64); 2] = [(3, 41), (5, 137)];
const STATE: (u32, u64) = (6, 233);
const DISK_MIB: u64 = 300;
/// Keeps the two copies of the record apart.
const SPACER: &str = "smechvisor/e1/spacer";
/// A squashfs begins with it, at a whole MiB behind the head.
const SQUASHFS: &[u8; 4] = b"hsqs";

/// The disk.
#[derive(Debug)]
pub struct SlotDisk {
    path: PathBuf,
}

impl SlotDisk {
    /// Makes the disk at `path`, with the same image in both slots, complete labels, and this
    /// record.
    ///
    /// # Errors
    /// A tool is missing, or the image does not fit.
    pub fn make(path: &Path, image: &Path, mke2fs: &Path, record: &BootRecord) -> Result<Self> {
        Image::create(path, DISK_MIB)?;
        let made = Self {
            path: path.to_owned(),
        };
        let mut sgdisk = Command::new("sgdisk");
        let names = Slot::ALL.map(partition_name);
        let slots = SLOTS.into_iter().zip(names);
        let slots = slots.map(|((number, at), name)| (number, at, SLOT_MIB, name));
        let others = [
            (ESP.0, ESP.1, ESP_MIB, "esp"),
            (STATE.0, STATE.1, STATE_MIB, PARTITION_NAME),
        ];
        for (number, at, mib, name) in slots.chain(others) {
            sgdisk.arg(format!("--new={number}:{at}M:+{mib}M"));
            sgdisk.arg(format!("--change-name={number}:{name}"));
        }
        run(sgdisk.arg(path))?;
        made.make_esp(record)?;
        for slot in Slot::ALL {
            made.write_image(slot, image)?;
        }
        let state = made.part("state", STATE_MIB)?;
        run(Command::new(mke2fs)
            .args(["-q", "-F", "-t", "ext4"])
            .arg(&state))?;
        made.put(&state, STATE.1 * MIB)?;
        Ok(made)
    }

    fn make_esp(&self, record: &BootRecord) -> Result<()> {
        let esp = self.part("esp", ESP_MIB)?;
        run(Command::new("mkfs.vfat").args(["-F", "32"]).arg(&esp))?;
        let mtool = |name: &str| {
            let mut command = Command::new(name);
            command.arg("-i").arg(&esp);
            command
        };
        let copies = Place::ALL.map(Place::path);
        let directories = ["::smechvisor", "::smechvisor/e1", "::smechvisor/e2"];
        run(mtool("mmd").args(directories))?;
        let (copy, spacer) = (self.beside("record"), self.beside("spacer"));
        std::fs::write(&copy, record.emit()).doing("writing", copy.display())?;
        std::fs::write(&spacer, vec![0; 64 << 10]).doing("writing", spacer.display())?;
        // Files get clusters in the order in which they are written.
        for (from, to) in [(&copy, copies[0]), (&spacer, SPACER), (&copy, copies[1])] {
            run(mtool("mcopy").arg(from).arg(format!("::{to}")))?;
        }
        self.put(&esp, ESP.1 * MIB)
    }

    /// Writes an image into a slot and labels it.
    ///
    /// # Errors
    /// The files.
    pub fn write_image(&self, slot: Slot, image: &Path) -> Result<()> {
        let start = start(slot);
        self.put(image, start)?;
        let len = std::fs::metadata(image)
            .doing("looking at", image.display())?
            .len();
        let label = Label {
            state: State::Complete,
            digest: [slot as u8 + 1; 32],
            counter: 1,
            image_bytes: len,
            next: 1,
        };
        let file = self.open()?;
        let at = start + SLOT_MIB * MIB - AREA_BYTES;
        file.write_all_at(&label.emit(), at)
            .doing("labelling", self.path.display())
    }

    /// Changes a byte of a slot's root, so many bytes from its start.
    ///
    /// # Errors
    /// The files, or there is no root.
    pub fn damage_root(&self, slot: Slot, offset: u64) -> Result<()> {
        let file = self.open()?;
        let at = start(slot) + self.root(slot)? + offset;
        let mut byte = [0];
        file.read_exact_at(&mut byte, at)
            .doing("reading", self.path.display())?;
        let changed = byte.map(|byte| byte ^ 1);
        file.write_all_at(&changed, at)
            .doing("writing", self.path.display())
    }

    /// How long the squashfs in a slot is, by its superblock.
    ///
    /// # Errors
    /// The files, or there is no root.
    pub fn root_len(&self, slot: Slot) -> Result<u64> {
        let at = start(slot) + self.root(slot)? + 40;
        let mut used = [0; 8];
        self.open()?
            .read_exact_at(&mut used, at)
            .doing("reading", self.path.display())?;
        Ok(u64::from_le_bytes(used))
    }

    /// Where the root begins in a slot.
    fn root(&self, slot: Slot) -> Result<u64> {
        let file = self.open()?;
        for mib in 8..=64 {
            let mut magic = [0; 4];
            let at = start(slot) + mib * MIB;
            file.read_exact_at(&mut magic, at)
                .doing("reading", self.path.display())?;
            if magic == *SQUASHFS {
                return Ok(mib * MIB);
            }
        }
        Err(HarnessError::unexpected(
            "the slot's root",
            "a squashfs",
            "none",
        ))
    }

    /// Kernel and initramfs out of a slot's head.
    ///
    /// # Errors
    /// mtools.
    pub fn boot_files(&self, slot: Slot) -> Result<(PathBuf, PathBuf)> {
        let copy = |name: &str| {
            let to = self.beside(name);
            let from = format!("{}@@{}", self.path.display(), start(slot));
            let mut mcopy = Command::new("mcopy");
            mcopy.args(["-o", "-i", &from, &format!("::{name}")]);
            run(mcopy.arg(&to)).map(|_| to)
        };
        Ok((copy(head::KERNEL)?, copy(head::INITRD)?))
    }

    /// The record that counts.
    ///
    /// # Errors
    /// mtools, or neither copy is valid.
    pub fn record(&self) -> Result<std::result::Result<BootRecord, RecordError>> {
        let copy = |place: Place| -> Result<_> {
            let to = self.beside("copy");
            let from = format!("{}@@{}", self.path.display(), ESP.1 * MIB);
            let mut mcopy = Command::new("mcopy");
            mcopy.args(["-o", "-i", &from, &format!("::{}", place.path())]);
            run(mcopy.arg(&to))?;
            let bytes = std::fs::read(&to).doing("reading", to.display())?;
            let copy = bytes.try_into();
            copy.map_err(|_| {
                HarnessError::unexpected("a copy of the record", "1024 bytes", "other")
            })
        };
        let copies = Copies {
            e1: copy(Place::E1)?,
            e2: copy(Place::E2)?,
        };
        Ok(copies.record().map(|(record, _)| record))
    }

    fn open(&self) -> Result<File> {
        let file = OpenOptions::new().read(true).write(true).open(&self.path);
        file.doing("opening", self.path.display())
    }

    fn beside(&self, name: &str) -> PathBuf {
        self.path.with_extension(name)
    }

    fn part(&self, name: &str, mib: u64) -> Result<PathBuf> {
        let path = self.beside(name);
        Image::create(&path, mib)?;
        Ok(path)
    }

    /// Copies a file to a place on the disk.
    fn put(&self, from: &Path, at: u64) -> Result<()> {
        let mut dd = Command::new("dd");
        dd.arg(format!("if={}", from.display()));
        dd.arg(format!("of={}", self.path.display()));
        dd.arg(format!("seek={}", at / SECTOR_BYTES));
        run(dd.args(["bs=512", "conv=notrunc,sparse", "status=none"])).map(drop)
    }
}

/// Where a slot begins on the disk, in bytes.
const fn start(slot: Slot) -> u64 {
    match slot {
        Slot::A => SLOTS[0].1 * MIB,
        Slot::B => SLOTS[1].1 * MIB,
    }
}
