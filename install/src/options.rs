//! What the machine grants a deploy; its caller knows the machine.

use std::fmt;

use crate::carry::Luggage;
use crate::sizes::Sizes;
use crate::worker::Workers;

/// What starts a disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Firmware {
    /// UEFI.
    Uefi,
    /// A BIOS.
    Bios,
}

impl fmt::Display for Firmware {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Firmware::Uefi => "UEFI",
            Firmware::Bios => "a BIOS",
        })
    }
}

/// What a deploy may use.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Memory for decoding and unpacking, all threads together.
    pub memory_bytes: u64,
    /// Threads for decoding; 1 to decode in one.
    pub threads: u32,
    /// Bytes of tar after which the packages are refused; `None` is the size of the root partition.
    pub unpacked_max_bytes: Option<u64>,
    /// What was said of the partitions.
    pub sizes: Sizes,
    /// What will start the disk; `None` when it may be any machine's.
    pub firmware: Option<Firmware>,
    /// What the installed system needs to know of this machine's network.
    pub luggage: Option<&'static Luggage>,
    /// Who decodes the packages and reads their archives.
    pub workers: &'static dyn Workers,
}
