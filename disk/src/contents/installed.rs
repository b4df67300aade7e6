//! Whether a disk holds a system that we have installed (`disk-layout.md` 7).
//!
//! The table and what was read of disk and partitions come in. The installed system owns its
//! partitions: what it writes into them, a page of swap or a block of a file, may look like
//! anything and decides nothing here. Partitions that somebody has added are looked at like those
//! of any other disk.

use uuid::Uuid;

use super::area::Area;
use super::{DiskContents, PartitionRef, TOLD, Volume, is_gpt, partitions, protected, signatures};
use crate::disk::SectorSize;
use crate::installation::{self, Installation};
use crate::layout::Role;
use crate::table;

/// The installation on a disk with these partitions, if there is one; so many more were not looked
/// at.
pub(super) fn of(
    sector: SectorSize,
    whole: &Area,
    disk_guid: Option<Uuid>,
    volumes: &[Volume<'_>],
    skipped: usize,
) -> Option<DiskContents> {
    let is_bootable =
        partitions::is_protective(whole) && whole.stands_at(sector.bytes(), b"EFI PART");
    // A table of another kind has other partitions in mind.
    let is_gpt_alone = volumes.iter().all(|volume| volume.entry.gpt.is_some());
    if !is_bootable || !is_gpt_alone || is_used_otherwise(whole, volumes) {
        return None;
    }
    known_by_its_sector(whole, disk_guid?, volumes, skipped).or_else(|| known_by_its_table(volumes))
}

/// Does anything but the table sign itself where no partition is? Then the disk as a whole became
/// something else.
fn is_used_otherwise(whole: &Area, volumes: &[Volume<'_>]) -> bool {
    let is_inside = |at: u64| {
        volumes.iter().any(|volume| {
            let within = at.checked_sub(volume.entry.start);
            volume.role() != Some(Role::BiosBoot)
                && within.is_some_and(|within| within < volume.entry.len_bytes)
        })
    };
    let mut places = signatures::places(whole).into_iter();
    places.any(|(at, finding)| !is_gpt(&finding) && !is_inside(at))
}

/// By the sector that the commit wrote, and by the GUIDs in it: the table is still the same one,
/// with the ESP and the root of that deploy in it.
fn known_by_its_sector(
    whole: &Area,
    disk_guid: Uuid,
    volumes: &[Volume<'_>],
    skipped: usize,
) -> Option<DiskContents> {
    let sector = whole.get(installation::OFFSET_BYTES, installation::LEN_BYTES)?;
    let installation = Installation::parse(sector)?;
    if installation.disk != disk_guid {
        return None;
    }
    let partition = |guid| {
        let mut partitions = volumes.iter().filter_map(Volume::partition);
        partitions.find(|partition| partition.guid == guid)
    };
    let (esp, root) = (partition(installation.esp)?, partition(installation.root)?);
    let is_other = |volume: &&Volume<'_>| {
        volume.role().is_none() && ![Some(esp), Some(root)].contains(&volume.partition())
    };
    let others = || volumes.iter().filter(is_other);
    let told: Vec<String> = others().take(TOLD).map(Volume::numbered).collect();
    Some(DiskContents::Installed {
        esp,
        root,
        besides: (!told.is_empty()).then(|| told.join(", ")),
        protected: protected(&[], others(), skipped),
    })
}

/// Earlier versions wrote no such sector: exactly our partitions, by number, type and name, with
/// the file systems that we made among whatever else signs itself there. Swap is not asked.
fn known_by_its_table(volumes: &[Volume<'_>]) -> Option<DiskContents> {
    let (mut esp, mut root, mut gap) = (None, None, None);
    for volume in volumes {
        let partition = volume.partition()?;
        let role = volume.role()?;
        let (expected, place) = match role {
            Role::Esp => (Some(signatures::FAT), Some(&mut esp)),
            Role::Swap => (None, None),
            Role::Root => (Some(signatures::EXT), Some(&mut root)),
            Role::BiosBoot => (None, Some(&mut gap)),
            // Whoever made slots wrote the sector.
            Role::Slot(_) | Role::State => return None,
        };
        let holds = |name| volume.findings.iter().any(|finding| finding.name == name);
        if partition.number != role.number() || !expected.is_none_or(holds) {
            return None;
        }
        if let Some(place) = place {
            *place = Some(partition);
        }
    }
    gap?;
    Some(DiskContents::Installed {
        esp: esp?,
        root: root?,
        besides: None,
        protected: None,
    })
}

impl Volume<'_> {
    /// The role of the partition, if its entry is as a deploy made it.
    fn role(&self) -> Option<Role> {
        let gpt = self.entry.gpt.as_ref()?;
        table::role_of(gpt.kind, &gpt.name)
    }

    fn partition(&self) -> Option<PartitionRef> {
        let gpt = self.entry.gpt.as_ref()?;
        Some(PartitionRef {
            number: self.entry.number,
            first_lba: gpt.first_lba,
            sectors: gpt.sectors,
            guid: gpt.guid,
        })
    }
}
