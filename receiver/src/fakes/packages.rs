//! The smallest system that can be installed, as packages.

use std::fs;
use std::os::unix::fs::MetadataExt;

/// A package of these files, packed as `.tar.zst`, owned by the user of the test.
#[must_use]
pub fn package(files: &[(&str, &[u8])]) -> Vec<u8> {
    let owner = fs::metadata(std::env::current_exe().unwrap()).unwrap();
    let mut tar = tar::Builder::new(Vec::new());
    for (path, content) in files {
        let mut header = tar::Header::new_ustar();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        header.set_uid(u64::from(owner.uid()));
        header.set_gid(u64::from(owner.gid()));
        header.set_mtime(1);
        tar.append_data(&mut header, path, *content).unwrap();
    }
    zstd::bulk::compress(&tar.into_inner().unwrap(), 1).unwrap()
}

/// The packages of the smallest system that can be installed, with `ballast` bytes that no packer
/// makes smaller.
#[must_use]
pub fn system(ballast: usize) -> Vec<(String, Vec<u8>)> {
    let mut state = 1_u32;
    let noise = (0..ballast).map(|_| {
        // Xorshift: small, seeded, good enough to be incompressible.
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state.to_be_bytes()[0]
    });
    let noise: Vec<u8> = noise.collect();
    let base = package(&[
        ("boot/vmlinuz-6.12", b"a kernel"),
        ("etc/fstab", b"/dev/sda1 / ext3 defaults 0 1\n"),
        ("etc/os-release", b"PRETTY_NAME=Test\n"),
        ("var/ballast", &noise),
    ]);
    let grub = package(&[
        ("usr/lib/smechvisor/grub/grubx64.efi", b"MZ"),
        ("usr/lib/smechvisor/grub/boot.img", &boot_img()),
        ("usr/lib/smechvisor/grub/core.img", &core_img(40_000)),
    ]);
    vec![
        ("smechvisor-base.tar.zst".to_owned(), base),
        ("bootloader-grub.tar.zst".to_owned(), grub),
    ]
}

/// The layout of GRUB's `boot.S`, and nothing else.
fn boot_img() -> Vec<u8> {
    let mut image = vec![0xF4; 512];
    image[0x5A..0x5C].copy_from_slice(&[0x00, 0x80]);
    image[0x5C..0x64].copy_from_slice(&1_u64.to_le_bytes());
    image[0x64..0x68].copy_from_slice(&[0xFF, 0xFA, 0xEB, 0x05]);
    image[0x1FE..].copy_from_slice(&[0x55, 0xAA]);
    image
}

/// What grub-mkimage leaves of a core.img, and nothing else.
fn core_img(len: usize) -> Vec<u8> {
    let mut image = vec![0xF4; len];
    image[0x1E8..0x200].fill(0);
    image[0x1F4] = 2;
    let behind = u16::try_from(len.div_ceil(512) - 1).unwrap();
    image[0x1FC..0x1FE].copy_from_slice(&behind.to_le_bytes());
    image[0x1FE..0x200].copy_from_slice(&0x820_u16.to_le_bytes());
    image
}
