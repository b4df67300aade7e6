//! The disk that a target is about to take, in its own words: what a person at the donor reads
//! before it says yes.

use super::Text;

/// Longest path, in bytes.
pub const PATH_MAX: usize = 512;
/// Longest serial number, in bytes.
pub const SERIAL_MAX: usize = 128;
/// Longest name of a model, in bytes.
pub const MODEL_MAX: usize = 128;
/// Longest name of a transport, in bytes.
pub const TRANSPORT_MAX: usize = 32;
/// Longest list of what is on it, in bytes.
pub const CONTENTS_MAX: usize = 2048;

/// A disk; a text that nobody knows is empty.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Disk<'a> {
    /// In bytes.
    pub size_bytes: u64,
    /// Nothing of value is on it: nobody has to be asked.
    pub is_blank: bool,
    /// The target's path of the disk: `/dev/nvme0n1`.
    pub path: Text<'a>,
    /// The maker's number.
    pub serial: Text<'a>,
    /// The maker's name for it.
    pub model: Text<'a>,
    /// How it is attached: `nvme`, `usb`.
    pub transport: Text<'a>,
    /// Its contents, for people.
    pub contents: Text<'a>,
}
