//! A machine's disks: controllers, sectors, what is recorded; and the QEMU arguments that follow.

use std::path::PathBuf;

use super::Line;

/// Of a disk that has to have one. Its first four bits say what the rest is made of (NAA 5: by its
/// maker).
const SAS_ADDRESS: u64 = 0x5000_c500_15ea_71ac;

/// How a disk is attached; Linux calls them `vda`, `nvme0n1`, `sda`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bus {
    /// virtio-blk over PCI.
    Virtio,
    /// An NVMe controller with one name space.
    Nvme,
    /// The AHCI controller of the q35 chipset.
    Ahci,
    /// virtio-scsi over PCI.
    VirtioScsi,
    /// LSI MegaRAID SAS 2108, in servers of several makers.
    Megasas,
    /// VMware's paravirtual controller.
    Pvscsi,
    /// LSI 53C895A.
    Lsi,
    /// LSI SAS1068.
    MptSas,
    /// A stick or an external disk at an xHCI controller. It is removable to Linux.
    Usb,
}

impl Bus {
    /// The QEMU device of a controller that each disk brings along.
    const fn controller(self) -> Option<&'static str> {
        match self {
            Bus::VirtioScsi => Some("virtio-scsi-pci"),
            Bus::Megasas => Some("megasas-gen2"),
            Bus::Pvscsi => Some("pvscsi"),
            Bus::Lsi => Some("lsi53c895a"),
            Bus::MptSas => Some("mptsas1068"),
            Bus::Virtio | Bus::Nvme | Bus::Ahci | Bus::Usb => None,
        }
    }
}

/// A disk, backed by a raw sparse file.
#[derive(Clone, Debug)]
pub struct DiskSpec {
    /// The image file.
    pub image: PathBuf,
    /// Where it is attached.
    pub bus: Bus,
    /// Logical and physical sector size: 512 or 4096.
    pub sector_bytes: u32,
    /// Serial number the guest sees.
    pub serial: String,
    /// Record every write and flush in this file (QEMU's `blklogwrites`).
    pub write_log: Option<PathBuf>,
    /// Write-protected: the guest knows, and cannot write.
    pub is_write_protected: bool,
    /// Offsets in bytes of sectors that fail to be written, which the guest does not know. Not
    /// together with a write log.
    pub unwritable: Vec<u64>,
}

impl DiskSpec {
    /// An ordinary virtio disk with 512-byte sectors.
    #[must_use]
    pub fn new(image: impl Into<PathBuf>, serial: &str) -> Self {
        Self {
            image: image.into(),
            bus: Bus::Virtio,
            sector_bytes: 512,
            serial: serial.to_owned(),
            write_log: None,
            is_write_protected: false,
            unwritable: Vec::new(),
        }
    }

    /// The same disk, attached to another bus.
    #[must_use]
    pub const fn on(mut self, bus: Bus) -> Self {
        self.bus = bus;
        self
    }

    /// The same disk, write-protected.
    #[must_use]
    pub const fn protected(mut self) -> Self {
        self.is_write_protected = true;
        self
    }

    /// The same disk with other sectors.
    #[must_use]
    pub const fn sectors(mut self, bytes: u32) -> Self {
        self.sector_bytes = bytes;
        self
    }

    pub(super) fn arguments(&self, number: usize, order: String, line: &mut Line) {
        // No fsync on the host: a scenario does not outlive a crash of the host, and cuts are made
        // from the log.
        let raw = if self.write_log.is_some() || !self.unwritable.is_empty() {
            format!("raw{number}")
        } else {
            format!("disk{number}")
        };
        let image = self.image.display();
        let protected = match self.is_write_protected {
            true => ",read-only=on",
            false => "",
        };
        line.pair(
            "-blockdev",
            format!("driver=file,filename={image},node-name={raw},cache.direct=off,cache.no-flush=on,discard=unmap{protected}"),
        );
        if let Some(log) = &self.write_log {
            let log = log.display();
            line.pair(
                "-blockdev",
                format!("driver=file,filename={log},node-name=log{number},cache.no-flush=on"),
            );
            line.pair(
                "-blockdev",
                format!("driver=blklogwrites,node-name=disk{number},file={raw},log=log{number},log-sector-size=512"),
            );
        }
        if !self.unwritable.is_empty() {
            let rules = (0..).zip(&self.unwritable);
            let rules: String = rules.map(|(rule, at)| unwritable(rule, *at)).collect();
            line.pair(
                "-blockdev",
                format!("driver=blkdebug,node-name=disk{number},image={raw}{rules}"),
            );
        }
        let Self {
            sector_bytes,
            serial,
            ..
        } = self;
        let common = format!(
            "drive=disk{number},serial={serial}{order},logical_block_size={sector_bytes},physical_block_size={sector_bytes},id=drive{number}"
        );
        if let Some(controller) = self.bus.controller() {
            line.pair("-device", format!("{controller},id=hba{number}"));
        }
        line.pair(
            "-device",
            match self.bus {
                Bus::Virtio => format!("virtio-blk-pci,{common}"),
                Bus::Nvme => format!("nvme,{common}"),
                Bus::Ahci => format!("ide-hd,bus=ide.{number},{common}"),
                Bus::VirtioScsi | Bus::Megasas | Bus::Pvscsi | Bus::Lsi => {
                    format!("scsi-hd,bus=hba{number}.0,{common}")
                }
                // It is the disk's SAS address, and without one Linux passes the disk by.
                Bus::MptSas => {
                    format!("scsi-hd,bus=hba{number}.0,wwn={SAS_ADDRESS:#x},{common}")
                }
                Bus::Usb => format!("usb-storage,bus=xhci.0,{common}"),
            },
        );
    }
}

/// A rule for QEMU's blkdebug (docs/devel/blkdebug.txt), from the start on and for ever: each write
/// of the sector at this offset ends in an input/output error.
fn unwritable(rule: usize, at: u64) -> String {
    const EIO: u8 = 5;
    let sector = at / 512;
    let of = format!("inject-error.{rule}");
    format!(
        ",{of}.event=none,{of}.iotype=write,{of}.errno={EIO},{of}.sector={sector},{of}.once=off"
    )
}
