//! The header of a swap area, as `mkswap` writes it and `swapon` wants it.
//!
//! Version 1 of the format (Linux `include/linux/swap.h`, `union swap_header`), little-endian, for
//! pages of 4096 bytes: the only page size of x86-64. Nothing but the first page is written; what
//! was in the others does not matter.

use disk::disk::{Disk, DiskError};
use disk::layout::{Layout, Partition};

/// Bytes of a page, and of the header.
const PAGE: usize = 4096;
const VERSION: usize = 1024;
const LAST_PAGE: usize = 1028;
const UUID: usize = 1036;
const LABEL: usize = 1052;
const LABEL_TEXT: &[u8] = b"swap";
/// In the last ten bytes of the first page.
const MAGIC: usize = PAGE - 10;

/// Makes `partition` a swap area. Not flushed.
///
/// # Errors
/// The disk failed.
pub fn format(
    disk: &mut dyn Disk,
    layout: &Layout,
    partition: &Partition,
) -> Result<(), DiskError> {
    let pages = layout.len_bytes(partition) / PAGE as u64;
    disk.write_at(
        layout.offset_bytes(partition),
        &header(pages, partition.content_id.as_bytes()),
    )
}

fn header(pages: u64, uuid: &[u8; 16]) -> Vec<u8> {
    // A field of 32 bits: 16 TiB of swap, more than any layout has.
    let last_page = u32::try_from(pages.saturating_sub(1)).unwrap_or(u32::MAX);
    let mut page = vec![0; PAGE];
    let fields: [(usize, &[u8]); 5] = [
        (VERSION, &1_u32.to_le_bytes()),
        (LAST_PAGE, &last_page.to_le_bytes()),
        (UUID, uuid),
        (LABEL, LABEL_TEXT),
        (MAGIC, b"SWAPSPACE2"),
    ];
    for (offset, value) in fields {
        if let Some(to) = page
            .get_mut(offset..)
            .and_then(|rest| rest.get_mut(..value.len()))
        {
            to.copy_from_slice(value);
        }
    }
    page
}

#[cfg(test)]
mod tests {
    use super::header;
    use std::process::Command;
    use tempfile::TempDir;
    use uuid::Uuid;

    const ID: Uuid = Uuid::from_u128(0x8c6a_1f0e_2b3d_4c5e_9f10_1122_3344_5566);

    /// mkswap itself, with the same identity: the bytes must be the same.
    #[test]
    fn the_header_is_the_one_of_mkswap() {
        let dir = TempDir::new().unwrap();
        let image = dir.path().join("image");
        for mib in [64_u64, 100, 2048] {
            std::fs::File::create(&image)
                .unwrap()
                .set_len(mib << 20)
                .unwrap();
            let output = Command::new("/sbin/mkswap")
                .args(["-q", "-p", "4096", "-L", "swap", "-U", &ID.to_string()])
                .arg(&image)
                .output()
                .expect("mkswap (util-linux) is needed by this test");
            assert!(output.status.success(), "{output:?}");
            let mut theirs = vec![0; 4096];
            std::io::Read::read_exact(&mut std::fs::File::open(&image).unwrap(), &mut theirs)
                .unwrap();
            assert!(
                header((mib << 20) / 4096, ID.as_bytes()) == theirs,
                "{mib} MiB"
            );
        }
    }
}
