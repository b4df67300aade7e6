//! Verified packages in, a bootable disk out. The only crate that may blank a disk.
//!
//! [`deploy`] is the order: [`clear`] takes the old contents away, [`swap`] and the file systems
//! are made, packages are unpacked, [`boot_files`] fills the EFI System Partition, [`fstab`],
//! [`identity`] and [`wifi_handover`] make the system this machine's own, and [`commit`]
//! writes the table last. Nothing here knows a network or a kernel: packages come from any source,
//! disk and mounted file systems are seams of the crate `disk`. With fakes for both the whole
//! deploy runs under `cargo test`.

pub mod options;

pub mod deploy;

pub mod clear;
pub mod swap;

pub mod boot_files;
pub mod image;
pub mod watchdog;

pub mod fstab;
pub mod identity;
pub mod state;
pub mod wifi_handover;

pub mod commit;
