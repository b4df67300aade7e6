//! The test harness: typed machines, an isolated network, a console that awaits stages, scenarios.
//!
//! In: the kernel, the initramfs, the donor and package directories ([`artifacts`]). Out: whether a
//! blank machine became a running one, or was left in a state that no firmware boots. A host tool;
//! nothing of it enters an image.
//!
//! The [`runner`] starts each of the [`scenarios`] in name spaces of its own, two or three at a
//! time. A scenario gets a [`lab`]: a [`network`], and in it a [`machine`], which is a value until
//! it runs. [`actors`] speak to it, [`eyes`] read its consoles and screens, and in the end
//! [`media`] says what is on its disk. [`demo`], [`measure`] and [`pictures`] do the same for
//! people, `./bench` and the documentation.

pub mod actors;
pub mod artifacts;
pub mod demo;
pub mod error;
pub mod eyes;
pub mod lab;
pub mod machine;
pub mod measure;
pub mod media;
pub mod network;
pub mod pictures;
pub mod process;
pub mod runner;
pub mod scenarios;
