//! The bytes of an ISO 9660 image in, the bytes of a file or a partition in it out (ECMA-119; the
//! names are Rock Ridge's, IEEE P1282 4.1.4).
//!
//! Nothing is copied, so whatever the image says, no more can come out of it than was in it.

/// A sector of a CD, and one of a disk.
const SECTOR: usize = 2048;
const DISK_SECTOR: usize = 512;
/// Where the first volume descriptor is (ECMA-119 6.2.1), and what begins a primary one (8.4).
const DESCRIPTOR: usize = 16 * SECTOR;
const PRIMARY: &[u8] = b"\x01CD001";
/// In the descriptor: the record of the root directory (8.4.18).
const ROOT: usize = 156;
/// In the record of a directory: where it or its file begins, how long it is, what kind it is and
/// how long its name is (9.1).
const EXTENT: usize = 2;
const DATA_LEN: usize = 10;
const FLAGS: usize = 25;
const NAME_LEN: usize = 32;
const NAME: usize = 33;
const IS_DIRECTORY: u8 = 2;
/// The file goes on in the next record.
const GOES_ON: u8 = 0x80;
/// Files at most in one directory of ours.
const RECORDS_MAX: usize = 64;
/// In the header of a GPT: where its entries are, how many and how long (UEFI 2.10 5.3.2).
const GPT_MAGIC: &[u8] = b"EFI PART";
const GPT_ENTRIES: usize = 72;
const GPT_COUNT: usize = 80;
const GPT_ENTRY_LEN: usize = 84;
/// In an entry: its type, first and last sector (5.3.3).
const GPT_TYPE_LEN: usize = 16;
const FIRST: usize = 32;
const LAST: usize = 40;

/// The image has no such thing.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)] // the fields name themselves
pub enum Iso9660Error {
    /// Not in the directory.
    #[error("it was not made by spk-visor media: it has no {path}")]
    NoFile { path: String },
    /// Not all of it.
    #[error("{path} is at byte {at}, {len} bytes long, and the file has {file_len} bytes")]
    CutShort {
        path: String,
        at: usize,
        len: usize,
        file_len: usize,
    },
    /// No table, or nothing behind the number.
    #[error("it was not made by spk-visor media: it has no partition {0}")]
    NoPartition(u8),
}

/// Whether the file is one.
#[must_use]
pub fn is_image(image: &[u8]) -> bool {
    image
        .get(DESCRIPTOR..)
        .is_some_and(|rest| rest.starts_with(PRIMARY))
}

/// The file at a path, with or without a slash in front.
///
/// # Errors
/// See [`Iso9660Error`].
pub fn file<'a>(image: &'a [u8], path: &str) -> Result<&'a [u8], Iso9660Error> {
    let missing = || Iso9660Error::NoFile {
        path: path.to_owned(),
    };
    let root = image.get(DESCRIPTOR + ROOT..).ok_or_else(missing)?;
    let mut record = Record::read(root).ok_or_else(missing)?;
    let path = path.trim_start_matches('/');
    let mut parts = path.split('/').peekable();
    while let Some(name) = parts.next() {
        let directory = record.data(image, path)?;
        record = find(directory, name).ok_or_else(missing)?;
        if record.is_directory != parts.peek().is_some() {
            return Err(missing());
        }
    }
    record.data(image, path)
}

/// What a record says.
struct Record {
    extent: usize,
    len: usize,
    is_directory: bool,
}

impl Record {
    fn read(record: &[u8]) -> Option<Self> {
        let flags = *record.get(FLAGS)?;
        if flags & GOES_ON != 0 {
            return None;
        }
        Some(Self {
            extent: u32_at(record, EXTENT)?,
            len: u32_at(record, DATA_LEN)?,
            is_directory: flags & IS_DIRECTORY != 0,
        })
    }

    fn data<'a>(&self, image: &'a [u8], path: &str) -> Result<&'a [u8], Iso9660Error> {
        let at = self.extent.saturating_mul(SECTOR);
        let data = image.get(at..at.saturating_add(self.len));
        data.ok_or_else(|| Iso9660Error::CutShort {
            path: path.to_owned(),
            at,
            len: self.len,
            file_len: image.len(),
        })
    }
}

fn find(directory: &[u8], name: &str) -> Option<Record> {
    let mut at = 0;
    for _ in 0..RECORDS_MAX {
        let len = usize::from(*directory.get(at)?);
        if len == 0 {
            // No record lies across the end of a sector; what is left of this one is empty.
            at = (at + 1).next_multiple_of(SECTOR);
            continue;
        }
        let record = directory.get(at..at + len)?;
        if is_named(record, name.as_bytes()) == Some(true) {
            return Record::read(record);
        }
        at += len;
    }
    None
}

/// By its alternate name; ISO 9660's own is in upper case and shortened.
fn is_named(record: &[u8], name: &[u8]) -> Option<bool> {
    let own = usize::from(*record.get(NAME_LEN)?);
    // Fields begin at an even place.
    let mut rest = record.get((NAME + own).next_multiple_of(2)..)?;
    loop {
        let len = usize::from(*rest.get(2)?);
        let field = rest.get(..len).filter(|field| !field.is_empty())?;
        // A name that goes on in another field has a flag; none of ours is so long.
        if let Some([_, _, 0, alternate @ ..]) = field.strip_prefix(b"NM") {
            return Some(alternate == name);
        }
        rest = rest.get(len..)?;
    }
}

/// What a BIOS starts from a stick, without the table of partitions in it.
///
/// # Errors
/// The file is shorter.
pub fn boot_sector(image: &[u8]) -> Result<[u8; DISK_SECTOR], Iso9660Error> {
    let sector = image.first_chunk::<DISK_SECTOR>();
    let mut sector = *sector.ok_or(Iso9660Error::NoPartition(0))?;
    if let Some(table) = sector.get_mut(446..510) {
        table.fill(0);
    }
    Ok(sector)
}

/// The bytes of a partition of the GPT, from 1.
///
/// # Errors
/// There is none of this number.
pub fn partition(image: &[u8], number: u8) -> Result<&[u8], Iso9660Error> {
    partition_of(image, number).ok_or(Iso9660Error::NoPartition(number))
}

fn partition_of(image: &[u8], number: u8) -> Option<&[u8]> {
    let header = image.get(DISK_SECTOR..)?;
    if !header.starts_with(GPT_MAGIC) || u32_at(header, GPT_COUNT)? < usize::from(number) {
        return None;
    }
    let index = usize::from(number).checked_sub(1)?;
    let offset = index.checked_mul(u32_at(header, GPT_ENTRY_LEN)?)?;
    let entries = u64_at(header, GPT_ENTRIES)?.checked_mul(DISK_SECTOR)?;
    let entry = image.get(entries.checked_add(offset)?..)?;
    // An entry that is not used has no type.
    if entry.first_chunk::<GPT_TYPE_LEN>()? == &[0; GPT_TYPE_LEN] {
        return None;
    }
    let start = u64_at(entry, FIRST)?.checked_mul(DISK_SECTOR)?;
    let end = u64_at(entry, LAST)?
        .checked_add(1)?
        .checked_mul(DISK_SECTOR)?;
    image.get(start..end).filter(|bytes| !bytes.is_empty())
}

fn u32_at(bytes: &[u8], at: usize) -> Option<usize> {
    let bytes = bytes.get(at..)?.first_chunk()?;
    usize::try_from(u32::from_le_bytes(*bytes)).ok()
}

fn u64_at(bytes: &[u8], at: usize) -> Option<usize> {
    let bytes = bytes.get(at..)?.first_chunk()?;
    usize::try_from(u64::from_le_bytes(*bytes)).ok()
}

#[cfg(test)]
mod tests {
    use super::{DISK_SECTOR, Iso9660Error, SECTOR, boot_sector, file, is_image, partition};
    use crate::test_dir::TestDir;
    use std::process::Command;

    /// A small image by the program that makes the large ones.
    fn image(name: &str) -> Vec<u8> {
        let dir = TestDir::new(name);
        dir.write("tree/boot/0123456789abcdef/vmlinuz", b"the kernel");
        dir.write("tree/boot/grub/grub.cfg", b"# menu\n");
        for number in 0..40 {
            dir.write(
                &format!("tree/many/a-long-name-number-{number:02}"),
                &[number],
            );
        }
        dir.write("esp", &[0xE5; 4 * SECTOR]);
        let made = Command::new("xorriso")
            .args([
                "-as",
                "mkisofs",
                "-quiet",
                "-r",
                "-no-pad",
                "-append_partition",
                "2",
                "0xef",
            ])
            .arg(dir.path().join("esp"))
            .args(["-appended_part_as_gpt", "-o"])
            .args([dir.path().join("iso"), dir.path().join("tree")])
            .output()
            .expect("xorriso is needed by this test");
        assert!(made.status.success(), "{made:?}");
        std::fs::read(dir.path().join("iso")).unwrap()
    }

    #[test]
    fn files_and_partitions_are_those_that_went_in() {
        let image = image("iso9660-in");
        assert!(is_image(&image) && !is_image(&image[SECTOR..]));
        assert_eq!(file(&image, "boot/grub/grub.cfg"), Ok(&b"# menu\n"[..]));
        let kernel = file(&image, "/boot/0123456789abcdef/vmlinuz");
        assert_eq!(kernel, Ok(&b"the kernel"[..]));
        for number in [0, 17, 39] {
            let path = format!("many/a-long-name-number-{number:02}");
            assert_eq!(file(&image, &path), Ok(&[number][..]));
        }
        assert_eq!(partition(&image, 2).unwrap(), [0xE5; 4 * SECTOR]);
        let sector = boot_sector(&image).unwrap();
        assert_eq!(sector[446..510], [0; 64]);
        assert_eq!(sector[510..], [0x55, 0xAA]);
    }

    #[test]
    fn what_is_not_there_is_not_found() {
        let image = image("iso9660-not-there");
        for path in [
            "boot",
            "boot/grub",
            "boot/grub/grub.cfg/x",
            "boot/grub/GRUB.CFG",
            "",
            "/",
        ] {
            let error = file(&image, path).unwrap_err();
            assert!(
                matches!(error, Iso9660Error::NoFile { .. }),
                "{path:?}: {error}"
            );
        }
        for number in [0, 3, 255] {
            assert_eq!(
                partition(&image, number),
                Err(Iso9660Error::NoPartition(number))
            );
        }
    }

    #[test]
    fn an_image_cut_short_gives_what_it_still_has() {
        let image = image("iso9660-cut");
        let whole = |path| file(&image, path).unwrap();
        for len in (0..image.len()).step_by(DISK_SECTOR - 1) {
            for path in ["boot/grub/grub.cfg", "many/a-long-name-number-39"] {
                if let Ok(found) = file(&image[..len], path) {
                    assert_eq!(found, whole(path), "{len}");
                }
            }
            if let Ok(found) = partition(&image[..len], 2) {
                assert_eq!(found, [0xE5; 4 * SECTOR], "{len}");
            }
        }
    }

    #[test]
    fn no_changed_byte_of_a_structure_leads_out_of_the_image() {
        let image = image("iso9660-changed");
        let structures = (0..2 * SECTOR).chain(16 * SECTOR..40 * SECTOR);
        for at in structures {
            for bit in [0x01, 0x80] {
                let mut changed = image.clone();
                changed[at] ^= bit;
                let found = file(&changed, "boot/grub/grub.cfg").unwrap_or_default();
                assert!(found.len() < changed.len(), "byte {at}");
                let found = partition(&changed, 2).unwrap_or_default();
                assert!(found.len() <= changed.len(), "byte {at}");
            }
        }
    }
}
