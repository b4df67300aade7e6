//! A package in a file, whose chunks were hashed when the manifest was made.
//!
//! In: an open file and the hashes of its chunks. Out: chunks that still have these hashes.

use std::os::unix::fs::FileExt;
use std::sync::Arc;

use super::cache::Cache;
use super::{Chunk, Item, SourceError};
use pack::hash::{self, Hashed};
use pack::packages::Package;

/// A package in a file.
#[derive(Debug)]
pub struct FileItem {
    package: Package,
    /// Its place in the manifest.
    number: u16,
    hashed: Hashed,
    cache: Arc<Cache>,
}

impl FileItem {
    /// The `number`th item, with what was hashed of it.
    #[must_use]
    pub fn new(package: Package, number: u16, hashed: Hashed, cache: Arc<Cache>) -> Self {
        Self {
            package,
            number,
            hashed,
            cache,
        }
    }

    fn load(&self, index: u32, buffer: &mut Vec<u8>) -> Result<bool, SourceError> {
        let at = u64::from(index) * u64::from(self.hashed.chunk_bytes);
        let changed = || SourceError::Changed {
            path: self.package.path.clone(),
            at,
        };
        // A chunk without a hash does not belong to this file.
        let expected = usize::try_from(index)
            .ok()
            .and_then(|index| self.hashed.chunks.get(index))
            .ok_or_else(changed)?;
        let left = self.hashed.len_bytes.saturating_sub(at);
        let len = left.min(u64::from(self.hashed.chunk_bytes));
        buffer.resize(usize::try_from(len).unwrap_or_default(), 0);
        match self.package.file.read_exact_at(buffer, at) {
            Ok(()) => {}
            Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => {
                return Err(changed());
            }
            Err(source) => {
                return Err(SourceError::Read {
                    path: self.package.path.clone(),
                    at,
                    source,
                });
            }
        }
        if hash::of(buffer) == *expected {
            Ok(len == left)
        } else {
            Err(changed())
        }
    }
}

impl Item for FileItem {
    fn name(&self) -> &str {
        self.package.name.as_str()
    }

    fn len_bytes(&self) -> Option<u64> {
        Some(self.hashed.len_bytes)
    }

    fn chunk(&self, index: u32) -> Result<Chunk, SourceError> {
        self.cache
            .get((self.number, index), |buffer| self.load(index, buffer))
    }
}
