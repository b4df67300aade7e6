//! The offer to every target: a manifest, and the items it announces in the same order.
//!
//! In: a directory of packages, with a signed manifest or without one, or items that are made while
//! they are sent. Out: an [`Offer`]. Each file is read once here, and whatever is sent later is
//! compared with what was read.

use std::fmt;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::Arc;
use std::time::UNIX_EPOCH;

use pack::hash::{self, Hash};
use pack::manifest::directory::Directory;
use pack::manifest::listing::{ListingError, Title, line, write};
use pack::packages::Packages;
use pack::utc;
use wire::manifest::{File, Manifest};
use wire::message::{HASH_LEN, SIGNATURE_MAX};

use crate::source::Item;
use crate::source::cache::Cache;
use crate::source::file::FileItem;

/// A manifest and its items.
pub struct Offer {
    /// The manifest's exact bytes.
    pub manifest: Vec<u8>,
    /// The whole signature file; empty when nobody signed.
    pub signature: Vec<u8>,
    /// Hashes of all chunks of all files, 32 bytes each.
    pub chunk_lists: Vec<u8>,
    /// SHA-256 of the manifest.
    pub digest: Hash,
    /// For people.
    pub version: String,
    /// The manifest's line about each item.
    pub files: Vec<File>,
    /// The bytes to send, in the same order.
    pub items: Vec<Box<dyn Item>>,
}

impl Offer {
    /// Bytes of all items; `None` when one is still being made.
    #[must_use]
    pub fn total_bytes(&self) -> Option<u64> {
        self.items.iter().try_fold(0, |sum: u64, item| {
            Some(sum.saturating_add(item.len_bytes()?))
        })
    }
}

impl fmt::Debug for Offer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Offer")
            .field("digest", &hash::hex(&self.digest))
            .field("items", &self.items.len())
            .finish_non_exhaustive()
    }
}

/// An item that is sent before the files of a directory.
pub struct Made {
    /// As it is announced.
    pub file: File,
    /// Where it comes from.
    pub item: Box<dyn Item>,
}

/// Of a manifest that is made for one deploy and vouched for by the pairing.
///
/// The same files must give the same bytes: a donor that was killed and started again goes on with
/// the same manifest or not at all. So its time is that of the newest file.
fn title_of_files(packages: &Packages) -> Title {
    let newest = packages.packages.iter().filter_map(|package| {
        let modified = package.file.metadata().ok()?.modified().ok()?;
        modified.duration_since(UNIX_EPOCH).ok()
    });
    Title {
        version: "unversioned".to_owned(),
        counter: 0,
        keyset: 0,
        created: newest.max().unwrap_or_default(),
    }
}

/// Of what is made while it is sent, and differs each time: no other donor may go on with it, nor
/// this one when it is started again. The standard library's random numbers are good enough to tell
/// one deploy from another.
fn title_of_live() -> Title {
    let random = RandomState::new().build_hasher().finish();
    Title {
        version: format!("live-{random:016x}"),
        counter: 0,
        keyset: 0,
        created: utc::now(),
    }
}

/// The offer of `directory` and of what is `made`, for so many targets.
///
/// # Errors
/// A file cannot be read, or is not what the directory's own manifest says.
pub fn prepare(
    directory: Option<Directory>,
    made: Vec<Made>,
    targets: usize,
    step: &mut dyn FnMut(u64),
) -> Result<Offer, ListingError> {
    let cache = Arc::new(Cache::new(cache_chunks(targets)));
    let (mut files, mut items, mut chunk_lists) = (Vec::new(), Vec::new(), Vec::new());
    // A manifest that was made before says nothing of what is made now.
    let is_made = !made.is_empty();
    for made in made {
        files.push(made.file);
        items.push(made.item);
    }
    let mut listed = None;
    let title = match &directory {
        Some(directory) if !is_made => title_of_files(&directory.packages),
        _ => title_of_live(),
    };
    if let Some(directory) = directory {
        let hashed = directory.hash(step)?;
        listed = directory.listed.filter(|_| !is_made);
        for (package, hashed) in directory.packages.packages.into_iter().zip(hashed) {
            files.push(line(package.name.clone(), &hashed, None));
            chunk_lists.extend_from_slice(hashed.chunks.as_flattened());
            // At most FILES_MAX are let through below.
            let number = u16::try_from(items.len()).unwrap_or(u16::MAX);
            let item = FileItem::new(package, number, hashed, Arc::clone(&cache));
            items.push(Box::new(item) as Box<dyn Item>);
        }
    }
    let (manifest, signature) = match listed {
        Some(listed) => (listed.manifest, listed.signature),
        None => (write(&title, &files)?, Vec::new()),
    };
    let parsed = Manifest::parse(&manifest).map_err(ListingError::Build)?;
    Ok(Offer {
        digest: hash::of(&manifest),
        version: parsed.head().version.to_owned(),
        files: parsed.files().collect(),
        signature,
        chunk_lists,
        items,
        manifest,
    })
}

/// Alone, a target asks for a chunk once. Several keep about a quarter of a second of a fast link
/// between the first and the last.
const fn cache_chunks(targets: usize) -> usize {
    if targets > 1 { 32 } else { 1 }
}

const _: () = assert!(HASH_LEN == size_of::<Hash>() && SIGNATURE_MAX < 1 << 16);
