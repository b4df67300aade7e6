//! Any bytes as an ESP: locating and reading its files never panics, ends, stays inside the
//! partition, reads whole sectors, and gives no more than was wanted.
//!
//! The first byte chooses the disk's sectors, the rest is the partition's beginning; behind it are
//! zeros.
#![no_main]

use disk::contents::PartitionRef;
use disk::disk::{Disk, DiskError, SectorSize};
use disk::esp::EspReader;
use libfuzzer_sys::fuzz_target;
use uuid::Uuid;

const SIZE_BYTES: u64 = 1 << 20;
/// A directory has 2 MiB at most, the two paths five of them, each cluster with its piece of the
/// table; and the file.
const READ_MAX: u64 = 256 << 20;
const MOST: u64 = 300_000;

struct Image<'a> {
    bytes: &'a [u8],
    sector: SectorSize,
    read_bytes: u64,
}

impl Disk for Image<'_> {
    fn name(&self) -> &str {
        "fuzz"
    }

    fn size_bytes(&self) -> u64 {
        SIZE_BYTES
    }

    fn sector_size(&self) -> SectorSize {
        self.sector
    }

    fn read_at(&mut self, offset: u64, buf: &mut [u8]) -> Result<(), DiskError> {
        let sector = self.sector.bytes();
        assert!(offset % sector == 0 && buf.len() as u64 % sector == 0);
        assert!(offset + buf.len() as u64 <= SIZE_BYTES);
        self.read_bytes += buf.len() as u64;
        assert!(self.read_bytes <= READ_MAX);
        let from = usize::try_from(offset).unwrap().min(self.bytes.len());
        let len = buf.len().min(self.bytes.len() - from);
        buf.fill(0);
        buf[..len].copy_from_slice(&self.bytes[from..from + len]);
        Ok(())
    }

    fn write_at(&mut self, _: u64, _: &[u8]) -> Result<(), DiskError> {
        panic!("an ESP that is read is written");
    }

    fn flush(&mut self) -> Result<(), DiskError> {
        panic!("an ESP that is read is flushed");
    }
}

fuzz_target!(|data: &[u8]| {
    let Some((choice, bytes)) = data.split_first() else {
        return;
    };
    let sector = if choice & 1 == 0 {
        SectorSize::B512
    } else {
        SectorSize::B4096
    };
    let mut disk = Image {
        bytes,
        sector,
        read_bytes: 0,
    };
    let partition = PartitionRef {
        number: 1,
        first_lba: 0,
        sectors: SIZE_BYTES / sector.bytes(),
        guid: Uuid::nil(),
    };
    let Ok(mut reader) = EspReader::open(&mut disk, &partition) else {
        return;
    };
    for path in ["loader/entries/smechvisor.conf", "/smechvisor/vmlinuz"] {
        let (mut content, extent) = (Vec::new(), reader.locate(path));
        if let Ok(len) = reader.read(path, &mut content, MOST) {
            assert!(len <= MOST && content.len() as u64 == len);
            if let Ok(extent) = extent {
                assert_eq!(u64::from(extent.len_bytes), len);
                let from = usize::try_from(extent.offset).unwrap();
                let found = bytes
                    .iter()
                    .copied()
                    .chain(core::iter::repeat(0))
                    .skip(from);
                assert!(found.take(content.len()).eq(content));
            }
        }
    }
});
