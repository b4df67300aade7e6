//! A file system in, its hash tree and the root of that out: dm-verity's format version 1 with
//! SHA-256, blocks of 4096 bytes for data and hashes, and no superblock
//! (Documentation/admin-guide/device-mapper/verity.rst, "Hash Tree").
//!
//! A block's hash is that of the salt and the block. The hashes of 128 blocks make one block of the
//! level above, zeros behind the last of them, up to a level of one block, whose hash is the root.
//! The highest level comes first.

use std::io::{self, Read};

use sha2::{Digest, Sha256};
use wire::manifest::Sha256 as Hash;
use wire::slot::{BLOCK_BYTES, tree_len_bytes};

const BLOCK: usize = BLOCK_BYTES as usize;
/// A tree over fewer has no levels, and no kernel was tried with one.
const BLOCKS_MIN: u64 = 2;

/// Why there is no tree.
#[derive(Debug, thiserror::Error)]
pub enum VerityError {
    /// The file system cannot be read.
    #[error("reading the root file system at byte {at}")]
    Read {
        /// From its beginning.
        at: u64,
        /// The kernel's reason.
        source: io::Error,
    },
    /// It ends within a block, or is shorter than two.
    #[error("the root file system has {0} bytes; expected two or more whole blocks of 4096")]
    Length(u64),
}

/// The hashes of a file system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HashTree {
    /// What an initramfs pins.
    pub root: Hash,
    /// As it lies behind the file system.
    pub bytes: Vec<u8>,
}

/// Hashes a whole file system. `progress` is called with the bytes read so far.
///
/// # Errors
/// See [`VerityError`].
pub fn hash_tree(
    mut data: impl Read,
    salt: &Hash,
    progress: &mut dyn FnMut(u64),
) -> Result<HashTree, VerityError> {
    let salted = Sha256::new_with_prefix(salt);
    let (mut level, mut len_bytes) = (Vec::new(), 0_u64);
    let mut block = [0; BLOCK];
    loop {
        let got = fill(&mut data, &mut block).map_err(|source| VerityError::Read {
            at: len_bytes,
            source,
        })?;
        len_bytes = len_bytes.saturating_add(got as u64);
        match got {
            0 => break,
            BLOCK => level.extend(hash(&salted, &block)),
            _ => return Err(VerityError::Length(len_bytes)),
        }
        progress(len_bytes);
    }
    if len_bytes < BLOCKS_MIN * BLOCK_BYTES {
        return Err(VerityError::Length(len_bytes));
    }
    // From the lowest level, which comes last.
    let mut levels = Vec::new();
    let root = loop {
        level.resize(level.len().next_multiple_of(BLOCK), 0);
        let above: Vec<Hash> = level
            .chunks(BLOCK)
            .map(|block| hash(&salted, block))
            .collect();
        levels.push(level);
        match above.as_slice() {
            [root] => break *root,
            _ => level = above.concat(),
        }
    };
    levels.reverse();
    let bytes = levels.concat();
    debug_assert_eq!(bytes.len() as u64, tree_len_bytes(len_bytes));
    Ok(HashTree { root, bytes })
}

fn hash(salted: &Sha256, block: &[u8]) -> Hash {
    let mut hash = salted.clone();
    hash.update(block);
    hash.finalize().into()
}

/// Reads until the block is full or the input has ended; returns how much of it is there.
fn fill(data: &mut impl Read, block: &mut [u8; BLOCK]) -> io::Result<usize> {
    let mut got = 0;
    while let Some(rest) = block.get_mut(got..).filter(|rest| !rest.is_empty()) {
        match data.read(rest) {
            Ok(0) => break,
            Ok(more) => got += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(got)
}

#[cfg(test)]
mod tests {
    use super::{BLOCK, HashTree, VerityError, hash_tree};
    use crate::test_dir::TestDir;
    use sha2::{Digest, Sha256};
    use std::fs;
    use std::io::{self, Read};
    use std::path::Path;
    use std::process::Command;
    use wire::slot::tree_len_bytes;

    const SALT: [u8; 32] = *b"a salt of thirty-two bytes long.";

    /// Another content in each block.
    fn data(blocks: usize) -> Vec<u8> {
        let mut data = vec![0x5A; blocks * BLOCK];
        for (number, block) in data.chunks_mut(BLOCK).enumerate() {
            block[..8].copy_from_slice(&(number as u64).to_le_bytes());
        }
        data
    }

    fn tree(data: &[u8]) -> HashTree {
        hash_tree(data, &SALT, &mut |_| ()).unwrap()
    }

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    fn veritysetup(words: &[&str], data: &Path, tree: &Path, root: &[&str]) -> (bool, String) {
        let output = Command::new("/sbin/veritysetup")
            .args(words)
            .args(["--no-superblock", "--format=1", "--hash=sha256"])
            .args(["--data-block-size=4096", "--hash-block-size=4096"])
            .arg(format!("--salt={}", hex(&SALT)))
            .args([data, tree])
            .args(root)
            .output()
            .expect("veritysetup (Debian: cryptsetup-bin)");
        let text =
            String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
        (output.status.success(), text.into_owned())
    }

    #[test]
    fn veritysetup_makes_the_same_tree_and_verifies_ours() {
        let dir = TestDir::new("verity");
        let (image, theirs, ours) = (
            dir.path().join("image"),
            dir.path().join("theirs"),
            dir.path().join("ours"),
        );
        // One, two and three levels, and what is just below and above each border.
        let borders = [2, 3, 126, 127, 128, 129, 130, 255, 256, 257, 384, 1000];
        let second = [127 * 128, 128 * 128 - 1, 128 * 128, 128 * 128 + 1];
        for blocks in borders.into_iter().chain(second) {
            let data = data(blocks);
            let HashTree { root, bytes } = tree(&data);
            fs::write(&image, &data).unwrap();
            fs::write(&ours, &bytes).unwrap();
            let _ = fs::remove_file(&theirs); // of the size before
            fs::write(&theirs, []).unwrap();
            let (is_made, text) = veritysetup(&["format"], &image, &theirs, &[]);
            assert!(
                is_made && text.contains(&hex(&root)),
                "{blocks} blocks: {text}"
            );
            assert!(fs::read(&theirs).unwrap() == bytes, "{blocks} blocks");
            let (is_good, text) = veritysetup(&["verify"], &image, &ours, &[&hex(&root)]);
            assert!(is_good, "{blocks} blocks: {text}");
        }
    }

    #[test]
    fn a_changed_bit_anywhere_changes_the_root_and_fails_veritysetup() {
        let dir = TestDir::new("verity-changed");
        let (image, hashes) = (dir.path().join("image"), dir.path().join("hashes"));
        let whole = data(300);
        let HashTree { root, bytes } = tree(&whole);
        fs::write(&hashes, &bytes).unwrap();
        for at in [0, 8, BLOCK - 1, BLOCK, 150 * BLOCK + 77, 300 * BLOCK - 1] {
            let mut changed = whole.clone();
            changed[at] ^= 1;
            assert_ne!(tree(&changed).root, root, "byte {at}");
            fs::write(&image, &changed).unwrap();
            let (is_good, _) = veritysetup(&["verify"], &image, &hashes, &[&hex(&root)]);
            assert!(!is_good, "byte {at}");
        }
        assert_ne!(
            hash_tree(&*whole, &[0; 32], &mut |_| ()).unwrap().root,
            root
        );
    }

    #[test]
    fn two_blocks_by_hand() {
        let data = data(2);
        let of = |bytes: &[u8]| -> [u8; 32] { Sha256::digest([&SALT, bytes].concat()).into() };
        let mut level = [of(&data[..BLOCK]), of(&data[BLOCK..])].concat();
        level.resize(BLOCK, 0);
        let expected = HashTree {
            root: of(&level),
            bytes: level,
        };
        assert_eq!(tree(&data), expected);
    }

    #[test]
    fn length_is_as_the_slot_says() {
        for blocks in [2, 128, 129, 16_384, 16_385] {
            let expected = tree_len_bytes((blocks * BLOCK) as u64);
            assert_eq!(tree(&data(blocks)).bytes.len() as u64, expected, "{blocks}");
        }
    }

    #[test]
    fn what_is_no_whole_number_of_blocks_is_refused_with_its_length() {
        for len in [0, 1, BLOCK, 2 * BLOCK - 1, 2 * BLOCK + 1] {
            let error = hash_tree(&vec![0; len][..], &SALT, &mut |_| ()).unwrap_err();
            assert!(matches!(error, VerityError::Length(claimed) if claimed == len as u64));
            assert!(error.to_string().contains(&len.to_string()), "{error}");
        }
    }

    /// Gives one byte at a time, and is interrupted in between.
    struct Slow<'a>(&'a [u8], bool);

    impl Read for Slow<'_> {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            self.1 = !self.1;
            if self.1 {
                return Err(io::ErrorKind::Interrupted.into());
            }
            let most = into.len().min(1);
            self.0.read(&mut into[..most])
        }
    }

    #[test]
    fn short_reads_give_the_same_tree_and_progress_ends_at_the_length() {
        let data = data(3);
        let mut seen = 0;
        let slow = hash_tree(Slow(&data, false), &SALT, &mut |done| seen = done).unwrap();
        assert_eq!(slow, tree(&data));
        assert_eq!(seen, data.len() as u64);
    }
}
