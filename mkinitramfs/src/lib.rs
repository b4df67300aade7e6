//! Programs, keys and drivers in, the initramfs that carries them to the machine out; and from that
//! initramfs and a kernel, boot media. Nothing of the building machine enters: no time, no owner,
//! no inode number, no directory order. The same input gives the same bytes.
//!
//! The flow, through the modules:
//!
//! 1. A [`request`] says what is to be made, one file per command of `spk-visor media`.
//! 2. A [`tree`] collects the files of an initramfs: [`program`] checks init and mke2fs,
//!    [`baked_config`] the keys and the floor, [`drivers`] chooses modules (reading them with
//!    [`packed`] and [`modinfo`]), [`firmware`] adds their files, [`wifi`] the supplicant.
//! 3. [`initramfs`] lays the tree out and compresses what [`newc`] writes: the one archive format
//!    that the kernel reads.
//! 4. [`shim`] joins kernel, initramfs and command line, and checks that they can boot. [`iso`],
//!    [`pxe`] and [`uki`] turn a shim into a medium, with [`menu`]'s text and images of GRUB.
//! 5. For a slot, [`join`] makes one root of packages, [`squashfs`] its file system and [`verity`]
//!    the hash tree; [`kernel_config`] says whether a distribution's kernel will do; [`slot`] puts
//!    kernel and initramfs before them.
//! 6. Backwards, [`medium`] takes a finished one apart and [`archives`] its initramfs, so that a
//!    [`request`] shows what is in it, or changes what it tells the shim.
//! 7. [`tool`] runs programs in a [`scratch`] directory; [`output`] replaces the result
//!    in one step. [`progress`] says how far long work has come.

pub mod archives;
pub mod baked_config;
pub mod drivers;
pub mod firmware;
pub mod initramfs;
pub mod iso;
pub mod join;
pub mod kernel_config;
pub mod medium;
pub mod menu;
pub mod modinfo;
pub mod newc;
pub mod output;
pub mod packed;
pub mod program;
pub mod progress;
pub mod pxe;
pub mod request;
pub mod scratch;
pub mod shim;
pub mod slot;
pub mod squashfs;
#[cfg(test)]
mod test_dir;
pub mod tool;
pub mod tree;
pub mod uki;
pub mod verity;
pub mod wifi;
