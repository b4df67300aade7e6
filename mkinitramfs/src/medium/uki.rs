//! A unified kernel image in, its parts and the stub they were added to out: what
//! [`assemble`](crate::uki::assemble) does, backwards.

use object::pe::{IMAGE_DIRECTORY_ENTRY_SECURITY, ImageDosHeader, ImageNtHeaders64};
use object::pe::{ImageDataDirectory, ImageSectionHeader};
use object::pod::from_bytes_mut;
use object::read::pe::ImageNtHeaders;
use object::{LittleEndian as LE, pod};

use crate::uki::{COMMAND_LINE, INITRAMFS, KERNEL, OS_ID, OS_RELEASE, RELEASE};

/// What is neither kernel, initramfs nor command line.
#[derive(Debug)]
pub struct Taken {
    /// The program without what was added.
    pub stub: Vec<u8>,
    /// It was signed; the stub alone is not.
    pub was_signed: bool,
}

/// All of it.
#[derive(Debug)]
pub struct Parts {
    /// bzImage.
    pub kernel: Vec<u8>,
    /// cpio, compressed or not.
    pub initramfs: Vec<u8>,
    /// Words for the kernel.
    pub cmdline: String,
    /// The rest.
    pub rest: Taken,
}

/// It cannot be taken apart.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum UkiReadError {
    /// Cut short, or something else.
    #[error("its headers are cut short or wrong")]
    NotPe,
    /// Another program for UEFI.
    #[error("it was not made by spk-visor media: it has no section .osrel that says so")]
    Foreign,
    /// Somebody has added more.
    #[error("it was not made by spk-visor media: it has an unknown section {0:?} at its end")]
    Section(String),
    /// One is needed.
    #[error("it has no section {0}")]
    Missing(&'static str),
    /// Text is expected there.
    #[error("its command line is not ASCII")]
    CommandLine,
}

impl From<object::Error> for UkiReadError {
    fn from(_: object::Error) -> Self {
        Self::NotPe
    }
}

/// Takes it apart.
///
/// # Errors
/// See [`UkiReadError`].
pub fn read(program: &[u8]) -> Result<Parts, UkiReadError> {
    let headers_offset = u64::from(ImageDosHeader::parse(program)?.nt_headers_offset());
    let mut offset = headers_offset;
    let (headers, _) = ImageNtHeaders64::parse(program, &mut offset)?;
    let sections = headers.sections(program, offset)?;
    let is_first = |section: &&ImageSectionHeader| {
        section.raw_name() == OS_RELEASE
            && section
                .pe_data(program)
                .is_ok_and(|data| data.starts_with(OS_ID.as_bytes()))
    };
    let before = sections.iter().position(|section| is_first(&section));
    let before = before.ok_or(UkiReadError::Foreign)?;
    let ours = [OS_RELEASE, COMMAND_LINE, RELEASE, INITRAMFS, KERNEL];
    for section in sections.iter().skip(before) {
        if !ours.contains(&section.raw_name()) {
            let name = String::from_utf8_lossy(section.raw_name()).into_owned();
            return Err(UkiReadError::Section(name));
        }
    }
    let data = |name: &[u8], told| {
        let mut added = sections.iter().skip(before);
        let section = added.find(|section| section.raw_name() == name);
        let section = section.ok_or(UkiReadError::Missing(told))?;
        Ok::<_, UkiReadError>(section.pe_data(program)?.to_vec())
    };
    let cmdline = data(COMMAND_LINE, ".cmdline")?;
    let cmdline = String::from_utf8(cmdline)
        .ok()
        .filter(|text| text.is_ascii());
    let table = usize::try_from(offset).map_err(|_| UkiReadError::NotPe)?;
    Ok(Parts {
        kernel: data(KERNEL, ".linux")?,
        initramfs: data(INITRAMFS, ".initrd")?,
        cmdline: cmdline.ok_or(UkiReadError::CommandLine)?,
        rest: Taken {
            stub: stub(program, headers_offset, table, before)?,
            was_signed: disk::pe::is_signed(program),
        },
    })
}

/// The program with so many sections only, and without a signature. Their headers begin at `table`.
fn stub(
    program: &[u8],
    headers_offset: u64,
    table: usize,
    count: usize,
) -> Result<Vec<u8>, UkiReadError> {
    let header_bytes = size_of::<ImageSectionHeader>();
    let mut offset = headers_offset;
    let (headers, _) = ImageNtHeaders64::parse(program, &mut offset)?;
    let sections = headers.sections(program, offset)?;
    let added = || sections.iter().skip(count);
    let end = added()
        .map(|section| section.pointer_to_raw_data.get(LE))
        .min();
    let added_bytes = added().fold(0_u32, |sum, section| {
        sum.saturating_add(section.size_of_raw_data.get(LE))
    });
    let kept = sections.iter().take(count);
    let image_end = kept.map(|section| {
        let (address, len) = section.pe_address_range();
        address.saturating_add(len)
    });
    let alignment = headers.optional_header.section_alignment.get(LE).max(1);
    let image_bytes = image_end
        .max()
        .unwrap_or(0)
        .checked_next_multiple_of(alignment);
    let image_bytes = image_bytes.ok_or(UkiReadError::NotPe)?;
    let end = end.ok_or(UkiReadError::NotPe)? as usize;
    let mut stub = program.get(..end).ok_or(UkiReadError::NotPe)?.to_vec();
    let gone = table + count * header_bytes..table + sections.len() * header_bytes;
    stub.get_mut(gone).ok_or(UkiReadError::NotPe)?.fill(0);
    let start = usize::try_from(headers_offset).map_err(|_| UkiReadError::NotPe)?;
    let place = stub.get_mut(start..).ok_or(UkiReadError::NotPe)?;
    let (headers, behind) =
        from_bytes_mut::<ImageNtHeaders64>(place).map_err(|()| UkiReadError::NotPe)?;
    let count = u16::try_from(count).map_err(|_| UkiReadError::NotPe)?;
    headers.file_header.number_of_sections.set(LE, count);
    let optional = &mut headers.optional_header;
    let data = optional.size_of_initialized_data.get(LE);
    optional
        .size_of_initialized_data
        .set(LE, data.saturating_sub(added_bytes));
    optional.size_of_image.set(LE, image_bytes);
    optional.check_sum.set(LE, 0);
    let directories = optional.number_of_rva_and_sizes.get(LE) as usize;
    if directories > IMAGE_DIRECTORY_ENTRY_SECURITY {
        let (list, _) = pod::slice_from_bytes_mut::<ImageDataDirectory>(behind, directories)
            .map_err(|()| UkiReadError::NotPe)?;
        if let Some(signature) = list.get_mut(IMAGE_DIRECTORY_ENTRY_SECURITY) {
            signature.virtual_address.set(LE, 0);
            signature.size.set(LE, 0);
        }
    }
    Ok(stub)
}

#[cfg(test)]
mod tests {
    use super::{
        IMAGE_DIRECTORY_ENTRY_SECURITY, ImageDataDirectory, ImageDosHeader, ImageNtHeaders64,
        UkiReadError, read,
    };
    use crate::shim::{Shim, tests::kernel};
    use crate::uki::assemble;
    use crate::uki::tests::{shim, stub};

    #[test]
    fn what_was_put_together_is_taken_apart_and_put_together_again() {
        let program = assemble(&shim("quiet"), &stub()).unwrap();
        let parts = read(&program).unwrap();
        assert_eq!(parts.kernel, kernel());
        assert_eq!(parts.initramfs, shim("").initramfs());
        assert_eq!(parts.cmdline, "quiet console=tty0 console=ttyS0,115200");
        assert!(!parts.rest.was_signed);
        let again = Shim::new(parts.kernel, parts.initramfs, &parts.cmdline).unwrap();
        assert!(assemble(&again, &parts.rest.stub).unwrap() == program);
        let other = assemble(&shim("loud"), &stub()).unwrap();
        assert!(assemble(&shim("loud"), &parts.rest.stub).unwrap() == other);
    }

    /// As sbsign(1) leaves it: a table behind the end, and its place in the headers.
    #[test]
    fn a_signature_is_taken_off() {
        let program = assemble(&shim("quiet"), &stub()).unwrap();
        let mut signed = program.clone();
        let headers = ImageDosHeader::parse(&*signed).unwrap().nt_headers_offset();
        let directory = headers as usize
            + size_of::<ImageNtHeaders64>()
            + IMAGE_DIRECTORY_ENTRY_SECURITY * size_of::<ImageDataDirectory>();
        let at = u32::try_from(signed.len()).unwrap();
        signed[directory..][..4].copy_from_slice(&at.to_le_bytes());
        signed[directory + 4..][..4].copy_from_slice(&16_u32.to_le_bytes());
        signed.extend_from_slice(b"a signature here");
        let parts = read(&signed).unwrap();
        assert!(parts.rest.was_signed);
        assert!(assemble(&shim("quiet"), &parts.rest.stub).unwrap() == program);
    }

    #[test]
    fn no_changed_byte_of_the_headers_leads_out_of_the_program() {
        let program = assemble(&shim(""), &stub()).unwrap();
        for at in 0..0x600 {
            for bits in [0x01, 0x80, 0xFF] {
                let mut changed = program.clone();
                changed[at] ^= bits;
                if let Ok(parts) = read(&changed) {
                    let lens = [&parts.kernel, &parts.initramfs, &parts.rest.stub].map(Vec::len);
                    assert!(lens.iter().all(|len| *len <= changed.len()), "byte {at}");
                }
            }
        }
    }

    #[test]
    fn a_file_cut_short_and_another_program_are_refused() {
        let program = assemble(&shim(""), &stub()).unwrap();
        for len in (0..program.len()).step_by(97) {
            assert!(read(&program[..len]).is_err(), "{len} bytes");
        }
        assert_eq!(read(&stub()).unwrap_err(), UkiReadError::Foreign);
        assert_eq!(read(&kernel()).unwrap_err(), UkiReadError::NotPe);
    }
}
