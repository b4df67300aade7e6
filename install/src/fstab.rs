//! `/etc/fstab` of the installed system: our three lines, and whatever else the package had.
//!
//! A package's own lines for `/`, `/boot/efi` and swap name disks it was made on; they are
//! replaced. Those for other partitions become comments: the installed disk does not have these,
//! systemd would wait for them and then stop at a prompt. Fields are those of fstab(5).

use bundle::fstab_line::{MARK, fields, is_foreign};
use disk::esp;
use disk::layout::{Layout, Role};

const HEADER: &str = "# The file systems of this disk were made when it was deployed.\n";

/// A table for the installed system.
#[derive(Debug, PartialEq, Eq)]
pub struct Table {
    /// Its text.
    pub bytes: Vec<u8>,
    /// Mount points of the lines that became comments, as a person reads them.
    pub foreign: Vec<String>,
}

/// The package's table with our lines in front. Other lines stay byte for byte.
#[must_use]
pub fn rewrite(old: &[u8], layout: &Layout) -> Table {
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
    let mut bytes = text.into_bytes();
    let mut foreign = Vec::new();
    for line in old.split_inclusive(|&byte| byte == b'\n') {
        let fields = fields(line);
        if is_replaced(&fields) || line == HEADER.as_bytes() {
            continue;
        }
        if is_foreign(&fields) {
            bytes.extend_from_slice(MARK);
            let point = fields.get(1).copied().unwrap_or_default();
            foreign.push(point.escape_ascii().to_string());
        }
        bytes.extend_from_slice(line);
    }
    if bytes.last() != Some(&b'\n') {
        bytes.push(b'\n');
    }
    Table { bytes, foreign }
}

/// Is it a line for something that we have made?
fn is_replaced(fields: &[&[u8]]) -> bool {
    let [device, mount_point, kind, ..] = fields else {
        return false;
    };
    let point = mount_point.strip_suffix(b"/").unwrap_or(mount_point);
    // A swap file is the package's own business; a swap device was another disk's.
    let is_swap_device =
        *kind == b"swap" && (!device.starts_with(b"/") || device.starts_with(b"/dev/"));
    point.is_empty() || point == b"/boot/efi" || is_swap_device
}

#[cfg(test)]
mod tests {
    use super::{HEADER, Table, rewrite};
    use disk::disk::SectorSize;
    use disk::layout::{Layout, plan};
    use uuid::Uuid;

    fn layout(bytes: u64) -> Layout {
        let mut next = 0xabcd_0123_u128 << 96;
        plan(
            bytes,
            SectorSize::B512,
            disk::sizes::Sizes::USUAL,
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
        let Table {
            bytes: new,
            foreign,
        } = rewrite(old, &layout(16 << 30));
        assert!(foreign.is_empty());
        assert_eq!(
            String::from_utf8_lossy(&new),
            String::from_utf8_lossy(&expected)
        );
        assert_eq!(
            rewrite(&new, &layout(16 << 30)).bytes,
            new,
            "twice changes nothing"
        );
    }

    #[test]
    fn lines_for_partitions_of_another_machine_become_comments() {
        let old = b"UUID=3 /boot ext4 defaults 0 2\n/dev/sdb1\t/srv xfs defaults\nLABEL=x /opt ext4 nofail 0 2\n\
            /dev/cdrom /media/cd udf noauto 0 0\n/srv/a /b none bind 0 0\nPARTLABEL=\x1b /x\x1b ext4\n";
        let Table { bytes, foreign } = rewrite(old, &layout(2 << 30));
        let new = String::from_utf8(bytes.clone()).unwrap();
        let rest: Vec<&str> = new.lines().skip(3).collect();
        assert_eq!(
            rest,
            [
                "# not on this machine: UUID=3 /boot ext4 defaults 0 2",
                "# not on this machine: /dev/sdb1\t/srv xfs defaults",
                "LABEL=x /opt ext4 nofail 0 2",
                "/dev/cdrom /media/cd udf noauto 0 0",
                "/srv/a /b none bind 0 0",
                "# not on this machine: PARTLABEL=\x1b /x\x1b ext4",
            ]
        );
        assert_eq!(foreign, ["/boot", "/srv", "/x\\x1b"]);
        let again = rewrite(&bytes, &layout(2 << 30));
        assert_eq!((again.bytes, again.foreign.len()), (bytes, 0));
    }

    #[test]
    fn a_disk_without_swap_gets_no_swap_line() {
        let new = String::from_utf8(rewrite(b"", &layout(2 << 30)).bytes).unwrap();
        assert_eq!(new.lines().count(), 3, "{new}");
        assert!(!new.contains("swap"));
    }
}
