//! The head of a slot: files in, an ordinary FAT volume out that GRUB reads the kernel from
//! (`slot.md 2`). The same files give the same bytes: no clock and no random number goes in.
//!
//! FAT12 or FAT16 with sectors of 4096 bytes, so that the same bytes can be read on disks with
//! sectors of 512 and of 4096.

use std::io::{self, Cursor, Seek, SeekFrom, Write};

use fatfs::{Date, DateTime, FileSystem, FormatVolumeOptions, FsOptions, Time, TimeProvider};
use thiserror::Error;
use wire::slot::BLOCK_BYTES;

use crate::esp::dot_entries;

const MIB: u64 = 1 << 20;
/// Smallest head, in bytes.
pub const LEN_MIN: u64 = 8 * MIB;
/// Largest head, in bytes.
pub const LEN_MAX: u64 = 64 * MIB;
/// Of 4087 clusters, two more than where FAT16 begins: programs disagree about volumes so close to
/// it (Microsoft FAT specification 1.03, "FAT Type Determination").
const LEN_UNCLEAR: u64 = 16 * MIB;
/// More than boot sector, two tables, root directory and a directory take of the largest head.
const OVERHEAD_BYTES: u64 = 128 << 10;
const SECTOR: u16 = 4096;
/// As [`wire::slot::head::VOLUME_LABEL`], filled up.
const LABEL: [u8; 11] = *b"SMV-HEAD   ";

/// The first day that FAT has. Without a clock fatfs would write a day 0.
#[derive(Debug)]
struct FirstDay;

impl TimeProvider for FirstDay {
    fn get_current_date(&self) -> Date {
        Date {
            year: 1980,
            month: 1,
            day: 1,
        }
    }

    fn get_current_date_time(&self) -> DateTime {
        DateTime {
            date: self.get_current_date(),
            time: Time {
                hour: 0,
                min: 0,
                sec: 0,
                millis: 0,
            },
        }
    }
}

/// A head cannot be made.
#[derive(Debug, Error)]
#[allow(missing_docs)] // the fields name themselves
pub enum HeadError {
    /// The files are too large.
    #[error(
        "the files of a slot's head have {len_bytes} bytes; {LEN_MAX} are the most, with room for its tables"
    )]
    Large { len_bytes: u64 },
    /// The file system said no.
    #[error("writing {object} into a slot's head")]
    Write {
        /// A path, or `FAT`.
        object: String,
        source: io::Error,
    },
}

/// How long a head for files of these lengths is, in bytes: whole MiB.
///
/// # Errors
/// They do not fit the largest one.
pub fn len_bytes(files: impl IntoIterator<Item = u64>) -> Result<u64, HeadError> {
    let blocks = |len: u64| len.div_ceil(BLOCK_BYTES).saturating_mul(BLOCK_BYTES);
    let content = files
        .into_iter()
        .fold(0_u64, |sum, len| sum.saturating_add(blocks(len)));
    let wanted = content.saturating_add(OVERHEAD_BYTES).div_ceil(MIB);
    let len_bytes = wanted.saturating_mul(MIB).max(LEN_MIN);
    match len_bytes {
        LEN_UNCLEAR => Ok(LEN_UNCLEAR + MIB),
        len_bytes if len_bytes > LEN_MAX => Err(HeadError::Large { len_bytes: content }),
        len_bytes => Ok(len_bytes),
    }
}

/// Makes a head of `len_bytes` with these files, in this order; each path has at most one
/// directory. `volume_id` is its serial number.
///
/// # Errors
/// They do not fit, or a path is not one.
pub fn make(len_bytes: u64, volume_id: u32, files: &[(&str, &[u8])]) -> Result<Vec<u8>, HeadError> {
    let failed = |object: &str, source| HeadError::Write {
        object: object.to_owned(),
        source,
    };
    let len = usize::try_from(len_bytes).map_err(|error| failed("FAT", io::Error::other(error)))?;
    let mut bytes = vec![0; len];
    let mut volume = Cursor::new(bytes.as_mut_slice());
    let options = FormatVolumeOptions::new()
        .bytes_per_sector(SECTOR)
        .bytes_per_cluster(SECTOR.into())
        .volume_id(volume_id)
        .volume_label(LABEL);
    fatfs::format_volume(&mut volume, options)
        .and_then(|()| volume.seek(SeekFrom::Start(0)))
        .map_err(|source| failed("FAT", source))?;
    let options = FsOptions::new().time_provider(&FirstDay);
    let fat = FileSystem::new(&mut volume, options).map_err(|source| failed("FAT", source))?;
    for (path, content) in files {
        write(&fat, path, content).map_err(|source| failed(path, source))?;
    }
    fat.unmount()
        .and_then(|()| dot_entries::mend(&mut volume))
        .map_err(|source| failed("FAT", source))?;
    Ok(bytes)
}

fn write<T: io::Read + Write + Seek>(
    fat: &FileSystem<T>,
    path: &str,
    content: &[u8],
) -> io::Result<()> {
    let mut directory = fat.root_dir();
    if let Some((above, _)) = path.split_once('/') {
        directory = directory.create_dir(above)?;
    }
    let name = path.rsplit('/').next().unwrap_or(path);
    let mut file = directory.create_file(name)?;
    file.truncate()?;
    file.write_all(content)?;
    file.flush()
}

#[cfg(test)]
mod tests {
    use super::{HeadError, LEN_MAX, LEN_MIN, len_bytes, make};
    use std::fs;
    use std::process::Command;
    use tempfile::TempDir;
    use wire::slot::head;

    const MIB: u64 = 1 << 20;

    /// Bytes that differ from cluster to cluster.
    fn noise(len: usize) -> Vec<u8> {
        (0..len).map(|at| (at ^ at >> 8 ^ at >> 12) as u8).collect()
    }

    #[test]
    fn lengths_are_whole_mebibytes_and_never_where_the_kind_of_fat_is_unclear() {
        assert_eq!(len_bytes([]).unwrap(), LEN_MIN);
        assert_eq!(len_bytes([1, 2, 3]).unwrap(), LEN_MIN);
        assert_eq!(len_bytes([8 * MIB]).unwrap(), 9 * MIB);
        assert_eq!(len_bytes([15 * MIB]).unwrap(), 17 * MIB);
        assert_eq!(len_bytes([63 * MIB]).unwrap(), LEN_MAX);
        let error = len_bytes([63 * MIB, MIB]).unwrap_err();
        assert!(matches!(error, HeadError::Large { len_bytes } if len_bytes == 64 * MIB));
    }

    #[test]
    fn others_find_it_clean_and_read_every_file_back() {
        let dir = TempDir::new().unwrap();
        let image = dir.path().join("head");
        for (kernel, kind) in [
            (3_000_001, "12"),
            (14 << 20, "12"),
            (15 << 20, "16"),
            (60 << 20, "16"),
        ] {
            let kernel = noise(kernel);
            let files: [(&str, &[u8]); 5] = [
                (head::SCRIPT, b"linux $smv_at/vmlinuz\n"),
                (head::SUMS, b"sums\n"),
                (head::KERNEL, &kernel),
                (head::GRUB_EFI, b"efi"),
                (head::GRUB_CORE, b"core"),
            ];
            let len = len_bytes(files.iter().map(|(_, content)| content.len() as u64)).unwrap();
            let bytes = make(len, 0x1A2B_3C4D, &files).unwrap();
            assert_eq!(bytes.len() as u64, len);
            assert!(
                bytes == make(len, 0x1A2B_3C4D, &files).unwrap(),
                "FAT{kind}"
            );
            fs::write(&image, &bytes).unwrap();

            let run = |program: &str, words: &[&str]| {
                let output = Command::new(program).args(words).output().unwrap();
                let text = String::from_utf8_lossy(&output.stdout)
                    + String::from_utf8_lossy(&output.stderr);
                assert!(output.status.success(), "{program}: {text}");
                (text.into_owned(), output.stdout)
            };
            let path = image.to_str().unwrap();
            let (fsck, _) = run("/sbin/fsck.vfat", &["-n", "-v", path]);
            assert!(fsck.contains("4096 bytes per logical sector"), "{fsck}");
            assert!(fsck.contains(&format!("{kind} bit entries")), "{fsck}");
            for complaint in ["ninitialized", "wrong", "ifferences", "irty", "Bad"] {
                assert!(!fsck.contains(complaint), "{complaint}: {fsck}");
            }
            let (blkid, _) = run("/sbin/blkid", &["-p", "-o", "export", path]);
            for line in ["UUID=1A2B-3C4D", &format!("LABEL={}", head::VOLUME_LABEL)] {
                assert!(blkid.lines().any(|found| found == line), "{line}: {blkid}");
            }
            let (list, _) = run("/usr/bin/mdir", &["-i", path, "::"]);
            assert_eq!(list.matches("1980-01-01").count(), 4, "{list}");
            for (name, content) in files {
                let (_, read) = run("/usr/bin/mtype", &["-i", path, &format!("::{name}")]);
                assert!(read == content, "{name} on FAT{kind}");
            }
        }
    }

    #[test]
    fn what_does_not_fit_is_named() {
        let large = vec![1; 8 << 20];
        let error = make(LEN_MIN, 1, &[(head::KERNEL, &large)]).unwrap_err();
        assert_eq!(error.to_string(), "writing vmlinuz into a slot's head");
    }
}
