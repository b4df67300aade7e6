//! The layout of the initramfs: which program lies where, and what else has to be there before PID 1 has
//! mounted anything.

use crate::tree::{Node, Tree, TreeError};

/// Where the kernel looks for the first program.
pub const INIT_PATH: &str = "init";
/// Where PID 1 looks for the maker of ext4 file systems.
pub const MKE2FS_PATH: &str = "sbin/mke2fs";

/// Mount points of PID 1, so that it can start before it can write.
const DIRECTORIES: [&str; 7] = ["dev", "mnt", "proc", "root", "run", "sys", "tmp"];

/// Devices that are needed before devtmpfs is mounted, or to report that it cannot be:
/// name, major and minor (Documentation/admin-guide/devices.txt).
const DEVICES: [(&str, u32, u32); 3] = [
    // The kernel opens it as standard input, output and error of /init.
    ("dev/console", 5, 1),
    // Rust's runtime opens it in place of a standard descriptor that is closed.
    ("dev/null", 1, 3),
    // Where the stages are written.
    ("dev/kmsg", 1, 11),
];

/// Highest level that needs no more memory to unpack than the archive is large. The window never exceeds
/// the content, so the kernel's limit of 128 MiB is far away.
const ZSTD_LEVEL: i32 = 19;

/// Lays out the initramfs.
///
/// # Errors
/// None in practice: the paths are constants.
pub fn tree(init: Vec<u8>, mke2fs: Vec<u8>) -> Result<Tree, TreeError> {
    let mut tree = Tree::default();
    for path in DIRECTORIES {
        tree.add(path, Node::Directory)?;
    }
    for (path, major, minor) in DEVICES {
        tree.add(path, Node::CharDevice { major, minor })?;
    }
    tree.add(INIT_PATH, Node::Program(init))?;
    tree.add(MKE2FS_PATH, Node::Program(mke2fs))?;
    Ok(tree)
}

/// Packs an archive the way the kernel unpacks fastest (kernel-config/base.config says what it can read).
///
/// # Errors
/// Memory for the compressor.
pub fn compress(archive: &[u8]) -> std::io::Result<Vec<u8>> {
    zstd::bulk::compress(archive, ZSTD_LEVEL)
}
