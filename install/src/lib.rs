//! A stream of packages in, a bootable disk out.
//!
//! Nothing here knows a network or a kernel: bytes come from any `Read`, the disk is the [`disk::Disk`] seam,
//! mounted file systems are the [`volumes::Volumes`] seam. With fakes for both the whole deploy runs under `cargo test`.

pub mod boot_files;
pub mod boot_order;
pub mod carry;
pub mod clear;
pub mod commit;
pub mod decode;
pub mod deploy;
pub mod directory;
pub mod disk;
pub mod entry;
pub mod esp;
pub mod event;
pub mod fstab;
pub mod grub;
pub mod host_keys;
pub mod identity;
pub mod installation;
pub mod kernel;
pub mod layout;
pub mod legacy;
pub mod marker;
pub mod menu;
mod module_list;
pub mod options;
pub mod package;
pub mod packages;
pub mod pipe;
pub mod records;
pub mod size;
pub mod sizes;
pub mod state;
pub mod swap;
pub mod table;
pub mod trust;
pub mod unpack;
pub mod verify;
pub mod volumes;
pub mod watchdog;
pub mod worker;

#[cfg(test)]
mod memory_disk;
#[cfg(test)]
mod test_dir;
#[cfg(test)]
mod test_image;
