//! The partitions that the kernel has found, by their names in the table.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Every block device by name.
pub const CLASS: &str = "/sys/class/block";

/// A partition, as `uevent` in its directory of sysfs describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Partition {
    /// `/dev/vda3`.
    pub node: PathBuf,
    /// Major and minor number: `253:3`.
    pub device: String,
    /// The disk that it is on: `vda`.
    pub disk: String,
    /// Its number in the table.
    pub number: u32,
    /// Its name there; empty when it has none.
    pub name: String,
}

impl Partition {
    /// `/dev/vda`.
    #[must_use]
    pub fn disk_node(&self) -> PathBuf {
        // As devtmpfs does it (`drivers/base/core.c`).
        Path::new("/dev").join(self.disk.replace('!', "/"))
    }
}

/// Every partition there is, in the order of their nodes.
#[must_use]
pub fn read(class: &Path) -> Vec<Partition> {
    let entries = fs::read_dir(class).into_iter().flatten().flatten();
    let mut found: Vec<_> = entries.filter_map(|entry| of(&entry.path())).collect();
    found.sort_by(|one, other| one.node.cmp(&other.node));
    found
}

/// The one with this directory in sysfs. One that is gone by now, or a whole disk, is none.
#[must_use]
pub fn of(directory: &Path) -> Option<Partition> {
    let text = fs::read_to_string(directory.join("uevent")).ok()?;
    let fields: HashMap<_, _> = text
        .lines()
        .filter_map(|line| line.split_once('='))
        .collect();
    let number = fields.get("PARTN")?.parse().ok()?;
    // The directory of a partition is in that of its disk.
    let disk = fs::canonicalize(directory).ok()?;
    let disk = disk.parent()?.file_name()?.to_string_lossy().into_owned();
    Some(Partition {
        node: Path::new("/dev").join(fields.get("DEVNAME")?),
        device: format!("{}:{}", fields.get("MAJOR")?, fields.get("MINOR")?),
        disk,
        number,
        name: fields
            .get("PARTNAME")
            .copied()
            .unwrap_or_default()
            .to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::read;
    use std::fs;
    use std::os::unix::fs::symlink;
    use std::path::Path;

    #[test]
    fn partitions_are_read_with_their_disks_and_names() {
        let dir = tempfile::tempdir().unwrap();
        let class = dir.path().join("class");
        fs::create_dir(&class).unwrap();
        let device = |path: &str, uevent: &str| {
            let device = dir.path().join("devices").join(path);
            fs::create_dir_all(&device).unwrap();
            fs::write(device.join("uevent"), uevent).unwrap();
            symlink(&device, class.join(device.file_name().unwrap())).unwrap();
        };
        device(
            "nvme0n1",
            "MAJOR=259\nMINOR=0\nDEVNAME=nvme0n1\nDEVTYPE=disk\n",
        );
        device(
            "nvme0n1/nvme0n1p3",
            "MAJOR=259\nMINOR=3\nDEVNAME=nvme0n1p3\nDEVTYPE=partition\nPARTN=3\n\
             PARTNAME=smechvisor-slot-a\n",
        );
        device(
            "cciss!c0d0/cciss!c0d0p1",
            "MAJOR=104\nMINOR=1\nDEVNAME=cciss/c0d0p1\nDEVTYPE=partition\nPARTN=1\n",
        );
        let found = read(&class);
        let [cciss, nvme] = found.as_slice() else {
            panic!("{found:?}")
        };
        assert_eq!((nvme.number, nvme.name.as_str()), (3, "smechvisor-slot-a"));
        assert_eq!(nvme.node, Path::new("/dev/nvme0n1p3"));
        assert_eq!(
            (nvme.device.as_str(), nvme.disk.as_str()),
            ("259:3", "nvme0n1")
        );
        assert_eq!((cciss.number, cciss.name.as_str()), (1, ""));
        assert_eq!(cciss.disk_node(), Path::new("/dev/cciss/c0d0"));
        assert!(read(&dir.path().join("none")).is_empty());
    }
}
