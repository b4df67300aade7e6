//! Versions to update to: images that are mostly zeros, with their manifest, signature and a source
//! of their chunks.

use std::sync::LazyLock;

use bundle::fakes::image::{CHUNK, HEAD, Signer, describe, manifest, noise};
use bundle::trust::{Approved, Offered, Wanted, approve};
use bundle::verify::{ChunkError, ChunkSource, IsLast, VerifyError};
use disk::disk::SectorSize;
use disk::fakes::memory_disk::MemoryDisk;
use wire::ledger::{KeyId, Version};
use wire::manifest::{Head, Unpacked};
use wire::outcome::Outcome;

pub static SIGNER: LazyLock<Signer> = LazyLock::new(Signer::new);

pub fn key() -> KeyId {
    bundle::key::of_public_key(&SIGNER.public()).unwrap()
}

/// A release of one image.
pub struct Release {
    pub data: Vec<u8>,
    pub manifest: Vec<u8>,
    pub signature: Vec<u8>,
    pub chunk_lists: Vec<u8>,
    pub version: Version,
    /// Where chunks are that are not zeros, and every sector of them.
    noisy: Vec<usize>,
    used: Vec<u64>,
}

impl Release {
    /// `chunks` of them, zeros but for those that are named with a seed.
    pub fn new(counter: u64, chunks: usize, noisy: &[(usize, u64)]) -> Self {
        let mut data = vec![0; chunks * CHUNK];
        for (chunk, seed) in noisy {
            data[chunk * CHUNK..(chunk + 1) * CHUNK].copy_from_slice(&noise(CHUNK, *seed));
        }
        Self::of(data, &Head { counter, ..HEAD })
    }

    /// Manifest, signature and chunk lists of an image.
    pub fn signed(data: &[u8], head: &Head<'_>) -> (Vec<u8>, Vec<u8>, Vec<u8>) {
        let unpacked = Unpacked::of_image(data.len() as u64);
        let (file, chunk_lists) = describe("smechvisor-system.img", data, Some(unpacked));
        let manifest = manifest(head, &[file]);
        let signature = SIGNER.sign(&manifest);
        (manifest, signature, chunk_lists)
    }

    fn of(data: Vec<u8>, head: &Head<'_>) -> Self {
        let (manifest, signature, chunk_lists) = Self::signed(&data, head);
        let len = data.len() as u64;
        let mut disk = MemoryDisk::new(len, SectorSize::B512);
        disk.put(0, &data);
        let chunks = data.chunks(CHUNK).enumerate();
        let noisy = chunks.filter(|(_, chunk)| chunk.iter().any(|byte| *byte != 0));
        let mut release = Self {
            noisy: noisy.map(|(chunk, _)| chunk * CHUNK).collect(),
            used: disk.used_sectors(0, len),
            data,
            manifest,
            signature,
            chunk_lists,
            version: Version {
                digest: [0; 32],
                counter: head.counter,
            },
        };
        release.version.digest = *release.approved().digest();
        release
    }

    pub fn offered(&self) -> Offered<'_> {
        Offered {
            manifest: &self.manifest,
            signature: &self.signature,
            chunk_lists: &self.chunk_lists,
        }
    }

    pub fn approved(&self) -> Approved {
        approve(self.offered(), Wanted::SYSTEM, &SIGNER.trust()).unwrap()
    }

    pub fn source(&self) -> Source<'_> {
        Source {
            data: &self.data,
            ends_at: u32::MAX,
            changed: None,
            asked: 0,
        }
    }

    /// Does the beginning of this slot hold exactly this image?
    pub fn is_in(&self, slot: &MemoryDisk) -> bool {
        let is_there = |at: &usize| slot.get(*at as u64, CHUNK) == self.data[*at..at + CHUNK];
        self.noisy.iter().all(is_there) && slot.used_sectors(0, self.data.len() as u64) == self.used
    }
}

/// Gives chunks in any order.
pub struct Source<'a> {
    data: &'a [u8],
    /// The connection breaks there.
    pub ends_at: u32,
    /// A byte of the image that is sent wrongly.
    pub changed: Option<usize>,
    pub asked: u32,
}

impl ChunkSource for Source<'_> {
    fn chunk(&mut self, _file: u16, chunk: u32, buf: &mut Vec<u8>) -> Result<IsLast, ChunkError> {
        self.asked += 1;
        if chunk >= self.ends_at {
            return Err(ChunkError::Missing {
                what: "the source is gone".to_owned(),
                outcome: Outcome::Retry,
                source: None,
            });
        }
        let start = chunk as usize * CHUNK;
        let end = self.data.len().min(start + CHUNK);
        buf.extend_from_slice(&self.data[start..end]);
        if let Some(at) = self.changed.filter(|at| (start..end).contains(at)) {
            buf[at - start] ^= 1;
        }
        Ok(IsLast(end == self.data.len()))
    }

    fn refused(&mut self, _fault: &VerifyError) -> bool {
        true
    }
}
