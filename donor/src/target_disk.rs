//! The disk that a target is about to take, as the target describes it (`protocol.md` 3.3), kept
//! beyond the message it came in.

use std::fmt;

use wire::message::Disk;

const MIB: u64 = 1 << 20;

/// In the target's words, which can do no harm to a terminal any more; what it does not know is
/// empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TargetDisk {
    /// In bytes.
    pub size_bytes: u64,
    /// Nothing of value is on it.
    pub is_blank: bool,
    /// `/dev/vda`.
    pub path: String,
    /// The maker's number.
    pub serial: String,
    /// The maker's name for it.
    pub model: String,
    /// How it is attached.
    pub transport: String,
    /// Its contents.
    pub contents: String,
}

impl From<Disk<'_>> for TargetDisk {
    fn from(disk: Disk<'_>) -> Self {
        Self {
            size_bytes: disk.size_bytes,
            is_blank: disk.is_blank,
            path: disk.path.to_string(),
            serial: disk.serial.to_string(),
            model: disk.model.to_string(),
            transport: disk.transport.to_string(),
            contents: disk.contents.to_string(),
        }
    }
}

impl fmt::Display for TargetDisk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({} MiB", self.path, self.size_bytes / MIB)?;
        if !self.serial.is_empty() {
            write!(f, ", serial {}", self.serial)?;
        }
        for text in [&self.transport, &self.model, &self.contents] {
            if !text.is_empty() {
                write!(f, ", {text}")?;
            }
        }
        f.write_str(")")
    }
}

#[cfg(test)]
mod tests {
    use super::TargetDisk;
    use wire::message::{Disk, Text};

    fn disk() -> TargetDisk {
        TargetDisk::from(Disk {
            size_bytes: 6 << 30,
            is_blank: false,
            path: Text::new("/dev/sda"),
            serial: Text::new("SN7\u{1b}[2J"),
            model: Text::new("QEMU HARDDISK"),
            transport: Text::new("sata"),
            contents: Text::new("ext4"),
        })
    }

    #[test]
    fn a_person_reads_what_tells_disks_apart_and_what_would_be_lost() {
        assert_eq!(
            disk().to_string(),
            "/dev/sda (6144 MiB, serial SN7\\u{1b}[2J, sata, QEMU HARDDISK, ext4)"
        );
        let bare = TargetDisk {
            path: "disk.img".into(),
            ..TargetDisk::default()
        };
        assert_eq!(bare.to_string(), "disk.img (0 MiB)");
    }
}
