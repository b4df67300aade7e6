//! A tree in, the bytes of a `newc` cpio archive out; and back.
//!
//! Format: Documentation/driver-api/early-userspace/buffer-format.rst of the kernel. A header of
//! 110 ASCII bytes, the name with its NUL, padding to 4, the data, padding to 4; the last entry is
//! `TRAILER!!!`.

mod read;

use crate::tree::{Node, Tree};

pub use read::{ReadError, read};

/// `newc` without checksum; the kernel reads no other but the same with checksum.
const MAGIC: &str = "070701";
const TRAILER: &str = "TRAILER!!!";
/// Name and data each start at a multiple of this.
const ALIGNMENT_BYTES: usize = 4;

/// File type bits of `st_mode` (inode(7)) with the permissions of each kind of node.
const MODE_DIRECTORY: u32 = 0o040_755;
const MODE_PROGRAM: u32 = 0o100_755;
const MODE_TEXT: u32 = 0o100_600;
const MODE_DATA: u32 = 0o100_644;
const MODE_CHAR_DEVICE: u32 = 0o020_600;

/// Why an archive cannot be written.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum NewcError {
    /// A field of the header has eight hexadecimal digits.
    #[error("{path} has {len_bytes} bytes; a newc archive holds at most 4294967295")]
    TooLarge {
        /// Path in the archive.
        path: String,
        /// Size of the file.
        len_bytes: usize,
    },
}

/// The fields that differ between entries; all others are zero: owner root, 1970, device 0.
#[derive(Default)]
struct Header {
    inode: u32,
    mode: u32,
    links: u32,
    len_bytes: u32,
    device_major: u32,
    device_minor: u32,
}

/// Writes the archive. Inode numbers count up from 1 in the order of the tree.
///
/// # Errors
/// A file larger than the format can say.
pub fn archive(tree: &Tree) -> Result<Vec<u8>, NewcError> {
    let mut out = Vec::new();
    for (inode, (path, node)) in (1_u32..).zip(tree.iter()) {
        let header = Header {
            inode,
            links: 1,
            ..Header::default()
        };
        match node {
            // Two links, the name and `.`, as every file system without exceptions reports.
            Node::Directory => entry(
                &mut out,
                path,
                &Header {
                    mode: MODE_DIRECTORY,
                    links: 2,
                    ..header
                },
                &[],
            ),
            Node::Program(data) => file(&mut out, path, MODE_PROGRAM, header, data)?,
            Node::Text(data) => file(&mut out, path, MODE_TEXT, header, data)?,
            Node::Data(data) => file(&mut out, path, MODE_DATA, header, data)?,
            Node::CharDevice { major, minor } => {
                let device = Header {
                    device_major: *major,
                    device_minor: *minor,
                    ..header
                };
                entry(
                    &mut out,
                    path,
                    &Header {
                        mode: MODE_CHAR_DEVICE,
                        ..device
                    },
                    &[],
                );
            }
        }
    }
    entry(
        &mut out,
        TRAILER,
        &Header {
            links: 1,
            ..Header::default()
        },
        &[],
    );
    Ok(out)
}

fn file(
    out: &mut Vec<u8>,
    path: &str,
    mode: u32,
    header: Header,
    data: &[u8],
) -> Result<(), NewcError> {
    let len_bytes = u32::try_from(data.len()).map_err(|_| NewcError::TooLarge {
        path: path.to_owned(),
        len_bytes: data.len(),
    })?;
    entry(
        out,
        path,
        &Header {
            mode,
            len_bytes,
            ..header
        },
        data,
    );
    Ok(())
}

fn entry(out: &mut Vec<u8>, path: &str, header: &Header, data: &[u8]) {
    let Header {
        inode,
        mode,
        links,
        len_bytes,
        device_major,
        device_minor,
    } = header;
    let name_len_bytes = path.len() + 1;
    // ino, mode, uid, gid, nlink, mtime, filesize, devmajor, devminor, rdevmajor, rdevminor,
    // namesize, check
    let text = format!(
        "{MAGIC}{inode:08x}{mode:08x}{z:08x}{z:08x}{links:08x}{z:08x}{len_bytes:08x}{z:08x}{z:08x}\
         {device_major:08x}{device_minor:08x}{name_len_bytes:08x}{z:08x}",
        z = 0
    );
    out.extend_from_slice(text.as_bytes());
    out.extend_from_slice(path.as_bytes());
    out.push(0);
    pad(out);
    out.extend_from_slice(data);
    pad(out);
}

fn pad(out: &mut Vec<u8>) {
    out.resize(out.len().next_multiple_of(ALIGNMENT_BYTES), 0);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The header of one entry of mode 0755 as `cpio -o -H newc -R 0:0 --reproducible` would write
    /// it, by hand.
    const GOLDEN: &str = concat!(
        "070701",
        "00000001",
        "000041ed",
        "00000000",
        "00000000",
        "00000002",
        "00000000",
        "00000000",
        "00000000",
        "00000000",
        "00000000",
        "00000000",
        "00000002",
        "00000000",
        "d\0",
        "070701",
        "00000002",
        "000081ed",
        "00000000",
        "00000000",
        "00000001",
        "00000000",
        "00000003",
        "00000000",
        "00000000",
        "00000000",
        "00000000",
        "00000004",
        "00000000",
        "d/p\0",
        "\0\0",
        "ELF",
        "\0",
        "070701",
        "00000003",
        "00002180",
        "00000000",
        "00000000",
        "00000001",
        "00000000",
        "00000000",
        "00000000",
        "00000000",
        "00000005",
        "00000001",
        "00000004",
        "00000000",
        "tty\0",
        "\0\0",
        "070701",
        "00000000",
        "00000000",
        "00000000",
        "00000000",
        "00000001",
        "00000000",
        "00000000",
        "00000000",
        "00000000",
        "00000000",
        "00000000",
        "0000000b",
        "00000000",
        "TRAILER!!!\0",
        "\0\0\0",
    );

    #[test]
    fn bytes_are_the_golden_ones() {
        let mut tree = Tree::default();
        tree.add("tty", Node::CharDevice { major: 5, minor: 1 })
            .unwrap();
        tree.add("d/p", Node::Program(b"ELF".to_vec())).unwrap();
        let bytes = archive(&tree).unwrap();
        assert_eq!(String::from_utf8(bytes).unwrap(), GOLDEN);
    }

    #[test]
    fn an_empty_tree_is_only_the_trailer() {
        let bytes = archive(&Tree::default()).unwrap();
        assert_eq!(bytes.len(), 124);
        assert!(GOLDEN.as_bytes().ends_with(&bytes));
    }
}
