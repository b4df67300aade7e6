//! `/etc/fstab` of the installed system: our three lines, and whatever else the package had.
//!
//! A package's own lines for `/`, `/boot/efi` and swap name disks it was made on; they are replaced. Fields are those of
//! fstab(5).

use crate::esp;
use crate::layout::{Layout, Role};

const HEADER: &str = "# The file systems of this disk were made when it was deployed.\n";

/// The package's table with our lines in front. Other lines stay byte for byte.
#[must_use]
pub fn rewrite(old: &[u8], layout: &Layout) -> Vec<u8> {
    let mut text = String::from(HEADER);
    if let Some(root) = layout.partition(Role::Root) {
        text.push_str(&format!(
            "UUID={} / ext4 errors=remount-ro 0 1\n",
            root.content_id
        ));
    }
    if let Some(partition) = layout.partition(Role::Esp) {
        text.push_str(&format!(
            "UUID={} /boot/efi vfat umask=0077 0 2\n",
            esp::volume_id_text(partition)
        ));
    }
    if let Some(swap) = layout.partition(Role::Swap) {
        text.push_str(&format!("UUID={} none swap sw 0 0\n", swap.content_id));
    }
    let mut table = text.into_bytes();
    for line in old.split_inclusive(|&byte| byte == b'\n') {
        if !is_replaced(line) && line != HEADER.as_bytes() {
            table.extend_from_slice(line);
        }
    }
    if table.last() != Some(&b'\n') {
        table.push(b'\n');
    }
    table
}

/// Is it a line for something that we have made?
fn is_replaced(line: &[u8]) -> bool {
    let mut fields = line
        .split(u8::is_ascii_whitespace)
        .filter(|field| !field.is_empty());
    let (Some(device), Some(mount_point), Some(kind)) =
        (fields.next(), fields.next(), fields.next())
    else {
        return false;
    };
    if device.starts_with(b"#") {
        return false;
    }
    let point = mount_point.strip_suffix(b"/").unwrap_or(mount_point);
    // A swap file is the package's own business; a swap device was another disk's.
    let is_swap_device =
        kind == b"swap" && (!device.starts_with(b"/") || device.starts_with(b"/dev/"));
    point.is_empty() || point == b"/boot/efi" || is_swap_device
}

#[cfg(test)]
mod tests {
    use super::{HEADER, rewrite};
    use crate::disk::SectorSize;
    use crate::layout::{Layout, plan};
    use uuid::Uuid;

    fn layout(bytes: u64) -> Layout {
        let mut next = 0xabcd_0123_u128 << 96;
        plan(
            bytes,
            SectorSize::B512,
            crate::sizes::Sizes::USUAL,
            &mut || {
                next += 1;
                Uuid::from_u128(next)
            },
        )
        .unwrap()
    }

    const OURS: &str = "UUID=abcd0123-0000-0000-0000-000000000007 / ext4 errors=remount-ro 0 1\n\
        UUID=ABCD-0123 /boot/efi vfat umask=0077 0 2\n\
        UUID=abcd0123-0000-0000-0000-000000000005 none swap sw 0 0\n";

    #[test]
    fn our_lines_replace_theirs_and_the_rest_stays() {
        let old = b"# comment / ext4\n/dev/sda1\t/   ext4 defaults 0 1\nLABEL=EFI /boot/efi/ vfat x 0 0\n\
            /dev/sda5 none swap sw 0 0\nUUID=x swap swap sw 0 0\n/swapfile none swap sw 0 0\n\
            tmpfs /tmp tmpfs nosuid 0 0\n\nnas:/\xff /boot nfs x 0 0";
        let kept = b"# comment / ext4\n/swapfile none swap sw 0 0\ntmpfs /tmp tmpfs nosuid 0 0\n\nnas:/\xff /boot nfs x 0 0\n";
        let expected = [HEADER.as_bytes(), OURS.as_bytes(), kept].concat();
        let new = rewrite(old, &layout(16 << 30));
        assert_eq!(
            String::from_utf8_lossy(&new),
            String::from_utf8_lossy(&expected)
        );
        assert_eq!(
            rewrite(&new, &layout(16 << 30)),
            new,
            "twice changes nothing"
        );
    }

    #[test]
    fn a_disk_without_swap_gets_no_swap_line() {
        let new = String::from_utf8(rewrite(b"", &layout(2 << 30))).unwrap();
        assert_eq!(new.lines().count(), 3, "{new}");
        assert!(!new.contains("swap"));
    }
}
