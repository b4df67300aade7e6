//! An image goes into the slot that does not run. In: an approved image, a source of its chunks.
//! Out: a [`Staged`], which is made here and nowhere else: everything is on the medium, flushed,
//! read back past every cache, and has the signed hash.
//!
//! The order of writes is the point (`update.md` 1.2): a trial that is armed is taken from the boot
//! record before one byte of its slot changes. An interrupted run goes on where the label says; if
//! what was read back then has another hash, it begins once more from the first chunk.

use bundle::key;
use bundle::trust::{self, ApproveError, Approved, Trust, Voucher, Wanted};
use bundle::verify::{ChunkSource, Verified, VerifyError, verify_chunk};
use disk::slots::{Image, SlotArea, SlotError, Writing};
use sha2::{Digest as _, Sha256 as Hasher};
use thiserror::Error;
use wire::digits::Hex;
use wire::ledger::{KeyId, Version};
use wire::manifest::{Content, Manifest, ManifestError, Sha256};
use wire::outcome::Outcome;
use wire::record::Slot;
use wire::running::Running;

use crate::admit::{Admitted, Again, Refusal, admit, again_or_not, floor, other_slot};
use crate::node::{Facts, Node, NodeError};
use crate::reuse::Reuse;
use crate::running::NoRecord;
use crate::witness::Seen;

/// A chunk that was wrong so often is not asked for again.
const TRIES_MAX: u32 = 3;

/// A slot that holds a whole version, on the medium. Arming takes it by value.
#[derive(Debug, PartialEq, Eq)]
pub struct Staged {
    pub(crate) slot: Slot,
    pub(crate) version: Version,
    pub(crate) key: Option<KeyId>,
    pub(crate) again: Again,
}

impl Staged {
    /// Which slot.
    #[must_use]
    pub const fn slot(&self) -> Slot {
        self.slot
    }

    /// What it holds.
    #[must_use]
    pub const fn version(&self) -> &Version {
        &self.version
    }
}

/// Is all of a slot read, even what this boot has read already?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadAll(pub bool);

/// How far it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// Chunks are written, from this one on. Again when what was read back was wrong.
    Begins {
        /// Which slot.
        slot: Slot,
        /// The first chunk that is written now; not 0 when an interrupted run goes on.
        chunk: u32,
        /// How many there are.
        chunks: u32,
    },
    /// One more chunk is written.
    Written {
        /// Bytes of the image up to here.
        done_bytes: u64,
        /// Of how many.
        total_bytes: u64,
        /// Was it taken from the slot that runs?
        is_reused: bool,
    },
    /// So much was read back.
    ReadBack {
        /// Bytes of the image up to here.
        done_bytes: u64,
        /// Of how many.
        total_bytes: u64,
    },
}

/// Nothing was staged. The running system and its way back are what they were.
#[derive(Debug, Error)]
#[allow(missing_docs)] // the fields name themselves
pub enum StageError {
    /// Not this image, or not now.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The record or the ledger.
    #[error(transparent)]
    Node(#[from] NodeError),
    /// The slot.
    #[error("slot {slot}")]
    Slot {
        slot: Slot,
        #[source]
        source: SlotError,
    },
    /// The source.
    #[error("fetching the image")]
    Source(#[source] VerifyError),
    /// A slot without a complete label.
    #[error("slot {slot} holds no complete image")]
    NotComplete { slot: Slot },
    /// A label that lies, or damage.
    #[error(
        "slot {slot} does not hold what its label says: its {part} is {}",
        Hex(found)
    )]
    Lies {
        slot: Slot,
        /// `manifest` or `image`.
        part: &'static str,
        found: Sha256,
    },
    /// A label and a manifest that contradict each other.
    #[error("the label of slot {slot} has another counter or size than the manifest behind it")]
    Contradicts { slot: Slot },
    /// The manifest in a slot.
    #[error("reading the manifest in slot {slot}")]
    Manifest {
        slot: Slot,
        #[source]
        source: ManifestError,
    },
    /// Nobody vouches for what is in the slot.
    #[error("verifying the manifest in slot {slot}")]
    Signature {
        slot: Slot,
        #[source]
        source: ApproveError,
    },
}

impl From<NoRecord> for StageError {
    fn from(error: NoRecord) -> Self {
        StageError::Refused(error.into())
    }
}

impl StageError {
    /// What follows.
    #[must_use]
    pub const fn outcome(&self) -> Outcome {
        match self {
            StageError::Refused(error) => error.outcome(),
            StageError::Node(error) => error.outcome(),
            StageError::Slot { source, .. } => source.outcome(),
            StageError::Source(error) => error.outcome(),
            StageError::NotComplete { .. }
            | StageError::Lies { .. }
            | StageError::Contradicts { .. }
            | StageError::Manifest { .. }
            | StageError::Signature { .. } => Outcome::Refuse,
        }
    }
}

/// Stages an image. Run again after an interruption, it goes on; run again after success, it only
/// reads back.
///
/// # Errors
/// See [`StageError`].
pub fn stage(
    node: &mut Node<'_>,
    running: &Running<'_>,
    approved: &Approved,
    source: &mut dyn ChunkSource,
    again: Again,
    seen: &mut dyn FnMut(Progress),
) -> Result<Staged, StageError> {
    let facts = node.facts()?;
    let admitted = admit(&facts, running, approved, again)?;
    let Admitted {
        slot,
        image,
        version,
        key,
    } = admitted;
    let error = |source| StageError::Slot { slot, source };
    let (manifest, signature) = (approved.manifest(), approved.signature());
    let area = SlotArea::whole(node.slot(slot));
    area.check(&image, manifest, signature).map_err(error)?;
    let staged = Staged {
        slot,
        version,
        key: Some(key),
        again,
    };
    if facts.complete(slot) == Some(version) {
        let found = hash(node, slot, image.image_bytes, seen)?;
        if found == image.sha256 {
            note(node, slot, &image);
            return Ok(staged);
        }
    }
    let forgotten = node.witness.forget();
    forgotten.map_err(|source| NodeError::Witness { slot, source })?;
    make_room(node, &facts, slot)?;
    let mut job = Job {
        approved,
        source,
        admitted,
        area,
        buffer: Vec::new(),
    };
    loop {
        let (first, written) = job.write(node, seen)?;
        match written {
            // What an interruption has left in front of `first` was not what the label said. The
            // label has forgotten it, so this happens once.
            Err(SlotError::ReadBack { .. }) if first > 0 => {}
            written => {
                written.map_err(error)?;
                note(node, slot, &image);
                return Ok(staged);
            }
        }
    }
}

/// Until the reboot nobody need read it again. Where that cannot be noted, it is read again.
fn note(node: &mut Node<'_>, slot: Slot, image: &Image) {
    let _ = node.witness.note(&Seen {
        slot,
        image_bytes: image.image_bytes,
        sha256: image.sha256,
    });
}

/// Nothing boots the slot any more, and nothing is noted to be in it.
fn make_room(node: &mut Node<'_>, facts: &Facts, slot: Slot) -> Result<(), StageError> {
    let record = facts.record().ok_or(NoRecord)?;
    if record.trial.is_some() {
        node.write_record(&record.disarmed())?;
    }
    let mut ledger = facts.ledger.clone();
    ledger.trial = None;
    let held = facts.held(slot).map(|held| held.label.digest);
    ledger.previous = ledger
        .previous
        .filter(|previous| Some(previous.digest) != held);
    if ledger != facts.ledger {
        node.write_ledger(&ledger)?;
    }
    Ok(())
}

/// One image on its way.
struct Job<'j> {
    approved: &'j Approved,
    source: &'j mut dyn ChunkSource,
    admitted: Admitted,
    area: SlotArea,
    /// That of the last chunk, for the next one: a new one costs as much time as hashing it.
    buffer: Vec<u8>,
}

impl Job<'_> {
    /// From where the label says to the complete label. Returns the first chunk that was written,
    /// and how it ended on the slot's side.
    fn write(
        &mut self,
        node: &mut Node<'_>,
        seen: &mut dyn FnMut(Progress),
    ) -> Result<(u32, Result<(), SlotError>), StageError> {
        let Admitted { slot, image, .. } = self.admitted;
        let (disk, other) = node.slot_and_other(slot);
        let mut writing = match self.area.begin(disk, &image) {
            Ok(writing) => writing,
            Err(error) => return Ok((0, Err(error))),
        };
        let first = writing.next();
        seen(Progress::Begins {
            slot,
            chunk: first,
            chunks: image.chunks(),
        });
        let mut reuse = Reuse::new(other);
        while writing.next() < image.chunks() {
            if let Err(error) = self.chunk(&mut writing, &mut reuse, seen)? {
                return Ok((first, Err(error)));
            }
        }
        let end = self.source.end().map_err(VerifyError::End);
        end.map_err(StageError::Source)?;
        let total_bytes = image.image_bytes;
        let read_back = writing.read_back(&mut |done_bytes| {
            seen(Progress::ReadBack {
                done_bytes,
                total_bytes,
            });
        });
        let (manifest, signature) = (self.approved.manifest(), self.approved.signature());
        let complete = read_back.and_then(|read_back| read_back.complete(manifest, signature));
        Ok((first, complete.map(drop)))
    }

    fn chunk(
        &mut self,
        writing: &mut Writing<'_>,
        reuse: &mut Reuse<'_>,
        seen: &mut dyn FnMut(Progress),
    ) -> Result<Result<(), SlotError>, StageError> {
        let image = self.admitted.image;
        let chunk = writing.next();
        let size = u64::from(image.chunk_bytes);
        let offset = size.saturating_mul(u64::from(chunk));
        let len = image.image_bytes.saturating_sub(offset).min(size);
        let len = usize::try_from(len).unwrap_or(usize::MAX);
        let reused = reuse.chunk(self.approved, chunk, offset, len);
        let is_reused = reused.is_some();
        let verified = match reused {
            Some(verified) => verified,
            None => self.fetch(chunk).map_err(StageError::Source)?,
        };
        if let Err(error) = writing.chunk(verified.as_slice()) {
            return Ok(Err(error));
        }
        seen(Progress::Written {
            done_bytes: offset.saturating_add(verified.as_slice().len() as u64),
            total_bytes: image.image_bytes,
            is_reused,
        });
        self.buffer = verified.into_inner();
        Ok(Ok(()))
    }

    /// A chunk of the source, verified.
    fn fetch(&mut self, chunk: u32) -> Result<Verified, VerifyError> {
        let mut tries = 0_u32;
        loop {
            self.buffer.clear();
            let fetched = self.source.chunk(0, chunk, &mut self.buffer);
            fetched.map_err(|source| VerifyError::Receive {
                name: self.name(),
                chunk,
                source,
            })?;
            let fault = match verify_chunk(self.approved, 0, chunk, &mut self.buffer) {
                Ok(verified) => return Ok(verified),
                Err(fault) => fault,
            };
            tries = tries.saturating_add(1);
            if tries >= TRIES_MAX || !self.source.refused(&fault) {
                return Err(fault);
            }
        }
    }

    fn name(&self) -> String {
        let image = self.approved.image();
        image.map_or_else(String::new, |image| image.name.to_string())
    }
}

/// What the other slot holds already, for a trial: a version that was staged before, or the former
/// one that a person wants back. It is read back as a whole, unless this boot has done that and
/// nothing has written there since. Somebody has to vouch for it: a trusted key, or the ledger,
/// which says that it was confirmed here.
///
/// # Errors
/// See [`StageError`].
pub fn held(
    node: &mut Node<'_>,
    running: &Running<'_>,
    trust: &Trust,
    again: Again,
    all: ReadAll,
    seen: &mut dyn FnMut(Progress),
) -> Result<Staged, StageError> {
    let facts = node.facts()?;
    let slot = other_slot(&facts, running)?;
    let version = facts.complete(slot);
    let version = version.ok_or(StageError::NotComplete { slot })?;
    let is_former = facts.ledger.previous == Some(version);
    if !is_former {
        again_or_not(&facts, &version, again)?;
    } else if let Some(failed) = facts.ledger.failure(&version.digest).filter(|_| !again.0) {
        return Err(Refusal::Failed(Box::new(failed.clone())).into());
    }
    let key = match vouched(node, slot, trust) {
        Ok(key) => Some(key),
        Err(StageError::Signature { .. } | StageError::Refused(Refusal::Unsigned)) if is_former => {
            None
        }
        Err(error) => return Err(error),
    };
    read_back(node, slot, all, seen)?;
    if let Some(key) = key.filter(|_| !is_former) {
        let (found, floor) = (version.counter, floor(&facts, running, key));
        if found < floor {
            return Err(Refusal::BelowFloor { found, floor, key }.into());
        }
    }
    Ok(Staged {
        slot,
        version,
        key,
        again,
    })
}

/// Verifies a complete slot by what stands behind its label: signature, role and product, and the
/// whole image. Nothing is written. Returns the key that vouches for it.
///
/// # Errors
/// See [`StageError`].
pub fn verify(
    node: &mut Node<'_>,
    slot: Slot,
    trust: &Trust,
    seen: &mut dyn FnMut(Progress),
) -> Result<KeyId, StageError> {
    let key = vouched(node, slot, trust)?;
    read_back(node, slot, ReadAll(true), seen)?;
    Ok(key)
}

/// The key that vouches for the manifest in a slot.
fn vouched(node: &mut Node<'_>, slot: Slot, trust: &Trust) -> Result<KeyId, StageError> {
    let (manifest, signature) = release(node, slot)?;
    let vouched = trust::vouch_for(&manifest, &signature, Wanted::SYSTEM, trust);
    let (_, voucher) = vouched.map_err(|source| StageError::Signature { slot, source })?;
    let key = match voucher {
        Voucher::Key(key) => key::of_public_key(&key),
        Voucher::Sender { .. } => None,
    };
    Ok(key.ok_or(Refusal::Unsigned)?)
}

/// Manifest and signature of a slot, as its label names them.
fn release(node: &mut Node<'_>, slot: Slot) -> Result<(Vec<u8>, Vec<u8>), StageError> {
    let version = node.facts()?.complete(slot);
    let version = version.ok_or(StageError::NotComplete { slot })?;
    let disk = node.slot(slot);
    let release = SlotArea::whole(disk).raw_release(disk);
    let (manifest, signature) = release.map_err(|source| StageError::Slot { slot, source })?;
    let found: Sha256 = Hasher::digest(&manifest).into();
    if found != version.digest {
        return Err(StageError::Lies {
            slot,
            part: "manifest",
            found,
        });
    }
    Ok((manifest, signature))
}

/// The whole image of a slot against the manifest behind its label.
fn read_back(
    node: &mut Node<'_>,
    slot: Slot,
    ReadAll(all): ReadAll,
    seen: &mut dyn FnMut(Progress),
) -> Result<(), StageError> {
    let (manifest, _) = release(node, slot)?;
    let parsed = Manifest::parse(&manifest);
    let parsed = parsed.map_err(|source| StageError::Manifest { slot, source })?;
    let content = parsed.files().next().map(|file| file.content);
    let Some(Content::Hashed {
        sha256, size_bytes, ..
    }) = content
    else {
        return Err(Refusal::NoImage.into());
    };
    let facts = node.facts()?;
    let label = facts.held(slot).map(|held| held.label);
    let found = label.map(|label| (label.counter, label.image_bytes));
    if found != Some((parsed.head().counter, size_bytes)) {
        return Err(StageError::Contradicts { slot });
    }
    let known = Seen {
        slot,
        image_bytes: size_bytes,
        sha256,
    };
    if !all && is_known(node, &known)? {
        return Ok(());
    }
    let found = hash(node, slot, size_bytes, seen)?;
    if found != sha256 {
        return Err(StageError::Lies {
            slot,
            part: "image",
            found,
        });
    }
    Ok(())
}

/// Has this boot read it already, and has nobody written there since? What is still in the cache is
/// written first, and so counts.
fn is_known(node: &mut Node<'_>, seen: &Seen) -> Result<bool, StageError> {
    if !node.witness.knows(seen) {
        return Ok(false);
    }
    let slot = seen.slot;
    let disk = node.slot(slot);
    let flushed = SlotArea::whole(disk).flush(disk);
    flushed.map_err(|source| StageError::Slot { slot, source })?;
    Ok(node.witness.knows(seen))
}

/// SHA-256 of the beginning of a slot, from the medium.
fn hash(
    node: &mut Node<'_>,
    slot: Slot,
    total_bytes: u64,
    seen: &mut dyn FnMut(Progress),
) -> Result<Sha256, StageError> {
    let disk = node.slot(slot);
    let area = SlotArea::whole(disk);
    let mut read = |done_bytes| {
        seen(Progress::ReadBack {
            done_bytes,
            total_bytes,
        });
    };
    let hash = area.hash(disk, total_bytes, &mut read);
    hash.map_err(|source| StageError::Slot { slot, source })
}
