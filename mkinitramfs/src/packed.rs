//! Files that a distribution compresses: xz or zstd in, the contents out. The first bytes decide,
//! not the name.

use std::io::{self, Read};

const XZ: &[u8] = b"\xFD7zXZ\0";
const ZSTD: &[u8] = b"\x28\xB5\x2F\xFD";
const GZIP: &[u8] = b"\x1F\x8B";
/// More than any module or firmware file, unpacked.
const UNPACKED_MAX_BYTES: u64 = 512 << 20;

/// The endings that packed files have behind their own name.
pub const ENDINGS: [&str; 3] = ["", ".xz", ".zst"];

/// Why there is nothing inside.
#[derive(Debug, thiserror::Error)]
pub enum PackedError {
    /// Damaged or cut short.
    #[error("unpacking the initramfs")]
    Damaged(#[source] io::Error),
    /// A file that unpacks for ever.
    #[error("the initramfs has more than {UNPACKED_MAX_BYTES} bytes unpacked")]
    Large,
    /// No distribution does that any more.
    #[error("the initramfs is packed with gzip; expected xz, zstd or no compression")]
    Gzip,
}

/// Unpacks what is packed, and leaves the rest as it is.
///
/// # Errors
/// See [`PackedError`].
pub fn unpack(file: Vec<u8>) -> Result<Vec<u8>, PackedError> {
    if file.starts_with(XZ) {
        whole(liblzma::read::XzDecoder::new_multi_decoder(&*file))
    } else if file.starts_with(ZSTD) {
        whole(zstd::stream::read::Decoder::with_buffer(&*file).map_err(PackedError::Damaged)?)
    } else if file.starts_with(GZIP) {
        Err(PackedError::Gzip)
    } else {
        Ok(file)
    }
}

fn whole(decoder: impl Read) -> Result<Vec<u8>, PackedError> {
    let mut inside = Vec::new();
    decoder
        .take(UNPACKED_MAX_BYTES + 1)
        .read_to_end(&mut inside)
        .map_err(PackedError::Damaged)?;
    if inside.len() as u64 > UNPACKED_MAX_BYTES {
        return Err(PackedError::Large);
    }
    Ok(inside)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::{PackedError, unpack};
    use std::io::Write;

    pub(crate) fn xz(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = liblzma::write::XzEncoder::new(Vec::new(), 1);
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn what_was_packed_is_inside() {
        let zst = zstd::bulk::compress(b"module", 1).unwrap();
        for packed in [xz(b"module"), zst, b"module".to_vec()] {
            assert_eq!(unpack(packed).unwrap(), b"module");
        }
    }

    #[test]
    fn every_truncation_is_an_error() {
        for whole in [xz(b"module"), zstd::bulk::compress(b"module", 1).unwrap()] {
            for len in 6..whole.len() {
                let error = unpack(whole[..len].to_vec()).unwrap_err();
                assert!(matches!(error, PackedError::Damaged(_)), "{len}: {error}");
            }
        }
    }

    #[test]
    fn gzip_is_named() {
        let error = unpack(b"\x1f\x8b\x08".to_vec()).unwrap_err();
        assert!(matches!(error, PackedError::Gzip));
    }
}
