//! This Linux: what every PID 1 and host program of the product needs of a running kernel. Values
//! and files of the kernel in, values and changed disks out; nobody here speaks to a person, to a
//! donor or to a console.
//!
//! The flow through the modules, from the kernel's start to a written disk and away from it:
//!
//! 1. [`mounts`] makes the kernel's own file systems available, [`kmsg`] writes to every console,
//!    [`drivers`] loads the modules that devices want. [`children`] runs programs and reaps
//!    orphans, [`uevents`] hears which disks come and go.
//! 2. [`inventory`] lists the disks, [`disks`] adds what is on each, [`gate`] says which one may be
//!    taken; [`partitions`] lists those of disks in use, [`cards`] the network cards.
//! 3. [`blockdisk`] opens a disk. [`slice`](mod@slice) makes a planned partition a block device,
//!    [`volumes`] makes and mounts the root file system in it, and `writeout` writes early what
//!    arrives there.
//! 4. [`cage`] is the process that decodes a package, one of `bundle`'s workers.
//! 5. [`efivars`] changes what the firmware boots, [`kexec`] loads a kernel that is started without
//!    it, and [`departure`] leaves a running system for that.
//!    [`watchdog`] resets a machine that hangs, and [`diagnostics`] says what it knows about why a
//!    deploy has failed.
//! 6. A node that updates itself has [`settings`] and [`locks`]. Its partitions are opened by
//!    [`slot_disks`] and read back by `medium`, [`written`] sees who else has written them, and
//!    [`health`] judges whether a system that runs on trial may be kept. [`overlay`] lays its
//!    packages over `/usr`. A [`snapshot`] is what a directory of others holds at one moment.

pub mod blockdisk;
pub mod cage;
pub mod cards;
pub mod children;
pub mod departure;
pub mod diagnostics;
pub mod disks;
pub mod drivers;
pub mod efivars;
pub mod gate;
pub mod health;
pub mod inventory;
pub mod kexec;
pub mod kmsg;
pub mod locks;
pub mod mounts;
pub mod overlay;
pub mod partitions;
pub mod settings;
pub mod slice;
pub mod slot_disks;
pub mod snapshot;
pub mod uevents;
pub mod volumes;
pub mod watchdog;
pub mod written;

mod medium;
mod writeout;
