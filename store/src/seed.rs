//! The system's own generation of a place, made where a system is made: an approved bundle in, a
//! generation below `/usr/lib/smechvisor/seed` of a tree out, verified as a node will do it.

use crate::directory::Directory;
use crate::generation::Held;
use crate::shelf::{Offer, Shelf, Target};
use crate::{StoreError, of_fill};

/// Makes it, or replaces the one that is there.
///
/// # Errors
/// The bundle is not taken, the disk failed, or a node would not take what was made.
pub fn seed(shelf: &mut Directory, offer: &mut Offer<'_>) -> Result<Held, StoreError> {
    let counter = offer.approved.counter();
    let planted = shelf.plant(offer);
    planted.map_err(|error| of_fill(error, counter))?;
    let target = Target::Seed;
    shelf.verify(target).map_err(|source| {
        let source = Box::new(source);
        StoreError::Rejected { target, source }
    })
}
