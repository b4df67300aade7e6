//! The log QEMU's `blklogwrites` driver keeps of a disk: every write, every flush, in order, with
//! the data. The format is that of Linux's dm-log-writes
//! (Documentation/admin-guide/device-mapper/log-writes.rst; the sizes in
//! drivers/md/dm-log-writes.c), little-endian throughout.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

use crate::error::{Doing, HarnessError, Result};

/// Sectors of the log and of what it records: the value given to `log-sector-size`.
pub const SECTOR_BYTES: u64 = 512;
const MAGIC: u64 = 0x006a_7366_7773_6872;
const VERSION: u64 = 1;
/// A log with more entries than this is refused.
const ENTRIES_MAX: u64 = 10_000_000;

const FLUSH: u64 = 1;
const FUA: u64 = 2;
const DISCARD: u64 = 4;
const MARK: u64 = 8;

/// One line of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entry {
    /// Data was written.
    Write {
        /// Byte offset on the disk.
        offset: u64,
        /// Length in bytes.
        len: u64,
        /// Where the data are in the log, in bytes.
        data_at: u64,
        /// Written through: on the medium when it was reported done.
        durable: bool,
    },
    /// The range was given up; it may read as anything afterwards, here as before.
    Discard,
    /// Everything that was reported done before is on the medium.
    Flush,
}

/// Reads the whole log's headers; data stay in the file.
///
/// # Errors
/// It is no such log, or it ends before its last entry does.
pub fn read(path: &Path) -> Result<Vec<Entry>> {
    let file = File::open(path).doing("opening", path.display())?;
    let wrong = |expected: &str, found: u64| {
        HarnessError::unexpected(path.display().to_string(), expected, format!("{found:#x}"))
    };
    let [magic, version, count, sectors] = words(&file, path, 0)?;
    if magic != MAGIC || version != VERSION {
        return Err(wrong("magic and version of a write log", magic));
    }
    if sectors & 0xffff_ffff != SECTOR_BYTES || count > ENTRIES_MAX {
        return Err(wrong(
            "512-byte sectors and a sane number of entries",
            count,
        ));
    }
    let size = file
        .metadata()
        .doing("asking for the size of", path.display())?
        .len();
    let mut at = SECTOR_BYTES;
    let mut entries = Vec::new();
    for _ in 0..count {
        let [sector, sectors, flags, data_len] = words(&file, path, at)?;
        at += SECTOR_BYTES;
        let len = sectors
            .checked_mul(SECTOR_BYTES)
            .ok_or_else(|| wrong("a length below 2^64", sectors))?;
        let data_at = at;
        if flags & MARK != 0 {
            at += data_len.next_multiple_of(SECTOR_BYTES);
            continue;
        }
        if flags & DISCARD != 0 {
            entries.push(Entry::Discard);
            continue;
        }
        // A flush that comes with data is a flush first, then the write.
        if flags & FLUSH != 0 {
            entries.push(Entry::Flush);
        }
        if len == 0 {
            continue;
        }
        at = at
            .checked_add(len)
            .filter(|end| *end <= size)
            .ok_or_else(|| wrong("the data of an entry inside the log", len))?;
        let offset = sector
            .checked_mul(SECTOR_BYTES)
            .ok_or_else(|| wrong("an offset below 2^64", sector))?;
        entries.push(Entry::Write {
            offset,
            len,
            data_at,
            durable: flags & FUA != 0,
        });
    }
    Ok(entries)
}

fn words(file: &File, path: &Path, at: u64) -> Result<[u64; 4]> {
    let mut bytes = [0; 32];
    file.read_exact_at(&mut bytes, at)
        .doing("reading an entry of", path.display())?;
    let mut words = [0; 4];
    for (word, chunk) in words.iter_mut().zip(bytes.chunks_exact(8)) {
        *word = chunk
            .iter()
            .rev()
            .fold(0, |value, byte| value << 8 | u64::from(*byte));
    }
    Ok(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sector(words: [u64; 4]) -> Vec<u8> {
        let mut sector: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        sector.resize(512, 0);
        sector
    }

    /// Write of 2 sectors at 5, flush, discard, FUA write of 1 sector at 0, a mark.
    fn golden() -> Vec<u8> {
        let mut log = sector([MAGIC, 1, 5, 512]);
        log.extend(sector([5, 2, 0, 0]));
        log.extend([0xaa; 1024]);
        log.extend(sector([0, 0, FLUSH, 0]));
        log.extend(sector([100, 8, DISCARD, 0]));
        log.extend(sector([0, 1, FUA, 0]));
        log.extend([0xbb; 512]);
        log.extend(sector([0, 0, MARK, 0]));
        log
    }

    fn parse(name: &str, bytes: &[u8]) -> Result<Vec<Entry>> {
        let path =
            std::env::temp_dir().join(format!("qemu-writelog-{}-{name}.log", std::process::id()));
        std::fs::write(&path, bytes).unwrap();
        let entries = read(&path);
        std::fs::remove_file(path).unwrap();
        entries
    }

    #[test]
    fn entries_come_in_order_with_their_data() {
        assert_eq!(
            parse("golden", &golden()).unwrap(),
            [
                Entry::Write {
                    offset: 2560,
                    len: 1024,
                    data_at: 1024,
                    durable: false
                },
                Entry::Flush,
                Entry::Discard,
                Entry::Write {
                    offset: 0,
                    len: 512,
                    data_at: 3584,
                    durable: true
                },
            ]
        );
    }

    #[test]
    fn a_log_cut_anywhere_is_an_error() {
        let golden = golden();
        // The last entry's header is 32 bytes; what pads it to a sector may be missing.
        for len in 0..golden.len() - 480 {
            assert!(parse("cut", &golden[..len]).is_err(), "{len}");
        }
    }

    #[test]
    fn a_wrong_head_is_an_error() {
        for at in [0, 8, 24] {
            let mut bad = golden();
            bad[at] ^= 0xff;
            assert!(parse("head", &bad).is_err(), "{at}");
        }
    }
}
