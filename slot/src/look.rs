//! Which partition has the root that the initramfs names (`slot.md 5.2`).
//!
//! In: the description, and devices that come while PID 1 runs. Out: the partition whose hash tree
//! begins with the block that the pinned hash is of. That block is read and hashed here; every
//! other one is checked by the kernel when it is read.

use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use disk::disk::{Disk, DiskError, SectorSize};
use machine::blockdisk::BlockDisk;
use machine::drivers::Loader;
use machine::partitions::{self, Partition};
use sha2::{Digest, Sha256};
use sys::uevents::{Announcements, Heard, MESSAGE_MAX};
use thiserror::Error;
use wire::record::Slot;
use wire::slot::{BLOCK_BYTES, Description, partition_name};

use crate::console;

/// How long disks may take to appear.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// The slot that runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Which one.
    pub slot: Slot,
    /// Its partition.
    pub partition: Partition,
}

/// There is no slot to start.
#[derive(Debug, Error)]
#[allow(missing_docs)] // the fields name themselves
pub enum LookError {
    /// The kernel does not say which devices come.
    #[error("listening for new devices")]
    Announcements(#[source] io::Error),
    /// No partition of that name.
    #[error("no disk has a partition {name} after {} s", PATIENCE.as_secs())]
    None { name: &'static str },
    /// Another image is there, or a damaged one.
    #[error(
        "slot {} on {} does not hold the root of this initramfs",
        found.slot, found.partition.node.display()
    )]
    Other { found: Box<Found> },
    /// The disk failed.
    #[error("reading the hash tree of slot {} on {}", found.slot, found.partition.node.display())]
    Read {
        found: Box<Found>,
        #[source]
        source: DiskError,
    },
}

impl LookError {
    /// The slot that was meant, when there is one.
    #[must_use]
    pub fn found(&self) -> Option<&Found> {
        match self {
            LookError::Other { found } | LookError::Read { found, .. } => Some(found),
            LookError::Announcements(_) | LookError::None { .. } => None,
        }
    }
}

/// What announces devices, and what loads their modules.
pub struct Devices<'a> {
    announcements: Announcements,
    loader: Option<Loader<'a>>,
}

impl<'a> Devices<'a> {
    /// Listens, then loads what the devices want that there are.
    ///
    /// # Errors
    /// The kernel has no such socket.
    pub fn start(loader: Option<Loader<'a>>) -> Result<Self, LookError> {
        let announcements = Announcements::open().map_err(LookError::Announcements)?;
        let mut loader = loader;
        if let Some(loader) = &mut loader {
            loader.walk();
        }
        Ok(Self {
            announcements,
            loader,
        })
    }

    /// Waits until something comes, and serves it.
    fn wait(&mut self, left: Duration) -> Result<(), LookError> {
        self.announcements
            .wait(Some(left))
            .and_then(|()| match &mut self.loader {
                Some(loader) => loader.hear(&self.announcements).map(drop),
                None => self.forget(),
            })
            .map_err(LookError::Announcements)
    }

    fn forget(&self) -> io::Result<()> {
        let mut buffer = [0; MESSAGE_MAX];
        while !matches!(self.announcements.read(&mut buffer)?, Heard::Nothing) {}
        Ok(())
    }
}

/// Waits for the slot that the boot loader has started, for [`PATIENCE`]; `wanted` is what it said
/// on the command line, and without that either will do.
///
/// # Errors
/// None came, or none that holds this root.
pub fn find(
    slot: &Description<'_>,
    wanted: Option<Slot>,
    devices: &mut Devices<'_>,
) -> Result<Found, LookError> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let found = candidates(partitions::read(Path::new(partitions::CLASS)), wanted);
        let mut last = None;
        let mut good = Vec::new();
        for found in found {
            match holds(slot, &found.partition) {
                Ok(true) => good.push(found),
                Ok(false) => {
                    let found = Box::new(found);
                    last = Some(LookError::Other { found });
                }
                Err(source) => {
                    let found = Box::new(found);
                    last = Some(LookError::Read { found, source });
                }
            }
        }
        let mut good = good.into_iter();
        if let Some(found) = good.next() {
            for other in good {
                let (one, other) = (&found.partition.node, &other.partition.node);
                let text = "hold the same root; the first is taken";
                console::warning(&format!("{} and {} {text}", one.display(), other.display()));
            }
            return Ok(found);
        }
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            let name = partition_name(wanted.unwrap_or(Slot::A));
            return Err(last.unwrap_or(LookError::None { name }));
        }
        devices.wait(left)?;
    }
}

/// The partitions that may be the slot, slot A before slot B.
fn candidates(partitions: Vec<Partition>, wanted: Option<Slot>) -> Vec<Found> {
    let is_wanted = |slot: &Slot| wanted.is_none_or(|wanted| wanted == *slot);
    let slots = Slot::ALL.into_iter().filter(is_wanted);
    slots
        .flat_map(|slot| {
            let named = partitions
                .iter()
                .filter(move |partition| partition.name == partition_name(slot));
            named.map(move |partition| Found {
                slot,
                partition: partition.clone(),
            })
        })
        .collect()
}

/// Does the partition have this root's hash tree where it belongs?
fn holds(slot: &Description<'_>, partition: &Partition) -> Result<bool, DiskError> {
    let mut disk = BlockDisk::open_to_read(&partition.node, SectorSize::B512)?;
    let tree = slot.tree();
    if disk.size_bytes() < tree.end_bytes() {
        return Ok(false);
    }
    let mut block = [0; BLOCK_BYTES as usize];
    let read = disk.read_at(tree.offset_bytes, &mut block);
    read.map(|()| is_top_of(slot, &block))
}

/// Is it the block that the root hash is of? dm-verity's version 1 puts the salt in front.
fn is_top_of(slot: &Description<'_>, block: &[u8]) -> bool {
    let digest = Sha256::new().chain_update(slot.salt).chain_update(block);
    digest.finalize().as_slice() == slot.hash
}

#[cfg(test)]
mod tests {
    use super::{candidates, is_top_of};
    use machine::partitions::Partition;
    use std::path::PathBuf;
    use wire::record::Slot;
    use wire::slot::{Area, Description};

    fn partition(node: &str, name: &str) -> Partition {
        Partition {
            node: PathBuf::from(node),
            device: String::new(),
            disk: String::new(),
            number: 0,
            name: name.to_owned(),
        }
    }

    #[test]
    fn only_slots_are_looked_at_and_only_the_one_that_was_started() {
        let all = || {
            vec![
                partition("/dev/vda5", "smechvisor-slot-b"),
                partition("/dev/vda3", "smechvisor-slot-a"),
                partition("/dev/vda6", "smechvisor-state"),
                partition("/dev/vdb3", "smechvisor-slot-a"),
            ]
        };
        let nodes = |wanted| {
            let found = candidates(all(), wanted);
            let shown =
                |found: super::Found| format!("{} {}", found.slot, found.partition.node.display());
            found.into_iter().map(shown).collect::<Vec<_>>()
        };
        assert_eq!(nodes(Some(Slot::A)), ["a /dev/vda3", "a /dev/vdb3"]);
        assert_eq!(nodes(Some(Slot::B)), ["b /dev/vda5"]);
        assert_eq!(nodes(None).len(), 3);
    }

    /// Made by `veritysetup format --no-superblock` of two blocks of zeros, with a salt of 32
    /// bytes 0x01; the tree has one block: the hashes of both.
    #[test]
    fn the_top_of_the_tree_has_the_pinned_hash() {
        let hex = |text: &str| {
            let byte = |at: usize| u8::from_str_radix(&text[at..at + 2], 16).unwrap();
            (0..text.len()).step_by(2).map(byte).collect::<Vec<u8>>()
        };
        let mut slot = Description {
            product: "smv-x86_64",
            version: "1",
            counter: 1,
            root: Area {
                offset_bytes: 4096,
                len_bytes: 8192,
            },
            hash: hex(HASH).try_into().unwrap(),
            salt: [1; 32],
        };
        let mut block = hex(LEAF).repeat(2);
        block.resize(4096, 0);
        assert!(is_top_of(&slot, &block));
        block[0] ^= 1;
        assert!(!is_top_of(&slot, &block));
        block[0] ^= 1;
        slot.salt[0] ^= 1;
        assert!(!is_top_of(&slot, &block));
    }

    const HASH: &str = "4b35318f1e1bfd31f1f4b2ae9817ab2172d8eb6d412b36f6524c545b7be65e6e";
    const LEAF: &str = "0e9e0e247a5424fb41452c197db6466d656b326a54164adb43637d42cb1bdac0";
}
