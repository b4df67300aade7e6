//! A slot: what its initramfs says about the root that belongs to it (`slot.md 5.1`), and the names
//! of the files in its head (`slot.md 2`).
//!
//! In: `etc/smv/slot` of an initramfs. Out: a [`Description`], or the line that is wrong; and the
//! other way round for the program that makes an image. There is one way to write it.

use crate::digits::Hex;
use crate::field::{FieldError, Fields};
use crate::manifest::Sha256;
use crate::record::Slot;
use crate::stream::DATA_MAX;
use core::fmt;

/// Where the description is in the initramfs.
pub const DESCRIPTION: &str = "etc/smv/slot";
/// Longest description, in bytes.
pub const LEN_MAX: usize = 1024;
/// Blocks of the root and of its hash tree, in bytes; also the sectors of the head's FAT.
pub const BLOCK_BYTES: u64 = 4096;
/// Hashes in one block of the tree.
const HASHES_PER_BLOCK: u64 = BLOCK_BYTES / 32;
const FIRST_LINE: &str = "smechvisor-slot 1";
const WHAT: &str = "the slot's description";

/// The name of a slot's partition in the table.
#[must_use]
pub const fn partition_name(slot: Slot) -> &'static str {
    match slot {
        Slot::A => "smechvisor-slot-a",
        Slot::B => "smechvisor-slot-b",
    }
}

/// The files in the head of a slot, an ordinary FAT volume.
pub mod head {
    /// What the volume is called.
    pub const VOLUME_LABEL: &str = "SMV-HEAD";
    /// GRUB's script that boots the slot.
    pub const SCRIPT: &str = "boot.cfg";
    /// The kernel.
    pub const KERNEL: &str = "vmlinuz";
    /// The initramfs with slot-init.
    pub const INITRD: &str = "initrd";
    /// SHA-256 of the files that `boot.cfg` needs, in the form of sha256sum(1).
    pub const SUMS: &str = "SHA256SUMS";
    /// Which release this is; the same file as in the root.
    pub const RELEASE: &str = "release";
    /// GRUB for the ESP.
    pub const GRUB_EFI: &str = "grub/grubx64.efi";
    /// GRUB's first sector.
    pub const GRUB_BOOT: &str = "grub/boot.img";
    /// GRUB for the BIOS boot partition.
    pub const GRUB_CORE: &str = "grub/core.img";
}

/// A part of a slot, whole blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Area {
    /// From the slot's first byte.
    pub offset_bytes: u64,
    /// How long it is.
    pub len_bytes: u64,
}

impl Area {
    fn read(fields: &mut Fields<'_>, name: &'static str) -> Result<Self, FieldError> {
        let (offset_bytes, len_bytes) = fields.pair(name, DATA_MAX)?;
        Ok(Self {
            offset_bytes,
            len_bytes,
        })
    }

    /// The first byte behind it.
    #[must_use]
    pub const fn end_bytes(&self) -> u64 {
        self.offset_bytes.saturating_add(self.len_bytes)
    }
}

/// What an initramfs says about its root.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Description<'a> {
    /// As in the manifest of the release.
    pub product: &'a str,
    /// Likewise.
    pub version: &'a str,
    /// Likewise.
    pub counter: u64,
    /// The root file system. The hash tree follows it: [`Description::tree`].
    pub root: Area,
    /// The root of the hash tree.
    pub hash: Sha256,
    /// What stands before every block when it is hashed.
    pub salt: Sha256,
}

impl<'a> Description<'a> {
    /// Reads a description.
    ///
    /// # Errors
    /// The first line that is wrong.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, FieldError> {
        let mut fields = Fields::new(bytes, LEN_MAX, WHAT)?;
        fields.exactly(FIRST_LINE)?;
        let product = fields.word("product")?;
        let version = fields.word("version")?;
        let counter = fields.number("counter", u64::MAX)?;
        let root = Area::read(&mut fields, "root")?;
        let (offset, len) = (root.offset_bytes, root.len_bytes);
        if offset < BLOCK_BYTES || len < 2 * BLOCK_BYTES || (offset | len) % BLOCK_BYTES != 0 {
            return Err(fields.not("whole blocks of 4096 bytes, one before and two in the root"));
        }
        if Area::read(&mut fields, "tree")? != tree_behind(root) {
            return Err(fields.not("where the tree of that root is, and how long"));
        }
        let hash = fields.digest("hash")?;
        let salt = fields.digest("salt")?;
        fields.end()?;
        Ok(Self {
            product,
            version,
            counter,
            root,
            hash,
            salt,
        })
    }

    /// The hash tree: behind the root, as long as it has to be.
    #[must_use]
    pub const fn tree(&self) -> Area {
        tree_behind(self.root)
    }
}

impl fmt::Display for Description<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            product,
            version,
            counter,
            root,
            hash,
            salt,
        } = self;
        let tree = self.tree();
        writeln!(
            f,
            "{FIRST_LINE}\nproduct {product}\nversion {version}\ncounter {counter}"
        )?;
        writeln!(f, "root {} {}", root.offset_bytes, root.len_bytes)?;
        writeln!(f, "tree {} {}", tree.offset_bytes, tree.len_bytes)?;
        writeln!(f, "hash {}\nsalt {}\nend", Hex(hash), Hex(salt))
    }
}

/// How long the hash tree of a root is, in bytes: dm-verity's version 1, SHA-256, one block of
/// hashes for 128 blocks below it, up to a level of one block.
#[must_use]
pub const fn tree_len_bytes(root_len_bytes: u64) -> u64 {
    let mut level = root_len_bytes.div_ceil(BLOCK_BYTES);
    let mut blocks = 0_u64;
    while level > 1 {
        level = level.div_ceil(HASHES_PER_BLOCK);
        blocks = blocks.saturating_add(level);
    }
    blocks.saturating_mul(BLOCK_BYTES)
}

const fn tree_behind(root: Area) -> Area {
    Area {
        offset_bytes: root.end_bytes(),
        len_bytes: tree_len_bytes(root.len_bytes),
    }
}

#[cfg(test)]
mod tests;
