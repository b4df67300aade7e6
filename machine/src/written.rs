//! Was a partition written since? Two looks that give the same text say that it was not.
//!
//! A block device has its sectors counted in sysfs, those that were written and those that were
//! discarded (`Documentation/ABI/stable/sysfs-block`, `stat`). The kernel counts them before it
//! reports to any writer that they are written; what is only in the cache, and what goes through
//! the whole disk instead of the partition, is not counted. An image file has the time of its last
//! change.

use std::fs::{self, File};
use std::path::PathBuf;

use rustix::fs::fstat;

/// Of the numbers in `stat`, counted from 0: sectors written, sectors discarded. Kernels before
/// 4.18 have not the second one.
const WRITTEN: usize = 6;
const DISCARDED: usize = 13;

/// Where it can be seen.
#[derive(Debug)]
pub enum Written {
    /// A partition's `stat`.
    Counted(PathBuf),
    /// An image file.
    Dated(File),
}

impl Written {
    /// Another text after each write. `None` when that is unknown: the kernel counts nothing
    /// (`queue/iostats`), or it cannot be read.
    #[must_use]
    pub fn now(&self) -> Option<String> {
        match self {
            Written::Counted(path) => counted(&fs::read_to_string(path).ok()?),
            Written::Dated(file) => {
                let stat = fstat(file).ok()?;
                Some(format!("at {}.{:09}", stat.st_mtime, stat.st_mtime_nsec))
            }
        }
    }
}

/// A slot that was written has been counted at least once.
fn counted(stat: &str) -> Option<String> {
    let numbers: Vec<&str> = stat.split_ascii_whitespace().collect();
    let number = |at: usize| numbers.get(at)?.parse::<u64>().ok();
    let (written, discarded) = (number(WRITTEN)?, number(DISCARDED)?);
    (written > 0).then(|| format!("{written} {discarded}"))
}

#[cfg(test)]
mod tests {
    use super::{Written, counted};
    use std::io::Write;
    use std::thread::sleep;
    use std::time::Duration;

    #[test]
    fn sectors_that_were_written_or_discarded_are_counted() {
        let stat = "  153 0 7368 24 88 1 4096 31 0 44 56 2 0 512 0 3 1\n";
        assert_eq!(counted(stat).unwrap(), "4096 512");
        let unknown = [
            "",
            "153 0 7368 24 88 1 4096 31 0 44 56",
            "0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0",
            "1 0 1 1 1 1 x 1 1 1 1 1 1 1",
        ];
        for stat in unknown {
            assert_eq!(counted(stat), None, "{stat}");
        }
        assert_eq!(Written::Counted("/nonexistent".into()).now(), None);
    }

    #[test]
    fn a_file_that_was_written_has_another_date() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"one").unwrap();
        let written = Written::Dated(file.try_clone().unwrap());
        let first = written.now().unwrap();
        assert_eq!(written.now(), Some(first.clone()));
        // The kernel's clock for files may tick a hundred times a second.
        sleep(Duration::from_millis(30));
        file.write_all(b"two").unwrap();
        assert_ne!(written.now(), Some(first));
    }
}
