//! The image of a slot in; out come the size of its chunks and the release that it says it is: the
//! text `release` in its head (`slot.md 2.3`), found without reading the FAT. A file begins with a
//! block, and no other text in a head begins like this one.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use wire::manifest::{CHUNK_SIZE_MAX, CHUNK_SIZE_MIN};
use wire::message::CHUNKS_MAX;
use wire::slot::BLOCK_BYTES;

/// No head is longer (`slot.md 2`).
const HEAD_MAX_BYTES: u64 = 64 << 20;
const READ_BYTES: usize = 1 << 20;

/// How large the chunks of an image are. A node copies those that did not change from the slot that
/// runs, and a new release changes a little in several places: in the demo's image, 5 of 189 chunks
/// of 64 KiB for a new version number, but 4 of 12 chunks of 1 MiB. Larger ones only where there
/// would be too many.
pub(super) const fn chunk_bytes(len_bytes: u64) -> u32 {
    let mut chunk = CHUNK_SIZE_MIN;
    while chunk < CHUNK_SIZE_MAX && len_bytes.div_ceil(chunk as u64) > CHUNKS_MAX as u64 / 2 {
        chunk *= 2;
    }
    chunk
}

/// The two values that manifest and image share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Release {
    pub version: String,
    pub counter: u64,
}

/// What the image says; `None` for one without such a text.
///
/// # Errors
/// Those of reading.
pub(super) fn release(file: &File) -> io::Result<Option<Release>> {
    let block_bytes = usize::try_from(BLOCK_BYTES).unwrap_or(READ_BYTES);
    let mut buffer = vec![0; READ_BYTES];
    let mut at = 0;
    while at < HEAD_MAX_BYTES {
        let len = file.read_at(&mut buffer, at)?;
        // A read that is cut short ends within a block, and the next one begins with it.
        let whole = len - len % block_bytes;
        let read = buffer.get(..if whole == 0 { len } else { whole });
        let blocks = read.unwrap_or_default().chunks(block_bytes);
        if let Some(found) = blocks.filter_map(parse).next() {
            return Ok(Some(found));
        }
        if whole == 0 {
            break;
        }
        at += whole as u64;
    }
    Ok(None)
}

/// A block that begins with the lines of a release.
fn parse(block: &[u8]) -> Option<Release> {
    let end = block.iter().position(|byte| *byte == 0);
    let text = std::str::from_utf8(block.get(..end.unwrap_or(block.len()))?).ok()?;
    let mut lines = text.lines();
    lines.next()?.strip_prefix("product ")?;
    let version = lines.next()?.strip_prefix("version ")?.to_owned();
    let counter = lines.next()?.strip_prefix("counter ")?.parse().ok()?;
    Some(Release { version, counter })
}

#[cfg(test)]
mod tests {
    use super::{Release, chunk_bytes, release};
    use std::io::Write;

    #[test]
    fn chunks_are_small_as_long_as_there_are_not_too_many() {
        const GIB: u64 = 1 << 30;
        let sizes = [1, 2 * GIB, 2 * GIB + 1, 4 * GIB, 8 * GIB + 1, 1024 * GIB];
        let kib = sizes.map(|len| chunk_bytes(len) >> 10);
        assert_eq!(kib, [64, 64, 128, 128, 512, 1024]);
    }

    fn found(image: &[u8]) -> Option<Release> {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(image).unwrap();
        release(&file).unwrap()
    }

    fn image(blocks: usize, text: &str) -> Vec<u8> {
        let mut image = vec![7; blocks * 4096];
        image.extend_from_slice(text.as_bytes());
        image.resize((blocks + 1) * 4096, 0);
        image
    }

    const TEXT: &str = "product smv-x86_64\nversion 2026.11\ncounter 417\nkernel 6.12.9\n";

    #[test]
    fn it_is_found_at_any_block_of_the_head_and_nowhere_else() {
        let expected = Release {
            version: "2026.11".to_owned(),
            counter: 417,
        };
        for blocks in [0, 1, 255, 256, 700, 16_383] {
            assert_eq!(
                found(&image(blocks, TEXT)),
                Some(expected.clone()),
                "{blocks}"
            );
        }
        assert_eq!(found(&image(16_384, TEXT)), None);
        assert_eq!(found(&image(3, &format!(" {TEXT}"))), None);
        for text in ["", "product x\n", "product x\nversion 1\ncounter -1\n"] {
            assert_eq!(found(&image(1, text)), None, "{text:?}");
        }
        assert_eq!(found(&[]), None);
        assert_eq!(found(TEXT.as_bytes()), Some(expected));
    }
}
