//! The sector that says "a deploy began here and did not end": LBA 0 from the first write of a
//! deploy to its last.
//!
//! It carries neither the BIOS boot signature 55AA nor a protective MBR, so no firmware boots the
//! disk while it stands (`disk-layout.md` 3). It is ASCII, for the person who looks at the disk
//! with `head -c 512`.

use sha2::{Digest, Sha256};

use crate::disk::SectorSize;

/// The first line; a sector that begins with it is a marker.
const FIRST_LINE: &[u8] = b"SMECHVISOR DEPLOY INCOMPLETE\n";
const PHASE_WIPING: &[u8] = b"phase: wiping\n";
const PHASE_WRITING: &[u8] = b"phase: writing\n";
const EXPLANATION: &[u8] =
    b"An operating system was being put on this disk and the work was interrupted.\n\
    The former contents are gone, and this disk does not boot.\n\
    Deploy again: a disk with this note counts as blank.\n";

const FORMER: &[u8] = b"former:";

/// How far the deploy came that left the marker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Tables and signatures of the former contents may still stand behind the marker: these.
    Wiping(Former),
    /// They were cleared; what is found there now was written by the deploy, or by somebody else
    /// after it.
    Writing,
}

/// The signatures at the ends of the disk when a deploy began.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Former {
    /// More than the marker has room for, or a marker of an earlier version: nobody can say.
    Unknown,
    /// The [`fingerprint`] of each, none of them twice.
    Known(Vec<u32>),
}

/// The marker has room for so many: twenty of nine characters, in front of where an MBR has its
/// entries.
const FORMER_MAX: usize = 20;

/// Of a signature: of the 512 bytes around it, and of the place where they stand.
#[must_use]
pub fn fingerprint(offset: u64, bytes: &[u8]) -> u32 {
    let digest = Sha256::new()
        .chain_update(offset.to_le_bytes())
        .chain_update(bytes)
        .finalize();
    digest
        .iter()
        .take(4)
        .fold(0, |sum, &byte| sum << 8 | u32::from(byte))
}

impl Former {
    /// The fingerprints as a marker holds them.
    #[must_use]
    pub fn of(fingerprints: impl IntoIterator<Item = u32>) -> Self {
        let mut known: Vec<u32> = fingerprints.into_iter().collect();
        known.sort_unstable();
        known.dedup();
        if known.len() > FORMER_MAX {
            return Former::Unknown;
        }
        Former::Known(known)
    }

    /// Was it there when the deploy began?
    #[must_use]
    pub fn contains(&self, fingerprint: u32) -> bool {
        match self {
            Former::Unknown => true,
            Former::Known(known) => known.contains(&fingerprint),
        }
    }

    fn line(&self) -> Vec<u8> {
        let Former::Known(known) = self else {
            return Vec::new();
        };
        let words = known.iter().map(|word| format!(" {word:08x}"));
        [FORMER, words.collect::<String>().as_bytes(), b"\n"].concat()
    }

    fn parse(text: &[u8]) -> Self {
        let line = text.split(|&byte| byte == b'\n').next();
        let words = line.and_then(|line| str::from_utf8(line.strip_prefix(FORMER)?).ok());
        let known: Option<Vec<u32>> = words.and_then(|words| {
            let words = words.split_ascii_whitespace();
            words
                .map(|word| u32::from_str_radix(word, 16).ok())
                .collect()
        });
        known.map_or(Former::Unknown, Former::Known)
    }
}

/// The marker as a whole sector.
#[must_use]
pub fn sector(phase: &Phase, size: SectorSize) -> Vec<u8> {
    let (phase_line, former) = match phase {
        Phase::Wiping(former) => (PHASE_WIPING, former.line()),
        Phase::Writing => (PHASE_WRITING, Vec::new()),
    };
    let mut bytes = [FIRST_LINE, phase_line, &former, EXPLANATION].concat();
    bytes.resize(usize::try_from(size.bytes()).unwrap_or(512), 0);
    bytes
}

/// Reads LBA 0; `None` when it is anything but a marker.
#[must_use]
pub fn phase_of(lba0: &[u8]) -> Option<Phase> {
    let rest = lba0.strip_prefix(FIRST_LINE)?;
    if rest.starts_with(PHASE_WRITING) {
        return Some(Phase::Writing);
    }
    let former = rest.strip_prefix(PHASE_WIPING).map(Former::parse);
    Some(Phase::Wiping(former.unwrap_or(Former::Unknown)))
}

#[cfg(test)]
mod tests {
    use super::{FORMER_MAX, Former, Phase, fingerprint, phase_of, sector};
    use crate::disk::SectorSize;

    #[test]
    fn a_marker_is_read_back_and_carries_nothing_that_boots() {
        for size in [SectorSize::B512, SectorSize::B4096] {
            let full = Former::of((0..FORMER_MAX as u32).map(|n| u32::MAX - n));
            assert!(matches!(&full, Former::Known(known) if known.len() == FORMER_MAX));
            for phase in [
                Phase::Wiping(full),
                Phase::Wiping(Former::Known(Vec::new())),
                Phase::Wiping(Former::Unknown),
                Phase::Writing,
            ] {
                let bytes = sector(&phase, size);
                assert_eq!(bytes.len() as u64, size.bytes());
                assert_eq!(phase_of(&bytes).as_ref(), Some(&phase));
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
        let marker = sector(&Phase::Writing, SectorSize::B512);
        for at in 0..29 {
            let mut bytes = marker.clone();
            bytes[at] ^= 1;
            assert_eq!(phase_of(&bytes), None, "byte {at}");
        }
        assert_eq!(phase_of(&[0; 512]), None);
        assert_eq!(phase_of(b"SMECHVISOR"), None);
    }

    #[test]
    fn only_what_was_there_is_former() {
        let (one, two) = (fingerprint(4096, b"md"), fingerprint(8192, b"md"));
        assert_ne!(one, two, "the place counts");
        let former = Former::of([one, one]);
        assert_eq!(former, Former::Known(vec![one]));
        assert!(former.contains(one) && !former.contains(two));
        let many = Former::of(0..=FORMER_MAX as u32);
        assert_eq!(many, Former::Unknown);
        assert!(many.contains(two));
        // A marker as earlier versions wrote it.
        let mut earlier = sector(&Phase::Wiping(Former::Unknown), SectorSize::B512);
        assert!(!earlier.windows(7).any(|word| word == b"former:"));
        earlier[29..].fill(b'x');
        assert_eq!(phase_of(&earlier), Some(Phase::Wiping(Former::Unknown)));
    }
}
