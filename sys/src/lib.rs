//! The Linux calls that rustix does not offer, behind safe functions. The only crate that may say
//! `unsafe`.
//!
//! Nothing here decides anything: a function is one call of the kernel, with owned descriptors and
//! the kernel's own error. Three modules hold more: [`cage`], because the order of its calls is
//! what makes it safe, and [`eventfd`] and [`uevents`], which need no `unsafe` and are here so that
//! there is one of each.
//!
//! In the order in which a shim uses them:
//!
//! 1. The machine: [`modules`] loads drivers; [`watchdog`], [`vt`], [`signals`], [`children`] and
//!    [`eventfd`] are PID 1's surroundings; [`uevents`] announce devices.
//! 2. The network: [`netdev`] finds interfaces and brings them up, [`packet`] opens a socket on
//!    one, [`packet_queue`] reads frames from it.
//! 3. The decoder's sandbox: [`cage`], made of [`landlock`] and [`seccomp`].
//! 4. The disk: [`block`] and [`loopdev`]; [`dm`], from which a slot's root is mounted; [`btrfs`],
//!    of which a node takes snapshots.
//! 5. What the kernel says in `/proc`: [`meminfo`], [`routes`] and [`local_links`]; [`poll`] waits
//!    for a descriptor.
//! 6. A daemon that is started with sockets that outlive it: [`handover`].
//! 7. The end: [`kexec`] loads the kernel that was installed.

pub mod children;
pub mod eventfd;
pub mod modules;
pub mod signals;
pub mod uevents;
pub mod vt;
pub mod watchdog;

pub mod netdev;
pub mod packet;
pub mod packet_queue;

pub mod cage;
pub mod landlock;
pub mod seccomp;

pub mod block;
pub mod btrfs;
pub mod dm;
pub mod loopdev;

pub mod local_links;
pub mod meminfo;
pub mod poll;
pub mod routes;

pub mod handover;

pub mod kexec;
