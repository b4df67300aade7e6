//! Puts `.` and `..` where they belong: first and second in every directory.
//!
//! fatfs 0.3.6 gives these two a long name like any other entry, so each stands behind a slot it
//! must not have. Linux and EDK2 read such directories, fsck.vfat calls them damaged (Microsoft FAT
//! specification 1.03, "FAT Directory Structure": the first two entries). Its successor, fixed, was
//! never released. A volume that needs nothing is only read.

use std::io::{self, Read, Seek, SeekFrom, Write};

/// A directory entry, or one slot of a long name.
const SLOT: usize = 32;
const LONG_NAME: u8 = 0x0F;
const DIRECTORY: u8 = 0x10;
const DELETED: u8 = 0xE5;
/// Our directories are two deep; a volume with deeper ones was not made here.
const DEPTH_MAX: u32 = 8;

/// The fields of the boot sector that are needed here.
struct Geometry {
    data_start: u64,
    cluster_bytes: u64,
    root: Extent,
}

/// Where a directory begins in the volume, and how much of it is looked at.
#[derive(Clone, Copy)]
struct Extent {
    offset: u64,
    len_bytes: u64,
}

/// Mends every directory of a FAT volume. A directory is looked at as far as its first cluster: 128
/// slots; the root of a FAT12 or FAT16, which has no clusters, as far as its end.
///
/// # Errors
/// Reading or writing failed.
pub(crate) fn mend(volume: &mut (impl Read + Write + Seek)) -> io::Result<()> {
    let geometry = Geometry::read(volume)?;
    visit(volume, &geometry, geometry.root, 0)
}

fn visit(
    volume: &mut (impl Read + Write + Seek),
    geometry: &Geometry,
    directory: Extent,
    depth: u32,
) -> io::Result<()> {
    for child in children(volume, geometry, directory)? {
        mend_one(volume, child.offset, depth == 0)?;
        if depth < DEPTH_MAX {
            visit(volume, geometry, child, depth.saturating_add(1))?;
        }
    }
    Ok(())
}

/// The directories in a directory.
fn children(
    volume: &mut (impl Read + Seek),
    geometry: &Geometry,
    directory: Extent,
) -> io::Result<Vec<Extent>> {
    let mut slots = vec![0; usize::try_from(directory.len_bytes).unwrap_or(0)];
    volume.seek(SeekFrom::Start(directory.offset))?;
    volume.read_exact(&mut slots)?;
    let (slots, _) = slots.as_chunks::<SLOT>();
    let live = slots.iter().take_while(|slot| slot[0] != 0);
    let directories = live.filter(|slot| {
        slot[11] != LONG_NAME && slot[11] & DIRECTORY != 0 && slot[0] != DELETED && slot[0] != b'.'
    });
    let clusters = directories.map(first_cluster);
    Ok(clusters.map(|cluster| geometry.extent(cluster)).collect())
}

fn first_cluster(slot: &[u8; SLOT]) -> u64 {
    let high = u16::from_le_bytes([slot[20], slot[21]]);
    let low = u16::from_le_bytes([slot[26], slot[27]]);
    u64::from(high) << 16 | u64::from(low)
}

/// Long slot, `.`, long slot, `..` becomes `.`, `..` and two deleted slots.
fn mend_one(
    volume: &mut (impl Read + Write + Seek),
    offset: u64,
    is_below_root: bool,
) -> io::Result<()> {
    let mut head = [0; 4 * SLOT];
    volume.seek(SeekFrom::Start(offset))?;
    volume.read_exact(&mut head)?;
    let ([long, dot, long_too, dotdot], _) = head.as_chunks::<SLOT>() else {
        return Ok(());
    };
    let is_dots = dot.starts_with(b".          ") && dotdot.starts_with(b"..         ");
    if long[11] != LONG_NAME || long_too[11] != LONG_NAME || !is_dots {
        return Ok(());
    }
    let (mut dotdot, mut gone) = (*dotdot, *long);
    if is_below_root {
        // The root's cluster is written as 0 here, whatever it is (same section).
        dotdot[20..22].fill(0);
        dotdot[26..28].fill(0);
    }
    gone[0] = DELETED;
    volume.seek(SeekFrom::Start(offset))?;
    volume.write_all(&[*dot, dotdot, gone, gone].concat())
}

impl Geometry {
    fn read(volume: &mut (impl Read + Seek)) -> io::Result<Self> {
        let mut sector = [0_u8; 512];
        volume.seek(SeekFrom::Start(0))?;
        volume.read_exact(&mut sector)?;
        let short = |low: u8, high: u8| u64::from(u16::from_le_bytes([low, high]));
        let long = |bytes: [u8; 4]| u64::from(u32::from_le_bytes(bytes));
        let sector_bytes = short(sector[11], sector[12]);
        let cluster_bytes = u64::from(sector[13]).saturating_mul(sector_bytes);
        let root_bytes = short(sector[17], sector[18]).saturating_mul(SLOT as u64);
        // Zero on a FAT32, whose table may be longer than 16 bits say.
        let table = match short(sector[22], sector[23]) {
            0 => long([sector[36], sector[37], sector[38], sector[39]]),
            sectors => sectors,
        };
        let tables = u64::from(sector[16]).saturating_mul(table);
        let reserved = short(sector[14], sector[15]);
        let behind_tables = reserved.saturating_add(tables).saturating_mul(sector_bytes);
        let mut geometry = Self {
            data_start: behind_tables.saturating_add(root_bytes),
            cluster_bytes,
            root: Extent {
                offset: behind_tables,
                len_bytes: root_bytes,
            },
        };
        if root_bytes == 0 {
            let cluster = long([sector[44], sector[45], sector[46], sector[47]]);
            geometry.root = geometry.extent(cluster);
        }
        Ok(geometry)
    }

    /// A cluster in the volume. They are counted from 2.
    fn extent(&self, cluster: u64) -> Extent {
        let before = cluster.saturating_sub(2).saturating_mul(self.cluster_bytes);
        Extent {
            offset: self.data_start.saturating_add(before),
            len_bytes: self.cluster_bytes,
        }
    }
}
