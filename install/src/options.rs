//! The resources and options of a deploy; its caller knows the machine.

use std::fmt;

use crate::wifi_handover::WifiHandover;
use bundle::unpack_pipeline::Resources;
use disk::sizes::Sizes;

/// The firmware that starts a disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Firmware {
    /// UEFI.
    Uefi,
    /// UEFI that starts only what is signed.
    SecureUefi,
    /// A BIOS.
    Bios,
}

impl fmt::Display for Firmware {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Firmware::Uefi => "UEFI",
            Firmware::SecureUefi => "UEFI with Secure Boot",
            Firmware::Bios => "a BIOS",
        })
    }
}

/// The resources and options of a deploy.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// For the packages.
    pub resources: Resources,
    /// Bytes of tar after which the packages are refused; `None` is the size of the root partition.
    pub unpacked_max_bytes: Option<u64>,
    /// The sizes of the partitions.
    pub sizes: Sizes,
    /// The firmware that will start the disk; `None` when it may be any machine's.
    pub firmware: Option<Firmware>,
    /// The settings of this machine's network for the installed system.
    pub wifi_handover: Option<&'static WifiHandover>,
}
