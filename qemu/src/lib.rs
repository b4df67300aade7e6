//! The test harness: typed machines, an isolated network, a console that awaits stages, scenarios.
//!
//! In: the kernel, the initramfs, the donor and package directories. Out: whether a blank machine became a running
//! one, or was left in a state that no firmware boots. A host tool; nothing of it enters an image.

pub mod accel;
pub mod access_point;
pub mod artifacts;
pub mod attack;
pub mod boot_server;
pub mod console;
pub mod demo;
pub mod donor;
pub mod error;
pub mod exit;
pub mod gpt;
pub mod image;
pub mod keys;
pub mod lab;
pub mod machine;
pub mod measure;
pub mod network;
pub mod person;
pub mod pictures;
pub mod png;
pub mod policy;
pub mod process;
pub mod qmp;
pub mod rendering;
pub mod replay;
pub mod runner;
pub mod running;
pub mod scenarios;
pub mod screen;
pub mod seat;
pub mod stranger;
pub mod terminal;
pub mod transcript;
pub mod trunk;
pub mod variables;
pub mod vga;
pub mod writelog;
