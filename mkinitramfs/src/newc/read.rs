//! The bytes of a `newc` archive in, the tree that it was written from out.
//!
//! Only what [`archive`](super::archive) writes is read: the tree is written again, and every byte
//! has to be the same. So whatever else an archive says, nothing of it gets lost on the way.

use super::{
    ALIGNMENT_BYTES, MAGIC, MODE_CHAR_DEVICE, MODE_DATA, MODE_DIRECTORY, MODE_PROGRAM, MODE_TEXT,
    NewcError, TRAILER, archive,
};
use crate::tree::{Node, Tree, TreeError};

/// Magic number and thirteen fields.
const HEADER_BYTES: usize = 110;
const FIELD_BYTES: usize = 8;

/// Why there is no tree.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// Cut short, or no archive at all.
    #[error("the entry at byte {0} of the archive is damaged or cut short")]
    Damaged(usize),
    /// Modes, links or times that ours never have.
    #[error("the archive was not made by spk-visor media: {0:?} is none of its files")]
    Foreign(String),
    /// Another order or numbering.
    #[error("the archive was not made by spk-visor media: its entries are numbered differently")]
    Arranged,
    /// A path outside the tree, or one that is there twice.
    #[error("the archive was not made by spk-visor media")]
    Tree(#[from] TreeError),
    /// None in practice: what was read fits into the format.
    #[error(transparent)]
    Newc(#[from] NewcError),
}

/// One entry.
struct Entry<'a> {
    path: &'a str,
    mode: u32,
    device: [u32; 2],
    data: &'a [u8],
    /// Of the next one.
    end: usize,
}

/// Reads the archive at the beginning of `bytes`; returns how long it is, too.
///
/// # Errors
/// See [`ReadError`].
pub fn read(bytes: &[u8]) -> Result<(Tree, usize), ReadError> {
    let (mut tree, mut at) = (Tree::default(), 0);
    loop {
        let found = entry(bytes, at).ok_or(ReadError::Damaged(at))?;
        at = found.end;
        if found.path == TRAILER {
            break;
        }
        let data = || found.data.to_vec();
        let node = match found.mode {
            MODE_DIRECTORY => Node::Directory,
            MODE_PROGRAM => Node::Program(data()),
            MODE_TEXT => Node::Text(data()),
            MODE_DATA => Node::Data(data()),
            MODE_CHAR_DEVICE => {
                let [major, minor] = found.device;
                Node::CharDevice { major, minor }
            }
            _ => return Err(ReadError::Foreign(found.path.to_owned())),
        };
        tree.add(found.path, node)?;
    }
    match bytes.get(..at) == Some(&archive(&tree)?) {
        true => Ok((tree, at)),
        false => Err(ReadError::Arranged),
    }
}

fn entry(bytes: &[u8], at: usize) -> Option<Entry<'_>> {
    let header = bytes.get(at..at.checked_add(HEADER_BYTES)?)?;
    let fields = std::str::from_utf8(header).ok()?.strip_prefix(MAGIC)?;
    let field = |number: usize| {
        let digits = fields.get(number * FIELD_BYTES..(number + 1) * FIELD_BYTES)?;
        u32::from_str_radix(digits, 16).ok()
    };
    let (data_len, name_len) = (field(6)? as usize, field(11)? as usize);
    let name_start = at + HEADER_BYTES;
    let name_end = name_start.checked_add(name_len)?;
    let name = bytes.get(name_start..name_end)?.strip_suffix(b"\0")?;
    let data_start = name_end.checked_next_multiple_of(ALIGNMENT_BYTES)?;
    let data_end = data_start.checked_add(data_len)?;
    Some(Entry {
        path: std::str::from_utf8(name).ok()?,
        mode: field(1)?,
        device: [field(9)?, field(10)?],
        data: bytes.get(data_start..data_end)?,
        end: data_end.checked_next_multiple_of(ALIGNMENT_BYTES)?,
    })
}

#[cfg(test)]
mod tests {
    use super::{ReadError, archive, read};
    use crate::tree::{Node, Tree};

    fn tree() -> Tree {
        let mut tree = Tree::default();
        let nodes = [
            ("dev/console", Node::CharDevice { major: 5, minor: 1 }),
            ("etc/smv/floor", Node::Text(b"7\n".to_vec())),
            ("init", Node::Program(b"\x7fELF".to_vec())),
            ("lib/data", Node::Data(vec![0; 5])),
            ("proc", Node::Directory),
        ];
        for (path, node) in nodes {
            tree.add(path, node).unwrap();
        }
        tree
    }

    #[test]
    fn what_was_written_is_read_and_what_stands_behind_it_is_left() {
        let bytes = archive(&tree()).unwrap();
        let behind = [&bytes[..], b"070701 and so on"].concat();
        assert_eq!(read(&behind), Ok((tree(), bytes.len())));
    }

    #[test]
    fn every_truncation_is_refused() {
        let bytes = archive(&tree()).unwrap();
        for len in 0..bytes.len() {
            assert!(read(&bytes[..len]).is_err(), "{len} bytes");
        }
    }

    /// Another tree may come out of it, but never one that is written differently.
    #[test]
    fn every_changed_byte_is_refused_or_in_the_tree() {
        let bytes = archive(&tree()).unwrap();
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            if let Ok((found, len)) = read(&changed) {
                assert_ne!(found, tree(), "byte {at}");
                assert_eq!(archive(&found).unwrap(), changed[..len], "byte {at}");
            }
        }
    }

    #[test]
    fn another_ones_archive_is_named() {
        let text = String::from_utf8(archive(&tree()).unwrap()).unwrap();
        let link = text.replacen("000081ed", "0000a1ff", 1);
        assert_eq!(
            read(link.as_bytes()),
            Err(ReadError::Foreign("init".to_owned()))
        );
        let numbered = text.replacen("00000002", "00000009", 1);
        assert_eq!(read(numbered.as_bytes()), Err(ReadError::Arranged));
        let above = text.replacen("lib/data", "lib/../x", 1);
        assert!(matches!(read(above.as_bytes()), Err(ReadError::Tree(_))));
    }
}
