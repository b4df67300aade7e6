//! What is on a disk, as far as it decides whether a deploy may begin without asking: the gate's question.
//!
//! Read are the first and the last MiB, where every table and nearly every file system signs itself. Nothing is
//! written. A disk that is not surely blank or surely ours is occupied, whether or not its contents have a known name.

use std::fmt;

use crate::disk::{Disk, DiskError};
use crate::layout::MIB;
use crate::marker::{self, Phase};
use uuid::Uuid;

/// What a disk holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// First and last MiB are all zero.
    Blank,
    /// A deploy of ours began and did not end; nothing was put there since.
    Interrupted,
    /// A system that we have installed, as we left it. In use perhaps; somebody has to say that it may go.
    Installed {
        /// What firmware boots from.
        esp: Slot,
        /// Where the system is.
        root: Slot,
    },
    /// Anything else.
    Occupied {
        /// For a person: `GPT partition table, ext2/3/4`.
        what: String,
        /// The part of it that is not what it seems to be: a member of something larger, or encrypted. Nobody learns by looking
        /// at this one disk what would be lost with it (`disk-gate.md` 3).
        protected: Option<String>,
        /// It is labelled as a medium that a Deploy Shim boots from, perhaps the one that runs (`disk-gate.md` 4).
        is_shim_medium: bool,
    },
}

/// A partition as the table on the disk has it, which is how boot variables of the firmware name it too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slot {
    /// From 1.
    pub number: u32,
    /// In logical sectors.
    pub first_lba: u64,
    /// In logical sectors.
    pub sectors: u64,
    /// The partition's own identity (PARTUUID).
    pub guid: Uuid,
}

impl State {
    /// May a deploy begin without being told to wipe?
    #[must_use]
    pub const fn is_free(&self) -> bool {
        matches!(self, State::Blank | State::Interrupted)
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            State::Blank => f.write_str("blank"),
            State::Interrupted => f.write_str("left by an interrupted deploy"),
            State::Installed { .. } => f.write_str("a system installed by spk-visor"),
            State::Occupied { what, .. } => f.write_str(what),
        }
    }
}

/// Where a signature stands.
enum Place {
    /// Bytes from the start of the disk.
    Start(u64),
    /// Bytes before the end of the disk.
    End(u64),
    /// At one of several offsets from the start: first, step, count.
    Every(u64, u64, u64),
}

/// One row: a name for a person, where, and the bytes that prove it.
struct Signature {
    name: &'static str,
    place: Place,
    magic: &'static [u8],
}

const fn at(name: &'static str, offset: u64, magic: &'static [u8]) -> Signature {
    Signature {
        name,
        place: Place::Start(offset),
        magic,
    }
}

const GPT_NAME: &str = "GPT partition table";

/// Offsets from the on-disk format of each; most are also listed in libblkid(3)'s probes.
const SIGNATURES: &[Signature] = &[
    at(GPT_NAME, 512, b"EFI PART"),
    at(GPT_NAME, 4096, b"EFI PART"),
    Signature {
        name: GPT_NAME,
        place: Place::End(512),
        magic: b"EFI PART",
    },
    Signature {
        name: GPT_NAME,
        place: Place::End(4096),
        magic: b"EFI PART",
    },
    at("ext2/3/4", 1024 + 56, &[0x53, 0xEF]),
    at("XFS", 0, b"XFSB"),
    at("btrfs", 65536 + 64, b"_BHRfS_M"),
    at("F2FS", 1024, &[0x10, 0x20, 0xF5, 0xF2]),
    at("LUKS", 0, b"LUKS\xBA\xBE"),
    Signature {
        name: "LVM",
        place: Place::Every(0, 512, 4),
        magic: b"LABELONE",
    },
    // The uberblock ring of the first label: 128 slots of 1 KiB from 128 KiB on, in either byte order.
    Signature {
        name: "ZFS",
        place: Place::Every(131_072, 1024, 128),
        magic: &[0x0C, 0xB1, 0xBA, 0, 0, 0, 0, 0],
    },
    Signature {
        name: "ZFS",
        place: Place::Every(131_072, 1024, 128),
        magic: &[0, 0, 0, 0, 0, 0xBA, 0xB1, 0x0C],
    },
    // md superblocks: 1.1 at the start, 1.2 at 4 KiB, 1.0 and 0.90 near the end on a 4 KiB boundary.
    at("md RAID", 0, MD_MAGIC),
    at("md RAID", 4096, MD_MAGIC),
    at(
        "bcache",
        4096 + 24,
        &[0xC6, 0x85, 0x73, 0xF6, 0x4E, 0x1A, 0x45, 0xCA],
    ),
    // One page minus ten bytes, for the page sizes Linux has.
    at("swap", 4096 - 10, b"SWAPSPACE2"),
    at("swap", 8192 - 10, b"SWAPSPACE2"),
    at("swap", 16384 - 10, b"SWAPSPACE2"),
    at("swap", 65536 - 10, b"SWAPSPACE2"),
    at("FAT", 82, b"FAT32   "),
    at("FAT", 54, b"FAT16   "),
    at("FAT", 54, b"FAT12   "),
    at("exFAT", 3, b"EXFAT   "),
    at("NTFS", 3, b"NTFS    "),
    at("ISO 9660", 32769, b"CD001"),
];

/// Names above that are more than they show.
const PROTECTED: [&str; 5] = ["LUKS", "LVM", "ZFS", "md RAID", "bcache"];

const MD_MAGIC: &[u8] = &[0xFC, 0x4E, 0x2B, 0xA9];

/// The two ends of a disk, as read.
struct Ends {
    first: Vec<u8>,
    last: Vec<u8>,
    disk_bytes: u64,
}

impl Ends {
    fn read(disk: &mut dyn Disk) -> Result<Self, DiskError> {
        let disk_bytes = disk.size_bytes();
        let len_bytes = disk_bytes.min(MIB);
        let len = usize::try_from(len_bytes).unwrap_or(0);
        let mut first = vec![0; len];
        let mut last = vec![0; len];
        disk.read_at(0, &mut first)?;
        disk.read_at(disk_bytes.saturating_sub(len_bytes), &mut last)?;
        Ok(Self {
            first,
            last,
            disk_bytes,
        })
    }

    fn has(&self, signature: &Signature) -> bool {
        let magic = signature.magic;
        match signature.place {
            Place::Start(offset) => stands_at(&self.first, offset, magic),
            Place::End(before) => {
                let len = self.last.len() as u64;
                before <= len && stands_at(&self.last, len - before, magic)
            }
            Place::Every(first, step, count) => {
                (0..count).any(|n| stands_at(&self.first, first + n * step, magic))
            }
        }
    }

    /// md 0.90: the last whole 64 KiB block before the last; md 1.0: 8 KiB before the end, on a 4 KiB boundary.
    fn has_md_at_end(&self) -> bool {
        let base = self.disk_bytes.saturating_sub(self.last.len() as u64);
        let old = (self.disk_bytes & !0xFFFF).saturating_sub(0x10000);
        let new = self.disk_bytes.saturating_sub(8192) & !0xFFF;
        [old, new]
            .into_iter()
            .filter_map(|offset| offset.checked_sub(base))
            .any(|offset| stands_at(&self.last, offset, MD_MAGIC))
    }

    /// A boot sector with at least one partition entry in use: MBR, or the protective one of a GPT.
    fn has_mbr(&self) -> bool {
        let types = [450, 466, 482, 498];
        stands_at(&self.first, 510, &[0x55, 0xAA])
            && types
                .iter()
                .any(|&offset| self.first.get(offset).is_some_and(|&kind| kind != 0))
    }

    fn names(&self) -> Vec<&'static str> {
        let mut names: Vec<&'static str> = Vec::new();
        for signature in SIGNATURES {
            if self.has(signature) && !names.contains(&signature.name) {
                names.push(signature.name);
            }
        }
        if self.has_md_at_end() && !names.contains(&"md RAID") {
            names.push("md RAID");
        }
        // A FAT or NTFS boot sector ends in 55AA too, and its code may lie where partition entries would.
        if names.is_empty() && self.has_mbr() {
            names.push("MBR partition table");
        }
        names
    }

    /// The first byte that is not zero, from the start of the disk.
    fn first_used(&self) -> Option<u64> {
        // Page by page first: a comparison of slices is many times faster than a search for a byte.
        let used = |bytes: &[u8]| {
            let zeros = [0; 4096];
            let page = bytes
                .chunks(zeros.len())
                .position(|page| !zeros.starts_with(page))?;
            let start = page.saturating_mul(zeros.len());
            let within = bytes.get(start..)?.iter().position(|&byte| byte != 0)?;
            Some(start.saturating_add(within) as u64)
        };
        let base = self.disk_bytes.saturating_sub(self.last.len() as u64);
        used(&self.first).or_else(|| used(&self.last).map(|at| base + at))
    }
}

fn stands_at(bytes: &[u8], offset: u64, magic: &[u8]) -> bool {
    usize::try_from(offset)
        .ok()
        .and_then(|offset| bytes.get(offset..))
        .is_some_and(|rest| rest.starts_with(magic))
}

/// Looks at a disk.
///
/// # Errors
/// One of its ends could not be read.
pub fn read(disk: &mut dyn Disk) -> Result<State, DiskError> {
    let ends = Ends::read(disk)?;
    let Some(first_used) = ends.first_used() else {
        return Ok(State::Blank);
    };
    let names = ends.names();
    // Our own half-written commit leaves GPTs behind the marker; any other signature came later, from somebody else.
    let is_ours = match marker::phase_of(&ends.first) {
        Some(Phase::Wiping) => true,
        Some(Phase::Writing) => names.iter().all(|&name| name == GPT_NAME),
        None => false,
    };
    if is_ours {
        return Ok(State::Interrupted);
    }
    let what = if names.is_empty() {
        format!("unknown data at byte {first_used}")
    } else {
        names.join(", ")
    };
    let protected: Vec<&str> = names
        .iter()
        .copied()
        .filter(|name| PROTECTED.contains(name))
        .collect();
    let protected = (!protected.is_empty()).then(|| protected.join(", "));
    Ok(State::Occupied {
        what,
        protected,
        is_shim_medium: false,
    })
}

#[cfg(test)]
mod tests;
