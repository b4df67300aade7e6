//! A release that is one image (`slot.md` 2): whether it suits the layout, and its way into slot A.
//!
//! What was approved comes in, with the packages that bring it. When [`Release::write`] has
//! returned, the image was read back from the medium and the slot's label says `complete`. Whatever
//! can be refused is refused before the disk is touched ([`Release::of`], [`Release::check`]).

use std::time::{Duration, Instant};

use thiserror::Error;
use wire::label::Label;
use wire::manifest::{Content, IMAGE_SUFFIX, is_image};
use wire::outcome::Outcome;
use wire::stage::Stage;
use wire::stream::PackageName;

use bundle::event::{Event, Observer};
use bundle::package_stream::{Packages, PackagesError};
use bundle::trust::Approved;
use disk::disk::Disk;
use disk::sizes::{LayoutKind, MIB};
use disk::slots::{Image, SlotArea, SlotError};

/// Between two [`Event::Received`].
const REPORT_EVERY: Duration = Duration::from_millis(250);
/// Between two lines about what was read back: a slow disk takes minutes for some GiB.
const READ_BACK_EVERY: Duration = Duration::from_secs(5);
/// A FAT's first sector ends in 55AA, whatever its size (Microsoft FAT specification 1.03, 3.1).
const FAT_SIGNATURE: (usize, [u8; 2]) = (510, [0x55, 0xAA]);

/// A release does not suit the layout, or its image does not come.
#[derive(Debug, Error)]
#[allow(missing_docs)] // the fields name themselves
pub enum ImageError {
    /// An image, where archives belong.
    #[error(
        "{name} is an image of a slot; a disk with the layout single takes archives \
         (smv.layout=ab makes slots)"
    )]
    ToSingle { name: String },
    /// Archives, where an image belongs.
    #[error(
        "{name} is an archive; a disk with the layout ab takes one image, whose name ends in {IMAGE_SUFFIX}"
    )]
    ToAb { name: String },
    /// More than the image.
    #[error("{found} follows {name}, and a disk with the layout ab takes one image")]
    More { name: String, found: String },
    /// Nothing says what the image is.
    #[error("{name} comes without a manifest; a disk with the layout ab takes none without one")]
    NoManifest { name: String },
    /// Other bytes.
    #[error("{name} does not begin with a FAT volume, as the image of a slot does")]
    NoHead { name: String },
    /// It does not fit, or the disk failed.
    #[error("writing {name} into slot A")]
    Slot {
        name: String,
        #[source]
        source: SlotError,
    },
    /// It broke off.
    #[error("receiving {name}")]
    Packages {
        name: String,
        #[source]
        source: PackagesError,
    },
}

impl ImageError {
    /// What follows from it.
    #[must_use]
    pub const fn outcome(&self) -> Outcome {
        match self {
            ImageError::Slot { source, .. } => source.outcome(),
            ImageError::Packages { source, .. } => source.outcome(),
            _ => Outcome::Refuse,
        }
    }
}

/// One image that may be installed.
#[derive(Debug)]
pub struct Release {
    name: String,
    approved: Approved,
    image: Image,
}

impl Release {
    /// The image that these packages are, for a disk with slots; `None` for one with a root, which
    /// takes archives.
    ///
    /// # Errors
    /// Packages and layout do not suit each other.
    pub fn of(
        layout: LayoutKind,
        first: &PackageName,
        approved: Option<&Approved>,
    ) -> Result<Option<Self>, ImageError> {
        let name = first.to_string();
        match (layout, is_image(first)) {
            (LayoutKind::Single, true) => return Err(ImageError::ToSingle { name }),
            (LayoutKind::Single, false) => return Ok(None),
            (LayoutKind::Ab { .. }, false) => return Err(ImageError::ToAb { name }),
            (LayoutKind::Ab { .. }, true) => {}
        }
        // An image is the only file of its manifest, and never live (`protocol.md` 4.1).
        let file = approved.and_then(|approved| Some((approved, approved.files().next()?)));
        let Some((approved, file)) = file else {
            return Err(ImageError::NoManifest { name });
        };
        let Content::Hashed {
            sha256, size_bytes, ..
        } = file.content
        else {
            return Err(ImageError::NoManifest { name });
        };
        Ok(Some(Self {
            name,
            image: Image {
                digest: *approved.digest(),
                counter: approved.counter(),
                image_bytes: size_bytes,
                sha256,
                chunk_bytes: file.chunk_size,
            },
            approved: approved.clone(),
        }))
    }

    /// Bytes of the first chunk, by which an image is known.
    #[must_use]
    pub fn first_bytes(&self) -> usize {
        self.chunk_bytes(0)
    }

    fn chunk_bytes(&self, chunk: u32) -> usize {
        let chunk_bytes = u64::from(self.image.chunk_bytes);
        let before = u64::from(chunk).saturating_mul(chunk_bytes);
        let left = self.image.image_bytes.saturating_sub(before);
        usize::try_from(left.min(chunk_bytes)).unwrap_or(0)
    }

    /// Whether it begins as images do.
    ///
    /// # Errors
    /// It does not.
    pub fn check_head(&self, first_chunk: &[u8]) -> Result<(), ImageError> {
        let (at, signature) = FAT_SIGNATURE;
        let found = first_chunk.get(at..at.saturating_add(signature.len()));
        if found != Some(&signature) {
            return Err(ImageError::NoHead {
                name: self.name.clone(),
            });
        }
        Ok(())
    }

    /// Whether it has room in this slot.
    ///
    /// # Errors
    /// It has not.
    pub fn check_room(&self, area: &SlotArea) -> Result<(), ImageError> {
        let (manifest, signature) = (self.approved.manifest(), self.approved.signature());
        area.check(&self.image, manifest, signature)
            .map_err(|source| self.slot(source))
    }

    /// Writes the image, whose first chunk was read already, reads it back, and labels the slot.
    ///
    /// # Errors
    /// The image does not come, the disk failed, or it does not hold what was written.
    pub fn write(
        &self,
        packages: &mut dyn Packages,
        first_chunk: &[u8],
        area: &SlotArea,
        disk: &mut dyn Disk,
        observer: &dyn Observer,
    ) -> Result<Label, ImageError> {
        observer.event(Event::Package {
            name: self.name.clone(),
            claimed_len: self.image.image_bytes,
        });
        let mut writing = area
            .begin(disk, &self.image)
            .map_err(|source| self.slot(source))?;
        writing
            .chunk(first_chunk)
            .map_err(|source| self.slot(source))?;
        let mut buffer = Vec::new();
        let mut reported = Instant::now();
        while writing.next() < self.image.chunks() {
            buffer.resize(self.chunk_bytes(writing.next()), 0);
            let len = fill(packages, &mut buffer).map_err(|source| self.broken(source))?;
            // A package that is too short for its manifest is not taken for the whole of it.
            let chunk = buffer.get(..len).unwrap_or_default();
            writing.chunk(chunk).map_err(|source| self.slot(source))?;
            if reported.elapsed() >= REPORT_EVERY {
                reported = Instant::now();
                report(packages, observer);
            }
        }
        report(packages, observer);
        // Nothing may follow, and the source has seen its end.
        let behind = packages.next_header();
        if let Some(found) = behind.map_err(|source| self.broken(source))? {
            return Err(ImageError::More {
                name: self.name.clone(),
                found: found.name.to_string(),
            });
        }
        self.report_read_back(0, observer);
        let mut reported = Instant::now();
        let read_back = writing.read_back(&mut |done| {
            if reported.elapsed() >= READ_BACK_EVERY {
                reported = Instant::now();
                self.report_read_back(done, observer);
            }
        });
        let read_back = read_back.map_err(|source| self.slot(source))?;
        let (manifest, signature) = (self.approved.manifest(), self.approved.signature());
        let complete = read_back.complete(manifest, signature);
        complete.map_err(|source| self.slot(source))
    }

    /// Nothing comes meanwhile, which looks like a deploy that hangs.
    fn report_read_back(&self, done_bytes: u64, observer: &dyn Observer) {
        let (done, all) = (done_bytes / MIB, self.image.image_bytes / MIB);
        observer.event(Event::Stage {
            stage: Stage::Finishing,
            facts: format!("read-back={done}MiB of={all}MiB"),
        });
    }

    fn slot(&self, source: SlotError) -> ImageError {
        ImageError::Slot {
            name: self.name.clone(),
            source,
        }
    }

    fn broken(&self, source: PackagesError) -> ImageError {
        ImageError::Packages {
            name: self.name.clone(),
            source,
        }
    }
}

fn report(packages: &dyn Packages, observer: &dyn Observer) {
    let bytes = packages.offset_bytes();
    observer.event(Event::Received {
        bytes,
        unpacked_bytes: bytes,
    });
}

/// As much of `buf` as the package has; the number of bytes.
///
/// # Errors
/// Its source's.
pub fn fill(packages: &mut dyn Packages, buf: &mut [u8]) -> Result<usize, PackagesError> {
    let mut len = 0;
    while let Some(rest) = buf.get_mut(len..).filter(|rest| !rest.is_empty()) {
        match packages.read_data(rest)? {
            0 => break,
            got => len += got,
        }
    }
    Ok(len)
}
