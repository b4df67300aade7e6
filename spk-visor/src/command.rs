//! The commands that run a library: options in, an exit code or an error out.

pub mod bundle;
pub mod content;
pub mod deploy;
pub mod hold;
pub mod man;
pub mod media;
pub mod node;
pub mod package;
pub mod publish;
pub mod serve;
