//! The paths of one package, remembered as keyed 128-bit hashes: a fixed cost for each, whatever
//! its length.
//!
//! Fresh keys are drawn for each package, so nobody can prepare two paths that collide; four
//! million paths collide by chance with a probability below 10^-25.

use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};

use super::entry::Kind;
use super::name::{Name, prefixes};
use super::{Refusal, Shown};

#[derive(Default)]
pub struct Seen {
    keys: [RandomState; 2],
    paths: HashSet<u128>,
    /// Those of `paths` that are symbolic links, under every name that this package gives them.
    links: HashSet<u128>,
    /// The directory of the last admitted path: the way to it need not be looked at again, as
    /// nothing on it can have become a link since without occurring twice.
    way: Vec<u8>,
}

impl Seen {
    fn hash(&self, path: &[u8]) -> u128 {
        let [high, low] = &self.keys;
        u128::from(high.hash_one(path)) << 64 | u128::from(low.hash_one(path))
    }

    /// Refuses a way that leads through a symbolic link of this package.
    fn expect_plain_way(&self, way: &[u8]) -> Result<(), Refusal> {
        if self.links.is_empty() {
            return Ok(());
        }
        match prefixes(way).find(|way| self.links.contains(&self.hash(way))) {
            Some(link) => Err(Refusal::ThroughOwnLink(Shown::of(link))),
            None => Ok(()),
        }
    }

    /// Remembers a path, unless this package had it before or has made the way to it a symbolic
    /// link. Another name of a symbolic link is one too.
    pub fn admit(&mut self, path: &Name, kind: &Kind) -> Result<(), Refusal> {
        let parent = path.parent();
        if parent != self.way {
            self.expect_plain_way(parent)?;
        }
        parent.clone_into(&mut self.way);
        let is_link = match kind {
            Kind::Symlink(_) => true,
            Kind::HardLink(target) => {
                self.expect_plain_way(target.parent())?;
                self.links.contains(&self.hash(target.as_bytes()))
            }
            _ => false,
        };
        let hash = self.hash(path.as_bytes());
        self.paths.try_reserve(1).map_err(|_| Refusal::Memory)?;
        if !self.paths.insert(hash) {
            return Err(Refusal::Duplicate);
        }
        if is_link {
            self.links.try_reserve(1).map_err(|_| Refusal::Memory)?;
            self.links.insert(hash);
        }
        Ok(())
    }
}
