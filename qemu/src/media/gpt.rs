//! Reads a GUID partition table the way firmware does, from an image file (UEFI 2.10 5.3). Written
//! apart from the code that makes the tables, so that one mistake is not made twice.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

use crate::error::{Doing, HarnessError, Result};

/// One used entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Number, from 1.
    pub number: usize,
    /// Byte offset of its first byte.
    pub offset: u64,
    /// Length in bytes.
    pub len: u64,
}

/// The primary copy or the backup.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Copy {
    /// At LBA 1.
    Primary,
    /// At the last LBA.
    Backup,
}

const HEADER_BYTES: usize = 92;
/// Offset of the header's own checksum, which counts as zero in it.
const HEADER_CRC_AT: usize = 16;
/// More entries than any real table has: a bound for what a wrong header can make us read.
const ENTRIES_MAX: u32 = 4096;

/// Reads one copy and checks all that firmware checks: signature, both checksums, its own position.
///
/// # Errors
/// The file cannot be read, or the copy is not valid; the error says which check failed.
pub fn read(image: &Path, sector_bytes: u32, copy: Copy) -> Result<Vec<Entry>> {
    let file = File::open(image).doing("opening", image.display())?;
    let size = file
        .metadata()
        .doing("asking for the size of", image.display())?
        .len();
    let sector = u64::from(sector_bytes);
    let lba = match copy {
        Copy::Primary => 1,
        Copy::Backup => (size / sector).saturating_sub(1),
    };
    let wrong = |what: &str, found: String| {
        HarnessError::unexpected(format!("{copy:?} gpt of {}", image.display()), what, found)
    };
    let mut header = vec![0; HEADER_BYTES];
    file.read_exact_at(&mut header, lba * sector)
        .doing("reading the header from", image.display())?;
    if header.get(..8) != Some(b"EFI PART") {
        return Err(wrong("the signature", format!("{:02x?}", header.get(..8))));
    }
    let stored = u32_at(&header, HEADER_CRC_AT);
    let mut zeroed = header.clone();
    zeroed
        .iter_mut()
        .skip(HEADER_CRC_AT)
        .take(4)
        .for_each(|byte| *byte = 0);
    if u32_at(&header, 12) != 92 || crc32(&zeroed) != stored {
        return Err(wrong(
            "a header of 92 bytes with a right checksum",
            format!("{stored:08x}, computed {:08x}", crc32(&zeroed)),
        ));
    }
    if u64_at(&header, 24) != lba {
        return Err(wrong(
            &format!("its own position {lba}"),
            u64_at(&header, 24).to_string(),
        ));
    }
    let (count, each) = (
        u32_at(&header, 80).min(ENTRIES_MAX),
        u32_at(&header, 84).clamp(128, 4096),
    );
    let mut table = vec![0; count as usize * each as usize];
    file.read_exact_at(&mut table, u64_at(&header, 72) * sector)
        .doing("reading the entries from", image.display())?;
    if crc32(&table) != u32_at(&header, 88) {
        return Err(wrong(
            "a right checksum of the entries",
            format!("{:08x}", crc32(&table)),
        ));
    }
    let used = table
        .chunks(each as usize)
        .enumerate()
        .filter(|(_, entry)| entry.iter().take(16).any(|byte| *byte != 0));
    let entry = |(index, entry): (usize, &[u8])| {
        let (first, last) = (u64_at(entry, 32), u64_at(entry, 40));
        Entry {
            number: index + 1,
            offset: first * sector,
            len: (last + 1).saturating_sub(first) * sector,
        }
    };
    Ok(used.map(entry).collect())
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    bytes
        .get(at..)
        .and_then(|rest| rest.first_chunk())
        .map_or(0, |chunk| u32::from_le_bytes(*chunk))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    bytes
        .get(at..)
        .and_then(|rest| rest.first_chunk())
        .map_or(0, |chunk| u64::from_le_bytes(*chunk))
}

/// CRC-32 as in ISO 3309, bit by bit: a table would be longer than the wait.
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            if crc & 1 == 1 {
                (crc >> 1) ^ 0xedb8_8320
            } else {
                crc >> 1
            }
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn crc_has_its_check_value() {
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
    }

    /// A disk of 64 sectors with one partition, LBA 40 to 47, made here byte by byte.
    fn image(sector: usize) -> Vec<u8> {
        let mut disk = vec![0; 64 * sector];
        let mut table = vec![0; 4 * 128];
        table[0] = 0xaf;
        table[32..40].copy_from_slice(&40u64.to_le_bytes());
        table[40..48].copy_from_slice(&47u64.to_le_bytes());
        for (own, entries) in [(1u64, 2u64), (63, 62)] {
            let mut header = vec![0; 92];
            header[..8].copy_from_slice(b"EFI PART");
            header[12..16].copy_from_slice(&92u32.to_le_bytes());
            header[24..32].copy_from_slice(&own.to_le_bytes());
            header[72..80].copy_from_slice(&entries.to_le_bytes());
            header[80..84].copy_from_slice(&4u32.to_le_bytes());
            header[84..88].copy_from_slice(&128u32.to_le_bytes());
            header[88..92].copy_from_slice(&crc32(&table).to_le_bytes());
            let crc = crc32(&header);
            header[16..20].copy_from_slice(&crc.to_le_bytes());
            disk[own as usize * sector..][..92].copy_from_slice(&header);
            disk[entries as usize * sector..][..512].copy_from_slice(&table);
        }
        disk
    }

    #[test]
    fn both_copies_are_read_and_any_changed_byte_is_noticed() {
        let path = std::env::temp_dir().join(format!("qemu-gpt-{}.img", std::process::id()));
        for sector in [512usize, 4096] {
            let good = image(sector);
            std::fs::write(&path, &good).unwrap();
            for copy in [Copy::Primary, Copy::Backup] {
                let expected = vec![Entry {
                    number: 1,
                    offset: 40 * sector as u64,
                    len: 8 * sector as u64,
                }];
                assert_eq!(read(&path, sector as u32, copy).unwrap(), expected);
            }
            for at in (sector..sector + 92).chain(2 * sector..2 * sector + 512) {
                let mut bad = good.clone();
                bad[at] ^= 1;
                std::fs::write(&path, &bad).unwrap();
                assert!(
                    read(&path, sector as u32, Copy::Primary).is_err(),
                    "byte {at}"
                );
                assert!(
                    read(&path, sector as u32, Copy::Backup).is_ok(),
                    "byte {at}"
                );
            }
        }
        std::fs::remove_file(path).unwrap();
    }
}
