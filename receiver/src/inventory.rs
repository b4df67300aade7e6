//! The disks of this machine: what sysfs says of each, as values. Nothing is opened or written here.
//!
//! Whole disks with a device behind them only: loop, ram, zram, dm and md have none; optical drives, floppies, flash without
//! a translation layer, the hidden paths of an NVMe multipath disk and the boot areas of an eMMC are no place for a system.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;
use wire::outcome::Outcome;

/// Where the kernel lists whole block devices.
pub const SYS_BLOCK: &str = "/sys/block";

/// sysfs counts sizes in 512 bytes, whatever the logical sector is (`Documentation/ABI/stable/sysfs-block`).
const SYSFS_SECTOR: u64 = 512;

/// Drivers whose disks are none, by the kernel's names for them.
const NO_DISKS: [&str; 10] = [
    "sr", "fd", "mtd", "loop", "ram", "zram", "dm-", "md", "nbd", "ubiblock",
];

/// One whole disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The device node: `/dev/nvme0n1`.
    pub path: PathBuf,
    /// In bytes.
    pub size_bytes: u64,
    /// Logical sector size in bytes.
    pub sector_bytes: u64,
    /// The kernel expects the medium to be taken out: USB sticks, card readers.
    pub is_removable: bool,
    /// Nothing can be written.
    pub is_read_only: bool,
    /// The maker's serial number, or the one given to a virtual disk.
    pub serial: Option<String>,
    /// The maker's name for it.
    pub model: Option<String>,
}

/// The list of disks could not be read.
#[derive(Debug, Error)]
#[error("listing disks in {}", path.display())]
pub struct InventoryError {
    path: PathBuf,
    #[source]
    source: io::Error,
}

impl InventoryError {
    /// Without sysfs there is no machine to install on.
    #[must_use]
    pub const fn outcome(&self) -> Outcome {
        Outcome::Fatal
    }
}

/// Reads the disks listed in `sys_block`, sorted by path. A disk that vanishes while it is looked at is left out.
///
/// # Errors
/// `sys_block` cannot be listed.
pub fn read(sys_block: &Path) -> Result<Vec<Found>, InventoryError> {
    let failed = |source| InventoryError {
        path: sys_block.to_owned(),
        source,
    };
    let mut disks = Vec::new();
    for entry in fs::read_dir(sys_block).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        if let Some(name) = entry.file_name().to_str() {
            disks.extend(one(&entry.path(), name));
        }
    }
    disks.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(disks)
}

fn one(dir: &Path, name: &str) -> Option<Found> {
    let is_boot_area =
        name.starts_with("mmcblk") && (name.contains("boot") || name.contains("rpmb"));
    let is_hidden = attribute(dir, "hidden").is_some_and(|value| value == "1");
    if NO_DISKS.iter().any(|prefix| name.starts_with(prefix))
        || is_boot_area
        || is_hidden
        || !dir.join("device").exists()
    {
        return None;
    }
    let size_bytes = attribute(dir, "size")?
        .parse::<u64>()
        .ok()?
        .checked_mul(SYSFS_SECTOR)?;
    if size_bytes == 0 {
        return None; // a drive without a medium
    }
    Some(Found {
        path: Path::new("/dev").join(name.replace('!', "/")), // sysfs writes cciss!c0d0
        size_bytes,
        sector_bytes: attribute(dir, "queue/logical_block_size")?.parse().ok()?,
        is_removable: attribute(dir, "removable").is_some_and(|value| value == "1"),
        is_read_only: attribute(dir, "ro").is_some_and(|value| value == "1"),
        serial: serial(dir),
        model: attribute(dir, "device/model"),
    })
}

/// virtio-blk has it beside the disk, NVMe and MMC beside the device, SCSI and ATA in the unit serial number page (SPC-4 7.8.15).
fn serial(dir: &Path) -> Option<String> {
    attribute(dir, "serial")
        .or_else(|| attribute(dir, "device/serial"))
        .or_else(|| {
            let page = fs::read(dir.join("device/vpd_pg80")).ok()?;
            let (_header, text) = page.split_at_checked(4)?;
            printable(&String::from_utf8_lossy(text))
        })
}

fn attribute(dir: &Path, name: &str) -> Option<String> {
    let bytes = fs::read(dir.join(name)).ok()?;
    printable(&String::from_utf8_lossy(&bytes))
}

/// Firmware writes what it likes into its names: only visible ASCII reaches a console or a comparison.
fn printable(raw: &str) -> Option<String> {
    let text: String = raw
        .chars()
        .filter(|char| char.is_ascii_graphic() || *char == ' ')
        .collect();
    let text = text.trim();
    (!text.is_empty()).then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::{Found, read};
    use std::fs;
    use std::path::{Path, PathBuf};

    struct Tree(PathBuf);

    impl Tree {
        fn new(name: &str) -> Self {
            let dir =
                std::env::temp_dir().join(format!("smv-inventory-{name}-{}", std::process::id()));
            let _ = fs::remove_dir_all(&dir); // left by a run that was killed
            fs::create_dir_all(&dir).unwrap();
            Self(dir)
        }

        fn disk(&self, name: &str, attributes: &[(&str, &str)]) -> &Self {
            let base = [
                ("size", "2048"),
                ("queue/logical_block_size", "512"),
                ("removable", "0"),
                ("ro", "0"),
            ];
            for (file, text) in base.iter().chain(attributes) {
                let path = self.0.join(name).join(file);
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(path, format!("{text}\n")).unwrap();
            }
            self
        }
    }

    impl Drop for Tree {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0); // a test's leftovers harm nobody
        }
    }

    #[test]
    fn each_kind_of_disk_is_read_with_its_serial() {
        let tree = Tree::new("kinds");
        tree.disk(
            "vda",
            &[("device/vendor", "0x1af4"), ("serial", "SMV-0001")],
        )
        .disk(
            "nvme0n1",
            &[
                ("device/serial", " S3X  "),
                ("device/model", "QEMU NVMe Ctrl  "),
                ("queue/logical_block_size", "4096"),
            ],
        )
        .disk(
            "sda",
            &[
                ("device/model", "QEMU HARDDISK"),
                ("device/vpd_pg80", "\0\u{1}\0\u{7}QM00001"),
                ("removable", "1"),
                ("ro", "1"),
            ],
        );
        let disks = read(&tree.0).unwrap();
        let expected = Found {
            path: PathBuf::from("/dev/nvme0n1"),
            size_bytes: 1024 * 1024,
            sector_bytes: 4096,
            is_removable: false,
            is_read_only: false,
            serial: Some("S3X".to_owned()),
            model: Some("QEMU NVMe Ctrl".to_owned()),
        };
        assert_eq!(disks[0], expected);
        assert_eq!(
            (disks[1].path.as_path(), disks[1].serial.as_deref()),
            (Path::new("/dev/sda"), Some("QM00001"))
        );
        assert!(disks[1].is_removable && disks[1].is_read_only);
        assert_eq!(
            (disks[2].path.as_path(), disks[2].serial.as_deref()),
            (Path::new("/dev/vda"), Some("SMV-0001"))
        );
        assert_eq!(disks.len(), 3);
    }

    #[test]
    fn what_is_no_disk_is_left_out() {
        let tree = Tree::new("others");
        for name in ["sr0", "fd0", "mmcblk0boot0", "mtdblock0"] {
            tree.disk(name, &[("device/x", "")]);
        }
        tree.disk("loop0", &[])
            .disk("dm-0", &[])
            .disk("zram0", &[])
            .disk("nodevice", &[]);
        tree.disk("nvme0c0n1", &[("device/x", ""), ("hidden", "1")])
            .disk("sdb", &[("device/x", ""), ("size", "0")]);
        assert_eq!(read(&tree.0).unwrap(), vec![]);
    }

    #[test]
    fn control_characters_of_a_serial_never_reach_a_console() {
        let tree = Tree::new("control");
        tree.disk("vda", &[("device/x", ""), ("serial", "A\u{1b}[2JB")]);
        assert_eq!(read(&tree.0).unwrap()[0].serial.as_deref(), Some("A[2JB"));
    }

    #[test]
    fn a_missing_sysfs_is_an_error_that_names_it() {
        assert!(
            read(Path::new("/nonexistent/block"))
                .unwrap_err()
                .to_string()
                .contains("/nonexistent/block")
        );
    }
}
