//! The sector by which a disk that we have installed is known again: which disk, and which of its
//! partitions are ours.
//!
//! It stands at the end of the BIOS boot partition, behind every core image that fits: no program
//! writes there but a deploy, which clears it at its beginning and writes it at the commit. It
//! counts only beside a table with the same GUIDs, so that it means nothing on a disk that somebody
//! has partitioned since (`disk-layout.md` 7). It is ASCII, like the marker.

use uuid::Uuid;

use crate::disk::SectorSize;
use crate::layout::{Layout, Role};
use crate::sizes::MIB;

/// From the start of the disk, whatever its sectors: the last 4096 bytes in front of the first
/// partition.
pub const OFFSET_BYTES: u64 = MIB - 4096;

const FIRST_LINE: &str = "SMECHVISOR INSTALLED";
const EXPLANATION: &str = "spk-visor has installed an operating system on this disk.\n\
    A deploy does not replace it unless somebody names this installation.\n";
/// Bytes of a sector that are read; the text has less.
pub const LEN_BYTES: usize = 512;

/// An installation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Installation {
    /// The GUID of the partition table.
    pub disk: Uuid,
    /// The partition that firmware boots from.
    pub esp: Uuid,
    /// The partition with the system, slot A where there are two, which names the installation.
    pub root: Uuid,
}

impl Installation {
    /// The installation that a layout will be.
    #[must_use]
    pub fn of(layout: &Layout) -> Option<Self> {
        Some(Self {
            disk: layout.disk_guid,
            esp: layout.partition(Role::Esp)?.guid,
            root: layout.system()?.guid,
        })
    }

    /// As a whole sector.
    #[must_use]
    pub fn sector(&self, size: SectorSize) -> Vec<u8> {
        let Self { disk, esp, root } = self;
        let text = format!("{FIRST_LINE}\ndisk: {disk}\nesp: {esp}\nroot: {root}\n{EXPLANATION}");
        let mut bytes = text.into_bytes();
        bytes.resize(usize::try_from(size.bytes()).unwrap_or(LEN_BYTES), 0);
        bytes
    }

    /// Reads such a sector; `None` when it is anything else.
    #[must_use]
    pub fn parse(sector: &[u8]) -> Option<Self> {
        let text = sector.split(|&byte| byte == 0).next()?;
        let mut lines = str::from_utf8(text).ok()?.lines();
        if lines.next()? != FIRST_LINE {
            return None;
        }
        let mut guid = |key: &str| {
            let value = lines.next()?.strip_prefix(key)?.strip_prefix(": ")?;
            Uuid::try_parse(value).ok()
        };
        Some(Self {
            disk: guid("disk")?,
            esp: guid("esp")?,
            root: guid("root")?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{Installation, LEN_BYTES};
    use crate::disk::SectorSize;
    use uuid::Uuid;

    const ONE: Installation = Installation {
        disk: Uuid::from_u128(1),
        esp: Uuid::from_u128(2),
        root: Uuid::from_u128(3 << 100),
    };

    #[test]
    fn an_installation_is_read_back() {
        let sector = ONE.sector(SectorSize::B512);
        assert_eq!(sector.len(), LEN_BYTES);
        assert_eq!(Installation::parse(&sector), Some(ONE));
        let large = ONE.sector(SectorSize::B4096);
        assert_eq!(large.len(), 4096);
        assert_eq!(Installation::parse(&large[..LEN_BYTES]), Some(ONE));
        let golden = "SMECHVISOR INSTALLED\n\
            disk: 00000000-0000-0000-0000-000000000001\n\
            esp: 00000000-0000-0000-0000-000000000002\n\
            root: 00000030-0000-0000-0000-000000000000\n";
        assert!(sector.starts_with(golden.as_bytes()));
    }

    #[test]
    fn anything_else_is_no_installation() {
        let sector = ONE.sector(SectorSize::B512);
        // But for the line feed behind the last of them.
        let end_of_guids = 21 + 43 + 42 + 42;
        for at in 0..end_of_guids {
            assert_eq!(Installation::parse(&sector[..at]), None, "cut at {at}");
            let mut changed = sector.clone();
            changed[at] ^= 0x80;
            assert_eq!(Installation::parse(&changed), None, "changed at {at}");
        }
        assert_eq!(Installation::parse(&[0; LEN_BYTES]), None);
        assert_eq!(Installation::parse(&[0xFF; LEN_BYTES]), None);
    }
}
