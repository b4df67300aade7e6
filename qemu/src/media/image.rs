//! Judges a disk image from outside: would firmware boot it, and if it would, is everything there.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::error::{Doing, HarnessError, Result};
use crate::media::gpt::{self, Copy, Entry};
use crate::process::{outcome, run};

/// The state that the first sector declares (`disk-layout.md`). Only one of the three is ever
/// booted by firmware, BIOS or UEFI.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FirstSector {
    /// All zero: nothing was ever written, or it was wiped.
    Zero,
    /// The mark of a deploy that is not finished.
    Marker,
    /// Ends in 55 AA: boot code and protective MBR.
    BootCode,
    /// Anything else; not booted either.
    Other,
}

/// An image file and the sector size of the disk it stands for.
#[derive(Clone, Debug)]
pub struct Image {
    path: PathBuf,
    sector_bytes: u32,
}

impl Image {
    /// Nothing is opened yet.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>, sector_bytes: u32) -> Self {
        Self {
            path: path.into(),
            sector_bytes,
        }
    }

    /// Makes a sparse file of `size_mib`, which reads as zeros.
    ///
    /// # Errors
    /// The host's file system is full or does not take files of that size.
    pub fn create(path: &Path, size_mib: u64) -> Result<()> {
        let file = File::create(path).doing("creating", path.display())?;
        file.set_len(size_mib << 20).doing("sizing", path.display())
    }

    /// # Errors
    /// The image cannot be read.
    pub fn first_sector(&self) -> Result<FirstSector> {
        let mut sector = [0; 512];
        let file = File::open(&self.path).doing("opening", self.path.display())?;
        file.read_exact_at(&mut sector, 0)
            .doing("reading", self.path.display())?;
        Ok(if sector.ends_with(&[0x55, 0xaa]) {
            FirstSector::BootCode
        } else if sector.starts_with(b"SMECHVISOR DEPLOY INCOMPLETE") {
            FirstSector::Marker
        } else if sector == [0; 512] {
            FirstSector::Zero
        } else {
            FirstSector::Other
        })
    }

    /// After a failed deploy that had begun to write: firmware must pass this disk by.
    ///
    /// # Errors
    /// It would boot, or it is not marked as interrupted.
    pub fn must_be_interrupted(&self) -> Result<()> {
        self.must_start_with(FirstSector::Marker)
    }

    /// After a refusal: not a byte of the disk was touched.
    ///
    /// # Errors
    /// Something was written.
    pub fn must_be_untouched(&self) -> Result<()> {
        self.must_start_with(FirstSector::Zero)?;
        let blocks = std::os::unix::fs::MetadataExt::blocks(
            &std::fs::metadata(&self.path).doing("looking at", self.path.display())?,
        );
        match blocks {
            0 => Ok(()),
            _ => Err(self.unexpected("no block written", format!("{blocks} blocks of 512 bytes"))),
        }
    }

    /// After a deploy: both tables, FAT, ext4, the kernel on the ESP.
    ///
    /// # Errors
    /// Says which part is not as it should be.
    pub fn must_be_complete(&self) -> Result<()> {
        self.must_have_tables()?;
        let entries = gpt::read(&self.path, self.sector_bytes, Copy::Primary)?;
        let (esp, root) = (self.entry(&entries, 1)?, self.entry(&entries, 3)?);
        self.check_ext4(root)?;
        self.check_fat(esp)?;
        let kernel = self.esp_file(esp, "smechvisor/vmlinuz")?;
        if kernel.is_empty() {
            return Err(self.unexpected("a kernel on the esp", "an empty file".to_owned()));
        }
        Ok(())
    }

    /// Boot code, and both copies of the table valid and the same.
    ///
    /// # Errors
    /// Says which is not.
    pub fn must_have_tables(&self) -> Result<()> {
        self.must_start_with(FirstSector::BootCode)?;
        let primary = gpt::read(&self.path, self.sector_bytes, Copy::Primary)?;
        let backup = gpt::read(&self.path, self.sector_bytes, Copy::Backup)?;
        if primary == backup {
            Ok(())
        } else {
            Err(self.unexpected("two equal tables", format!("{primary:?} and {backup:?}")))
        }
    }

    /// Whether the commit has come as far as one step before its last.
    #[must_use]
    pub fn has_tables_without_boot_code(&self) -> bool {
        let valid = |copy| gpt::read(&self.path, self.sector_bytes, copy).is_ok();
        valid(Copy::Primary) && valid(Copy::Backup)
    }

    /// The length of each partition by its number, in MiB.
    ///
    /// # Errors
    /// There is no table.
    pub fn partitions(&self) -> Result<Vec<(usize, u64)>> {
        let entries = gpt::read(&self.path, self.sector_bytes, Copy::Primary)?;
        let sizes = entries.iter().map(|entry| (entry.number, entry.len >> 20));
        Ok(sizes.collect())
    }

    /// The primary table, with the identities in it: no two deploys make the same.
    ///
    /// # Errors
    /// The disk has no such partition.
    pub fn table(&self) -> Result<Vec<u8>> {
        gpt::read(&self.path, self.sector_bytes, Copy::Primary)?;
        let file = File::open(&self.path).doing("opening", self.path.display())?;
        let mut table = vec![0; 128 * 128];
        file.read_exact_at(&mut table, 2 * u64::from(self.sector_bytes))
            .doing("reading", self.path.display())?;
        Ok(table)
    }

    /// The bytes of the kernel on the ESP.
    ///
    /// # Errors
    /// There is no such file, or no table.
    pub fn kernel(&self) -> Result<Vec<u8>> {
        let entries = gpt::read(&self.path, self.sector_bytes, Copy::Primary)?;
        self.esp_file(self.entry(&entries, 1)?, "smechvisor/vmlinuz")
    }

    fn must_start_with(&self, expected: FirstSector) -> Result<()> {
        let found = self.first_sector()?;
        if found == expected {
            Ok(())
        } else {
            Err(self.unexpected(
                &format!("{expected:?} in the first sector"),
                format!("{found:?}"),
            ))
        }
    }

    fn entry<'a>(&self, entries: &'a [Entry], number: usize) -> Result<&'a Entry> {
        let found = entries.iter().find(|entry| entry.number == number);
        found.ok_or_else(|| self.unexpected(&format!("partition {number}"), format!("{entries:?}")))
    }

    fn check_ext4(&self, root: &Entry) -> Result<()> {
        run(Command::new("e2fsck").arg("-fn").arg(format!(
            "{}?offset={}",
            self.path.display(),
            root.offset
        )))
        .map(drop)
    }

    /// fsck.fat knows no offset, so it gets a sparse copy of the partition.
    fn check_fat(&self, esp: &Entry) -> Result<()> {
        let copy = self.path.with_extension("esp");
        let mut dd = Command::new("dd");
        dd.args([
            "bs=1M",
            "conv=sparse",
            "iflag=skip_bytes,count_bytes",
            "status=none",
        ]);
        dd.arg(format!("if={}", self.path.display()))
            .arg(format!("of={}", copy.display()));
        run(dd
            .arg(format!("skip={}", esp.offset))
            .arg(format!("count={}", esp.len)))?;
        // A dirty bit or a free count that is off would be found here.
        let checked = outcome(Command::new("fsck.fat").arg("-n").arg(&copy));
        std::fs::remove_file(&copy).doing("removing", copy.display())?;
        let checked = checked?;
        if checked.status.success() {
            return Ok(());
        }
        Err(self.unexpected(
            "a clean fat",
            String::from_utf8_lossy(&checked.stdout).into_owned(),
        ))
    }

    fn esp_file(&self, esp: &Entry, path: &str) -> Result<Vec<u8>> {
        let mut mtype = Command::new("mtype");
        // mtools knows the sector size from the file system itself.
        mtype.env("MTOOLS_SKIP_CHECK", "1").arg("-i").arg(format!(
            "{}@@{}",
            self.path.display(),
            esp.offset
        ));
        let output = outcome(mtype.arg(format!("::{path}")))?;
        if output.status.success() {
            return Ok(output.stdout);
        }
        Err(self.unexpected(
            &format!("{path} on the esp"),
            String::from_utf8_lossy(&output.stderr).into_owned(),
        ))
    }

    fn unexpected(&self, expected: &str, found: String) -> HarnessError {
        HarnessError::unexpected(self.path.display().to_string(), expected, found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Writes = &'static [(u64, &'static [u8])];

    fn image(name: &str, write: Writes) -> Image {
        let path =
            std::env::temp_dir().join(format!("qemu-image-{}-{name}.img", std::process::id()));
        Image::create(&path, 1).unwrap();
        let file = File::options().write(true).open(&path).unwrap();
        for (at, bytes) in write {
            file.write_all_at(bytes, *at).unwrap();
        }
        Image::new(path, 512)
    }

    #[test]
    fn the_first_sector_tells_what_firmware_will_do() {
        let cases: [(&str, Writes, FirstSector); 4] = [
            ("zero", &[], FirstSector::Zero),
            (
                "marker",
                &[(0, b"SMECHVISOR DEPLOY INCOMPLETE\n")],
                FirstSector::Marker,
            ),
            ("boot", &[(510, b"\x55\xaa")], FirstSector::BootCode),
            ("other", &[(3, b"x")], FirstSector::Other),
        ];
        for (name, write, expected) in cases {
            let image = image(name, write);
            assert_eq!(image.first_sector().unwrap(), expected);
            assert_eq!(
                image.must_be_untouched().is_ok(),
                expected == FirstSector::Zero,
                "{name}"
            );
            assert!(image.must_be_complete().is_err(), "{name}");
            std::fs::remove_file(image.path).unwrap();
        }
    }

    #[test]
    fn a_write_behind_the_first_sector_is_noticed() {
        let image = image("behind", &[(700_000, b"x")]);
        assert!(image.must_be_untouched().is_err());
        std::fs::remove_file(image.path).unwrap();
    }
}
