//! The contents of a disk, as far as they decide whether a deploy may begin without asking: the
//! gate's question (`disk-gate.md` 3).
//!
//! Read are the ends of the disk and of each of its partitions, where every table and nearly every
//! file system signs itself. Nothing is mounted or written. A disk that is not surely blank or
//! surely ours is occupied, whether or not its contents have a known name.

use std::fmt;

use uuid::Uuid;
use wire::names::SHIM_LABEL;

use crate::disk::{Disk, DiskError};
use crate::layout::Role;
use crate::marker::{self, Former, Phase};
use crate::sizes::MIB;
use crate::table;

use area::Area;
use partitions::Entry;
use signatures::{Finding, Kind};

mod area;
mod installed;
mod partitions;
pub mod signatures;

/// A person reads about so many partitions; the others are counted.
const TOLD: usize = 8;

/// The contents of a disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DiskContents {
    /// First and last MiB are all zero.
    Blank,
    /// A deploy began and did not end; nothing that signs itself was put at the ends of the disk
    /// since.
    Interrupted,
    /// A system that we have installed, whatever it has done since with its own partitions. In use
    /// perhaps; somebody has to say that it may go.
    Installed {
        /// The EFI system partition.
        esp: PartitionRef,
        /// Where the system is.
        root: PartitionRef,
        /// For a person: what stands in partitions that somebody has added.
        besides: Option<String>,
        /// The part of that which is not what it seems to be, as in `Occupied`. What our own
        /// partitions hold never is (`disk-layout.md` 7).
        protected: Option<String>,
    },
    /// Anything else.
    Occupied {
        /// For a person: `GPT partition table, ext2/3/4`.
        what: String,
        /// The part of it that is not what it seems to be: a member of something larger, or
        /// encrypted. Nobody learns by looking at this one disk what would be lost with it
        /// (`disk-gate.md` 3).
        protected: Option<String>,
        /// It is labelled as a medium that a Deploy Shim boots from, perhaps the one that runs
        /// (`disk-gate.md` 4).
        is_shim_medium: bool,
    },
}

/// A partition as the table on the disk has it, which is how boot variables of the firmware name it
/// too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PartitionRef {
    /// From 1.
    pub number: u32,
    /// In logical sectors.
    pub first_lba: u64,
    /// In logical sectors.
    pub sectors: u64,
    /// The partition's own identity (PARTUUID).
    pub guid: Uuid,
}

impl DiskContents {
    /// May a deploy begin without the operator's consent to wipe?
    #[must_use]
    pub const fn is_free(&self) -> bool {
        matches!(self, DiskContents::Blank | DiskContents::Interrupted)
    }
}

impl fmt::Display for DiskContents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DiskContents::Blank => f.write_str("blank"),
            DiskContents::Interrupted => f.write_str("left by an interrupted deploy"),
            DiskContents::Installed { besides, .. } => {
                f.write_str("a system installed by spk-visor")?;
                let Some(besides) = besides else {
                    return Ok(());
                };
                write!(f, ", and {besides} beside it")
            }
            DiskContents::Occupied { what, .. } => f.write_str(what),
        }
    }
}

/// The partitions that a deploy has made: those whose type and name in the GPT are ours. What they
/// hold is not looked at.
///
/// # Errors
/// Something could not be read.
pub fn own_partitions(disk: &mut dyn Disk) -> Result<Vec<(Role, PartitionRef)>, DiskError> {
    let whole = Area::ends(disk)?;
    let gpt = partitions::gpt(disk, &whole)?;
    let entries = gpt.map(|gpt| gpt.entries).unwrap_or_default();
    let own = entries.iter().filter_map(|entry| {
        let gpt = entry.gpt.as_ref()?;
        let partition = PartitionRef {
            number: entry.number,
            first_lba: gpt.first_lba,
            sectors: gpt.sectors,
            guid: gpt.guid,
        };
        Some((table::role_of(gpt.kind, &gpt.name)?, partition))
    });
    Ok(own.collect())
}

/// Looks at a disk. How much is read depends on the number of partitions alone, of which there are
/// at most 128.
///
/// # Errors
/// Something could not be read.
pub fn read(disk: &mut dyn Disk) -> Result<DiskContents, DiskError> {
    let mut whole = Area::ends(disk)?;
    // Behind a marker stand the former contents' own signatures until they are cleared, and after
    // that the GPTs of our own commit that was cut off. Any other came later, from somebody else.
    let is_ours = match marker::phase_of(whole.head()) {
        Some(Phase::Wiping(former)) => {
            let mut found = fingerprints(&whole).into_iter();
            found.all(|fingerprint| former.contains(fingerprint))
        }
        Some(Phase::Writing) => signatures::look(&whole).iter().all(is_gpt),
        None => false,
    };
    if is_ours {
        return Ok(DiskContents::Interrupted);
    }
    whole.read_between(disk)?;
    let mut findings = signatures::look(&whole);
    let has_gpt = findings.iter().any(is_gpt);
    let gpt = match has_gpt {
        true => partitions::gpt(disk, &whole)?,
        false => None,
    };
    let disk_guid = gpt.as_ref().map(|gpt| gpt.disk_guid);
    let mut entries = gpt.map(|gpt| gpt.entries).unwrap_or_default();
    if partitions::is_mbr(&whole) {
        // Beside a GPT that it does not protect stands one of another time, and nobody knows which
        // of the two is meant. Hybrids have the same partitions in both.
        let mut others = partitions::mbr(disk, &whole)?;
        others.retain(|other| entries.iter().all(|entry| entry.start != other.start));
        if !has_gpt || !others.is_empty() {
            findings.push(Finding {
                name: signatures::MBR,
                kind: Kind::Table,
            });
        }
        entries.append(&mut others);
    }
    let mut volumes = Vec::new();
    for entry in entries.iter().take(partitions::LOOKED_AT) {
        volumes.push(Volume::look(disk, entry)?);
    }
    let is_lost = findings.is_empty();
    if is_lost {
        findings.extend(lost(disk)?);
    }
    let first_used = whole.first_used();
    if findings.is_empty() && first_used.is_none() {
        return Ok(DiskContents::Blank);
    }
    let skipped = entries.len().saturating_sub(volumes.len());
    if let Some(installed) = installed::of(disk.sector_size(), &whole, disk_guid, &volumes, skipped)
    {
        return Ok(installed);
    }
    let told = Told {
        findings: &findings,
        is_lost,
        volumes: &volumes,
        skipped,
        first_used: first_used.unwrap_or(0),
    };
    Ok(DiskContents::Occupied {
        what: told.what(),
        protected: told.protected(),
        is_shim_medium: is_shim_medium(&whole)
            || volumes.iter().any(|volume| volume.is_shim_medium),
    })
}

/// The signatures at the ends of the disk when a deploy begins, for its marker.
///
/// # Errors
/// Something could not be read.
pub fn former(disk: &mut dyn Disk) -> Result<Former, DiskError> {
    Ok(Former::of(fingerprints(&Area::ends(disk)?)))
}

/// One for each signature at the ends of the disk, by the 512 bytes around it: a sector is written
/// whole or not at all, so it is as it was, or cleared, or somebody else's.
fn fingerprints(whole: &Area) -> Vec<u32> {
    const AROUND: u64 = 512;
    let places = signatures::places(whole).into_iter();
    let places = places.map(|(at, _)| at / AROUND * AROUND);
    let around = places.filter_map(|at| Some((at, whole.get(at, AROUND as usize)?)));
    around
        .map(|(at, bytes)| marker::fingerprint(at, bytes))
        .collect()
}

fn is_gpt(finding: &Finding) -> bool {
    finding.name == signatures::GPT
}

/// A partition and what is in it.
struct Volume<'e> {
    entry: &'e Entry,
    findings: Vec<Finding>,
    is_empty: bool,
    is_shim_medium: bool,
}

impl<'e> Volume<'e> {
    fn look(disk: &mut dyn Disk, entry: &'e Entry) -> Result<Self, DiskError> {
        let area = Area::part(disk, entry.start, entry.len_bytes)?;
        let mut findings = signatures::look(&area);
        let declared = entry.declared();
        findings.extend(declared.filter(|finding| !findings.contains(finding)));
        Ok(Self {
            entry,
            findings,
            is_empty: area.first_used().is_none(),
            is_shim_medium: is_shim_medium(&area)
                || entry.gpt.as_ref().is_some_and(|gpt| gpt.name == SHIM_LABEL),
        })
    }

    /// `2: LUKS`.
    fn numbered(&self) -> String {
        format!("{}: {}", self.entry.number, self.what())
    }

    fn what(&self) -> String {
        match (self.findings.as_slice(), self.is_empty) {
            ([], true) => "empty".to_owned(),
            ([], false) => "unknown data".to_owned(),
            (findings, _) => names(findings),
        }
    }
}

fn names(findings: &[Finding]) -> String {
    let names: Vec<&str> = findings.iter().map(|finding| finding.name).collect();
    names.join(", ")
}

/// A table that was erased takes nothing with it but itself: what it described begins at 1 MiB on
/// nearly every disk that was partitioned in this century, behind a first MiB of zeros.
fn lost(disk: &mut dyn Disk) -> Result<Vec<Finding>, DiskError> {
    match disk.size_bytes().checked_sub(MIB) {
        Some(rest) if rest > 0 => Ok(signatures::look(&Area::part(disk, MIB, rest)?)),
        _ => Ok(Vec::new()),
    }
}

/// The label in the primary volume descriptor (ECMA-119 8.4.7), padded with spaces.
fn is_shim_medium(area: &Area) -> bool {
    let descriptor = u64::from(signatures::ISO_AT);
    area.stands_at(descriptor + 1, b"CD001")
        && area
            .get(descriptor + 40, 32)
            .is_some_and(|label| label.trim_ascii_end() == SHIM_LABEL.as_bytes())
}

/// The description of an occupied disk for a person.
struct Told<'a> {
    findings: &'a [Finding],
    /// They stand where the first partition began.
    is_lost: bool,
    volumes: &'a [Volume<'a>],
    /// Partitions that were not looked at.
    skipped: usize,
    first_used: u64,
}

impl Told<'_> {
    /// `md RAID, GPT partition table (1: FAT, 2: LUKS)`.
    fn what(&self) -> String {
        if self.findings.is_empty() {
            return format!("unknown data at byte {}", self.first_used);
        }
        let mut text = names(self.findings);
        if self.is_lost {
            text.push_str(" in a partition that no table lists any more");
        }
        let mut parts: Vec<String> = self
            .volumes
            .iter()
            .take(TOLD)
            .map(Volume::numbered)
            .collect();
        let more = self.volumes.len().saturating_sub(TOLD) + self.skipped;
        if more > 0 {
            parts.push(format!("{more} more"));
        }
        if !parts.is_empty() {
            text.push_str(&format!(" ({})", parts.join(", ")));
        }
        text
    }

    fn protected(&self) -> Option<String> {
        protected(self.findings, self.volumes.iter(), self.skipped)
    }
}

/// `LVM, LUKS in partition 2`: of the disk as a whole, of these volumes, and of partitions that
/// were not looked at.
fn protected<'v, 'e: 'v>(
    findings: &[Finding],
    volumes: impl Iterator<Item = &'v Volume<'e>>,
    skipped: usize,
) -> Option<String> {
    let of = |findings: &[Finding]| {
        let protected = findings
            .iter()
            .filter(|finding| finding.kind == Kind::Protected);
        let protected: Vec<Finding> = protected.copied().collect();
        (!protected.is_empty()).then(|| names(&protected))
    };
    let mut parts: Vec<String> = of(findings).into_iter().collect();
    let inside = volumes.filter_map(|volume| {
        let names = of(&volume.findings)?;
        Some(format!("{names} in partition {}", volume.entry.number))
    });
    parts.extend(inside.take(TOLD));
    if skipped > 0 {
        parts.push(format!("{skipped} partitions not looked at"));
    }
    (!parts.is_empty()).then(|| parts.join(", "))
}

#[cfg(test)]
mod tests;
