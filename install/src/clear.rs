//! Clears a disk before anything is made on it: every place where the former contents
//! may have signed themselves, and where somebody would look for a signature once the new
//! partitions are there (`disk-layout.md` 3).
//!
//! A layout goes in, spans of bytes come out. Their length does not depend on the size of the disk,
//! so that clearing takes as long on every disk of a kind; at most [`MAX_BYTES`].

use std::ops::Range;

use disk::disk::{Disk, DiskError};
use disk::layout::Layout;
use disk::sizes::MIB;

/// From the start of each partition. The last known signature there is LUKS2's second header, at 4
/// MiB at most (cryptsetup's `luks2_disk_metadata.c`); that header is as long again.
const HEAD_BYTES: u64 = 8 * MIB;
/// To the end of each partition. ZFS keeps two labels of 256 KiB there, on a multiple of their
/// size; all others are nearer.
const TAIL_BYTES: u64 = MIB;
/// Where btrfs keeps copies of its superblock (its on-disk format, "Superblock"), besides the one
/// in the head.
const BTRFS_COPIES: [u64; 2] = [64 * MIB, 256 * 1024 * MIB];
const BTRFS_COPY_BYTES: u64 = 4096;

/// The disk itself and the six partitions of two slots, each with head, tail and copies.
pub const MAX_BYTES: u64 = 7 * (HEAD_BYTES + TAIL_BYTES + 2 * BTRFS_COPY_BYTES);

/// Clears a disk for a layout, all but LBA 0. Not flushed.
///
/// # Errors
/// The disk failed.
pub fn clear(disk: &mut dyn Disk, layout: &Layout) -> Result<u64, DiskError> {
    let mut cleared_bytes: u64 = 0;
    for span in spans(layout) {
        let len_bytes = span.end.saturating_sub(span.start);
        disk.zero_at(span.start, len_bytes)?;
        cleared_bytes = cleared_bytes.saturating_add(len_bytes);
    }
    Ok(cleared_bytes)
}

/// In order, none touching the next. LBA 0 is in none: the marker stands there.
fn spans(layout: &Layout) -> Vec<Range<u64>> {
    let disk_bytes = layout.disk_bytes();
    let whole = (0, disk_bytes);
    let partitions = layout.partitions.iter();
    let areas = partitions.map(|part| (layout.offset_bytes(part), layout.len_bytes(part)));
    let mut spans: Vec<Range<u64>> = areas
        .chain([whole])
        .flat_map(|(start, len_bytes)| spans_of(start, len_bytes))
        .collect();
    spans.sort_unstable_by_key(|span| span.start);
    let mut joined: Vec<Range<u64>> = Vec::new();
    for span in spans {
        let span = span.start.max(layout.sector.bytes())..span.end;
        match joined.last_mut() {
            Some(last) if span.start <= last.end => last.end = last.end.max(span.end),
            _ => joined.push(span),
        }
    }
    joined
}

/// Of a partition, or of the disk as a whole.
fn spans_of(start: u64, len_bytes: u64) -> impl Iterator<Item = Range<u64>> {
    let end = start.saturating_add(len_bytes);
    let copies = BTRFS_COPIES.into_iter();
    let copies = copies.map(move |copy| {
        let copy = start.saturating_add(copy);
        copy..copy.saturating_add(BTRFS_COPY_BYTES)
    });
    let head = start..start.saturating_add(HEAD_BYTES);
    let tail = end.saturating_sub(TAIL_BYTES).max(start)..end;
    copies
        .chain([head, tail])
        .map(move |span| span.start.min(end)..span.end.min(end))
        .filter(|span| !span.is_empty())
}

#[cfg(test)]
mod tests {
    use super::{MAX_BYTES, spans};
    use disk::contents::signatures;
    use disk::disk::SectorSize;
    use disk::layout::{Layout, plan};
    use disk::sizes::{LayoutKind, MIB, Sizes};
    use uuid::Uuid;

    fn layout(disk_bytes: u64, sector: SectorSize) -> Layout {
        plan(disk_bytes, sector, Sizes::USUAL, &mut Uuid::nil).unwrap()
    }

    fn two_slots(disk_bytes: u64, sector: SectorSize) -> Layout {
        let sizes = Sizes {
            layout: LayoutKind::Ab { slot_bytes: None },
            ..Sizes::USUAL
        };
        plan(disk_bytes, sector, sizes, &mut Uuid::nil).unwrap()
    }

    #[test]
    fn spans_are_apart_and_on_the_disk_and_leave_lba_0_alone() {
        for sector in [SectorSize::B512, SectorSize::B4096] {
            let single = [770 * MIB, 6 << 30, (6 << 30) + 20 * 1024, 4 << 40];
            let layouts = single.map(|bytes| (bytes, layout(bytes, sector)));
            let slots = [1800 * MIB, 6 << 30, 4 << 40];
            let slots = slots.map(|bytes| (bytes, two_slots(bytes, sector)));
            for (disk_bytes, layout) in layouts.into_iter().chain(slots) {
                let spans = spans(&layout);
                assert_eq!(spans[0].start, sector.bytes());
                assert_eq!(spans.last().unwrap().end, disk_bytes);
                assert!(
                    spans.windows(2).all(|pair| pair[0].end < pair[1].start),
                    "{spans:?}"
                );
                let aligned = |byte: u64| byte.is_multiple_of(sector.bytes());
                assert!(
                    spans
                        .iter()
                        .all(|span| aligned(span.start) && aligned(span.end))
                );
                let bytes: u64 = spans.iter().map(|span| span.end - span.start).sum();
                assert!(bytes <= MAX_BYTES, "{bytes}");
            }
        }
    }

    /// Whatever the gate can recognise, in a partition or on the whole disk, is gone after
    /// clearing.
    #[test]
    fn no_signature_that_the_gate_knows_stands_outside_of_them() {
        for sector in [SectorSize::B512, SectorSize::B4096] {
            for disk_bytes in [770 * MIB, 6 << 30, (6 << 30) + 20 * 1024] {
                let layout = layout(disk_bytes, sector);
                let spans = spans(&layout);
                let parts = layout.partitions.iter();
                let areas = parts.map(|part| (layout.offset_bytes(part), layout.len_bytes(part)));
                for (start, len_bytes) in areas.chain([(0, disk_bytes)]) {
                    for (name, at, magic) in signatures::known(len_bytes) {
                        let (from, to) = (start + at, start + at + magic.len() as u64);
                        let is_cleared = |span: &std::ops::Range<u64>| {
                            span.start <= from.max(sector.bytes()) && to <= span.end
                        };
                        assert!(spans.iter().any(is_cleared), "{name} at {from}");
                    }
                }
            }
        }
    }
}
