//! Rebuilds from a write log what a power cut would have left on the disk: everything up to a
//! flush, and of what came after it any part, down to single sectors, in any choice.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

use crate::actors::stranger::Noise;
use crate::error::{Doing, Result};
use crate::media::writelog::{Entry, SECTOR_BYTES};

/// Longer writes are kept or lost in pieces of this size, shorter ones sector by sector.
const PIECE_SECTORS: u64 = 64;

/// A disk image that moves forward through the log, flush by flush.
#[derive(Debug)]
pub struct Replay {
    disk: File,
    log: File,
    entries: Vec<Entry>,
    /// Entries before this one are on the disk.
    next: usize,
}

/// The bytes that a cut had overwritten, for [`Replay::undo`].
#[derive(Debug, Default)]
pub struct Undo(Vec<(u64, Vec<u8>)>);

impl Replay {
    /// `disk` is in the state from before the first entry.
    ///
    /// # Errors
    /// A file cannot be opened.
    pub fn start(disk: &Path, log: &Path, entries: Vec<Entry>) -> Result<Self> {
        let disk = File::options()
            .read(true)
            .write(true)
            .open(disk)
            .doing("opening", disk.display())?;
        let log = File::open(log).doing("opening", log.display())?;
        Ok(Self {
            disk,
            log,
            entries,
            next: 0,
        })
    }

    /// Whether there is anything left to apply.
    #[must_use]
    pub const fn is_at_end(&self) -> bool {
        self.next >= self.entries.len()
    }

    /// Writes between here and the next flush: those a cut may lose.
    #[must_use]
    pub fn pending(&self) -> Vec<Entry> {
        let rest = self.entries.get(self.next..).unwrap_or_default();
        let epoch = rest.iter().take_while(|entry| **entry != Entry::Flush);
        epoch
            .filter(|entry| matches!(entry, Entry::Write { .. }))
            .copied()
            .collect()
    }

    /// Applies everything up to and including the next flush.
    ///
    /// # Errors
    /// The host's disk.
    pub fn advance(&mut self) -> Result<()> {
        while let Some(entry) = self.entries.get(self.next).copied() {
            self.next += 1;
            match entry {
                Entry::Write {
                    offset,
                    len,
                    data_at,
                    ..
                } => self.write(offset, len, data_at)?,
                Entry::Discard => {}
                Entry::Flush => break,
            }
        }
        Ok(())
    }

    /// Applies a random part of `pending`; with `odds` of 256 each piece survives. Disks reorder,
    /// so the pieces that survive need not be the first ones. Writing through (FUA) is not relied
    /// on: such a write may be lost here like any other.
    ///
    /// # Errors
    /// The host's disk.
    pub fn cut(&mut self, pending: &[Entry], odds: u64, noise: &mut Noise) -> Result<Undo> {
        let mut undo = Undo::default();
        for entry in pending {
            let Entry::Write {
                offset,
                len,
                data_at,
                ..
            } = *entry
            else {
                continue;
            };
            let piece = if len / SECTOR_BYTES > PIECE_SECTORS {
                PIECE_SECTORS * SECTOR_BYTES
            } else {
                SECTOR_BYTES
            };
            let mut done = 0;
            while done < len {
                let part = piece.min(len - done);
                if noise.below(256) < odds {
                    undo.0
                        .push((offset + done, self.read(offset + done, part)?));
                    self.write(offset + done, part, data_at + done)?;
                }
                done += part;
            }
        }
        Ok(undo)
    }

    /// Puts back what [`Replay::cut`] has overwritten.
    ///
    /// # Errors
    /// The host's disk.
    pub fn undo(&mut self, undo: Undo) -> Result<()> {
        undo.0.into_iter().rev().try_for_each(|(at, bytes)| {
            self.disk
                .write_all_at(&bytes, at)
                .doing("restoring", "the disk image")
        })
    }

    fn read(&self, at: u64, len: u64) -> Result<Vec<u8>> {
        let mut bytes = vec![0; usize::try_from(len).unwrap_or(0)];
        self.disk
            .read_exact_at(&mut bytes, at)
            .doing("reading", "the disk image")?;
        Ok(bytes)
    }

    fn write(&self, offset: u64, len: u64, data_at: u64) -> Result<()> {
        let mut bytes = vec![0; usize::try_from(len).unwrap_or(0)];
        self.log
            .read_exact_at(&mut bytes, data_at)
            .doing("reading", "the write log")?;
        self.disk
            .write_all_at(&bytes, offset)
            .doing("writing", "the disk image")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn write(sector: u64, sectors: u64, data_at: u64) -> Entry {
        Entry::Write {
            offset: sector * 512,
            len: sectors * 512,
            data_at,
            durable: false,
        }
    }

    fn files(name: &str) -> (std::path::PathBuf, std::path::PathBuf) {
        let dir = std::env::temp_dir();
        let (disk, log) = (
            dir.join(format!("qemu-replay-{}-{name}.img", std::process::id())),
            dir.join(format!("qemu-replay-{}-{name}.log", std::process::id())),
        );
        std::fs::write(&disk, vec![0; 8 * 512]).unwrap();
        std::fs::write(&log, [vec![1; 2 * 512], vec![2; 512]].concat()).unwrap();
        (disk, log)
    }

    #[test]
    fn a_flush_is_a_step_and_a_cut_can_be_undone() {
        let (disk, log) = files("steps");
        let entries = vec![
            write(0, 2, 0),
            Entry::Flush,
            write(1, 1, 1024),
            Entry::Flush,
        ];
        let mut replay = Replay::start(&disk, &log, entries).unwrap();
        replay.advance().unwrap();
        let flushed = std::fs::read(&disk).unwrap();
        assert!(flushed[..1024].iter().all(|byte| *byte == 1) && flushed[1024] == 0);
        let pending = replay.pending();
        assert_eq!(pending, [write(1, 1, 1024)]);
        let undo = replay.cut(&pending, 256, &mut Noise(1)).unwrap();
        assert_eq!(std::fs::read(&disk).unwrap()[512], 2);
        replay.undo(undo).unwrap();
        assert_eq!(std::fs::read(&disk).unwrap(), flushed);
        replay.advance().unwrap();
        assert_eq!(std::fs::read(&disk).unwrap()[512], 2);
        assert!(replay.is_at_end());
        for path in [disk, log] {
            std::fs::remove_file(path).unwrap();
        }
    }

    #[test]
    fn a_cut_tears_writes_between_sectors_and_overlaps_are_undone_in_order() {
        let (disk, log) = files("tears");
        let entries = vec![write(0, 2, 0), write(0, 1, 1024)];
        let mut replay = Replay::start(&disk, &log, entries).unwrap();
        let before = std::fs::read(&disk).unwrap();
        let pending = replay.pending();
        let mut seen = std::collections::BTreeSet::new();
        let mut noise = Noise(7);
        for _ in 0..100 {
            let undo = replay.cut(&pending, 128, &mut noise).unwrap();
            let torn = std::fs::read(&disk).unwrap();
            seen.insert((torn[0], torn[512]));
            replay.undo(undo).unwrap();
            assert_eq!(std::fs::read(&disk).unwrap(), before);
        }
        let all: Vec<(u8, u8)> = seen.into_iter().collect();
        assert_eq!(all, [(0, 0), (0, 1), (1, 0), (1, 1), (2, 0), (2, 1)]);
        for path in [disk, log] {
            std::fs::remove_file(path).unwrap();
        }
    }
}
