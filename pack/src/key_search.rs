//! A file in, whether a private key of spk-visor is inside out.
//!
//! An image of `media image --pinned` holds the target's key, and its mode says so only as
//! long as nobody copied it by way of a web server or another file system. So the archives in it
//! are looked into: those of zstd and xz, wherever they begin, because an initramfs may be several
//! in a row and `deploy-shim.efi` has one in a section of its own. The boot server asks this of all
//! that it publishes, and a package of what [`is_image`].

use std::io::Read;

use liblzma::read::XzDecoder;
use liblzma::stream::Stream;
use session::keys::{FILE_MAX, holds_private_key};

const ZSTD: &[u8] = b"\x28\xB5\x2F\xFD";
const XZ: &[u8] = b"\xFD7zXZ\0";
/// An initramfs, compressed or not (cpio(5), "New ASCII Format"); a kernel, or a program for UEFI.
const IMAGES: [&[u8]; 5] = [ZSTD, XZ, b"070701", b"070702", b"MZ"];
/// ISO 9660: the descriptor of a CD, behind 16 sectors (ECMA-119 8.1).
const CD: &[u8] = b"CD001";
const CD_AT: usize = 0x8001;
/// As kernels are packed: xz needs as much memory as its dictionary is long.
const XZ_MEMORY_MAX_BYTES: u64 = 256 << 20;
/// The cost of an attempt to unpack something, however little comes out of it.
const ATTEMPT_BYTES: u64 = 64 << 10;
const CHUNK: usize = 1 << 20;

/// Whether a file begins like one that `media` writes: an initramfs, a kernel or a program
/// for UEFI, a CD.
#[must_use]
pub fn is_image(head: &[u8]) -> bool {
    let is_cd = head.get(CD_AT..).is_some_and(|head| head.starts_with(CD));
    is_cd || IMAGES.iter().any(|magic| head.starts_with(magic))
}

/// Whether a private key is in the file, or in the first `unpacked_max_bytes` of the archives in
/// it. What cannot be unpacked has nothing to find.
#[must_use]
pub fn holds_key(file: &[u8], unpacked_max_bytes: u64) -> bool {
    let archives = (0..file.len()).filter_map(|at| {
        let rest = file.get(at..)?;
        (rest.starts_with(ZSTD) || rest.starts_with(XZ)).then_some(rest)
    });
    let mut left_bytes = unpacked_max_bytes;
    holds_private_key(file)
        || archives
            .into_iter()
            .any(|archive| holds_key_within(archive, &mut left_bytes))
}

fn holds_key_within(archive: &[u8], left_bytes: &mut u64) -> bool {
    if *left_bytes == 0 {
        return false;
    }
    *left_bytes = left_bytes.saturating_sub(ATTEMPT_BYTES);
    if archive.starts_with(XZ) {
        return Stream::new_stream_decoder(XZ_MEMORY_MAX_BYTES, 0)
            .is_ok_and(|stream| search(XzDecoder::new_stream(archive, stream), left_bytes));
    }
    zstd::stream::read::Decoder::with_buffer(archive)
        .is_ok_and(|decoder| search(decoder.single_frame(), left_bytes))
}

/// Until a key is found, or the end, or what is no archive.
fn search(archive: impl Read, left_bytes: &mut u64) -> bool {
    let mut archive = archive.take(*left_bytes);
    let mut window = Vec::with_capacity(CHUNK + FILE_MAX);
    loop {
        let before = window.len();
        let read = archive.by_ref().take(CHUNK as u64).read_to_end(&mut window);
        *left_bytes = archive.limit();
        if holds_private_key(&window) {
            return true;
        }
        if read.is_err() || window.len() == before {
            return false;
        }
        // A key may lie across two pieces.
        let old = window.len().saturating_sub(FILE_MAX);
        window.drain(..old);
    }
}

#[cfg(test)]
mod tests {
    use super::{ATTEMPT_BYTES, CHUNK, is_image};

    fn holds_key(file: &[u8]) -> bool {
        super::holds_key(file, 64 << 20)
    }

    fn zstd(bytes: &[u8]) -> Vec<u8> {
        zstd::encode_all(bytes, 1).unwrap()
    }

    fn xz(bytes: &[u8]) -> Vec<u8> {
        let mut packed = Vec::new();
        std::io::Read::read_to_end(&mut liblzma::read::XzEncoder::new(bytes, 0), &mut packed)
            .unwrap();
        packed
    }

    #[test]
    fn a_key_is_found_in_every_archive_of_a_file() {
        let (_, target) = session::keys::PinnedKeys::draw().unwrap();
        let text = target.to_text();
        let with_key = [b"070701 etc/smv/pinned\0", text.as_bytes(), b"\0\0"].concat();
        // Across two pieces that are searched.
        let late = [&vec![7; CHUNK - 150][..], &with_key].concat();
        let without = zstd(b"only drivers");
        for file in [
            with_key.clone(),
            zstd(&with_key),
            xz(&with_key),
            zstd(&late),
            [&without[..], &zstd(&with_key)].concat(),
            [b"070701 microcode\0\0\0", &xz(&late)[..]].concat(),
            [
                b"MZ a program",
                &without[..],
                b"more",
                &zstd(&with_key),
                b"end",
            ]
            .concat(),
        ] {
            assert!(holds_key(&file));
        }
        let cut = zstd(&with_key);
        for file in [
            &b""[..],
            b"\x28\xB5\x2F\xFD",
            b"\xFD7zXZ\0",
            &without,
            cut.get(..20).unwrap(),
            b"the text smechvisor-keys 1\nend target\nprivate \npeer is in every init",
        ] {
            assert!(!holds_key(file));
        }
    }

    #[test]
    fn no_more_is_unpacked_than_was_allowed() {
        let (_, target) = session::keys::PinnedKeys::draw().unwrap();
        let late = [&vec![7; 4 * CHUNK][..], target.to_text().as_bytes()].concat();
        for packed in [zstd(&late), xz(&late)] {
            let many = [&zstd(b"")[..], &packed].concat();
            assert!(super::holds_key(&many, 5 * CHUNK as u64));
            assert!(!super::holds_key(&many, 4 * CHUNK as u64));
            assert!(!super::holds_key(&many, ATTEMPT_BYTES));
        }
    }

    #[test]
    fn images_are_known_by_how_they_begin() {
        let cd = [&vec![0; 0x8001][..], b"CD001\x01"].concat();
        for head in [&zstd(b"")[..], &xz(b""), b"070701", b"070702", b"MZ", &cd] {
            assert!(is_image(head));
            let mut other = head.to_vec();
            other.insert(0, 0);
            assert!(!is_image(&other));
        }
        assert!(!is_image(b"") && !is_image(b"0707"));
    }
}
