//! A finished initramfs in, its archives as trees out; changed, they become an initramfs again.
//!
//! The kernel unpacks one archive behind another, and so [`crate::request::image`] writes them.
//! Those that are not changed keep their bytes. One that is changed is written as if it had been
//! made so: what was taken out of it, a private key perhaps, is not in it any more.

use zstd::zstd_safe::find_frame_compressed_size;

use crate::initramfs::{INIT_PATH, compress};
use crate::newc::{self, NewcError, ReadError};
use crate::packed::{self, PackedError};
use crate::tree::{Node, Tree, TreeError};

const ZSTD: &[u8] = b"\x28\xB5\x2F\xFD";
const NEWC: &[u8] = b"070701";
/// Of all archives together, unpacked.
const UNPACKED_MAX_BYTES: usize = 1 << 30;

/// It is no initramfs of ours.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)] // the fields name themselves
pub enum ArchivesError {
    /// Packed in another way, or something else altogether.
    #[error("byte {at} of the initramfs begins no archive that spk-visor media made")]
    Unknown { at: usize },
    /// A frame that zstd cannot read.
    #[error("the archive at byte {at} of the initramfs is damaged or cut short")]
    Frame { at: usize },
    /// What zstd says about it.
    #[error("unpacking the archive at byte {at} of the initramfs")]
    Packed { at: usize, source: PackedError },
    /// A file that unpacks for ever.
    #[error("the initramfs has more than {UNPACKED_MAX_BYTES} bytes unpacked")]
    Large,
    /// Its contents.
    #[error("reading the archive at byte {at} of the initramfs")]
    Read { at: usize, source: ReadError },
    /// Another program's.
    #[error("the initramfs has no {INIT_PATH}")]
    NoInit,
    /// Nothing of it can be in an archive.
    #[error("changing the initramfs")]
    Tree(#[from] TreeError),
    /// Too large for the format.
    #[error("writing the archive")]
    Newc(#[from] NewcError),
    /// No memory.
    #[error("compressing the archive")]
    Compress(#[source] std::io::Error),
}

/// One of them.
#[derive(Debug)]
struct Archive {
    tree: Tree,
    /// As it was read; `None` once it is another one.
    bytes: Option<Vec<u8>>,
}

/// All of them, in their order.
#[derive(Debug)]
pub struct Archives {
    archives: Vec<Archive>,
}

impl Archives {
    /// Reads an initramfs.
    ///
    /// # Errors
    /// See [`ArchivesError`].
    pub fn read(initramfs: &[u8]) -> Result<Self, ArchivesError> {
        let (mut archives, mut at, mut unpacked) = (Vec::new(), 0, 0_usize);
        while let Some(rest) = initramfs.get(at..).filter(|rest| !rest.is_empty()) {
            let failed = |source| ArchivesError::Read { at, source };
            let (tree, len) = if rest.starts_with(ZSTD) {
                let frame = find_frame_compressed_size(rest).ok();
                let frame = frame.and_then(|len| rest.get(..len));
                let frame = frame.ok_or(ArchivesError::Frame { at })?;
                let inside = packed::unpack(frame.to_vec());
                let inside = inside.map_err(|source| ArchivesError::Packed { at, source })?;
                unpacked = unpacked.saturating_add(inside.len());
                let (tree, len) = newc::read(&inside).map_err(failed)?;
                if len != inside.len() {
                    return Err(failed(ReadError::Arranged));
                }
                (tree, frame.len())
            } else if rest.starts_with(NEWC) {
                let (tree, len) = newc::read(rest).map_err(failed)?;
                unpacked = unpacked.saturating_add(len);
                (tree, len)
            } else {
                return Err(ArchivesError::Unknown { at });
            };
            if unpacked > UNPACKED_MAX_BYTES {
                return Err(ArchivesError::Large);
            }
            let bytes = rest.get(..len).map(<[u8]>::to_vec);
            archives.push(Archive { tree, bytes });
            at += len;
        }
        let read = Self { archives };
        match read.get(INIT_PATH) {
            Some(Node::Program(_)) => Ok(read),
            _ => Err(ArchivesError::NoInit),
        }
    }

    /// What the kernel leaves at this path: the last one wins.
    #[must_use]
    pub fn get(&self, path: &str) -> Option<&Node> {
        let trees = self.archives.iter().rev();
        trees
            .map(|archive| &archive.tree)
            .find_map(|tree| tree.get(path))
    }

    /// Every path with its node, archive by archive.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Node)> {
        self.archives.iter().flat_map(|archive| archive.tree.iter())
    }

    /// Puts a text at `path`, or nothing, into the archive that has `beside`; returns whether there
    /// is one. What was at `path` is gone.
    ///
    /// # Errors
    /// Something else lies there.
    pub fn set(
        &mut self,
        path: &str,
        text: Option<&[u8]>,
        beside: &str,
    ) -> Result<bool, ArchivesError> {
        let mut has_place = text.is_none();
        for archive in &mut self.archives {
            let is_place = !has_place && archive.tree.has(beside);
            let wanted = text
                .filter(|_| is_place)
                .map(|text| Node::Text(text.to_vec()));
            has_place |= is_place;
            if archive.tree.get(path) == wanted.as_ref() {
                continue;
            }
            archive.tree.remove(path);
            if let Some(node) = wanted {
                archive.tree.add(path, node)?;
            }
            archive.bytes = None;
        }
        Ok(has_place)
    }

    /// The initramfs.
    ///
    /// # Errors
    /// No memory.
    pub fn write(&self) -> Result<Vec<u8>, ArchivesError> {
        let mut initramfs = Vec::new();
        for archive in &self.archives {
            match &archive.bytes {
                Some(bytes) => initramfs.extend_from_slice(bytes),
                None => {
                    let bytes = newc::archive(&archive.tree)?;
                    initramfs.extend(compress(&bytes).map_err(ArchivesError::Compress)?);
                }
            }
        }
        Ok(initramfs)
    }
}

#[cfg(test)]
mod tests {
    use super::{Archives, ArchivesError, compress};
    use crate::baked_config::BakedConfig;
    use crate::tree::{Node, Tree};
    use crate::{initramfs, newc};

    const FLOOR: &str = "etc/smv/floor";

    fn packed(tree: &Tree) -> Vec<u8> {
        compress(&newc::archive(tree).unwrap()).unwrap()
    }

    fn image(floor: Option<u64>) -> Vec<u8> {
        let mut config = BakedConfig::default();
        if let Some(counter) = floor {
            config.floor(counter);
        }
        let first = initramfs::tree(b"init".to_vec(), b"mke2fs".to_vec(), &config).unwrap();
        let mut second = Tree::default();
        second
            .add("lib/firmware/x", Node::Data(vec![1; 99]))
            .unwrap();
        [packed(&first), packed(&second)].concat()
    }

    fn changed(image: &[u8], text: Option<&[u8]>) -> Vec<u8> {
        let mut archives = Archives::read(image).unwrap();
        assert!(archives.set(FLOOR, text, "init").unwrap());
        archives.write().unwrap()
    }

    #[test]
    fn what_is_changed_is_what_would_have_been_made() {
        assert_eq!(
            Archives::read(&image(Some(7))).unwrap().write().unwrap(),
            image(Some(7))
        );
        assert_eq!(changed(&image(Some(7)), Some(b"8\n")), image(Some(8)));
        assert_eq!(changed(&image(None), Some(b"8\n")), image(Some(8)));
        assert_eq!(changed(&image(Some(7)), None), image(None));
        assert_eq!(changed(&image(None), None), image(None));
    }

    /// Whoever adds an archive by hand wants it to win.
    #[test]
    fn of_two_texts_the_last_one_counts_and_none_stays() {
        let mut later = Tree::default();
        later.add(FLOOR, Node::Text(b"9\n".to_vec())).unwrap();
        let raw = newc::archive(&later).unwrap();
        let both = [image(Some(7)), raw].concat();
        let read = Archives::read(&both).unwrap();
        assert_eq!(read.get(FLOOR), Some(&Node::Text(b"9\n".to_vec())));
        let without = changed(&both, None);
        let read = Archives::read(&without).unwrap();
        assert_eq!(read.get(FLOOR), None);
        assert!(without.starts_with(&image(None)));
    }

    #[test]
    fn what_has_no_place_is_not_put_anywhere() {
        let mut archives = Archives::read(&image(None)).unwrap();
        assert!(!archives.set(FLOOR, Some(b"1\n"), "sbin/none").unwrap());
        assert_eq!(archives.write().unwrap(), image(None));
    }

    #[test]
    fn what_is_not_ours_is_refused_with_its_place() {
        let image = image(None);
        for len in 1..image.len() {
            match Archives::read(&image[..len]) {
                Ok(read) => assert_eq!(read.write().unwrap(), image[..len], "whole archives"),
                Err(error) => assert!(error.to_string().contains("byte"), "{len}: {error}"),
            }
        }
        let behind = [&image[..], b"\x1f\x8b"].concat();
        let error = Archives::read(&behind).unwrap_err();
        assert!(matches!(error, ArchivesError::Unknown { at } if at == image.len()));
        let mut other = Tree::default();
        other.add("linuxrc", Node::Program(vec![])).unwrap();
        let error = Archives::read(&packed(&other)).unwrap_err();
        assert!(matches!(error, ArchivesError::NoInit), "{error}");
        assert!(matches!(Archives::read(b""), Err(ArchivesError::NoInit)));
    }
}
