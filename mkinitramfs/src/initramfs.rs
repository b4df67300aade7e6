//! The layout of the initramfs: which program lies where, and what else has to be there before PID
//! 1 has mounted anything.

use crate::baked_config::BakedConfig;
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

/// Highest level that needs no more memory to unpack than the archive is large. The window never
/// exceeds the content, so the kernel's limit of 128 MiB is far away.
const ZSTD_LEVEL: i32 = 19;

/// Lays out the initramfs of the shim.
///
/// # Errors
/// None in practice: the paths are constants.
pub fn tree(init: Vec<u8>, mke2fs: Vec<u8>, config: &BakedConfig) -> Result<Tree, TreeError> {
    let mut tree = starting(init)?;
    tree.add(MKE2FS_PATH, Node::Program(mke2fs))?;
    config.put(&mut tree)?;
    Ok(tree)
}

/// What every initramfs has: its first program, and what that needs to start.
///
/// # Errors
/// None in practice: the paths are constants.
pub fn starting(init: Vec<u8>) -> Result<Tree, TreeError> {
    let mut tree = Tree::default();
    for path in DIRECTORIES {
        tree.add(path, Node::Directory)?;
    }
    for (path, major, minor) in DEVICES {
        tree.add(path, Node::CharDevice { major, minor })?;
    }
    tree.add(INIT_PATH, Node::Program(init))?;
    Ok(tree)
}

/// Packs an archive the way the kernel unpacks fastest (kernel-config/base.config says what it can
/// read).
///
/// # Errors
/// Memory for the compressor.
pub fn compress(archive: &[u8]) -> std::io::Result<Vec<u8>> {
    zstd::bulk::compress(archive, ZSTD_LEVEL)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::newc;

    fn image(init: &[u8], mke2fs: &[u8]) -> Vec<u8> {
        locked_image(init, mke2fs, &BakedConfig::default())
    }

    fn locked_image(init: &[u8], mke2fs: &[u8], config: &BakedConfig) -> Vec<u8> {
        let tree = tree(init.to_vec(), mke2fs.to_vec(), config).unwrap();
        compress(&newc::archive(&tree).unwrap()).unwrap()
    }

    /// One entry as the kernel's init/initramfs.c reads it.
    #[derive(Debug, PartialEq)]
    struct Seen {
        path: String,
        fields: Vec<u32>,
        data: Vec<u8>,
    }

    fn unpack(packed: &[u8]) -> Vec<Seen> {
        let archive = zstd::bulk::decompress(packed, 1 << 24).unwrap();
        let (mut at, mut seen) = (0, Vec::new());
        loop {
            let header = std::str::from_utf8(&archive[at..at + 110]).unwrap();
            assert_eq!(&header[..6], "070701");
            let fields: Vec<u32> = (0..13)
                .map(|field| u32::from_str_radix(&header[6 + field * 8..][..8], 16).unwrap())
                .collect();
            let name_end = at + 110 + fields[11] as usize - 1;
            let path = String::from_utf8(archive[at + 110..name_end].to_vec()).unwrap();
            let data_start = (name_end + 1).next_multiple_of(4);
            let data_end = data_start + fields[6] as usize;
            let data = archive[data_start..data_end].to_vec();
            at = data_end.next_multiple_of(4);
            if path == "TRAILER!!!" {
                assert_eq!(at, archive.len(), "bytes behind the trailer");
                return seen;
            }
            seen.push(Seen { path, fields, data });
        }
    }

    #[test]
    fn same_programs_give_the_same_bytes() {
        assert_eq!(image(b"init", b"mke2fs"), image(b"init", b"mke2fs"));
    }

    #[test]
    fn another_program_gives_other_bytes() {
        assert_ne!(image(b"init", b"mke2fs"), image(b"inix", b"mke2fs"));
    }

    #[test]
    fn locks_lie_beneath_etc_for_root_alone_and_give_the_same_bytes_again() {
        const KEY: &str = "RWST4ncUvHi+bb3oUyAVlzt65URkTmXF9PXtORnHGDylLAgCJ8JiRWKG";
        let locked = || {
            let mut config = BakedConfig::default();
            config.trust(KEY.as_bytes()).unwrap();
            config.floor(7);
            locked_image(b"init", b"mke2fs", &config)
        };
        assert_eq!(locked(), locked());
        assert_ne!(locked(), image(b"init", b"mke2fs"));
        let seen = unpack(&locked());
        let found = |path: &str| {
            let entry = seen.iter().find(|entry| entry.path == path).unwrap();
            (
                entry.fields[1],
                String::from_utf8(entry.data.clone()).unwrap(),
            )
        };
        assert_eq!(found("etc/smv").0, 0o040_755);
        assert_eq!(found("etc/smv/trust"), (0o100_600, format!("{KEY}\n")));
        assert_eq!(found("etc/smv/floor"), (0o100_600, "7\n".to_owned()));
    }

    #[test]
    fn what_was_packed_is_read_back() {
        let seen = unpack(&image(b"the init", b"the mke2fs"));
        let paths: Vec<&str> = seen.iter().map(|entry| entry.path.as_str()).collect();
        let expected = [
            "dev",
            "dev/console",
            "dev/kmsg",
            "dev/null",
            "init",
            "mnt",
            "proc",
            "root",
            "run",
            "sbin",
            "sbin/mke2fs",
            "sys",
            "tmp",
        ];
        assert_eq!(paths, expected);
        assert_eq!(seen[4].data, b"the init");
        assert_eq!(seen[10].data, b"the mke2fs");
    }

    #[test]
    fn nothing_of_the_building_machine_enters() {
        for (index, entry) in seen_with_index() {
            // inode, uid, gid, mtime, device of the file system
            assert_eq!(entry.fields[0], index, "{}", entry.path);
            for field in [2, 3, 5, 7, 8] {
                assert_eq!(entry.fields[field], 0, "{} field {field}", entry.path);
            }
        }
    }

    fn seen_with_index() -> impl Iterator<Item = (u32, Seen)> {
        (1..).zip(unpack(&image(b"1", b"2")))
    }
}
