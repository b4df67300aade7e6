//! Images with the fields of the real ones and nothing else, for tests.

use crate::grub::BIOS_SECTOR;

/// A boot.img as `boot.S` lays it out.
pub fn boot_img() -> Vec<u8> {
    let mut image = vec![0xF4; BIOS_SECTOR];
    image[0x5A..0x5C].copy_from_slice(&[0x00, 0x80]);
    image[0x5C..0x64].copy_from_slice(&1_u64.to_le_bytes());
    image[0x64..0x68].copy_from_slice(&[0xFF, 0xFA, 0xEB, 0x05]);
    image[0x1FE..].copy_from_slice(&[0x55, 0xAA]);
    image
}

/// A core.img as grub-mkimage leaves it.
pub fn core_img(len: usize) -> Vec<u8> {
    let mut image = vec![0xF4; len];
    image[0x1E8..0x200].fill(0);
    image[0x1F4] = 2;
    let behind = (len.div_ceil(BIOS_SECTOR) - 1) as u16;
    image[0x1FC..0x1FE].copy_from_slice(&behind.to_le_bytes());
    image[0x1FE..0x200].copy_from_slice(&0x820_u16.to_le_bytes());
    image
}
