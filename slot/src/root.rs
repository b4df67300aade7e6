//! The root file system: cut out of the slot's partition by device mapper's `linear`, checked block
//! by block by `verity` against the pinned hash, mounted read-only (`slot.md 5.2`).
//!
//! Until `/sbin/init` starts, a block that is wrong is an error of the read that wanted it, which
//! can be said on the consoles. From then on it stops the kernel ([`Root::guard`]): a system whose
//! files cannot be trusted must not go on.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use disk::disk::{Disk, DiskError, SectorSize};
use machine::blockdisk::BlockDisk;
use machine::partitions::Partition;
use rustix::mount::{MountFlags, mount};
use sys::dm::{DeviceMapper, Target};
use thiserror::Error;
use wire::digits::Hex;
use wire::slot::{BLOCK_BYTES, Description};

/// Where the root is mounted first.
pub const DIRECTORY: &str = "/sysroot";
const DATA: &str = "smv-data";
const VERITY: &str = "smv-root";
/// Sectors of device mapper, whatever those of the disk.
const SECTOR_BYTES: u64 = 512;
/// Bytes of the root in which both magics are.
const MAGIC_BYTES: usize = 4096;

/// The root cannot be mounted.
#[derive(Debug, Error)]
#[allow(missing_docs)] // the fields name themselves
pub enum RootError {
    /// The kernel has none.
    #[error("opening device mapper")]
    Mapper(#[source] io::Error),
    /// A device could not be made.
    #[error("{action} the device {name}")]
    Device {
        action: &'static str,
        name: &'static str,
        #[source]
        source: io::Error,
    },
    /// The disk.
    #[error("reading the root of {}", node.display())]
    Read {
        node: PathBuf,
        #[source]
        source: DiskError,
    },
    /// No file system that a root has.
    #[error("the root of {} is neither squashfs nor erofs", node.display())]
    Kind { node: PathBuf },
    /// The kernel refuses it.
    #[error("mounting the {kind} of {}", node.display())]
    Mount {
        kind: &'static str,
        node: PathBuf,
        #[source]
        source: io::Error,
    },
}

/// A mounted root.
#[derive(Debug)]
pub struct Root {
    mapper: DeviceMapper,
    guarded: Target,
}

impl Root {
    /// Mounts the root of `slot` on [`DIRECTORY`].
    ///
    /// # Errors
    /// No device mapper, no such file system, or a block that is wrong.
    pub fn mount(slot: &Description<'_>, partition: &Partition) -> Result<Self, RootError> {
        let mapper = DeviceMapper::open().map_err(RootError::Mapper)?;
        let linear = linear(slot, &partition.device);
        let data = device(&mapper, DATA, linear)?;
        let verity = |option| verity(slot, &format!("/dev/dm-{data}"), &partition.device, option);
        let root = device(&mapper, VERITY, verity(None))?;
        let node = PathBuf::from(format!("/dev/dm-{root}"));
        let kind = kind(&node, &partition.node)?;
        let failed = |source: io::Error| RootError::Mount {
            kind,
            node: partition.node.clone(),
            source,
        };
        fs::create_dir_all(DIRECTORY).map_err(failed)?;
        mount(&node, DIRECTORY, kind, MountFlags::RDONLY, c"")
            .map_err(|errno| failed(errno.into()))?;
        Ok(Self {
            mapper,
            guarded: verity(Some("panic_on_corruption")),
        })
    }

    /// From now on a block that is wrong stops the kernel.
    ///
    /// # Errors
    /// The kernel refuses the table.
    pub fn guard(&self) -> Result<(), RootError> {
        let failed = |source| RootError::Device {
            action: "guarding",
            name: VERITY,
            source,
        };
        let table = std::slice::from_ref(&self.guarded);
        self.mapper.load(VERITY, table).map_err(failed)?;
        self.mapper.resume(VERITY).map_err(failed)
    }
}

/// Makes a device of one target and returns its minor number.
fn device(mapper: &DeviceMapper, name: &'static str, target: Target) -> Result<u32, RootError> {
    let failed = |action| {
        move |source| RootError::Device {
            action,
            name,
            source,
        }
    };
    let minor = mapper.create(name).map_err(failed("creating"))?;
    mapper.load(name, &[target]).map_err(failed("describing"))?;
    mapper.resume(name).map_err(failed("starting"))?;
    Ok(minor)
}

/// The root without what stands before and behind it.
fn linear(slot: &Description<'_>, partition: &str) -> Target {
    Target {
        start_sectors: 0,
        len_sectors: slot.root.len_bytes / SECTOR_BYTES,
        kind: "linear",
        parameters: format!("{partition} {}", slot.root.offset_bytes / SECTOR_BYTES),
    }
}

/// The same, checked (`Documentation/admin-guide/device-mapper/verity.rst`).
fn verity(slot: &Description<'_>, data: &str, partition: &str, option: Option<&str>) -> Target {
    let blocks = slot.root.len_bytes / BLOCK_BYTES;
    let tree = slot.tree().offset_bytes / BLOCK_BYTES;
    let (hash, salt) = (Hex(&slot.hash), Hex(&slot.salt));
    let options = option
        .map(|option| format!(" 1 {option}"))
        .unwrap_or_default();
    Target {
        start_sectors: 0,
        len_sectors: slot.root.len_bytes / SECTOR_BYTES,
        kind: "verity",
        parameters: format!(
            "1 {data} {partition} {BLOCK_BYTES} {BLOCK_BYTES} {blocks} {tree} sha256 {hash} \
             {salt}{options}"
        ),
    }
}

/// What the magic of the file system says; `partition` is named in errors.
fn kind(node: &Path, partition: &Path) -> Result<&'static str, RootError> {
    let read = |node: &Path| {
        let mut head = [0; MAGIC_BYTES];
        let mut root = BlockDisk::open_to_read(node, SectorSize::B512)?;
        root.read_at(0, &mut head).map(|()| head)
    };
    let head = read(node).map_err(|source| RootError::Read {
        node: partition.to_owned(),
        source,
    })?;
    kind_of(&head).ok_or_else(|| RootError::Kind {
        node: partition.to_owned(),
    })
}

/// By the magics of `fs/squashfs/squashfs_fs.h` and `fs/erofs/erofs_fs.h`.
fn kind_of(head: &[u8]) -> Option<&'static str> {
    match head {
        [b'h', b's', b'q', b's', ..] => Some("squashfs"),
        _ if head.get(1024..1028) == Some(&[0xE2, 0xE1, 0xF5, 0xE0]) => Some("erofs"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::{kind_of, linear, verity};
    use wire::slot::{Area, Description};

    const SLOT: Description<'static> = Description {
        product: "smv-x86_64",
        version: "1",
        counter: 1,
        root: Area {
            offset_bytes: 8 << 20,
            len_bytes: 129 * 4096,
        },
        hash: [0xAB; 32],
        salt: [0x01; 32],
    };

    #[test]
    fn tables_are_what_dmsetup_would_be_given() {
        let data = linear(&SLOT, "253:3");
        assert_eq!((data.kind, data.len_sectors), ("linear", 1032));
        assert_eq!(data.parameters, "253:3 16384");
        let root = verity(&SLOT, "/dev/dm-0", "253:3", None);
        assert_eq!((root.kind, root.len_sectors), ("verity", 1032));
        let expected = format!(
            "1 /dev/dm-0 253:3 4096 4096 129 2177 sha256 {} {}",
            "ab".repeat(32),
            "01".repeat(32)
        );
        assert_eq!(root.parameters, expected);
        let guarded = verity(&SLOT, "/dev/dm-0", "253:3", Some("panic_on_corruption"));
        assert_eq!(
            guarded.parameters,
            format!("{expected} 1 panic_on_corruption")
        );
    }

    #[test]
    fn the_file_system_is_known_by_its_magic() {
        let mut head = vec![0; 4096];
        assert_eq!(kind_of(&head), None);
        head[1024..1028].copy_from_slice(&0xE0F5_E1E2_u32.to_le_bytes());
        assert_eq!(kind_of(&head), Some("erofs"));
        head[..4].copy_from_slice(b"hsqs");
        assert_eq!(kind_of(&head), Some("squashfs"));
        assert_eq!(kind_of(b"hsq"), None);
    }
}
