//! Sources in, artefacts in a cache out: each made once by a step, a value that names what it
//! reads, what it needs and the command that makes it.

pub mod build;
pub mod cache;
pub mod cli;
pub mod digest;
pub mod guard;
pub mod inputs;
pub mod make;
pub mod show;
pub mod step;
pub mod table;
