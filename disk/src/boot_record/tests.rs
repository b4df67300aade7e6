//! Made, found, read and changed, on whole disks and on a partition; every cut of a change, with
//! every subset of the sectors that were not flushed; what is refused.

use super::{APART_BYTES, BootRecordError, RecordPlaces, make};
use crate::disk::{Disk, DiskError, SectorSize};
use crate::esp::{format, with};
use crate::fakes::memory_disk::MemoryDisk;
use crate::layout::{Layout, Role, plan};
use crate::sizes::{Sizes, Swap};
use std::io::ErrorKind;
use uuid::Uuid;
use wire::record::{BootRecord, Copies, Place, RecordError, Slot};

const OLD: BootRecord = BootRecord::new(Slot::A);

struct Made {
    disk: MemoryDisk,
    layout: Layout,
    places: RecordPlaces,
}

fn esp_only(sector: SectorSize, mib: u64) -> (MemoryDisk, Layout) {
    let sizes = Sizes {
        esp_bytes: Some(mib << 20),
        swap: Swap::None,
        ..Sizes::USUAL
    };
    let mut fresh_id = || Uuid::from_u128(7);
    let layout = plan(2 << 30, sector, sizes, &mut fresh_id).unwrap();
    let mut disk = MemoryDisk::new(2 << 30, sector);
    format(&mut disk, &layout).unwrap();
    (disk, layout)
}

fn area(layout: &Layout) -> (u64, u64) {
    let esp = layout.partition(Role::Esp).unwrap();
    (layout.offset_bytes(esp), layout.len_bytes(esp))
}

fn made(sector: SectorSize, mib: u64) -> Made {
    let (mut disk, layout) = esp_only(sector, mib);
    with(&mut disk, &layout, |esp| make(esp, &OLD)).unwrap();
    let (start, len) = area(&layout);
    let places = RecordPlaces::locate(&mut disk, start, len).unwrap();
    Made {
        disk,
        layout,
        places,
    }
}

/// Records what reaches the disk, and fails when told so.
struct Recorder {
    disk: MemoryDisk,
    /// A sector and its place; nothing stands for a flush.
    log: Vec<Option<(u64, Vec<u8>)>>,
    /// Offsets at which reading, writing fails.
    unreadable: Vec<u64>,
    unwritable: Vec<u64>,
    /// Writes there change nothing, and report success.
    lies: Vec<u64>,
}

impl Recorder {
    fn new(disk: MemoryDisk) -> Self {
        Self {
            disk,
            log: Vec::new(),
            unreadable: Vec::new(),
            unwritable: Vec::new(),
            lies: Vec::new(),
        }
    }

    fn fails(
        &self,
        action: &'static str,
        offset: u64,
        len: usize,
        at: &[u64],
    ) -> Result<(), DiskError> {
        if !at.contains(&offset) {
            return Ok(());
        }
        Err(DiskError {
            action,
            disk: self.disk.name().to_owned(),
            offset,
            len,
            source: ErrorKind::Other.into(),
        })
    }
}

impl Disk for Recorder {
    fn name(&self) -> &str {
        self.disk.name()
    }

    fn size_bytes(&self) -> u64 {
        self.disk.size_bytes()
    }

    fn sector_size(&self) -> SectorSize {
        self.disk.sector_size()
    }

    fn read_at(&mut self, offset: u64, buf: &mut [u8]) -> Result<(), DiskError> {
        self.fails("reading", offset, buf.len(), &self.unreadable)?;
        self.disk.read_at(offset, buf)
    }

    fn write_at(&mut self, offset: u64, buf: &[u8]) -> Result<(), DiskError> {
        self.fails("writing", offset, buf.len(), &self.unwritable)?;
        let sector = self.sector_size().bytes();
        let sectors = buf
            .chunks(sector as usize)
            .zip((offset..).step_by(sector as usize));
        self.log
            .extend(sectors.map(|(bytes, at)| Some((at, bytes.to_vec()))));
        match self.lies.contains(&offset) {
            true => Ok(()),
            false => self.disk.write_at(offset, buf),
        }
    }

    fn flush(&mut self) -> Result<(), DiskError> {
        self.log.push(None);
        self.disk.flush()
    }
}

#[test]
fn the_copies_are_found_apart_with_every_size_and_sector() {
    for (sector, mib) in [
        (SectorSize::B512, 64),
        (SectorSize::B512, 128),
        (SectorSize::B512, 512),
        (SectorSize::B4096, 262),
        (SectorSize::B4096, 512),
    ] {
        let Made {
            mut disk,
            layout,
            places,
        } = made(sector, mib);
        assert!(places.e1.abs_diff(places.e2) >= APART_BYTES + 1024);
        assert_eq!(places.read(&mut disk).unwrap(), Copies::of(&OLD));
        assert_eq!(disk.get(places.e1, 1024), OLD.emit());
        // The partition by itself.
        let (start, len) = area(&layout);
        let mut partition = MemoryDisk::new(len, sector);
        partition.put(0, &disk.get(start, (mib << 20) as usize));
        let inside = RecordPlaces::locate(&mut partition, 0, len).unwrap();
        assert_eq!(
            (inside.e1 + start, inside.e2 + start),
            (places.e1, places.e2)
        );
    }
}

#[test]
fn a_change_touches_nothing_but_its_sectors() {
    for (sector, mib) in [(SectorSize::B512, 128), (SectorSize::B4096, 262)] {
        let Made { disk, places, .. } = made(sector, mib);
        let mut disk = Recorder::new(disk);
        places.write(&mut disk, &OLD.armed()).unwrap();
        assert_eq!(places.read(&mut disk).unwrap(), Copies::of(&OLD.armed()));
        let len = 1024.max(sector.bytes());
        let touched = disk.log.iter().flatten().map(|(at, _)| *at);
        let expected =
            [places.e2, places.e1].map(|at| (at..at + len).step_by(sector.bytes() as usize));
        assert!(touched.eq(expected.into_iter().flatten()));
        let flushes = disk.log.iter().enumerate().filter(|(_, op)| op.is_none());
        let flushes: Vec<usize> = flushes.map(|(at, _)| at).collect();
        let per_copy = (len / sector.bytes()) as usize;
        assert_eq!(flushes, [per_copy, 2 * per_copy + 1]);
    }
}

/// Every record before, every step, every cut, every subset of what was not flushed: GRUB reads the
/// old record or the new one, and the new one once the first copy is durable.
#[test]
fn after_every_cut_one_of_the_two_records_counts() {
    let mut judged = 0;
    for (sector, mib) in [(SectorSize::B512, 128), (SectorSize::B4096, 262)] {
        let Made { disk, places, .. } = made(sector, mib);
        let steps = [
            (OLD, OLD.armed()),
            (OLD.armed(), OLD.armed().counted()),
            (OLD.armed(), OLD.disarmed()),
            (OLD.armed(), OLD.confirmed(Slot::B)),
            (OLD, OLD.fallen().unwrap()),
        ];
        // What a former cut may have left of the second or the first copy.
        let damages: [Option<u64>; 3] = [None, Some(places.e1), Some(places.e2)];
        for ((old, new), damage) in steps
            .into_iter()
            .flat_map(|step| damages.map(|at| (step, at)))
        {
            let mut before = disk.clone();
            places.write(&mut before, &old).unwrap();
            if let Some(at) = damage {
                before.put(at, &[0; 512]);
            }
            let mut recorder = Recorder::new(before.clone());
            places.write(&mut recorder, &new).unwrap();
            let mut durable = before;
            let mut pending: Vec<(u64, Vec<u8>)> = Vec::new();
            for op in &recorder.log {
                match op {
                    Some(write) => pending.push(write.clone()),
                    None => pending
                        .drain(..)
                        .for_each(|(at, bytes)| durable.put(at, &bytes)),
                }
                for kept in 0..1_u32 << pending.len() {
                    let mut cut = durable.clone();
                    let kept = pending
                        .iter()
                        .enumerate()
                        .filter(|(bit, _)| kept >> bit & 1 == 1);
                    kept.for_each(|(_, (at, bytes))| cut.put(*at, bytes));
                    let mut copies = places.read(&mut cut).unwrap();
                    let (found, _) = copies.record().unwrap();
                    assert!(found == old || found == new, "{found:?}");
                    let (pick, expected) = (copies.boot(), Copies::of(&found).boot());
                    assert_eq!(
                        (pick.slot, pick.is_trial),
                        (expected.slot, expected.is_trial)
                    );
                    judged += 1;
                }
                // The sector that is being written when the power goes may be neither.
                for (at, _) in &pending {
                    let mut cut = durable.clone();
                    cut.put(*at, &[0x55; 512]);
                    let (found, _) = places.read(&mut cut).unwrap().record().unwrap();
                    assert!(found == old || found == new, "{damage:?}: {found:?}");
                    judged += 1;
                }
            }
            assert!(pending.is_empty());
            assert_eq!(places.read(&mut durable).unwrap(), Copies::of(&new));
        }
    }
    assert!(judged > 200, "only {judged} disks were judged");
}

#[test]
fn a_copy_that_cannot_be_read_leaves_the_other_one() {
    let Made { disk, places, .. } = made(SectorSize::B512, 128);
    let mut disk = Recorder::new(disk);
    places.write(&mut disk, &OLD.armed()).unwrap();
    disk.unreadable = vec![places.e1];
    let copies = places.read(&mut disk).unwrap();
    assert_eq!(copies.record(), Ok((OLD.armed(), Place::E2)));
    disk.unreadable = vec![places.e2];
    let copies = places.read(&mut disk).unwrap();
    assert_eq!(copies.record(), Ok((OLD.armed(), Place::E1)));
    disk.unreadable = vec![places.e1, places.e2];
    let error = places.read(&mut disk).unwrap_err();
    assert!(matches!(error, BootRecordError::Read(_)), "{error}");
}

#[test]
fn a_write_that_fails_or_does_not_last_is_an_error_and_ends_the_change() {
    let Made { disk, places, .. } = made(SectorSize::B512, 128);
    for (at, counts) in [(places.e2, OLD), (places.e1, OLD)] {
        let mut fails = Recorder::new(disk.clone());
        fails.unwritable = vec![at];
        let error = places.write(&mut fails, &OLD.armed()).unwrap_err();
        assert!(matches!(error, BootRecordError::Write { .. }), "{error}");
        let mut lies = Recorder::new(disk.clone());
        lies.lies = vec![at];
        let error = places.write(&mut lies, &OLD.armed()).unwrap_err();
        assert!(matches!(error, BootRecordError::ReadBack { .. }), "{error}");
        for mut disk in [fails.disk, lies.disk] {
            let copies = places.read(&mut disk).unwrap();
            assert_eq!(copies.record(), Ok((counts, Place::E1)));
        }
    }
}

#[test]
fn files_that_are_not_as_they_were_made_are_refused() {
    let find = |files: &[(&str, usize)]| {
        let (mut disk, layout) = esp_only(SectorSize::B512, 64);
        let written = with(&mut disk, &layout, |esp| {
            esp.make_directories("smechvisor/e1")?;
            esp.make_directories("smechvisor/e2")?;
            for (path, len) in files {
                esp.write(path, &mut vec![b'#'; *len].as_slice())?.unwrap();
            }
            Ok::<_, crate::esp::EspError>(())
        });
        written.unwrap();
        let (start, len) = area(&layout);
        RecordPlaces::locate(&mut disk, start, len)
            .and_then(|places| places.read(&mut disk))
            .map_err(|error| wire::chain::chain(&error).to_string())
    };
    let (e1, e2) = (Place::E1.path(), Place::E2.path());
    let missing = "looking for the boot record: locating smechvisor/e1/env on the ESP of memory";
    assert!(find(&[]).unwrap_err().starts_with(missing));
    assert_eq!(
        find(&[(e1, 1024), (e2, 1024)]).unwrap_err(),
        "the copies of the boot record on memory begin 1024 bytes apart, \
         expected 65536 between them"
    );
    assert_eq!(
        find(&[(e1, 1024), ("x", 65536), (e2, 1025)]).unwrap_err(),
        "smechvisor/e2/env on the ESP of memory has 1025 bytes; a boot record has 1024"
    );
    let garbage = find(&[(e1, 1024), ("x", 65536), (e2, 1024)]).unwrap();
    assert_eq!(garbage.record(), Err(RecordError::Signature));
}

#[test]
fn a_file_in_two_pieces_is_refused() {
    // Clusters of 512 bytes: a copy has two.
    let (mut disk, layout) = esp_only(SectorSize::B512, 64);
    with(&mut disk, &layout, |esp| make(esp, &OLD)).unwrap();
    let (start, len) = area(&layout);
    let places = RecordPlaces::locate(&mut disk, start, len).unwrap();
    let table = start
        + u64::from(u16::from_le_bytes(
            disk.get(start + 14, 2).try_into().unwrap(),
        )) * 512;
    let (reserved, table_sectors) = (table - start, disk.get(start + 36, 4));
    let table_sectors = u64::from(u32::from_le_bytes(table_sectors.try_into().unwrap()));
    let data = start + reserved + 2 * table_sectors * 512;
    let cluster = (places.e1 - data) / 512 + 2;
    let entry = table + cluster * 4;
    assert_eq!(disk.get(entry, 4), (cluster as u32 + 1).to_le_bytes());
    disk.put(entry, &(cluster as u32 + 2).to_le_bytes());
    let error = RecordPlaces::locate(&mut disk, start, len).unwrap_err();
    let text = wire::chain::chain(&error).to_string();
    assert!(text.ends_with("not in one piece"), "{text}");
}
