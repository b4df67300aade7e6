//! A disk a second time, to be read past the page cache (`O_DIRECT`, open(2)) while it is written
//! through the first.
//!
//! The kernel writes what is dirty in the range that is read, and then has the device answer, not
//! the cache. Of a file system without that (tmpfs) a file is opened as usual, and before each
//! piece it is flushed and the kernel asked to forget it; it may keep what others use.

use std::fs::File;
use std::io;
use std::num::NonZeroU64;
use std::os::unix::fs::FileExt;
use std::path::Path;

use disk::disk::{DiskError, Medium};
use rustix::fs::{Advice, Mode, OFlags, Stat, fadvise, fstat, open};
use rustix::io::Errno;

/// Memory that a device writes to begins at a multiple of this; its blocks are no larger.
const ALIGN: usize = 4096;

/// The way past the cache.
#[derive(Debug)]
pub(crate) struct Direct {
    name: String,
    file: File,
    is_direct: bool,
    /// Where the partition begins in `file`, and its length.
    offset: u64,
    len_bytes: u64,
    buffer: Vec<u8>,
}

impl Direct {
    /// Opens what is behind this open file and path, of which a partition of `len_bytes` at
    /// `offset` is read.
    ///
    /// # Errors
    /// The kernel's, or the path leads elsewhere by now.
    pub(crate) fn open(
        path: &Path,
        written: &File,
        name: String,
        (offset, len_bytes): (u64, u64),
    ) -> io::Result<Self> {
        let open = |flags| {
            open(
                path,
                OFlags::RDONLY | OFlags::CLOEXEC | flags,
                Mode::empty(),
            )
        };
        let (file, is_direct) = match open(OFlags::DIRECT) {
            Ok(file) => (file, true),
            Err(Errno::INVAL) => (open(OFlags::empty())?, false),
            Err(errno) => return Err(errno.into()),
        };
        let which = |stat: Stat| (stat.st_dev, stat.st_ino, stat.st_rdev);
        if which(fstat(&file)?) != which(fstat(written)?) {
            return Err(io::Error::other("its path leads elsewhere now"));
        }
        Ok(Self {
            name,
            file: file.into(),
            is_direct,
            offset,
            len_bytes,
            buffer: Vec::new(),
        })
    }

    fn fill(&mut self, offset: u64, len: usize) -> io::Result<&[u8]> {
        let end = offset.checked_add(len as u64);
        if end.is_none_or(|end| end > self.len_bytes) {
            let text = format!("the partition ends at byte {}", self.len_bytes);
            return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
        }
        let at = self.offset.saturating_add(offset);
        if !self.is_direct {
            self.file.sync_data()?;
            fadvise(
                &self.file,
                at,
                NonZeroU64::new(len as u64),
                Advice::DontNeed,
            )?;
        }
        self.buffer.resize(len.saturating_add(ALIGN), 0);
        let begin = self.buffer.as_ptr().align_offset(ALIGN);
        let end = begin.saturating_add(len);
        let piece = self.buffer.get_mut(begin..end).unwrap_or_default();
        self.file.read_exact_at(piece, at)?;
        Ok(piece)
    }
}

impl Medium for Direct {
    fn read(&mut self, offset: u64, len: usize) -> Result<&[u8], DiskError> {
        let disk = self.name.clone();
        self.fill(offset, len).map_err(|source| DiskError {
            action: "reading back",
            disk,
            offset,
            len,
            source,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Direct;
    use disk::disk::Medium;
    use std::fs::{self, File};
    use std::io::Write;
    use std::path::Path;

    const MIB: u64 = 1 << 20;

    fn opened(path: &Path) -> (File, Direct) {
        let mut file = File::create(path).unwrap();
        file.set_len(8 * MIB).unwrap();
        file.write_all(&[7; 3 << 20]).unwrap();
        let direct = Direct::open(path, &file, "part".to_owned(), (MIB, 4 * MIB));
        (file, direct.unwrap())
    }

    #[test]
    fn what_was_written_is_read_in_pieces_of_any_length() {
        let usual = tempfile::tempdir().unwrap();
        // The second one is most likely in memory, where there is no O_DIRECT.
        let memory = tempfile::tempdir_in("/dev/shm").ok();
        let directories = [Some(usual), memory];
        for directory in directories.iter().flatten() {
            let path = directory.path().join("disk");
            let (_file, mut direct) = opened(&path);
            assert!(
                direct
                    .read(0, 2 << 20)
                    .unwrap()
                    .iter()
                    .all(|byte| *byte == 7)
            );
            let border = direct.read(2 * MIB - 4096, 8192).unwrap();
            assert_eq!(border[4095..4097], [7, 0]);
            assert_eq!(direct.read(4 * MIB - 4096, 4096).unwrap(), [0; 4096]);
            let error = direct.read(4 * MIB - 4096, 8192).unwrap_err();
            assert_eq!(
                (error.action, error.offset),
                ("reading back", 4 * MIB - 4096)
            );
        }
    }

    #[test]
    fn another_file_behind_the_path_is_not_read() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("disk");
        let (file, _) = opened(&path);
        fs::rename(&path, directory.path().join("old")).unwrap();
        fs::write(&path, [1; 8192]).unwrap();
        let error = Direct::open(&path, &file, String::new(), (0, 4096)).unwrap_err();
        assert_eq!(error.to_string(), "its path leads elsewhere now");
    }
}
