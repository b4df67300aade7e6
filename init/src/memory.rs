//! The memory budget: everything a deploy holds is bounded, and the bounds come from what the
//! machine has.
//!
//! | share | of available memory | least | most |
//! | --- | --- | --- | --- |
//! | decoder (dictionary, blocks decoded in parallel) | one half | 12 MiB | 1 GiB |
//! | network (ring and window, three steps by total memory, see `netstack`) | | 2.5 MiB | 12 MiB |
//! | session (manifest and chunk lists, two chunks, records: `protocol.md` 3.6) | | | 6 MiB |
//! | page cache, mke2fs, everything else | the rest | | |
//!
//! A machine of 64 MiB leaves 43 MiB to PID 1: 21 MiB for the decoder, which an `xz -6` archive (8
//! MiB of dictionary, about 10 MiB in all) fits into. Where blocks do not fit in parallel the
//! decoder goes on with one thread; where one does not fit, the package is refused.

use sys::meminfo;

const MIB: u64 = 1 << 20;

/// The machine's memory, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Memory {
    /// All that the kernel manages.
    pub total_bytes: u64,
    /// The memory that is available without swapping.
    pub available_bytes: u64,
}

/// A machine whose memory cannot be read is treated as the smallest that is supported.
const SMALLEST: Memory = Memory {
    total_bytes: 48 * MIB,
    available_bytes: 40 * MIB,
};

impl Memory {
    /// Reads the text of `/proc/meminfo` (`proc_meminfo(5)`).
    #[must_use]
    pub fn parse(meminfo: &str) -> Self {
        let bytes = |key| meminfo::bytes(meminfo, key);
        match (bytes("MemTotal"), bytes("MemAvailable")) {
            (Some(total_bytes), Some(available_bytes)) => Self {
                total_bytes,
                available_bytes,
            },
            _ => SMALLEST,
        }
    }

    /// The machine this runs on.
    #[must_use]
    pub fn read() -> Self {
        Self::parse(&meminfo::read())
    }

    /// The decoder's share.
    #[must_use]
    pub fn decoder_bytes(self) -> u64 {
        (self.available_bytes / 2).clamp(12 * MIB, 1024 * MIB)
    }
}

#[cfg(test)]
mod tests {
    use super::{MIB, Memory, SMALLEST};

    const MEMINFO: &str = "MemTotal:          45056 kB\nMemFree:           40000 kB\n\
                           MemAvailable:      43008 kB\nBuffers: 0 kB\n";

    #[test]
    fn meminfo_is_read_in_bytes() {
        assert_eq!(
            Memory::parse(MEMINFO),
            Memory {
                total_bytes: 44 * MIB,
                available_bytes: 42 * MIB
            }
        );
    }

    #[test]
    fn a_small_machine_still_decodes_what_xz_makes_by_default() {
        assert_eq!(Memory::parse(MEMINFO).decoder_bytes(), 21 * MIB);
        assert_eq!(
            Memory {
                total_bytes: 0,
                available_bytes: 0
            }
            .decoder_bytes(),
            12 * MIB
        );
        assert_eq!(
            Memory {
                total_bytes: u64::MAX,
                available_bytes: u64::MAX
            }
            .decoder_bytes(),
            1024 * MIB
        );
    }

    #[test]
    fn every_truncation_gives_an_answer() {
        for len in 0..MEMINFO.len() {
            let memory = Memory::parse(&MEMINFO[..len]);
            assert!(
                memory == SMALLEST || memory == Memory::parse(MEMINFO),
                "{len}: {memory:?}"
            );
        }
    }
}
