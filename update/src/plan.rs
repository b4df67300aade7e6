//! What an update would do, found out before it does it: which bytes would come from the source,
//! and which are here. In: an approved image and a node. Out: a [`Plan`]. Nothing is written.

use bundle::trust::Approved;
use disk::slots::SlotArea;
use wire::label::State;
use wire::ledger::Version;
use wire::record::Slot;
use wire::running::Running;

use crate::admit::{Again, admit};
use crate::node::Node;
use crate::reuse::Reuse;
use crate::stage::StageError;

/// What would be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    /// The slot that would be written.
    pub slot: Slot,
    /// What it would hold.
    pub version: Version,
    /// Of the image.
    pub image_bytes: u64,
    /// Bytes that a run before has left there; all of them when it is staged already.
    pub there_bytes: u64,
    /// Bytes that the slot that runs has at the same place.
    pub reused_bytes: u64,
    /// Bytes that would come from the source.
    pub fetched_bytes: u64,
    /// Bytes that an image may have in that slot.
    pub room_bytes: u64,
}

/// Looks at the slot that runs as an update does. `seen` hears how many bytes of how many were
/// compared.
///
/// # Errors
/// The image is not taken, or a slot cannot be read.
pub fn plan(
    node: &mut Node<'_>,
    running: &Running<'_>,
    approved: &Approved,
    again: Again,
    seen: &mut dyn FnMut(u64, u64),
) -> Result<Plan, StageError> {
    let facts = node.facts()?;
    let admitted = admit(&facts, running, approved, again)?;
    let (slot, image, version) = (admitted.slot, admitted.image, admitted.version);
    let area = SlotArea::whole(node.slot(slot));
    let checked = area.check(&image, approved.manifest(), approved.signature());
    checked.map_err(|source| StageError::Slot { slot, source })?;
    let label = facts.held(slot).map(|held| held.label);
    let next = label.filter(|label| {
        let held = (label.digest, label.counter, label.image_bytes);
        let wanted = (image.digest, image.counter, image.image_bytes);
        label.state == State::Writing && held == wanted
    });
    let first = match facts.complete(slot) == Some(version) {
        true => image.chunks(),
        false => next.map_or(0, |label| label.next).min(image.chunks()),
    };
    let chunk_bytes = u64::from(image.chunk_bytes);
    let begin = |chunk| image.image_bytes.min(chunk_bytes.saturating_mul(chunk));
    let there_bytes = begin(first.into());
    let mut plan = Plan {
        slot,
        version,
        image_bytes: image.image_bytes,
        there_bytes,
        reused_bytes: 0,
        fetched_bytes: 0,
        room_bytes: area.room_bytes(),
    };
    let (_, other) = node.slot_and_other(slot);
    let mut reuse = Reuse::new(other);
    for chunk in first..image.chunks() {
        let (from, to) = (
            begin(chunk.into()),
            begin(u64::from(chunk).saturating_add(1)),
        );
        let len_bytes = to.saturating_sub(from);
        let len = usize::try_from(len_bytes).unwrap_or(usize::MAX);
        let sum = match reuse.chunk(approved, chunk, from, len) {
            Some(_) => &mut plan.reused_bytes,
            None => &mut plan.fetched_bytes,
        };
        *sum = sum.saturating_add(len_bytes);
        seen(to, image.image_bytes);
    }
    Ok(plan)
}
