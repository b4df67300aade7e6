//! Sets of packages: what lies over a node's `/usr` together, tried, kept and taken back as a
//! whole (`node-packages.md` 2, 3).
//!
//! ```text
//! packages staged → make → Staged → arm → (boot counts, mount) → keep | take_back
//! ```
//!
//! A set is a generation of [`Place`](crate::place::Place)'s kind of directory, with a text that
//! names generations of packages in place of a tree. `current` is the set that was kept last; what
//! is on trial is in the ledger alone, with the boots that are left to it. So a cut at any moment
//! leaves the set that was kept, and recovery has nothing to take back.
//!
//! [`rules`] says which packages may be together, [`directory`] is the shelf on a file system,
//! [`change`] has the steps, [`packages`] removes generations that no set names.

pub mod change;
pub mod directory;
pub mod packages;
pub mod rules;

use std::io;

use sha2::{Digest, Sha256};
use wire::ledger::Version;
use wire::set::Set;

use crate::generation::Reject;
use crate::shelf::Shelf;

/// On the state partition, below [`STATE`](crate::place::STATE).
pub const SETS: &str = "set";
/// Boots that a set has to be kept in.
pub const BOOTS: u8 = 3;

/// Keeps sets.
pub trait SetShelf: Shelf {
    /// The text of a set.
    ///
    /// # Errors
    /// There is none, or it cannot be read.
    fn text(&mut self, number: u64) -> io::Result<String>;

    /// Whether these packages are here and may be together. Their files are not read.
    ///
    /// # Errors
    /// The first thing against it.
    fn admit(&mut self, set: &Set<'_>) -> Result<(), Reject>;

    /// Makes the part of this number, with this text, in place of what may be left of an earlier
    /// one.
    ///
    /// # Errors
    /// The part is to be thrown away.
    fn fill_set(&mut self, number: u64, text: &str) -> io::Result<()>;
}

/// The name of a set of this text.
#[must_use]
pub fn version(text: &str, number: u64) -> Version {
    Version {
        digest: Sha256::digest(text.as_bytes()).into(),
        counter: number,
    }
}
