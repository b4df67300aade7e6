//! The manifest: what an image consists of, so that each chunk can be checked before anything reads
//! it (`protocol.md` 4).
//!
//! In: bytes whose signature, if one is wanted, was verified before. Out: a [`Manifest`] that
//! borrows from them, or the number of the first line that is wrong and what is wrong there. There
//! is exactly one way to write a manifest, and [`Builder`] writes it.

mod build;
mod fault;
mod line;

use crate::message::{CHUNK_MAX, CHUNKS_MAX, HASH_LEN, MANIFEST_MAX};
use crate::stream::{DATA_MAX, NAME_MAX, PackageName};
use core::fmt;
use heapless::Vec;

pub use build::Builder;
pub use fault::{Fault, ManifestError, Shown};
use line::Line;
pub(crate) use line::good_word;

/// The manifest as a file of a directory of packages, and as a package of the original stream
/// (`protocol.md` 4.4).
pub const MANIFEST: &str = "MANIFEST";
/// Its signature, likewise.
pub const SIGNATURE: &str = "MANIFEST.minisig";
/// Its chunk lists, likewise.
pub const CHUNK_LISTS: &str = "MANIFEST.chunks";
/// Longest manifest, in bytes.
pub const LEN_MAX: usize = MANIFEST_MAX;
/// Files in one manifest.
pub const FILES_MAX: usize = 1024;
/// Smallest chunk size, in bytes.
pub const CHUNK_SIZE_MIN: u32 = 64 << 10;
/// Largest chunk size, in bytes.
pub const CHUNK_SIZE_MAX: u32 = CHUNK_MAX as u32;
/// Chunk size for want of a reason to take another.
pub const CHUNK_SIZE_DEFAULT: u32 = CHUNK_SIZE_MAX;
/// Longest product and version, in bytes.
pub const WORD_MAX: usize = 64;
/// First line.
pub const FIRST_LINE: &str = "smechvisor-manifest 1";
/// A file whose name ends so is an image; every other one is an archive.
pub const IMAGE_SUFFIX: &str = ".img";
/// The name of this system in manifests.
pub const PRODUCT: &str = "smv-x86_64";
/// Every public key of minisign in base64 begins with this, the algorithm `Ed`. The library also
/// takes `ED`, which minisign writes into signatures only and refuses in keys.
pub const PUBLIC_KEY_BEGINS: &str = "RW";

/// SHA-256.
pub type Sha256 = [u8; HASH_LEN];

/// The purpose of an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// A whole system for a bare machine.
    Os,
    /// The rest is for machines that run already.
    Daemon,
    /// Base of a system.
    Base,
    /// Kernel.
    Kernel,
    /// Site.
    Site,
    /// Store.
    Store,
    /// Model.
    Model,
}

impl Role {
    /// Every role.
    pub const ALL: [Role; 7] = [
        Role::Os,
        Role::Daemon,
        Role::Base,
        Role::Kernel,
        Role::Site,
        Role::Store,
        Role::Model,
    ];

    /// As it stands in a manifest.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Role::Os => "os",
            Role::Daemon => "daemon",
            Role::Base => "base",
            Role::Kernel => "kernel",
            Role::Site => "site",
            Role::Store => "store",
            Role::Model => "model",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// The lines above the files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head<'a> {
    /// The purpose of the image.
    pub role: Role,
    /// For which machines: 1 to [`WORD_MAX`] of `[A-Za-z0-9._+-]`.
    pub product: &'a str,
    /// For people, of the same characters.
    pub version: &'a str,
    /// Goes up with each release.
    pub counter: u64,
    /// The generation of keys.
    pub keyset: u32,
    /// For people: `2026-11-20T00:00:00Z`.
    pub created: &'a str,
}

/// Length and number of entries of the tar in a package.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unpacked {
    /// Bytes of tar, at least 1.
    pub size_bytes: u64,
    /// Entries of every kind, directories too.
    pub entries: u32,
}

impl Unpacked {
    /// What an image of `size_bytes` comes to: itself.
    #[must_use]
    pub const fn of_image(size_bytes: u64) -> Self {
        Self {
            size_bytes,
            entries: 1,
        }
    }
}

/// One file, whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// The name under which the donor sends it.
    pub name: PackageName,
    /// How large its chunks are, in bytes; the last one may be smaller.
    pub chunk_size: u32,
    /// The known facts about its bytes.
    pub content: Content,
}

/// Is the file of this name an image, which is written to a slot as it is (`protocol.md` 4.1)? Else
/// it is an archive, which is unpacked.
#[must_use]
pub fn is_image(name: &PackageName) -> bool {
    name.as_str().ends_with(IMAGE_SUFFIX)
}

/// The facts about a file's bytes that are known before they come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// Everything.
    Hashed {
        /// Of the whole file.
        sha256: Sha256,
        /// Its length, 1 to [`DATA_MAX`].
        size_bytes: u64,
        /// The numbers of its contents; `None` where they were not counted.
        unpacked: Option<Unpacked>,
        /// Of its part of the chunk lists.
        chunk_list_sha256: Sha256,
    },
    /// Nothing: it is made while it is sent.
    Live,
}

impl File {
    /// How many chunks it has; `None` when it is live.
    #[must_use]
    pub const fn chunks(&self) -> Option<u32> {
        match self.content {
            Content::Hashed { size_bytes, .. } => {
                let chunks = size_bytes.div_ceil(self.chunk_size as u64);
                // 2^40 bytes are 2^24 of the smallest chunks.
                Some(if chunks > u32::MAX as u64 {
                    u32::MAX
                } else {
                    chunks as u32
                })
            }
            Content::Live => None,
        }
    }
}

/// A manifest that keeps every rule of `protocol.md` 4.1 and 4.5.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Manifest<'a> {
    head: Head<'a>,
    /// The lines of the files, each with its line end.
    lines: &'a [u8],
    files: u16,
    chunks: u32,
    is_live: bool,
}

impl<'a> Manifest<'a> {
    /// Reads a manifest.
    ///
    /// # Errors
    /// The first line that is wrong.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, ManifestError> {
        if bytes.len() > LEN_MAX {
            return Err(ManifestError::new(
                0,
                Fault::TooLong {
                    len_bytes: bytes.len(),
                },
            ));
        }
        let mut lines = line::Lines::new(bytes);
        let head = head(&mut lines)?;
        let before_files = lines.rest();
        let mut files = Files::default();
        let (end, len_bytes) = loop {
            let after_files = lines.rest();
            let mut line = lines.next("end")?;
            let Some(file) = line.file()? else {
                break (line, before_files.len().saturating_sub(after_files.len()));
            };
            files.take(&line, &file)?;
        };
        finish(end, &lines, &files)?;
        Ok(Self {
            head,
            lines: before_files.get(..len_bytes).unwrap_or_default(),
            files: files.count(),
            chunks: files.chunks,
            is_live: files.is_live,
        })
    }

    /// The lines above the files.
    #[must_use]
    pub const fn head(&self) -> &Head<'a> {
        &self.head
    }

    /// The files, in the order in which they are sent.
    pub fn files(&self) -> impl Iterator<Item = File> + use<'a> {
        let mut lines = line::Lines::new(self.lines);
        // They were read before; a line that cannot be read again does not exist.
        core::iter::from_fn(move || lines.next("file").ok()?.file().ok()?)
    }

    /// How many files there are: 1 to [`FILES_MAX`].
    #[must_use]
    pub const fn file_count(&self) -> u16 {
        self.files
    }

    /// Chunks of all files that are not live: hashes in the chunk lists.
    #[must_use]
    pub const fn chunk_count(&self) -> u32 {
        self.chunks
    }

    /// Is a file of unknown contents among them?
    #[must_use]
    pub const fn is_live(&self) -> bool {
        self.is_live
    }
}

impl fmt::Debug for Manifest<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Manifest")
            .field("head", &self.head)
            .field("files", &self.files)
            .finish_non_exhaustive()
    }
}

fn head<'a>(lines: &mut line::Lines<'a>) -> Result<Head<'a>, ManifestError> {
    let first = lines.next(FIRST_LINE)?;
    if first.bytes() != FIRST_LINE.as_bytes() {
        return Err(first.fault(Fault::First(first.shown())));
    }
    let mut role = lines.field("role")?;
    let role = role.role()?;
    let product = lines.field("product")?.only_word()?;
    let version = lines.field("version")?.only_word()?;
    let counter = lines.field("counter")?.only_number(u64::MAX)?;
    let mut keyset_line = lines.field("keyset")?;
    let keyset = keyset_line.only_number(u64::from(u32::MAX))?;
    let created = lines.field("created")?.only_time()?;
    Ok(Head {
        role,
        product,
        version,
        counter,
        // Within u32 by the limit above.
        keyset: u32::try_from(keyset).unwrap_or(u32::MAX),
        created,
    })
}

fn finish(
    mut end: Line<'_>,
    lines: &line::Lines<'_>,
    files: &Files<'_>,
) -> Result<(), ManifestError> {
    end.keyword("end")?;
    let claimed = end.only_number(FILES_MAX as u64)?;
    let found = files.names.len();
    if claimed != found as u64 {
        return Err(end.fault(Fault::Count { claimed, found }));
    }
    if found == 0 {
        return Err(end.fault(Fault::NoFiles));
    }
    match lines.rest().len() {
        0 => Ok(()),
        len_bytes => Err(ManifestError::new(
            end.line_number().saturating_add(1),
            Fault::BehindTheEnd { len_bytes },
        )),
    }
}

/// Sums over the files so far.
#[derive(Default)]
struct Files<'a> {
    /// Without their suffixes, as [`PackageName::package`] says. 16 KiB, for as long as a manifest
    /// is read.
    names: Vec<&'a str, FILES_MAX>,
    chunks: u32,
    is_live: bool,
    has_image: bool,
}

impl<'a> Files<'a> {
    fn take(&mut self, line: &Line<'a>, file: &File) -> Result<(), ManifestError> {
        self.take_image(file).map_err(|fault| line.fault(fault))?;
        let package = line
            .name()
            .get(..file.name.package().len())
            .unwrap_or_default();
        if self.names.contains(&package) {
            return Err(line.fault(Fault::Repeated(Shown::of(package.as_bytes()))));
        }
        self.names
            .push(package)
            .map_err(|_| line.fault(Fault::TooManyFiles))?;
        match file.chunks() {
            Some(chunks) => self.chunks = self.chunks.saturating_add(chunks),
            None => self.is_live = true,
        }
        if self.chunks > CHUNKS_MAX {
            return Err(line.fault(Fault::TooManyChunks));
        }
        Ok(())
    }

    /// An image is alone in its manifest, is not made while it is sent, and unpacks to itself.
    fn take_image(&mut self, file: &File) -> Result<(), Fault> {
        let is_image = is_image(&file.name);
        if self.has_image || (is_image && !self.names.is_empty()) {
            return Err(Fault::ImageAndOthers);
        }
        self.has_image = is_image;
        match file.content {
            Content::Live if is_image => Err(Fault::LiveImage),
            Content::Hashed {
                size_bytes,
                unpacked: Some(unpacked),
                ..
            } if is_image && unpacked != Unpacked::of_image(size_bytes) => {
                Err(Fault::ImageUnpacked { size_bytes })
            }
            Content::Live | Content::Hashed { .. } => Ok(()),
        }
    }

    fn count(&self) -> u16 {
        // At most FILES_MAX.
        u16::try_from(self.names.len()).unwrap_or(u16::MAX)
    }
}

const _: () = assert!(DATA_MAX / CHUNK_SIZE_MIN as u64 <= u32::MAX as u64);
const _: () = assert!(NAME_MAX < LEN_MAX);

#[cfg(test)]
mod tests;
