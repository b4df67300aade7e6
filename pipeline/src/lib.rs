//! Sources in, artefacts in a cache out: each made once by a step, a value that names what it
//! reads, what it needs and the command that makes it.
//!
//! In the order in which a build goes through them: [`cli`] reads a profile's name; [`table`] has
//! its steps in order, from the values in [`steps`]; [`build`] starts those whose needs are met,
//! beside one another; [`inputs`] turns what a [`step`] reads into lines, whose hash is the step's
//! key; [`cache`] has what was made under that key, or a lock and a place to make it; [`make`] runs
//! the command under a [`guard`], which ends it when the build ends, and renames the output when it
//! is whole. [`show`] prints the same without running anything. Beside them stands [`matrix`]: what has
//! to be run to prove a change.

pub mod build;
pub mod cache;
pub mod cli;
pub mod digest;
pub mod guard;
pub mod inputs;
pub mod make;
pub mod matrix;
pub mod show;
pub mod step;
pub mod steps;
pub mod table;
