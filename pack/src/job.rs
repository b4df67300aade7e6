//! The work of a packing, as [`super::walk`] and [`super::system`] are asked for it.

use std::os::fd::OwnedFd;

use super::rules::Rules;
use super::rules::secrets::Secrets;

/// A file that must not be packed although it lies in the tree: a directory by its number, and a
/// name in it.
pub type Own = ((u64, u64), Vec<u8>);

/// The tree to pack and its rules.
pub struct Job {
    /// The tree.
    pub root: OwnedFd,
    /// The rules for its paths.
    pub rules: Rules,
    /// The files that are secrets, and their treatment.
    pub secrets: Secrets,
    /// Other file systems that belong to it: where they are mounted, relative to the root.
    pub mounts: Vec<Vec<u8>>,
    /// The files that this packing writes itself.
    pub own: Vec<Own>,
}
