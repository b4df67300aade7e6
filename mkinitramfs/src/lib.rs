//! Programs and keys in, the initramfs that carries them to the machine out.
//!
//! [`initramfs::tree`] lays the files out, [`newc::archive`] writes them in the one form the kernel
//! reads, [`initramfs::compress`] packs them. Nothing of the building machine enters: no time, no owner, no inode
//! number, no order of a directory. The same input gives the same bytes.

pub mod baked_config;
pub mod cli;
pub mod drivers;
pub mod firmware;
pub mod grub;
pub mod initramfs;
pub mod iso;
pub mod menu;
pub mod modinfo;
pub mod newc;
pub mod output;
pub mod packed;
pub mod program;
pub mod pxe;
pub mod scratch;
pub mod shim;
#[cfg(test)]
mod test_dir;
pub mod tool;
pub mod tree;
pub mod uki;
pub mod wifi;
