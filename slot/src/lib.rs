//! PID 1 of an installed slot: from the kernel to `/sbin/init` of the one root that its initramfs
//! names (`slot.md 5`, `slot.md 6`). A library, so that its decisions are tested on any host.
//!
//! The flow, in the order in which [`boot`] walks it:
//!
//! 1. `machine` mounts the kernel's own file systems and loads modules; [`console`] speaks.
//! 2. `machine` reads what partitions the kernel has; [`look`] waits for the slot whose root has
//!    the pinned hash.
//! 3. [`record`] says how this slot came to be started: as the good one, on trial, by a person. A
//!    trial gets a watchdog.
//! 4. [`root`] mounts the root behind device mapper, [`switch`] makes it the root directory.
//! 5. [`state`] checks and mounts the partition that survives updates; [`first`] does what a
//!    root's first boot needs there, by [`users`] and [`copies`]; [`writable`] puts its
//!    directories over the root's.
//! 6. `/run/smv/boot` is written, and init started. Whatever fails ends in [`leave`].

pub mod boot;
pub mod console;
pub mod copies;
pub mod first;
pub mod leave;
pub mod look;
pub mod record;
pub mod root;
pub mod state;
pub mod switch;
pub mod users;
pub mod writable;
