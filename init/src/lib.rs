//! PID 1 of the Deploy Shim: the order of the boot and nothing else. A library, so that its parts
//! are tested and fuzzed on any host.
//!
//! The flow, in the order in which [`boot`] walks it:
//!
//! 1. [`machine::mounts`] makes the file systems of the kernel available; [`console`] opens the
//!    kernel's log and the [`terminals`]; [`signals`] reaps orphans and answers Ctrl-Alt-Del;
//!    [`dispensable`] keeps the deploy alive when the screens fail.
//! 2. [`shim_settings::cmdline`] reads the settings from the kernel command line, [`memory`] plans
//!    the decoder's share, [`drivers`] loads what the devices need.
//! 3. [`shim_settings::baked_config`] adds what the image itself demands: pinned keys, trusted
//!    keys, the floor.
//! 4. [`network`] starts the network stack, [`wifi`] its supplicants, [`wizard`] the
//!    screens, [`supervision`] the watchdog.
//! 5. `receiver` deploys. The console enters each stage in the [`stage_latch`], on which the other
//!    threads wait.
//! 6. [`departure`] gives the operator time to read, and [`handoff`] boots what was installed:
//!    [`firmware`] sets the boot option through [`machine::efivars`], [`machine::watchdog`] guards
//!    the way, [`kexec`] or a reboot ends it.

pub mod boot;
pub mod console;
pub mod departure;
pub mod dispensable;
pub mod drivers;
pub mod firmware;
pub mod handoff;
pub mod kexec;
pub mod memory;
pub mod network;
pub mod signals;
pub mod stage_latch;
pub mod supervision;
pub mod terminals;
pub mod wifi;
pub mod wizard;

pub use machine::cage;
