//! Whether a program for UEFI carries a signature (Microsoft, "PE Format", "Optional Header Data
//! Directories": the certificate table). Whose it is, firmware judges.

/// Where the DOS header has the offset of the PE header.
const HEADER_OFFSET: usize = 0x3C;
const MAGIC: [u8; 4] = *b"PE\0\0";
/// From the PE header to the optional header, which begins with its kind.
const OPTIONAL_HEADER: usize = 4 + 20;
const PE32_PLUS: [u8; 2] = 0x20B_u16.to_le_bytes();
/// In an optional header of that kind: the number of data directories, then for each its place and
/// its length.
const DIRECTORIES: usize = 108;
/// The certificate table is the fifth.
const CERTIFICATES: u32 = 4;

/// Whether firmware with Secure Boot finds a signature in this program. What is no program for
/// 64-bit UEFI has none.
#[must_use]
pub fn is_signed(program: &[u8]) -> bool {
    certificates_len(program).is_some_and(|len| len != 0)
}

fn certificates_len(program: &[u8]) -> Option<u32> {
    let header = usize::try_from(u32_at(program, HEADER_OFFSET)?).ok()?;
    let header = program.get(header..)?;
    let optional = header.get(OPTIONAL_HEADER..)?;
    if !header.starts_with(&MAGIC) || !optional.starts_with(&PE32_PLUS) {
        return None;
    }
    let count = u32_at(optional, DIRECTORIES)?;
    let table = DIRECTORIES + 4 + 8 * CERTIFICATES as usize;
    (count > CERTIFICATES).then(|| u32_at(optional, table + 4))?
}

fn u32_at(bytes: &[u8], offset: usize) -> Option<u32> {
    let bytes = bytes.get(offset..)?.first_chunk()?;
    Some(u32::from_le_bytes(*bytes))
}

#[cfg(test)]
mod tests {
    use super::is_signed;

    /// The headers of a program whose certificate table has so many bytes.
    fn program(certificates: u32) -> Vec<u8> {
        let mut program = vec![0; 512];
        program[..2].copy_from_slice(b"MZ");
        program[0x3C..0x40].copy_from_slice(&128_u32.to_le_bytes());
        program[128..132].copy_from_slice(b"PE\0\0");
        program[152..154].copy_from_slice(&[0x0B, 0x02]);
        program[260..264].copy_from_slice(&16_u32.to_le_bytes());
        program[300..304].copy_from_slice(&certificates.to_le_bytes());
        program
    }

    #[test]
    fn a_certificate_table_is_a_signature() {
        assert!(is_signed(&program(1)));
        assert!(!is_signed(&program(0)));
    }

    #[test]
    fn what_is_cut_short_or_something_else_has_none() {
        let whole = program(7);
        for len in 0..304 {
            assert!(!is_signed(&whole[..len]), "{len} bytes");
        }
        for (at, byte) in [(0x3C, 0xFF), (128, b'X'), (152, 0), (260, 4)] {
            let mut other = whole.clone();
            other[at] = byte;
            assert!(!is_signed(&other), "byte {at}");
        }
    }
}
