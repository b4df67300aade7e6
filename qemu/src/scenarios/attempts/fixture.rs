//! What the machines begin with: releases, and disks that hold two of them.

use std::path::{Path, PathBuf};
use std::process::Command;

use wire::ledger::{Ledger, Trial};
use wire::record::{ATTEMPTS, BootRecord, COPY_LEN, Place, Slot};

use crate::actors::releases::{BALLAST, IMAGE, Maker, Version};
use crate::actors::stranger::Noise;
use crate::error::{Doing, HarnessError, Result};
use crate::lab::Lab;
use crate::media::node_disk::{GrubImages, NodeDisk, Release};
use crate::process::run;

use super::kinds::Kind;

/// The version in slot A.
pub(super) const FIRST: &str = "v1";
/// Two blocks of the squashfs.
const BALLAST_BYTES: usize = 256 << 10;
const SECTOR_BYTES: u64 = 512;

/// The second version as it was built.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Build {
    /// Healthy, if all of its ballast can be read.
    Good,
    /// The first program of its initramfs ends at once.
    SlotInitDies,
    /// The first program of its root cannot be run.
    NoInit,
    /// Its check fails.
    Sick,
    /// Its check stops the program that feeds the watchdog.
    Hangs,
}

impl Build {
    const fn name(self) -> &'static str {
        match self {
            Build::Good => "good",
            Build::SlotInitDies => "dies",
            Build::NoInit => "no-init",
            Build::Sick => "sick",
            Build::Hangs => "hangs",
        }
    }
}

/// Bytes that cannot be compressed, the same each time.
pub(super) fn ballast() -> Vec<u8> {
    let mut noise = Noise(0x5107_0b57);
    (0..BALLAST_BYTES).map(|_| noise.byte()).collect()
}

/// Makes the disks.
#[derive(Debug)]
pub(super) struct Fixture {
    maker: Maker,
    grub: GrubImages,
    first: Release,
    /// Disks that were made already, whole and armed.
    made: Vec<(Build, NodeDisk)>,
}

impl Fixture {
    /// Makes what all of them have in common.
    pub(super) fn new(lab: &Lab) -> Result<Self> {
        let maker = Maker::new(lab)?;
        let version = Version::healthy(FIRST, 1);
        let directory = maker.release(lab, &version)?;
        Ok(Self {
            grub: GrubImages::make(&lab.artifacts.donor)?,
            first: Release::read(&directory, IMAGE, 1)?,
            maker,
            made: Vec::new(),
        })
    }

    /// A disk for this kind of failure, before anything is damaged on it.
    pub(super) fn node(&mut self, lab: &Lab, kind: &Kind) -> Result<NodeDisk> {
        let made = self.made.iter().find(|(build, _)| *build == kind.build);
        let whole = match made {
            Some((_, node)) => node.clone(),
            None => {
                let node = self.armed(lab, kind.build)?;
                self.made.push((kind.build, node.clone()));
                node
            }
        };
        whole.copy(Path::new(&format!("{}.img", kind.name)))
    }

    /// What an update and `activate` leave.
    fn armed(&self, lab: &Lab, build: Build) -> Result<NodeDisk> {
        let second = self.second(lab, build)?;
        let mut ledger = Ledger::default();
        ledger.current = Some(self.first.version);
        ledger.trial = Some(Trial {
            version: second.version,
            key: None,
            left: ATTEMPTS,
        });
        NodeDisk::make(
            Path::new(&format!("whole-{}.img", build.name())),
            &self.grub,
            &BootRecord::new(Slot::A).armed(),
            &[(Slot::A, &self.first), (Slot::B, &second)],
            &ledger,
            &lab.artifacts.built()?.mke2fs,
        )
    }

    fn second(&self, lab: &Lab, build: Build) -> Result<Release> {
        let (name, ballast) = (format!("v2-{}", build.name()), ballast());
        let read = format!("cat {BALLAST} >/dev/null");
        let healthy = Version {
            check: &read,
            ballast: &ballast,
            ..Version::healthy(&name, 2)
        };
        let (maker, version) = match build {
            Build::Good => (self.maker.clone(), healthy),
            Build::SlotInitDies => {
                let path = dying(self.maker.slot_init())?;
                (self.maker.clone().with_slot_init(path), healthy)
            }
            Build::NoInit => (self.maker.without_init()?, healthy),
            Build::Sick => (self.maker.clone(), Version::sick(&name, 2)),
            Build::Hangs => {
                let check = "kill -STOP $PPID; sleep 20";
                (self.maker.clone(), Version { check, ..healthy })
            }
        };
        let directory = maker.release(lab, &version)?;
        Release::read(&directory, IMAGE, 2)
    }
}

/// The sectors of both copies of the boot record, in bytes from the start of the disk.
pub(super) fn record_sectors(node: &NodeDisk) -> Result<Vec<u64>> {
    let mut sectors = Vec::new();
    for place in Place::ALL {
        let at = node.place(place)?;
        let count = COPY_LEN as u64 / SECTOR_BYTES;
        sectors.extend((0..count).map(|number| at.saturating_add(number * SECTOR_BYTES)));
    }
    Ok(sectors)
}

/// A copy of a program whose first instruction is invalid: the kernel ends it, and as PID 1 itself.
fn dying(program: &Path) -> Result<PathBuf> {
    let mut bytes = std::fs::read(program).doing("reading", program.display())?;
    let wrong = || {
        let object = program.display().to_string();
        HarnessError::unexpected(object, "an ELF program with an entry", "another file")
    };
    let at = entry(&bytes).ok_or_else(wrong)?;
    let place = bytes.get_mut(at..at.saturating_add(UD2.len()));
    place.ok_or_else(wrong)?.copy_from_slice(&UD2);
    let path = PathBuf::from("slot-init-dies");
    std::fs::write(&path, &bytes).doing("writing", path.display())?;
    run(Command::new("chmod").arg("755").arg(&path))?;
    Ok(path)
}

/// The instruction of x86 that is not defined.
const UD2: [u8; 2] = [0x0F, 0x0B];

/// Where the first instruction lies in the file, by the program header that loads it (elf(5)).
fn entry(bytes: &[u8]) -> Option<usize> {
    const PT_LOAD: u64 = 1;
    let number = |at: usize, len: usize| -> Option<u64> {
        let field = bytes.get(at..at.checked_add(len)?)?;
        let digits = field.iter().rev();
        Some(digits.fold(0, |value, byte| value << 8 | u64::from(*byte)))
    };
    let (entry, table) = (number(24, 8)?, number(32, 8)?);
    let (size, count) = (number(54, 2)?, number(56, 2)?);
    (0..count).find_map(|index| {
        let at = usize::try_from(table.checked_add(index * size)?).ok()?;
        let field = |offset: usize| number(at.checked_add(offset)?, 8);
        let (offset, address, len) = (field(8)?, field(16)?, field(32)?);
        let within = entry.checked_sub(address)?;
        let is_it = number(at, 4)? == PT_LOAD && within < len;
        usize::try_from(offset.checked_add(within)?)
            .ok()
            .filter(|_| is_it)
    })
}

#[cfg(test)]
mod tests {
    use super::{BALLAST_BYTES, ballast, entry};

    #[test]
    fn the_entry_of_a_program_is_found_in_its_file() {
        let mut program = vec![0; 64 + 2 * 56];
        program[24..32].copy_from_slice(&0x40_1010_u64.to_le_bytes());
        program[32] = 64;
        program[54] = 56;
        program[56] = 2;
        for (at, offset, address) in [(64, 0_u64, 0x40_0000_u64), (120, 0x800, 0x40_1000)] {
            program[at] = 1;
            program[at + 8..at + 16].copy_from_slice(&offset.to_le_bytes());
            program[at + 16..at + 24].copy_from_slice(&address.to_le_bytes());
            program[at + 32..at + 40].copy_from_slice(&0x100_u64.to_le_bytes());
        }
        assert_eq!(entry(&program), Some(0x810));
        program[25] = 0x20;
        assert_eq!(entry(&program), None);
        assert_eq!(entry(b"\x7fELF"), None);
    }

    #[test]
    fn ballast_is_the_same_each_time_and_looks_like_noise() {
        let bytes = ballast();
        assert_eq!(bytes.len(), BALLAST_BYTES);
        assert_eq!(bytes, ballast());
        let zeros = bytes.iter().filter(|byte| **byte == 0).count();
        assert!(zeros < BALLAST_BYTES / 128, "{zeros}");
    }
}
