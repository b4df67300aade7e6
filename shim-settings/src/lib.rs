//! What the Deploy Shim is told before anybody comes: the words of the kernel command line and the
//! files of its image in, settings out, or the one that it cannot follow.
//!
//! PID 1 reads them here, and so does the program that makes its media: what that takes, this
//! takes.
//!
//! [`cmdline`] has the settings of one boot, [`baked_config`] what the image itself demands.

pub mod baked_config;
pub mod cmdline;
