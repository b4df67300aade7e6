//! Writing, going on, reading back, labels; what does not fit.

use super::{FLUSH_BYTES, Image, SlotArea, SlotError};
use crate::disk::{Disk, DiskError, Medium, SectorSize};
use crate::fakes::memory_disk::MemoryDisk;
use crate::sizes::MIB;
use sha2::{Digest, Sha256};
use std::sync::{Arc, Mutex};
use wire::label::{AREA_BYTES, Label, LabelError, MANIFEST_MAX, SIGNATURE_MAX, State};

const CHUNK: usize = 1 << 20;
const MANIFEST: &[u8] = b"smechvisor-manifest 1\n";
const AREA: SlotArea = SlotArea {
    offset_bytes: 5 * MIB,
    len_bytes: 80 * MIB,
};

/// Bytes of which no two chunks are the same.
fn bytes(len: usize) -> Vec<u8> {
    let block = |n: usize| Sha256::digest(n.to_le_bytes());
    (0..len / 4096).flat_map(|n| block(n).repeat(128)).collect()
}

fn image_of(bytes: &[u8]) -> Image {
    Image {
        digest: Sha256::digest(MANIFEST).into(),
        counter: 7,
        image_bytes: bytes.len() as u64,
        sha256: Sha256::digest(bytes).into(),
        chunk_bytes: CHUNK as u32,
    }
}

fn disk(sector: SectorSize) -> MemoryDisk {
    let mut disk = MemoryDisk::new(96 * MIB, sector);
    disk.put(0, &vec![0xE5; 5 << 20]);
    disk.put(85 * MIB, &vec![0xE5; 11 << 20]);
    disk
}

fn write(disk: &mut MemoryDisk, image: &Image, bytes: &[u8]) -> Result<Label, SlotError> {
    let mut writing = AREA.begin(disk, image)?;
    for chunk in bytes.chunks(CHUNK).skip(writing.next() as usize) {
        writing.chunk(chunk)?;
    }
    let mut seen = 0;
    let read_back = writing.read_back(&mut |bytes| seen = bytes)?;
    assert_eq!(seen, image.image_bytes);
    read_back.complete(MANIFEST, b"signature")
}

#[test]
fn an_image_lies_at_the_start_and_its_label_at_the_end() {
    for sector in [SectorSize::B512, SectorSize::B4096] {
        let (mut disk, bytes) = (disk(sector), bytes((3 << 20) + 4096));
        let image = image_of(&bytes);
        assert_eq!(AREA.label(&mut disk).unwrap(), Err(LabelError::Blank));
        let label = write(&mut disk, &image, &bytes).unwrap();
        let expected = Label {
            state: State::Complete,
            digest: image.digest,
            counter: 7,
            image_bytes: image.image_bytes,
            next: 4,
        };
        assert_eq!(label, expected);
        assert_eq!(AREA.label(&mut disk).unwrap(), Ok(expected));
        let release = (MANIFEST.to_vec(), b"signature".to_vec());
        assert_eq!(AREA.raw_release(&mut disk).unwrap(), release);
        assert_eq!(disk.get(AREA.offset_bytes, bytes.len()), bytes);
        let mut hashed = 0;
        let hash = AREA.hash(&mut disk, image.image_bytes, &mut |bytes| hashed = bytes);
        assert_eq!((hash.unwrap(), hashed), (image.sha256, image.image_bytes));
        // Nothing beside it was touched.
        assert_eq!(disk.get(0, 5 << 20), vec![0xE5; 5 << 20]);
        assert_eq!(disk.get(85 * MIB, 11 << 20), vec![0xE5; 11 << 20]);
        let between = AREA.offset_bytes + image.image_bytes;
        let label_at = AREA.offset_bytes + AREA.len_bytes - AREA_BYTES;
        assert!(disk.used_sectors(between, label_at - between).is_empty());
    }
}

#[test]
fn a_shorter_release_leaves_nothing_of_a_longer_one() {
    let (mut disk, bytes) = (disk(SectorSize::B512), bytes(8192));
    let image = image_of(&bytes);
    let long = (vec![b'm'; MANIFEST_MAX], vec![b's'; SIGNATURE_MAX]);
    for (manifest, signature) in [(&long.0[..], &long.1[..]), (b"m", b"")] {
        let mut writing = AREA.begin(&mut disk, &image).unwrap();
        writing.chunk(&bytes).unwrap();
        let read_back = writing.read_back(&mut |_| {}).unwrap();
        read_back.complete(manifest, signature).unwrap();
        let found = AREA.raw_release(&mut disk).unwrap();
        assert_eq!(found, (manifest.to_vec(), signature.to_vec()));
    }
}

#[test]
fn what_was_interrupted_goes_on_behind_the_last_flush() {
    let (mut disk, bytes) = (disk(SectorSize::B512), bytes(70 << 20));
    let image = image_of(&bytes);
    let mut writing = AREA.begin(&mut disk, &image).unwrap();
    for chunk in bytes.chunks(CHUNK).take(66) {
        writing.chunk(chunk).unwrap();
    }
    let next = (FLUSH_BYTES as usize / CHUNK) as u32;
    let label = AREA.label(&mut disk).unwrap().unwrap();
    assert_eq!((label.state, label.next), (State::Writing, next));
    // Another image begins at its first chunk, and so does a smaller one of that name.
    let other = Image {
        counter: 8,
        ..image
    };
    assert_eq!(AREA.begin(&mut disk.clone(), &other).unwrap().next(), 0);
    assert_eq!(AREA.begin(&mut disk.clone(), &image).unwrap().next(), next);
    assert_eq!(write(&mut disk, &image, &bytes).unwrap().next, 70);
    // A complete one is written from its start.
    assert_eq!(AREA.begin(&mut disk, &image).unwrap().next(), 0);
}

#[test]
fn a_label_that_lies_about_the_next_chunk_is_found_out() {
    let (mut disk, bytes) = (disk(SectorSize::B512), bytes(2 << 20));
    let image = image_of(&bytes);
    for next in [1, 2, 60_000] {
        let lie = image.label(State::Writing, next);
        AREA.write_label(&mut disk, &lie).unwrap();
        let error = write(&mut disk, &image, &bytes).unwrap_err();
        assert!(matches!(error, SlotError::ReadBack { .. }), "{error}");
        let at = format!("the slot at byte {} of ", AREA.offset_bytes);
        assert!(error.to_string().starts_with(&at), "{error}");
        let label = AREA.label(&mut disk).unwrap().unwrap();
        assert_eq!((label.state, label.next), (State::Writing, 0), "{next}");
        disk.put(AREA.offset_bytes, &[0xE5; 2 << 20]);
    }
    write(&mut disk, &image, &bytes).unwrap();
}

#[test]
fn only_the_chunk_that_comes_next_is_written() {
    let (mut disk, bytes) = (disk(SectorSize::B512), bytes((1 << 20) + 4096));
    let mut writing = AREA.begin(&mut disk, &image_of(&bytes)).unwrap();
    for wrong in [&[][..], &bytes[..4096], &bytes] {
        assert!(matches!(
            writing.chunk(wrong),
            Err(SlotError::Chunk {
                chunk: 0,
                expected: 1_048_576,
                ..
            })
        ));
    }
    writing.chunk(&bytes[..CHUNK]).unwrap();
    assert!(matches!(
        writing.chunk(&bytes[..CHUNK]),
        Err(SlotError::Chunk {
            chunk: 1,
            expected: 4096,
            ..
        })
    ));
    let early = writing.read_back(&mut |_| {});
    assert!(matches!(
        early.err(),
        Some(SlotError::Chunk { chunk: 1, .. })
    ));
    let mut writing = AREA.begin(&mut disk, &image_of(&bytes)).unwrap();
    for chunk in bytes.chunks(CHUNK) {
        writing.chunk(chunk).unwrap();
    }
    assert!(matches!(
        writing.chunk(&bytes[..CHUNK]),
        Err(SlotError::Chunk {
            chunk: 2,
            expected: 0,
            ..
        })
    ));
}

fn sized(image: Image, image_bytes: u64) -> Image {
    Image {
        image_bytes,
        ..image
    }
}

#[test]
fn what_does_not_fit_is_refused_with_both_sizes_and_nothing_is_written() {
    let mut disk = disk(SectorSize::B512);
    let before = disk.clone();
    let image = image_of(&bytes(4096));
    let room = AREA.room_bytes();
    assert_eq!(room, 80 * MIB - AREA_BYTES);
    AREA.check(&sized(image, room), MANIFEST, b"").unwrap();
    let refused = |disk: &mut MemoryDisk, image_bytes| {
        let begun = AREA.begin(disk, &sized(image, image_bytes));
        begun.err().unwrap().to_string()
    };
    assert_eq!(
        refused(&mut disk, room + 4096),
        "the image has 83824640 bytes (80 MiB); the slot has room for 83820544 (79 MiB)"
    );
    assert_eq!(
        refused(&mut disk, 4097),
        "the image has 4097 bytes, which is not a multiple of 4096"
    );
    refused(&mut disk, 0);
    assert!(disk.is_same_as(&before));
    for (manifest, signature) in [(MANIFEST_MAX + 1, 0), (1, SIGNATURE_MAX + 1)] {
        let error = AREA.check(&image, &vec![b'm'; manifest], &vec![b's'; signature]);
        assert!(matches!(error, Err(SlotError::TooLong { .. })));
    }
}

#[test]
fn nothing_behind_a_slot_is_read() {
    let mut disk = disk(SectorSize::B512);
    let mut buf = [0; 4096];
    AREA.read(&mut disk, AREA.len_bytes - 4096, &mut buf)
        .unwrap();
    for within in [AREA.len_bytes - 512, AREA.len_bytes, u64::MAX] {
        assert!(AREA.read(&mut disk, within, &mut buf).is_err());
    }
    assert_eq!(SlotArea::whole(&disk).len_bytes, 96 * MIB);
}

/// Counts what the read-back needs: a flush, and then no cache.
struct Remembering(MemoryDisk, Vec<&'static str>);

impl Disk for Remembering {
    fn name(&self) -> &str {
        self.0.name()
    }
    fn size_bytes(&self) -> u64 {
        self.0.size_bytes()
    }
    fn sector_size(&self) -> SectorSize {
        self.0.sector_size()
    }
    fn read_at(&mut self, offset: u64, buf: &mut [u8]) -> Result<(), DiskError> {
        self.1.push("read");
        self.0.read_at(offset, buf)
    }
    fn write_at(&mut self, offset: u64, buf: &[u8]) -> Result<(), DiskError> {
        self.1.push("write");
        self.0.write_at(offset, buf)
    }
    fn flush(&mut self) -> Result<(), DiskError> {
        self.1.push("flush");
        self.0.flush()
    }
    fn forget_cache(&mut self) -> Result<(), DiskError> {
        self.1.push("forget");
        self.0.forget_cache()
    }
}

/// A disk with a second way to it, which reads the medium and nothing else: what was written in the
/// range gets there first. Keeps what was done in the order in which it was done.
#[derive(Clone)]
struct TwoWays(Arc<Mutex<Flushing>>);

struct Flushing {
    cache: MemoryDisk,
    medium: MemoryDisk,
    done: Vec<String>,
    /// Reading the medium fails from this byte of the disk on.
    torn_at: u64,
}

impl TwoWays {
    fn new(sector: SectorSize) -> Self {
        let (cache, medium) = (disk(sector), disk(sector));
        Self(Arc::new(Mutex::new(Flushing {
            cache,
            medium,
            done: Vec::new(),
            torn_at: u64::MAX,
        })))
    }

    fn with<T>(&self, work: impl FnOnce(&mut Flushing) -> T) -> T {
        work(&mut self.0.lock().unwrap())
    }

    fn written(&self, image: &Image, bytes: &[u8]) -> Result<Label, SlotError> {
        let mut disk = self.clone();
        let mut writing = AREA.begin(&mut disk, image)?;
        for chunk in bytes.chunks(CHUNK).skip(writing.next() as usize) {
            writing.chunk(chunk)?;
        }
        let mut seen = Vec::new();
        let read_back = writing.read_back(&mut |bytes| seen.push(bytes))?;
        assert!(seen.is_sorted() && seen.last() == Some(&image.image_bytes));
        read_back.complete(MANIFEST, b"")
    }
}

impl Disk for TwoWays {
    fn name(&self) -> &str {
        "two ways"
    }
    fn size_bytes(&self) -> u64 {
        self.with(|disk| disk.cache.size_bytes())
    }
    fn sector_size(&self) -> SectorSize {
        self.with(|disk| disk.cache.sector())
    }
    fn read_at(&mut self, offset: u64, buf: &mut [u8]) -> Result<(), DiskError> {
        self.with(|disk| disk.cache.read_at(offset, buf))
    }
    fn write_at(&mut self, offset: u64, buf: &[u8]) -> Result<(), DiskError> {
        self.with(|disk| {
            let label = AREA.offset_bytes + AREA.len_bytes - AREA_BYTES;
            let what = if offset < label { "write" } else { "label" };
            disk.done.push(what.to_owned());
            disk.cache.write_at(offset, buf)
        })
    }
    fn flush(&mut self) -> Result<(), DiskError> {
        self.with(|disk| {
            disk.done.push("flush".to_owned());
            disk.medium = disk.cache.clone();
        });
        Ok(())
    }
    fn forget_cache(&mut self) -> Result<(), DiskError> {
        panic!("nothing is read through the cache")
    }
    fn medium(&self) -> Result<Option<Box<dyn Medium + Send>>, DiskError> {
        Ok(Some(Box::new(SecondWay(self.clone(), Vec::new()))))
    }
}

struct SecondWay(TwoWays, Vec<u8>);

impl Medium for SecondWay {
    fn read(&mut self, offset: u64, len: usize) -> Result<&[u8], DiskError> {
        let Self(disk, buffer) = self;
        buffer.resize(len, 0);
        disk.with(|disk| {
            if offset + len as u64 > disk.torn_at {
                return Err(DiskError {
                    action: "reading back",
                    disk: "two ways".to_owned(),
                    offset,
                    len,
                    source: std::io::ErrorKind::NotConnected.into(),
                });
            }
            disk.cache.read_at(offset, buffer)?;
            disk.medium.write_at(offset, buffer)
        })?;
        Ok(buffer)
    }
}

#[test]
fn what_was_written_is_read_back_while_more_is_written() {
    for sector in [SectorSize::B512, SectorSize::B4096] {
        let (disk, bytes) = (TwoWays::new(sector), bytes((9 << 20) + 4096));
        let image = image_of(&bytes);
        disk.written(&image, &bytes).unwrap();
        let written = "write ".repeat(10);
        let expected = format!("label flush {written}flush label flush label flush");
        disk.with(|disk| {
            assert_eq!(disk.done.join(" "), expected);
            assert_eq!(disk.medium.get(AREA.offset_bytes, bytes.len()), bytes);
        });
        // One that is there is read by this way, too.
        let found = AREA.hash(&mut disk.clone(), image.image_bytes, &mut |_| {});
        assert_eq!(found.unwrap(), image.sha256);
    }
}

#[test]
fn what_an_interruption_left_is_read_back_with_the_rest() {
    let (disk, bytes) = (TwoWays::new(SectorSize::B512), bytes(70 << 20));
    let image = image_of(&bytes);
    let mut way = disk.clone();
    let mut writing = AREA.begin(&mut way, &image).unwrap();
    for chunk in bytes.chunks(CHUNK).take(68) {
        writing.chunk(chunk).unwrap();
    }
    drop(writing);
    let next = (FLUSH_BYTES as usize / CHUNK) as u32;
    let label = AREA.label(&mut disk.clone()).unwrap().unwrap();
    assert_eq!((label.state, label.next), (State::Writing, next));
    // The medium has lost a part of it since.
    let whole = disk.with(|disk| disk.cache.get(AREA.offset_bytes + 9 * MIB, 512));
    disk.with(|disk| disk.cache.put(AREA.offset_bytes + 9 * MIB, &[0; 512]));
    let error = disk.written(&image, &bytes).unwrap_err();
    assert!(matches!(error, SlotError::ReadBack { .. }), "{error}");
    let label = AREA.label(&mut disk.clone()).unwrap().unwrap();
    assert_eq!((label.state, label.next), (State::Writing, 0));
    disk.with(|disk| disk.cache.put(AREA.offset_bytes + 9 * MIB, &whole));
    assert_eq!(disk.written(&image, &bytes).unwrap().next, 70);
}

#[test]
fn a_medium_that_cannot_be_read_ends_the_writing() {
    let (disk, bytes) = (TwoWays::new(SectorSize::B512), bytes(9 << 20));
    let image = image_of(&bytes);
    for torn_at in [0, 4, 8].map(|mib| AREA.offset_bytes + mib * MIB + 4096) {
        disk.with(|disk| disk.torn_at = torn_at);
        let error = disk.written(&image, &bytes).unwrap_err();
        assert!(matches!(&error, SlotError::Disk { source, .. }
            if source.action == "reading back" && source.offset < torn_at));
        let label = AREA.label(&mut disk.clone()).unwrap().unwrap();
        assert_eq!(label.state, State::Writing);
    }
}

#[test]
fn each_step_is_durable_before_the_next() {
    let bytes = bytes(2 << 20);
    let image = image_of(&bytes);
    let mut disk = Remembering(disk(SectorSize::B512), Vec::new());
    let mut writing = AREA.begin(&mut disk, &image).unwrap();
    for chunk in bytes.chunks(CHUNK) {
        writing.chunk(chunk).unwrap();
    }
    let read_back = writing.read_back(&mut |_| {}).unwrap();
    read_back.complete(MANIFEST, b"").unwrap();
    let expected = "read write flush, write write flush, forget read, write flush, write flush";
    let expected: Vec<&str> = expected
        .split([' ', ','])
        .filter(|word| !word.is_empty())
        .collect();
    assert_eq!(disk.1, expected);
}
