//! The structures on a disk as values; no device is opened here.
//!
//! [`disk::Disk`] is the seam: sectors to read and write. [`sizes`] and a disk's size become a
//! [`layout`], the layout a partition [`table`]; [`volumes`] is the seam for its file systems, and
//! [`esp`] reads and writes the one that firmware reads; [`slots`] takes images of whole systems,
//! and [`head`] makes the file system at their beginning, in which a [`slot_script`] starts them.
//! What is on a disk already are its [`contents`]: an unfinished deploy by its [`marker`], a
//! finished one by its [`installation`] record. What starts it are an [`entry`], GRUB's [`menu`]
//! and images ([`grub`]), and firmware's [`boot_order`]; where there are two slots, GRUB's
//! [`slot_menu`] and the [`boot_record`]. With Secure Boot firmware starts only what is signed
//! ([`pe`]).

pub mod disk;

pub mod layout;
pub mod size;
pub mod sizes;
pub mod table;

pub mod esp;
pub mod head;
pub mod slot_script;
pub mod slots;
pub mod volumes;

pub mod contents;
pub mod installation;
pub mod marker;

pub mod boot_order;
pub mod boot_record;
pub mod entry;
pub mod grub;
pub mod menu;
pub mod pe;
pub mod slot_menu;

#[cfg(any(test, feature = "fakes"))]
pub mod fakes;
