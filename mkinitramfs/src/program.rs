//! The bytes of a program in, "the initramfs can run this" out.
//!
//! The image has no dynamic linker, and the kernel's answer to a program that needs one is a panic
//! that says "No working init found": this check can say why.

/// Offsets and values of the ELF header (elf(5)).
const MAGIC: &[u8] = b"\x7fELF";
const CLASS_OFFSET: usize = 4;
const CLASS_64: u8 = 2;
const MACHINE_OFFSET: usize = 18;
const MACHINE_X86_64: u16 = 62;
const PROGRAM_HEADERS_OFFSET: usize = 32;
const PROGRAM_HEADER_SIZE_OFFSET: usize = 54;
const PROGRAM_HEADER_COUNT_OFFSET: usize = 56;
/// Type of the program header that names a dynamic linker.
const PT_INTERP: u32 = 3;

/// Why a program cannot run in the initramfs.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProgramError {
    /// A script, an archive, a file cut short.
    #[error("not a complete ELF file")]
    NotElf,
    /// Another architecture, or 32 bits.
    #[error("not a 64-bit x86-64 program")]
    Machine,
    /// It asks for a dynamic linker.
    #[error("dynamically linked; build it for x86_64-unknown-linux-musl")]
    Dynamic,
}

/// Checks that a program is a static one for x86-64.
///
/// # Errors
/// The fault of the program.
pub fn check(bytes: &[u8]) -> Result<(), ProgramError> {
    if !bytes.starts_with(MAGIC) {
        return Err(ProgramError::NotElf);
    }
    if bytes.get(CLASS_OFFSET) != Some(&CLASS_64)
        || u16_at(bytes, MACHINE_OFFSET)? != MACHINE_X86_64
    {
        return Err(ProgramError::Machine);
    }
    let table = u64::from_le_bytes(array_at(bytes, PROGRAM_HEADERS_OFFSET)?);
    let table = usize::try_from(table).map_err(|_| ProgramError::NotElf)?;
    let size = usize::from(u16_at(bytes, PROGRAM_HEADER_SIZE_OFFSET)?);
    for index in 0..usize::from(u16_at(bytes, PROGRAM_HEADER_COUNT_OFFSET)?) {
        let offset = table
            .checked_add(index * size)
            .ok_or(ProgramError::NotElf)?;
        if u32::from_le_bytes(array_at(bytes, offset)?) == PT_INTERP {
            return Err(ProgramError::Dynamic);
        }
    }
    Ok(())
}

fn u16_at(bytes: &[u8], offset: usize) -> Result<u16, ProgramError> {
    Ok(u16::from_le_bytes(array_at(bytes, offset)?))
}

fn array_at<const N: usize>(bytes: &[u8], offset: usize) -> Result<[u8; N], ProgramError> {
    let tail = bytes.get(offset..).ok_or(ProgramError::NotElf)?;
    tail.first_chunk().copied().ok_or(ProgramError::NotElf)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A program that the initramfs can run.
    pub(crate) fn program() -> Vec<u8> {
        elf(MACHINE_X86_64, 1)
    }

    /// A header and one program header of the given type.
    fn elf(machine: u16, program_header_type: u32) -> Vec<u8> {
        let mut bytes = vec![0; 64 + 56];
        bytes[..4].copy_from_slice(MAGIC);
        bytes[CLASS_OFFSET] = CLASS_64;
        bytes[MACHINE_OFFSET..][..2].copy_from_slice(&machine.to_le_bytes());
        bytes[PROGRAM_HEADERS_OFFSET] = 64;
        bytes[PROGRAM_HEADER_SIZE_OFFSET] = 56;
        bytes[PROGRAM_HEADER_COUNT_OFFSET] = 1;
        bytes[64..68].copy_from_slice(&program_header_type.to_le_bytes());
        bytes
    }

    #[test]
    fn a_static_program_is_taken() {
        assert_eq!(check(&elf(MACHINE_X86_64, 1)), Ok(()));
    }

    #[test]
    fn a_dynamic_program_is_refused() {
        assert_eq!(
            check(&elf(MACHINE_X86_64, PT_INTERP)),
            Err(ProgramError::Dynamic)
        );
        let this_test = std::fs::read("/proc/self/exe").unwrap();
        assert_eq!(check(&this_test), Err(ProgramError::Dynamic));
    }

    #[test]
    fn another_machine_is_refused() {
        assert_eq!(check(&elf(183, 1)), Err(ProgramError::Machine));
    }

    #[test]
    fn every_truncation_of_the_headers_is_refused() {
        let whole = elf(MACHINE_X86_64, 1);
        for len in 0..68 {
            assert!(check(&whole[..len]).is_err(), "{len} bytes");
        }
    }
}
