//! PID 1 of the shim: the order of the boot and nothing else. A library, so that its parts are tested and fuzzed on any host.

pub mod baked_config;
pub mod boot;
pub mod cmdline;
pub mod console;
pub mod departure;
pub mod dispensable;
pub mod drivers;
pub mod efivars;
pub mod firmware;
pub mod handoff;
pub mod kexec;
pub mod memory;
pub mod mounts;
pub mod network;
pub mod signals;
pub mod stage_latch;
pub mod supervision;
pub mod terminals;
pub mod watchdog;
pub mod wifi;
pub mod wizard;

pub use receiver::cage;
