//! The sector that says "a deploy began here and did not end": LBA 0 from the first write of a deploy to its last.
//!
//! It carries neither the BIOS boot signature 55AA nor a protective MBR, so no firmware boots the disk while it stands
//! (`disk-layout.md` 3). It is ASCII, for the person who looks at the disk with `head -c 512`.

use crate::disk::SectorSize;

/// The first line; a sector that begins with it is a marker.
const FIRST_LINE: &[u8] = b"SMECHVISOR DEPLOY INCOMPLETE\n";
const PHASE_WIPING: &[u8] = b"phase: wiping\n";
const PHASE_WRITING: &[u8] = b"phase: writing\n";
const EXPLANATION: &[u8] =
    b"An operating system was being put on this disk and the work was interrupted.\n\
    The former contents are gone, and this disk does not boot.\n\
    Deploy again: a disk with this note counts as blank.\n";

/// How far the deploy came that left the marker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Tables and signatures of the former contents may still stand behind the marker.
    Wiping,
    /// They were blanked; what is found there now was written by the deploy, or by somebody else after it.
    Writing,
}

/// The marker as a whole sector.
#[must_use]
pub fn sector(phase: Phase, size: SectorSize) -> Vec<u8> {
    let phase_line = match phase {
        Phase::Wiping => PHASE_WIPING,
        Phase::Writing => PHASE_WRITING,
    };
    let mut bytes = [FIRST_LINE, phase_line, EXPLANATION].concat();
    bytes.resize(usize::try_from(size.bytes()).unwrap_or(512), 0);
    bytes
}

/// Reads LBA 0; `None` when it is anything but a marker.
#[must_use]
pub fn phase_of(lba0: &[u8]) -> Option<Phase> {
    let rest = lba0.strip_prefix(FIRST_LINE)?;
    if rest.starts_with(PHASE_WRITING) {
        Some(Phase::Writing)
    } else {
        Some(Phase::Wiping)
    }
}

#[cfg(test)]
mod tests {
    use super::{Phase, phase_of, sector};
    use crate::disk::SectorSize;

    #[test]
    fn a_marker_is_read_back_and_carries_nothing_that_boots() {
        for size in [SectorSize::B512, SectorSize::B4096] {
            for phase in [Phase::Wiping, Phase::Writing] {
                let bytes = sector(phase, size);
                assert_eq!(bytes.len() as u64, size.bytes());
                assert_eq!(phase_of(&bytes), Some(phase));
                assert!(
                    bytes[446..512].iter().all(|&byte| byte == 0),
                    "no MBR entry, no 55AA"
                );
                assert!(bytes.starts_with(b"SMECHVISOR DEPLOY INCOMPLETE\n"));
            }
        }
    }

    #[test]
    fn other_sectors_are_no_marker() {
        let marker = sector(Phase::Writing, SectorSize::B512);
        for at in 0..29 {
            let mut bytes = marker.clone();
            bytes[at] ^= 1;
            assert_eq!(phase_of(&bytes), None, "byte {at}");
        }
        assert_eq!(phase_of(&[0; 512]), None);
        assert_eq!(phase_of(b"SMECHVISOR"), None);
    }
}
