//! GRUB's BIOS images made ready for one disk: what `grub-bios-setup` does, without a mounted
//! system.
//!
//! boot.img is the 440 bytes of code in LBA 0: it loads the first sector of core.img and jumps to
//! it. That sector (diskboot.img) carries a list of where the rest lies. Both addresses are patched
//! in here; the images come from an untrusted package, so every field is looked at before it is
//! relied on.
//!
//! Only for 512-byte sectors: a BIOS counts in 512 bytes and boots no 4Kn disk
//! (`disk-layout.md` 4).

use thiserror::Error;
use wire::outcome::Outcome;

/// The sector of a BIOS.
pub const BIOS_SECTOR: usize = 512;

/// boot.img: where core.img is loaded, fixed at 0:8000.
const KERNEL_ADDRESS: (usize, [u8; 2]) = (0x5A, [0x00, 0x80]);
/// boot.img: LBA of core.img's first sector, u64.
const KERNEL_SECTOR: usize = 0x5C;
/// boot.img: the drive to load from; FF is the drive that the BIOS booted.
const BOOT_DRIVE: usize = 0x64;
/// boot.img: a short jump over the drive check. Some BIOSes hand over drive 0 when booting from a
/// hard disk; with two nops here GRUB corrects that.
const DRIVE_CHECK: usize = 0x66;
const JMP_SHORT: u8 = 0xEB;
const NOP: u8 = 0x90;
/// From here to the boot signature a boot sector belongs to the partition table: NT disk signature
/// and four entries.
const TABLE: core::ops::Range<usize> = 0x1B8..0x1FE;
const BOOT_SIGNATURE: (usize, [u8; 2]) = (0x1FE, [0x55, 0xAA]);

/// core.img's first sector ends in a block list that grows downwards: u64 LBA, u16 sectors, u16
/// segment. A length of zero ends it.
const BLOCK_LIST: usize = 0x1F4;
const BLOCK_LEN: usize = 12;
/// Segment behind the first sector: 0x8200 / 16.
const BLOCK_SEGMENT: u16 = 0x820;
/// The loaded image must end below 0x78000 and begins at 0x8000, as grub-bios-setup checks.
const CORE_MAX: usize = 0x78000 - 0x8000;

/// Why the images cannot be used.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum GrubError {
    /// boot.img is one sector.
    #[error("boot.img has {len} bytes; it must have {BIOS_SECTOR}")]
    BootSize {
        /// Its length in bytes.
        len: usize,
    },
    /// A field of boot.img is not what GRUB's has there.
    #[error("boot.img has {} at byte {offset:#x} and is not GRUB's: {what} expected", found.escape_ascii())]
    BootMagic {
        /// Of the field.
        offset: usize,
        /// The bytes at that place.
        found: Vec<u8>,
        /// The expected bytes.
        what: &'static str,
    },
    /// core.img is too short to be one, or does not fit into low memory.
    #[error("core.img has {len} bytes; it must have {} to {CORE_MAX}", BIOS_SECTOR + 1)]
    CoreSize {
        /// Its length in bytes.
        len: usize,
    },
    /// core.img is longer than the partition meant for it.
    #[error("core.img takes {sectors} sectors; the BIOS boot partition has {room}")]
    NoRoom {
        /// The sectors that it takes.
        sectors: u64,
        /// The sectors that there are.
        room: u64,
    },
    /// No block list where diskboot.img has one.
    #[error(
        "core.img is not GRUB's for i386-pc: its block list says {sectors} sectors at segment {segment:#x}"
    )]
    CoreMagic {
        /// Length field of the block list.
        sectors: u16,
        /// Segment field.
        segment: u16,
    },
}

impl GrubError {
    /// The package is refused.
    #[must_use]
    pub const fn outcome(&self) -> Outcome {
        Outcome::Refuse
    }
}

/// Images ready for one disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BiosBoot {
    boot: [u8; BIOS_SECTOR],
    core: Vec<u8>,
}

impl BiosBoot {
    /// Patches `boot_img` and `core_img` for a core.img at `core_lba`, in a partition of `room`
    /// sectors of 512 bytes.
    ///
    /// # Errors
    /// The images are not GRUB's for i386-pc, or do not fit.
    pub fn new(
        boot_img: &[u8],
        core_img: &[u8],
        core_lba: u64,
        room: u64,
    ) -> Result<Self, GrubError> {
        let boot = patched_boot(boot_img, core_lba)?;
        let core = patched_core(core_img, core_lba)?;
        let sectors = (core.len() / BIOS_SECTOR) as u64;
        if sectors > room {
            return Err(GrubError::NoRoom { sectors, room });
        }
        Ok(Self { boot, core })
    }

    /// core.img, padded to whole sectors, for the start of the BIOS boot partition.
    #[must_use]
    pub fn core(&self) -> &[u8] {
        &self.core
    }

    /// LBA 0: GRUB's code with the partition entries of `protective_mbr`.
    #[must_use]
    pub fn lba0(&self, protective_mbr: &[u8]) -> Vec<u8> {
        let mut sector = self.boot.to_vec();
        if let (Some(to), Some(from)) = (sector.get_mut(TABLE), protective_mbr.get(TABLE)) {
            to.copy_from_slice(from);
        }
        sector
    }
}

fn patched_boot(boot_img: &[u8], core_lba: u64) -> Result<[u8; BIOS_SECTOR], GrubError> {
    let mut boot: [u8; BIOS_SECTOR] = boot_img.try_into().map_err(|_| GrubError::BootSize {
        len: boot_img.len(),
    })?;
    expect(
        &boot,
        BOOT_SIGNATURE.0,
        &BOOT_SIGNATURE.1,
        "the signature 55aa",
    )?;
    expect(
        &boot,
        KERNEL_ADDRESS.0,
        &KERNEL_ADDRESS.1,
        "the load address 8000",
    )?;
    expect(&boot, DRIVE_CHECK, &[JMP_SHORT], "a short jump")?;
    put(&mut boot, KERNEL_SECTOR, &core_lba.to_le_bytes());
    put(&mut boot, BOOT_DRIVE, &[0xFF]);
    put(&mut boot, DRIVE_CHECK, &[NOP, NOP]);
    Ok(boot)
}

fn patched_core(core_img: &[u8], core_lba: u64) -> Result<Vec<u8>, GrubError> {
    let len = core_img.len();
    if len <= BIOS_SECTOR || len > CORE_MAX {
        return Err(GrubError::CoreSize { len });
    }
    let mut core = core_img.to_vec();
    core.resize(len.next_multiple_of(BIOS_SECTOR), 0);
    let behind_first = u16::try_from(core.len() / BIOS_SECTOR - 1).unwrap_or(u16::MAX);
    // grub-mkimage has filled in the length and left the LBA to us.
    let sectors = field(&core, BLOCK_LIST + 8);
    let segment = field(&core, BLOCK_LIST + 10);
    let terminator = field(&core, BLOCK_LIST - BLOCK_LEN + 8);
    if sectors != behind_first || segment != BLOCK_SEGMENT || terminator != 0 {
        return Err(GrubError::CoreMagic { sectors, segment });
    }
    put(
        &mut core,
        BLOCK_LIST,
        &core_lba.saturating_add(1).to_le_bytes(),
    );
    Ok(core)
}

fn expect(bytes: &[u8], offset: usize, magic: &[u8], what: &'static str) -> Result<(), GrubError> {
    let found = bytes
        .get(offset..)
        .and_then(|rest| rest.get(..magic.len()))
        .unwrap_or_default();
    if found == magic {
        return Ok(());
    }
    Err(GrubError::BootMagic {
        offset,
        found: found.to_vec(),
        what,
    })
}

fn put(bytes: &mut [u8], offset: usize, value: &[u8]) {
    if let Some(to) = bytes
        .get_mut(offset..)
        .and_then(|rest| rest.get_mut(..value.len()))
    {
        to.copy_from_slice(value);
    }
}

fn field(bytes: &[u8], offset: usize) -> u16 {
    match bytes.get(offset..) {
        Some(&[low, high, ..]) => u16::from_le_bytes([low, high]),
        _ => 0,
    }
}
#[cfg(test)]
mod tests;
