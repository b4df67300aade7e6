//! A file that is about to be published in, whether a private key of spk-visor is inside out.
//!
//! An image of `mkinitramfs image --pinned` holds the target's key, and its mode says so only as
//! long as nobody copied it by way of a web server or another file system. So the archives in it
//! are looked into: those of zstd and xz, wherever they begin, because an initramfs may be several
//! in a row and `shim.efi` has one in a section of its own.

use std::io::Read;

use session::keys::{FILE_MAX, holds_private_key};

const ZSTD: &[u8] = b"\x28\xB5\x2F\xFD";
const XZ: &[u8] = b"\xFD7zXZ\0";
/// What one archive is looked at, unpacked: more than any kernel with all its modules and firmware.
const UNPACKED_MAX_BYTES: u64 = 2 << 30;
const CHUNK: usize = 1 << 20;

/// Whether a private key is in the file, or in an archive in it. What cannot be unpacked has
/// nothing to find.
#[must_use]
pub fn holds_key(file: &[u8]) -> bool {
    let archives = (0..file.len()).filter_map(|at| {
        let rest = file.get(at..)?;
        (rest.starts_with(ZSTD) || rest.starts_with(XZ)).then_some(rest)
    });
    holds_private_key(file) || archives.into_iter().any(holds_key_within)
}

fn holds_key_within(archive: &[u8]) -> bool {
    if archive.starts_with(XZ) {
        return search(liblzma::read::XzDecoder::new(archive));
    }
    zstd::stream::read::Decoder::with_buffer(archive)
        .is_ok_and(|decoder| search(decoder.single_frame()))
}

/// Until a key is found, or the end, or what is no archive.
fn search(archive: impl Read) -> bool {
    let mut archive = archive.take(UNPACKED_MAX_BYTES);
    let mut window = Vec::with_capacity(CHUNK + FILE_MAX);
    loop {
        let before = window.len();
        let read = archive.by_ref().take(CHUNK as u64).read_to_end(&mut window);
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
    use super::{CHUNK, holds_key};

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
}
