//! File trees in, the compressed archives that the kernel unpacks one after another out.

use crate::tree::Tree;
use crate::{initramfs, newc};

/// A tree cannot become an archive.
#[derive(Debug, thiserror::Error)]
pub enum PackError {
    /// Something is too large for the format.
    #[error("writing the archive")]
    Newc(#[from] newc::NewcError),
    /// No memory.
    #[error("compressing the archive")]
    Compress(#[source] std::io::Error),
}

/// Archives one behind another, as the kernel unpacks them, and none for what is empty.
pub(super) fn pack_all(trees: &[Tree]) -> Result<Vec<u8>, PackError> {
    let mut packed = Vec::new();
    for tree in trees.iter().filter(|tree| !tree.is_empty()) {
        let archive = newc::archive(tree)?;
        packed.extend(initramfs::compress(&archive).map_err(PackError::Compress)?);
    }
    Ok(packed)
}
