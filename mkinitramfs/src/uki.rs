//! A shim and systemd-boot's stub in, one program out that UEFI starts: a unified kernel image
//! (UAPI.5).
//!
//! The stub is a PE file; kernel, initramfs and command line become sections behind its own.
//! Nothing of the stub moves, its file and section alignment are kept, and the kernel comes last
//! (PE format, "Section Table").

use object::pe::{
    IMAGE_FILE_MACHINE_AMD64, IMAGE_NT_OPTIONAL_HDR64_MAGIC, IMAGE_SCN_CNT_INITIALIZED_DATA,
    IMAGE_SCN_MEM_READ, IMAGE_SUBSYSTEM_EFI_APPLICATION, ImageDosHeader, ImageNtHeaders64,
    ImageSectionHeader,
};
use object::pod::{bytes_of, from_bytes_mut};
use object::read::pe::ImageNtHeaders;
use object::{LittleEndian as LE, U16, U32};

use crate::shim::Shim;

/// Where Debian's package systemd-boot-efi has the stub.
pub const STUB: &str = "/usr/lib/systemd/boot/efi/linuxx64.efi.stub";

/// The stub says what it is in a section of this name.
const MAGIC_SECTION: &[u8] = b".sdmagic";
const MAGIC: &[u8] = b"#### LoaderInfo: systemd-stub";
/// The firmware gives a program whole pages, and the kernel is looked at in place.
const PAGE_BYTES: u32 = 4096;
/// Powers of two among these (PE format, "Optional Header Windows-Specific Fields").
const FILE_ALIGNMENTS: std::ops::RangeInclusive<u32> = 512..=65_536;

/// The sections that are added, in their order.
pub(crate) const OS_RELEASE: &[u8] = b".osrel";
pub(crate) const COMMAND_LINE: &[u8] = b".cmdline";
pub(crate) const RELEASE: &[u8] = b".uname";
pub(crate) const INITRAMFS: &[u8] = b".initrd";
pub(crate) const KERNEL: &[u8] = b".linux";
/// The first line of the first of them.
pub(crate) const OS_ID: &str = "ID=smechvisor-shim\n";

/// The program cannot be made.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum UkiError {
    /// Cut short, or something else.
    #[error("the stub is not a PE file for x86-64 UEFI: {0}")]
    NotPe(&'static str),
    /// Another program for UEFI.
    #[error("the stub is not systemd-boot's (linuxx64.efi.stub)")]
    NotStub,
    /// Every byte of it would be covered by the signature, which ends at the old end.
    #[error("the stub is signed; use an unsigned one and sign the result")]
    Signed,
    /// The sections' headers lie in front of the first section.
    #[error("the stub has room for {room} more sections, {wanted} are needed")]
    Full {
        /// The bytes that there are.
        room: usize,
        /// The bytes that it takes.
        wanted: usize,
    },
    /// Addresses have 32 bits.
    #[error("the program would have {0} bytes, more than a PE file can")]
    Large(usize),
}

impl From<object::Error> for UkiError {
    fn from(_: object::Error) -> Self {
        Self::NotPe("its headers are cut short or wrong")
    }
}

/// Puts the shim into the stub.
///
/// # Errors
/// See [`UkiError`].
pub fn assemble(shim: &Shim, stub: &[u8]) -> Result<Vec<u8>, UkiError> {
    let os_release = os_release();
    let release = shim.release().unwrap_or_default();
    let sections: [(&[u8], &[u8]); 5] = [
        (OS_RELEASE, os_release.as_bytes()),
        (COMMAND_LINE, shim.cmdline().as_bytes()),
        (RELEASE, release.as_bytes()),
        (INITRAMFS, shim.initramfs()),
        (KERNEL, shim.kernel()),
    ];
    let sections = sections.into_iter().filter(|(_, data)| !data.is_empty());
    let sections: Vec<_> = sections.collect();

    let layout = Layout::of(stub)?;
    let room = layout.room(stub)?;
    if room < sections.len() {
        let wanted = sections.len();
        return Err(UkiError::Full { room, wanted });
    }
    let mut program = stub.to_vec();
    let mut address = layout.end_address;
    let mut added_bytes = 0_u32;
    let mut headers = Vec::new();
    for (name, data) in sections {
        pad(&mut program, layout.file_alignment)?;
        address = aligned(address, layout.section_alignment.max(PAGE_BYTES))?;
        let offset = small(program.len())?;
        let len = small(data.len())?;
        program.extend_from_slice(data);
        pad(&mut program, layout.file_alignment)?;
        let raw_len = small(program.len())? - offset;
        headers.push(header(name, [len, address, raw_len, offset]));
        address = address
            .checked_add(len)
            .ok_or(UkiError::Large(program.len()))?;
        added_bytes = added_bytes.saturating_add(raw_len);
    }
    let image_bytes = aligned(address, layout.section_alignment)?;
    layout.describe(&mut program, &headers, image_bytes, added_bytes)?;
    Ok(program)
}

/// The title in the menu of systemd-boot and in the list of `bootctl`.
fn os_release() -> String {
    let version = env!("CARGO_PKG_VERSION");
    format!(
        "{OS_ID}NAME=\"spk-visor Deploy Shim\"\n\
         PRETTY_NAME=\"spk-visor Deploy Shim {version}\"\nVERSION_ID={version}\n"
    )
}

/// The values that are read from the stub.
struct Layout {
    headers_offset: usize,
    table_end: usize,
    /// End of the room for headers: the first byte that belongs to something else.
    room_end: usize,
    section_alignment: u32,
    file_alignment: u32,
    /// Behind the last section, in memory.
    end_address: u32,
}

impl Layout {
    fn of(stub: &[u8]) -> Result<Self, UkiError> {
        let dos = ImageDosHeader::parse(stub)?;
        let headers_offset = u64::from(dos.nt_headers_offset());
        let mut offset = headers_offset;
        let (headers, _) = ImageNtHeaders64::parse(stub, &mut offset)?;
        let optional = &headers.optional_header;
        if headers.file_header.machine.get(LE) != IMAGE_FILE_MACHINE_AMD64
            || optional.magic.get(LE) != IMAGE_NT_OPTIONAL_HDR64_MAGIC
            || optional.subsystem.get(LE) != IMAGE_SUBSYSTEM_EFI_APPLICATION
        {
            return Err(UkiError::NotPe("it is for another machine or system"));
        }
        if disk::pe::is_signed(stub) {
            return Err(UkiError::Signed);
        }
        let section_alignment = optional.section_alignment.get(LE);
        let file_alignment = optional.file_alignment.get(LE);
        let is_usual = FILE_ALIGNMENTS.contains(&file_alignment);
        if !is_usual || !file_alignment.is_power_of_two() || !section_alignment.is_power_of_two() {
            return Err(UkiError::NotPe(
                "its alignment is not one that the format knows",
            ));
        }
        let sections = headers.sections(stub, offset)?;
        let mut room_end = optional.size_of_headers.get(LE);
        let mut end_address = 0;
        let mut is_stub = false;
        for section in sections.iter() {
            let data = section.pe_data(stub)?;
            is_stub |= section.name == MAGIC_SECTION && data.starts_with(MAGIC);
            if !data.is_empty() {
                room_end = room_end.min(section.pointer_to_raw_data.get(LE));
            }
            let (address, len) = section.pe_address_range();
            end_address = address.saturating_add(len).max(end_address);
        }
        if !is_stub {
            return Err(UkiError::NotStub);
        }
        let too_far = |_| UkiError::NotPe("its headers are too far from its beginning");
        let headers_offset = usize::try_from(headers_offset).map_err(too_far)?;
        let table = usize::try_from(offset).map_err(too_far)?;
        Ok(Self {
            headers_offset,
            table_end: table + sections.len() * size_of::<ImageSectionHeader>(),
            room_end: usize::try_from(room_end).map_err(too_far)?,
            section_alignment,
            file_alignment,
            end_address,
        })
    }

    /// How many headers fit behind the last one; only zeros may be there.
    fn room(&self, stub: &[u8]) -> Result<usize, UkiError> {
        let gap = stub.get(self.table_end..self.room_end).unwrap_or_default();
        let free = gap.iter().take_while(|byte| **byte == 0).count();
        Ok(free / size_of::<ImageSectionHeader>())
    }

    /// Writes the headers of the new sections, and what the old headers say about them.
    fn describe(
        &self,
        program: &mut [u8],
        new: &[ImageSectionHeader],
        image_bytes: u32,
        added_bytes: u32,
    ) -> Result<(), UkiError> {
        let lost = || UkiError::NotPe("its headers are not where they were");
        for (index, header) in new.iter().enumerate() {
            let bytes = bytes_of(header);
            let start = self.table_end + index * bytes.len();
            let place = program.get_mut(start..start + bytes.len());
            place.ok_or_else(lost)?.copy_from_slice(bytes);
        }
        let place = program.get_mut(self.headers_offset..).ok_or_else(lost)?;
        let (headers, _) = from_bytes_mut::<ImageNtHeaders64>(place).map_err(|()| lost())?;
        let sections = &mut headers.file_header.number_of_sections;
        let count = usize::from(sections.get(LE)) + new.len();
        let too_many = |_| UkiError::Large(count);
        sections.set(LE, u16::try_from(count).map_err(too_many)?);
        let optional = &mut headers.optional_header;
        let data = optional.size_of_initialized_data.get(LE);
        let data = data.saturating_add(added_bytes);
        optional.size_of_initialized_data.set(LE, data);
        optional.size_of_image.set(LE, image_bytes);
        // Zero is "none": UEFI does not look at it, and a tool that signs makes its own.
        optional.check_sum.set(LE, 0);
        Ok(())
    }
}

/// `sizes` are length and address in memory, length and offset in the file.
fn header(name: &[u8], sizes: [u32; 4]) -> ImageSectionHeader {
    let [len, address, raw_len, offset] = sizes.map(|size| U32::new(LE, size));
    let mut padded = [0; 8];
    for (to, from) in padded.iter_mut().zip(name) {
        *to = *from;
    }
    ImageSectionHeader {
        name: padded,
        virtual_size: len,
        virtual_address: address,
        size_of_raw_data: raw_len,
        pointer_to_raw_data: offset,
        pointer_to_relocations: U32::new(LE, 0),
        pointer_to_linenumbers: U32::new(LE, 0),
        number_of_relocations: U16::new(LE, 0),
        number_of_linenumbers: U16::new(LE, 0),
        characteristics: U32::new(LE, IMAGE_SCN_CNT_INITIALIZED_DATA | IMAGE_SCN_MEM_READ),
    }
}

fn pad(program: &mut Vec<u8>, alignment: u32) -> Result<(), UkiError> {
    let len = aligned(small(program.len())?, alignment)?;
    program.resize(len as usize, 0);
    Ok(())
}

fn aligned(value: u32, alignment: u32) -> Result<u32, UkiError> {
    let next = value.checked_next_multiple_of(alignment);
    next.ok_or(UkiError::Large(value as usize))
}

fn small(len: usize) -> Result<u32, UkiError> {
    u32::try_from(len).map_err(|_| UkiError::Large(len))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::{Layout, PAGE_BYTES, STUB, UkiError, assemble};
    use crate::shim::{Shim, tests::kernel};
    use object::read::pe::PeFile64;
    use object::{Object, ObjectSection};
    use std::process::Command;

    pub(crate) fn stub() -> Vec<u8> {
        std::fs::read(STUB).expect("systemd-boot-efi is needed by this test")
    }

    pub(crate) fn shim(cmdline: &str) -> Shim {
        let initramfs = [&b"070701"[..], &[7; 5000]].concat();
        Shim::new(kernel(), initramfs, cmdline).unwrap()
    }

    #[test]
    fn everything_is_found_where_the_headers_say() {
        let (stub, shim) = (stub(), shim("quiet smv.after=kexec"));
        let program = assemble(&shim, &stub).unwrap();
        assert!(program == assemble(&shim, &stub).unwrap(), "the same bytes");
        let old = PeFile64::parse(&*stub).unwrap();
        let new = PeFile64::parse(&*program).unwrap();
        let alignment = u64::from(Layout::of(&stub).unwrap().file_alignment);
        let mut end = 0;
        for section in new.sections() {
            let name = section.name().unwrap();
            let expected = match name {
                ".linux" => shim.kernel(),
                ".initrd" => shim.initramfs(),
                ".cmdline" => b"quiet smv.after=kexec",
                ".uname" => b"6.12.9",
                ".osrel" => b"ID=smechvisor-shim\n",
                // The stub's own: at the same address, with the same bytes.
                other => {
                    let before = old.section_by_name(other).unwrap();
                    assert_eq!(before.address(), section.address(), "{other}");
                    assert_eq!(before.data(), section.data(), "{other}");
                    end = section.address() + section.size();
                    continue;
                }
            };
            assert!(section.data().unwrap().starts_with(expected), "{name}");
            let (offset, len) = section.file_range().unwrap();
            assert_eq!(
                (
                    offset % alignment,
                    section.address() % u64::from(PAGE_BYTES)
                ),
                (0, 0)
            );
            assert!(
                section.address() >= end && len >= expected.len() as u64,
                "{name}"
            );
            end = section.address() + section.size();
        }
        let names: Vec<_> = new
            .sections()
            .map(|section| section.name().unwrap().to_owned())
            .collect();
        assert_eq!(names.last().map(String::as_str), Some(".linux"));
        let image = u64::from(
            new.nt_headers()
                .optional_header
                .size_of_image
                .get(object::LittleEndian),
        );
        assert!(image >= end && image < end + alignment, "{image} {end}");
    }

    /// A reader that shares no code with us.
    #[test]
    fn binutils_read_it() {
        let path = std::env::temp_dir().join(format!("mkinitramfs-uki-{}.efi", std::process::id()));
        std::fs::write(&path, assemble(&shim("quiet"), &stub()).unwrap()).unwrap();
        let sections = Command::new("objdump").arg("-h").arg(&path).output();
        let output = sections.expect("objdump (binutils) is needed by this test");
        let text = String::from_utf8_lossy(&output.stdout);
        let found = text.lines().find(|line| line.contains(".linux")).unwrap();
        assert!(found.contains("00000400"), "the kernel's length: {found}");
        assert!(output.stderr.is_empty(), "{output:?}");
        std::fs::remove_file(path).unwrap();
    }

    #[test]
    fn where_nothing_is_given_the_consoles_are_the_command_line() {
        let program = assemble(&shim(""), &stub()).unwrap();
        let program = PeFile64::parse(&*program).unwrap();
        let section = program.section_by_name(".cmdline").unwrap();
        let text = section.data().unwrap();
        assert!(text.starts_with(b"console=tty0 console=ttyS0,115200"));
    }

    #[test]
    fn what_is_not_the_stub_is_refused() {
        for bad in [&b""[..], b"MZ", &kernel(), b"\x7FELF"] {
            let error = assemble(&shim(""), bad).unwrap_err();
            assert!(matches!(error, UkiError::NotPe(_)), "{error}");
        }
        let mut other = stub();
        let magic = other
            .windows(8)
            .rposition(|bytes| bytes == b"#### Loa")
            .unwrap();
        other[magic] = b'!';
        assert_eq!(assemble(&shim(""), &other), Err(UkiError::NotStub));
        // Once is enough: there the sections are already, and no room is left for five more.
        let twice = assemble(&shim(""), &assemble(&shim(""), &stub()).unwrap());
        assert!(matches!(twice, Err(UkiError::Full { .. })), "{twice:?}");
    }

    #[test]
    fn every_cut_and_every_changed_byte_of_the_headers_is_survived() {
        let stub = stub();
        for len in 0..0x400 {
            assert!(assemble(&shim(""), &stub[..len]).is_err(), "{len}");
        }
        for at in 0..0x400 {
            let mut changed = stub.clone();
            changed[at] ^= 0xFF;
            // Most fields do not matter to us; none may bring it down, or make it write without
            // end.
            if let Ok(program) = assemble(&shim(""), &changed) {
                assert!(program.len() < 64 << 20, "{at}: {} bytes", program.len());
            }
        }
    }
}
