//! The commands that run a library: options in, an exit code or an error out.

pub mod deploy;
pub mod package;
pub mod serve;
