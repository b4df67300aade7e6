//! Three files that name disks of this machine, and what they say in the package: lines that would
//! keep the copy from booting become comments. Everything else stays byte for byte.
//!
//! The target replaces the lines for `/`, `/boot/efi` and swap partitions of `/etc/fstab` by its
//! own (`disk-layout.md` 6). What is left over are other partitions, which the copy does not have:
//! systemd would wait for them and then stop at a prompt.

use bundle::fstab_line::{self, MARK};

/// The contents of `path` in the package, when they differ from `old`.
#[must_use]
pub fn rewrite(path: &[u8], old: &[u8]) -> Option<(Vec<u8>, &'static str)> {
    let (new, what) = match path {
        b"etc/fstab" => (
            by_lines(old, is_foreign_mount),
            "lines for other partitions and swap files of this machine are comments in the package",
        ),
        b"etc/crypttab" => (
            by_lines(old, |_| true),
            "its lines are comments in the package: the copy has none of these encrypted partitions",
        ),
        b"etc/kernel/cmdline" => (
            command_line(old),
            "options that name disks of this machine are left out in the package",
        ),
        _ => return None,
    };
    (new != old).then_some((new, what))
}

fn by_lines(old: &[u8], is_foreign: impl Fn(&[&[u8]]) -> bool) -> Vec<u8> {
    let mut new = Vec::with_capacity(old.len());
    for line in old.split_inclusive(|byte| *byte == b'\n') {
        let fields = fstab_line::fields(line);
        if !fields.is_empty() && is_foreign(&fields) {
            new.extend_from_slice(MARK);
        }
        new.extend_from_slice(line);
    }
    new
}

/// A line of fstab(5) for a partition or swap file that the copy will not have. The target replaces
/// swap partitions itself.
fn is_foreign_mount(fields: &[&[u8]]) -> bool {
    let is_swap_file = |device: &[u8]| device.starts_with(b"/") && !fstab_line::is_disk(device);
    match fields {
        [device, _, b"swap", ..] => is_swap_file(device),
        _ => fstab_line::is_foreign(fields),
    }
}

/// Kernel options (kernel-command-line(7)) without those that name the root, other disks, or this
/// machine.
fn command_line(old: &[u8]) -> Vec<u8> {
    const WHOLE: [&[u8]; 3] = [b"ro", b"rw", b"rootwait"];
    const BEGINNINGS: [&[u8]; 14] = [
        b"root=",
        b"rootflags=",
        b"rootfstype=",
        b"resume=",
        b"resume_offset=",
        b"BOOT_IMAGE=",
        b"initrd=",
        b"rd.luks",
        b"luks.",
        b"rd.lvm",
        b"rd.md",
        b"cryptdevice=",
        b"zfs=",
        b"systemd.machine_id=",
    ];
    let is_foreign = |option: &[u8]| {
        WHOLE.contains(&option) || BEGINNINGS.iter().any(|start| option.starts_with(start))
    };
    if !old.split(u8::is_ascii_whitespace).any(is_foreign) {
        return old.to_vec();
    }
    let kept: Vec<&[u8]> = old
        .split(u8::is_ascii_whitespace)
        .filter(|option| !option.is_empty() && !is_foreign(option))
        .collect();
    let mut new = kept.join(&b' ');
    new.push(b'\n');
    new
}

#[cfg(test)]
mod tests {
    use super::rewrite;

    fn text(path: &str, old: &str) -> Option<String> {
        let (new, _) = rewrite(path.as_bytes(), old.as_bytes())?;
        Some(String::from_utf8(new).unwrap())
    }

    #[test]
    fn lines_for_partitions_of_this_machine_become_comments() {
        let old = "# /etc/fstab\nUUID=1 / ext4 defaults 0 1\nUUID=2 /boot/efi vfat umask=0077 0 1\n\nUUID=3 /boot ext4 defaults 0 2\n\
            /dev/sdb1\t/srv\txfs\tdefaults 0 2\n/dev/mapper/x /data ext4 nofail 0 2\nUUID=4 none swap sw 0 0\n/swapfile none swap sw 0 0\n\
            tmpfs /tmp tmpfs nosuid 0 0\nnas:/x /nas nfs4 _netdev 0 0\n/srv/a /b none bind 0 0\nLABEL=z /z ext4";
        let new = text("etc/fstab", old).unwrap();
        let commented: Vec<&str> = new
            .lines()
            .filter_map(|line| line.strip_prefix("# not on this machine: "))
            .collect();
        assert_eq!(
            commented,
            [
                "UUID=3 /boot ext4 defaults 0 2",
                "/dev/sdb1\t/srv\txfs\tdefaults 0 2",
                "/swapfile none swap sw 0 0",
                "LABEL=z /z ext4"
            ]
        );
        assert_eq!(new.replace("# not on this machine: ", ""), old);
        assert_eq!(text("etc/fstab", &new), None, "twice changes nothing");
        assert_eq!(text("srv/etc/fstab", old), None);
    }

    #[test]
    fn encrypted_partitions_are_not_waited_for() {
        assert_eq!(
            text("etc/crypttab", "# x\nroot UUID=1 none luks\n").unwrap(),
            "# x\n# not on this machine: root UUID=1 none luks\n"
        );
        assert_eq!(text("etc/crypttab", "# <name>\n"), None);
    }

    #[test]
    fn the_kernel_is_not_told_of_a_disk_that_is_not_there() {
        assert_eq!(
            text(
                "etc/kernel/cmdline",
                "root=UUID=1 ro rootflags=subvol=@ quiet console=ttyS0,115200 rd.luks.uuid=2 resume=UUID=3 roo=t\n"
            )
            .unwrap(),
            "quiet console=ttyS0,115200 roo=t\n"
        );
        assert_eq!(text("etc/kernel/cmdline", "console=ttyS0  quiet"), None);
    }
}
