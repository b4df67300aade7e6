//! Files with several names: the first name that was packed stands for the file, the others become
//! hard links to it.
//!
//! The only thing in a package's making that grows with the tree. A file is forgotten when its last
//! name has come; what stays are those with names outside of the package. [`BYTES_MAX`] bounds it,
//! about a million such files; beyond that a further name is packed as a file of its own.

use std::collections::HashMap;

/// Most memory the table may take, in bytes.
pub const BYTES_MAX: usize = 192 << 20;
/// The memory of an entry beside its path: key, value, and the table's spare room.
const ENTRY_BYTES: usize = 96;

#[derive(Debug)]
struct Link {
    path: Box<[u8]>,
    /// Names that have not come yet.
    left: u32,
}

/// The files whose first name is packed.
#[derive(Debug)]
pub struct Links {
    files: HashMap<(u64, u64), Link>,
    bytes: usize,
    bytes_max: usize,
}

impl Default for Links {
    fn default() -> Self {
        Self::with_limit(BYTES_MAX)
    }
}

impl Links {
    fn with_limit(bytes_max: usize) -> Self {
        Links {
            files: HashMap::new(),
            bytes: 0,
            bytes_max,
        }
    }

    /// The path under which this file is packed already.
    pub fn take(&mut self, id: (u64, u64)) -> Option<Box<[u8]>> {
        let link = self.files.get_mut(&id)?;
        link.left = link.left.saturating_sub(1);
        if link.left > 0 {
            return Some(link.path.clone());
        }
        let link = self.files.remove(&id)?;
        self.bytes = self.bytes.saturating_sub(cost(&link.path));
        Some(link.path)
    }

    /// Remembers a file with `names` names that was packed as `path`. False when there is no room.
    pub fn remember(&mut self, id: (u64, u64), path: &[u8], names: u32) -> bool {
        let left = names.saturating_sub(1);
        if left == 0 {
            return true;
        }
        let bytes = self.bytes.saturating_add(cost(path));
        if bytes > self.bytes_max {
            return false;
        }
        self.bytes = bytes;
        let path = path.into();
        self.files.insert(id, Link { path, left });
        true
    }
}

fn cost(path: &[u8]) -> usize {
    path.len().saturating_add(ENTRY_BYTES)
}

#[cfg(test)]
mod tests {
    use super::Links;

    #[test]
    fn a_file_is_forgotten_with_its_last_name() {
        let mut links = Links::default();
        assert!(links.take((1, 1)).is_none());
        assert!(links.remember((1, 1), b"a", 3));
        assert_eq!(links.take((1, 1)).as_deref(), Some(&b"a"[..]));
        assert!(links.take((2, 1)).is_none(), "another file system");
        assert_eq!(links.take((1, 1)).as_deref(), Some(&b"a"[..]));
        assert!(links.take((1, 1)).is_none() && links.bytes == 0);
        assert!(links.remember((1, 2), b"b", 1), "nothing to remember");
        assert!(links.files.is_empty());
    }

    #[test]
    fn there_is_a_bound() {
        let mut links = Links::with_limit(1000);
        let kept = (0..100)
            .filter(|n| links.remember((1, *n), b"0123", 2))
            .count();
        assert_eq!(kept, 10);
        assert!(links.take((1, 3)).is_some());
        assert!(links.remember((1, 200), b"0123", 2), "room again");
    }
}
