//! The disks of this machine: what sysfs says of each, as values. No disk is opened here, and
//! nothing is written.
//!
//! Whole disks with a device behind them only: loop, ram, zram, dm and md have none; optical
//! drives, floppies, flash without a translation layer, the hidden paths of an NVMe multipath disk
//! and the boot areas of an eMMC are no place for a system.

use std::fmt;
use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};

use thiserror::Error;
use wire::outcome::Outcome;

/// Where the kernel lists whole block devices.
pub const SYS_BLOCK: &str = "/sys/block";

/// Where the kernel lists block devices by their numbers.
pub const SYS_DEV_BLOCK: &str = "/sys/dev/block";

/// sysfs counts sizes in 512 bytes, whatever the logical sector is
/// (`Documentation/ABI/stable/sysfs-block`).
const SYSFS_SECTOR: u64 = 512;

/// Drivers whose block devices are not disks, by the kernel's names for them.
const NO_DISKS: [&str; 10] = [
    "sr", "fd", "mtd", "loop", "ram", "zram", "dm-", "md", "nbd", "ubiblock",
];

/// How a disk is attached. What a person tells disks apart by, after their sizes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// virtio-blk.
    Virtio,
    /// NVMe, over PCIe or a fabric.
    Nvme,
    /// ATA, by cable or in the chipset.
    Sata,
    /// Serial Attached SCSI.
    Sas,
    /// Fibre Channel.
    FibreChannel,
    /// SCSI over TCP/IP.
    Iscsi,
    /// USB, by either of its protocols for disks.
    Usb,
    /// SCSI of any other kind: RAID controllers, virtio-scsi, hypervisors.
    Scsi,
    /// Flash behind an MMC controller: eMMC and SD cards.
    Mmc,
    /// Anything else.
    Other,
}

impl Transport {
    /// Every transport.
    pub const ALL: [Transport; 10] = [
        Transport::Virtio,
        Transport::Nvme,
        Transport::Sata,
        Transport::Sas,
        Transport::FibreChannel,
        Transport::Iscsi,
        Transport::Usb,
        Transport::Scsi,
        Transport::Mmc,
        Transport::Other,
    ];

    /// The word for it, as in lsblk(8).
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Transport::Virtio => "virtio",
            Transport::Nvme => "nvme",
            Transport::Sata => "sata",
            Transport::Sas => "sas",
            Transport::FibreChannel => "fc",
            Transport::Iscsi => "iscsi",
            Transport::Usb => "usb",
            Transport::Scsi => "scsi",
            Transport::Mmc => "mmc",
            Transport::Other => "other",
        }
    }

    /// From the disk's name and from the chain of devices that it hangs on. A SCSI disk's own name
    /// tells nothing of the controller in between.
    fn of(name: &str, device: &Path) -> Self {
        let prefixes = [
            ("vd", Transport::Virtio),
            ("nvme", Transport::Nvme),
            ("mmcblk", Transport::Mmc),
        ];
        if let Some((_, transport)) = prefixes
            .into_iter()
            .find(|(prefix, _)| name.starts_with(prefix))
        {
            return transport;
        }
        if !name.starts_with("sd") {
            return Transport::Other;
        }
        let parents = [
            ("usb", Transport::Usb),
            ("ata", Transport::Sata),
            ("end_device-", Transport::Sas),
            ("rport-", Transport::FibreChannel),
            ("session", Transport::Iscsi),
        ];
        device
            .components()
            .filter_map(|component| match component {
                Component::Normal(name) => name.to_str(),
                _ => None,
            })
            .find_map(|name| {
                let (_, transport) = parents.into_iter().find(|(prefix, _)| {
                    let number = name.strip_prefix(prefix);
                    number.is_some_and(|rest| rest.starts_with(|char: char| char.is_ascii_digit()))
                })?;
                Some(transport)
            })
            .unwrap_or(Transport::Scsi)
    }
}

impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// One whole disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The device node: `/dev/nvme0n1`.
    pub path: PathBuf,
    /// In bytes.
    pub size_bytes: u64,
    /// Logical sector size in bytes.
    pub sector_bytes: u64,
    /// How it is attached.
    pub transport: Transport,
    /// It may be gone tomorrow, or belong to somebody who passes by: the kernel expects the medium
    /// to be taken out, or it hangs on USB (many a USB disk denies that it is removable), or it is
    /// an SD card.
    pub is_removable: bool,
    /// Nothing can be written.
    pub is_read_only: bool,
    /// The maker's serial number, or the one given to a virtual disk.
    pub serial: Option<String>,
    /// The vendor, where sysfs gives it apart from the model.
    pub vendor: Option<String>,
    /// The maker's name for it.
    pub model: Option<String>,
    /// Its name in the whole world, without the prefix that tells the kind: `5000c500a1b2c3d4`.
    pub wwn: Option<String>,
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

/// Reads the disks listed in `sys_block`, sorted by path. A disk that vanishes while it is looked
/// at is left out.
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

/// The disk with this device number, as [`read`] would list it; `None` for what it does not list.
#[must_use]
pub fn of_device(sys_dev_block: &Path, (major, minor): (u32, u32)) -> Option<Found> {
    let dir = fs::canonicalize(sys_dev_block.join(format!("{major}:{minor}"))).ok()?;
    let name = dir.file_name()?.to_str()?;
    one(&dir, name)
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
    let device = fs::canonicalize(dir).unwrap_or_else(|_| dir.to_owned()); // gone already: the name must do
    let transport = Transport::of(name, &device);
    let says = |file, yes| attribute(dir, file).is_some_and(|value| value == yes);
    Some(Found {
        path: Path::new("/dev").join(name.replace('!', "/")), // sysfs writes cciss!c0d0
        size_bytes,
        sector_bytes: attribute(dir, "queue/logical_block_size")?.parse().ok()?,
        transport,
        is_removable: says("removable", "1")
            || transport == Transport::Usb
            || transport == Transport::Mmc && says("device/type", "SD"),
        is_read_only: says("ro", "1"),
        serial: serial(dir).or_else(|| usb_serial(&device)),
        // Devices on virtio and PCI have a number there.
        vendor: attribute(dir, "device/vendor").filter(|vendor| !vendor.starts_with("0x")),
        model: attribute(dir, "device/model").or_else(|| attribute(dir, "device/name")),
        wwn: attribute(dir, "wwid")
            .or_else(|| attribute(dir, "device/wwid"))
            .and_then(|raw| wwn(&raw)),
    })
}

/// The name proper of an identifier, however it is written: `naa.5000…` and `eui.0025…` in sysfs,
/// `0x5000…` on labels, `wwn-0x5000…` in links that udev makes. `None` for what the kernel has put
/// together from other names (`t10.`, `nvme.`).
pub(crate) fn wwn(raw: &str) -> Option<String> {
    let lower = raw.to_ascii_lowercase();
    let text = lower.strip_prefix("wwn-").unwrap_or(&lower);
    let name = ["naa.", "eui.", "uuid.", "0x"]
        .into_iter()
        .find_map(|prefix| text.strip_prefix(prefix))
        .unwrap_or(text);
    let is_name = name.len() >= 16
        && name
            .bytes()
            .all(|byte| byte.is_ascii_hexdigit() || byte == b'-')
        && name.bytes().any(|byte| !matches!(byte, b'0' | b'-'));
    is_name.then(|| name.to_owned())
}

/// virtio-blk has it beside the disk, NVMe and MMC beside the device, SCSI and ATA in the unit
/// serial number page (SPC-4 7.8.15).
fn serial(dir: &Path) -> Option<String> {
    attribute(dir, "serial")
        .or_else(|| attribute(dir, "device/serial"))
        .or_else(|| {
            let page = fs::read(dir.join("device/vpd_pg80")).ok()?;
            let (_header, text) = page.split_at_checked(4)?;
            printable(&String::from_utf8_lossy(text))
        })
}

/// Linux asks few disks on USB for that page; the device on the bus has a number of its own (USB
/// 2.0 9.6.1).
fn usb_serial(device: &Path) -> Option<String> {
    let on_bus = device.ancestors().find(|dir| dir.join("idVendor").exists());
    on_bus.and_then(|dir| attribute(dir, "serial"))
}

fn attribute(dir: &Path, name: &str) -> Option<String> {
    let bytes = fs::read(dir.join(name)).ok()?;
    printable(&String::from_utf8_lossy(&bytes))
}

/// Firmware writes what it likes into its names: only visible ASCII reaches a console or a
/// comparison.
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
    use super::{Found, Transport, of_device, read, wwn};
    use std::fs;
    use std::os::unix::fs::symlink;
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
                ("wwid", "eui.00255845A1B2C3D4"),
                ("queue/logical_block_size", "4096"),
            ],
        )
        .disk(
            "sda",
            &[
                ("device/vendor", "ATA     "),
                ("device/model", "QEMU HARDDISK"),
                ("device/wwid", "t10.ATA     QEMU HARDDISK"),
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
            transport: Transport::Nvme,
            is_removable: false,
            is_read_only: false,
            serial: Some("S3X".to_owned()),
            vendor: None,
            model: Some("QEMU NVMe Ctrl".to_owned()),
            wwn: Some("00255845a1b2c3d4".to_owned()),
        };
        assert_eq!(disks[0], expected);
        assert_eq!(
            (disks[1].path.as_path(), disks[1].serial.as_deref()),
            (Path::new("/dev/sda"), Some("QM00001"))
        );
        assert!(disks[1].is_removable && disks[1].is_read_only);
        assert_eq!(
            (disks[1].vendor.as_deref(), disks[1].wwn.as_deref()),
            (Some("ATA"), None)
        );
        assert_eq!(disks[2].vendor, None, "a number of PCI");
        assert_eq!(
            (disks[2].path.as_path(), disks[2].serial.as_deref()),
            (Path::new("/dev/vda"), Some("SMV-0001"))
        );
        assert_eq!(disks.len(), 3);
    }

    /// As sysfs lays them out: only the path behind the link says which controller a disk is on.
    #[test]
    fn the_transport_of_a_scsi_disk_is_that_of_its_controller() {
        let tree = Tree::new("transports");
        let pci = "devices/pci0000:00/0000:00:1f.2";
        let cases = [
            ("sda", "ata1/host0/target0:0:0/0:0:0:0", Transport::Sata),
            (
                "sdb",
                "usb1/1-1/1-1:1.0/host6/target6:0:0/6:0:0:0",
                Transport::Usb,
            ),
            (
                "sdc",
                "host7/port-7:0/end_device-7:0/target7:0:0/7:0:0:0",
                Transport::Sas,
            ),
            (
                "sdd",
                "host8/rport-8:0-0/target8:0:0/8:0:0:0",
                Transport::FibreChannel,
            ),
            (
                "sde",
                "host9/session1/target9:0:0/9:0:0:0",
                Transport::Iscsi,
            ),
            ("sdf", "virtio2/host1/target1:0:0/1:0:0:0", Transport::Scsi),
            ("sdg", "usbx/atax/sessions/host1", Transport::Scsi),
            ("vda", "virtio3", Transport::Virtio),
            ("mmcblk0", "mmc_host/mmc0/mmc0:0001", Transport::Mmc),
            ("mmcblk1", "mmc_host/mmc1/mmc1:0001", Transport::Mmc),
            ("xvda", "vbd-768", Transport::Other),
        ];
        let devices = Tree(tree.0.join(pci));
        let block = tree.0.join("block");
        fs::create_dir_all(&block).unwrap();
        for (name, parents, _) in cases {
            let kind = if name == "mmcblk1" { "SD" } else { "MMC" };
            let dir = format!("{parents}/block/{name}");
            devices.disk(&dir, &[("device/type", kind)]);
            symlink(devices.0.join(&dir), block.join(name)).unwrap();
        }
        for (file, text) in [("idVendor", "46f4\n"), ("serial", "SMV-USB\n")] {
            fs::write(devices.0.join("usb1/1-1").join(file), text).unwrap();
        }
        let disks = read(&block).unwrap();
        for (name, _, transport) in cases {
            let disk = disks.iter().find(|disk| disk.path.ends_with(name)).unwrap();
            assert_eq!(disk.transport, transport, "{name}");
            assert_eq!(
                disk.is_removable,
                ["sdb", "mmcblk1"].contains(&name),
                "{name}: a USB disk may be pulled, whatever it says"
            );
            let serial = (name == "sdb").then_some("SMV-USB");
            assert_eq!(disk.serial.as_deref(), serial, "{name}");
        }
    }

    #[test]
    fn a_world_wide_name_is_the_same_in_every_notation() {
        for written in [
            "naa.5000c500a1b2c3d4",
            "0x5000C500A1B2C3D4",
            "wwn-0x5000c500a1b2c3d4",
            "5000c500a1b2c3d4",
        ] {
            assert_eq!(wwn(written).as_deref(), Some("5000c500a1b2c3d4"));
        }
        for none in [
            "",
            "naa.",
            "t10.ATA     QEMU HARDDISK",
            "nvme.1b36-534d562d6e766d65-51454d55",
            "eui.0000000000000000",
            "5000c5",
        ] {
            assert_eq!(wwn(none), None, "{none}");
        }
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

    /// The number decides, not the name that somebody remembers.
    #[test]
    fn a_disk_is_found_by_its_device_number() {
        let tree = Tree::new("numbers");
        tree.disk("sda", &[("serial", "FIRST"), ("device/model", "disk")])
            .disk("sdb", &[("serial", "SECOND"), ("device/model", "disk")]);
        let numbers = tree.0.join("numbers");
        fs::create_dir(&numbers).unwrap();
        for (number, target) in [("8:0", "sda"), ("8:16", "sdb"), ("8:1", "sda/device")] {
            symlink(Path::new("..").join(target), numbers.join(number)).unwrap();
        }
        let serial = |number| of_device(&numbers, number).and_then(|found| found.serial);
        assert_eq!(serial((8, 0)).as_deref(), Some("FIRST"));
        let second = of_device(&numbers, (8, 16)).unwrap();
        assert_eq!(
            (second.serial.as_deref(), second.path),
            (Some("SECOND"), "/dev/sdb".into())
        );
        assert_eq!(of_device(&numbers, (8, 1)), None, "no whole disk");
        assert_eq!(of_device(&numbers, (9, 9)), None, "gone");
    }
}
