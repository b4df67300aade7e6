//! Any disk: looking at it never panics, reads whole sectors of the disk and a bounded number of
//! them, and never calls a disk free that has a byte in its first or last MiB, unless a deploy of
//! ours has signed it.
//!
//! The first byte chooses sectors and size, pieces follow: where (four bytes; the highest bit
//! counts from the end), how long (one byte), and what.
#![no_main]

use disk::contents;
use disk::disk::{Disk, DiskError, SectorSize};
use libfuzzer_sys::fuzz_target;

const MIB: u64 = 1 << 20;
/// Of the most partitions that are looked at, and then some.
const READ_MAX: u64 = 256 * MIB;

struct Pieces {
    size_bytes: u64,
    sector: SectorSize,
    pieces: Vec<(u64, Vec<u8>)>,
    read_bytes: u64,
}

impl Pieces {
    fn new(image: &[u8]) -> Option<Self> {
        let (&choice, mut rest) = image.split_first()?;
        let sector = if choice & 1 == 0 {
            SectorSize::B512
        } else {
            SectorSize::B4096
        };
        let size_bytes = [0, 1, 8, 64, 100, 1023, 4096, 1 << 20][usize::from(choice >> 5)] * MIB;
        let size_bytes = size_bytes + u64::from(choice >> 1 & 15) * sector.bytes();
        let mut pieces = Vec::new();
        while let Some((head, behind)) = rest.split_first_chunk::<5>() {
            let [a, b, c, d, len] = *head;
            let place = u64::from(u32::from_le_bytes([a, b, c, d & 0x7F]));
            let bytes = behind.get(..len.into()).unwrap_or(behind);
            rest = &behind[bytes.len()..];
            let offset = if d & 0x80 == 0 {
                Some(place)
            } else {
                size_bytes.checked_sub(place)
            };
            let room = offset
                .and_then(|offset| size_bytes.checked_sub(offset))
                .unwrap_or(0);
            let bytes = bytes.get(..usize::try_from(room).unwrap()).unwrap_or(bytes);
            if let Some(offset) = offset.filter(|_| !bytes.is_empty()) {
                pieces.push((offset, bytes.to_vec()));
            }
        }
        Some(Self {
            size_bytes,
            sector,
            pieces,
            read_bytes: 0,
        })
    }

    fn fill(&self, offset: u64, buf: &mut [u8]) {
        buf.fill(0);
        let end = offset + buf.len() as u64;
        for (at, bytes) in &self.pieces {
            let (from, to) = ((*at).max(offset), (at + bytes.len() as u64).min(end));
            if from < to {
                let source = &bytes[(from - at) as usize..(to - at) as usize];
                buf[(from - offset) as usize..(to - offset) as usize].copy_from_slice(source);
            }
        }
    }
}

impl Disk for Pieces {
    fn name(&self) -> &str {
        "fuzz"
    }

    fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    fn sector_size(&self) -> SectorSize {
        self.sector
    }

    fn read_at(&mut self, offset: u64, buf: &mut [u8]) -> Result<(), DiskError> {
        let sector = self.sector.bytes();
        assert!(offset % sector == 0 && buf.len() as u64 % sector == 0);
        assert!(offset + buf.len() as u64 <= self.size_bytes);
        self.read_bytes += buf.len() as u64;
        assert!(self.read_bytes <= READ_MAX);
        self.fill(offset, buf);
        Ok(())
    }

    fn write_at(&mut self, _: u64, _: &[u8]) -> Result<(), DiskError> {
        panic!("a disk that is looked at is written");
    }

    fn flush(&mut self) -> Result<(), DiskError> {
        panic!("a disk that is looked at is flushed");
    }
}

fuzz_target!(|image: &[u8]| {
    let Some(mut disk) = Pieces::new(image) else {
        return;
    };
    let contents = contents::read(&mut disk).unwrap();
    let _ = contents.to_string();
    if contents.is_free() {
        let len = disk.size_bytes.min(MIB);
        let mut ends = vec![0; 2 * len as usize];
        let (first, last) = ends.split_at_mut(len as usize);
        disk.fill(0, first);
        disk.fill(disk.size_bytes - len, last);
        assert!(
            first.starts_with(b"SMECHVISOR DEPLOY INCOMPLETE\n")
                || ends.iter().all(|byte| *byte == 0)
        );
    }
});
