//! Whose images are taken: a manifest's bytes, signature and chunk lists in, an [`Approved`] image
//! out or why not (`protocol.md` 4.3).
//!
//! The order is the point. The signature is verified over the exact bytes before one of them is
//! parsed; role, product, chunk lists and counter are checked before anybody learns what the files
//! are called. [`approve`] is the only place that makes an [`Approved`], so a caller that holds
//! one need not check again. Without a trusted key nothing is claimed to be verified:
//! [`Approved::voucher`] says so, and the screens repeat it.

mod keys;
mod signature;

use std::fmt;
use std::sync::Arc;

use sha2::{Digest, Sha256 as Hasher};
use thiserror::Error;
use wire::manifest::{
    self, Content, File, Manifest, ManifestError, PRODUCT, Role, Sha256, is_image,
};
use wire::message::{CHUNK_LISTS_MAX, HASH_LEN, SIGNATURE_MAX};
use wire::outcome::Outcome;

pub use keys::{KEYS_MAX, Trust, TrustError};
pub use signature::SignatureError;

/// What somebody claims are a manifest and what belongs to it: proves nothing.
#[derive(Clone, Copy, Debug)]
#[allow(missing_docs)] // the fields name themselves
pub struct Offered<'a> {
    pub manifest: &'a [u8],
    /// The whole `.minisig` file; empty when there is none.
    pub signature: &'a [u8],
    pub chunk_lists: &'a [u8],
}

/// Images that are for this place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // the fields name themselves
pub struct Wanted<'a> {
    pub role: Role,
    pub product: &'a str,
}

impl Wanted<'static> {
    /// What a bare machine takes, and what a system is replaced by.
    pub const SYSTEM: Self = Self {
        role: Role::Os,
        product: PRODUCT,
    };
}

/// The party that vouches for an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Voucher {
    /// This trusted key, a minisign public key in base64.
    Key(String),
    /// Only the paired donor. The signature, if there is one, was not looked at: there is no key
    /// to trust.
    Sender {
        /// Was there one?
        has_signature: bool,
    },
}

impl fmt::Display for Voucher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Voucher::Key(key) => write!(f, "signed by {key}"),
            Voucher::Sender {
                has_signature: false,
            } => f.write_str("unsigned"),
            Voucher::Sender {
                has_signature: true,
            } => f.write_str("signature not checked, no trusted key"),
        }
    }
}

/// An image that may be installed. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Approved(Arc<Image>);

#[derive(Debug, PartialEq, Eq)]
struct Image {
    /// Exactly as it was offered.
    manifest: Vec<u8>,
    /// Likewise; empty when there is none.
    signature: Vec<u8>,
    sha256: Sha256,
    version: String,
    counter: u64,
    voucher: Voucher,
    files: Vec<ApprovedFile>,
    /// Of all files, one after the other.
    hashes: Vec<Sha256>,
}

/// A file that may be installed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ApprovedFile {
    pub(crate) file: File,
    /// Where its hashes begin.
    first_hash: usize,
}

impl Approved {
    /// SHA-256 of the manifest's bytes: names the image.
    #[must_use]
    pub fn digest(&self) -> &Sha256 {
        &self.0.sha256
    }

    /// For people.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.0.version
    }

    /// Goes up with each release.
    #[must_use]
    pub fn counter(&self) -> u64 {
        self.0.counter
    }

    /// The party that vouches for it.
    #[must_use]
    pub fn voucher(&self) -> &Voucher {
        &self.0.voucher
    }

    /// The manifest's bytes, exactly as they were signed.
    #[must_use]
    pub fn manifest(&self) -> &[u8] {
        &self.0.manifest
    }

    /// The signature file's bytes as they were offered; empty when there was none.
    #[must_use]
    pub fn signature(&self) -> &[u8] {
        &self.0.signature
    }

    /// Its only file, if that is an image and no archive (`protocol.md` 4.1).
    #[must_use]
    pub fn image(&self) -> Option<&File> {
        // The parser keeps an image alone.
        self.files().next().filter(|file| is_image(&file.name))
    }

    /// The hash that this chunk of this file must have; `None` behind the last one, and in live
    /// files.
    #[must_use]
    pub fn chunk_sha256(&self, file: u16, chunk: u32) -> Option<&Sha256> {
        self.hash(self.file(file)?, chunk)
    }

    /// Its files, in the order in which they are sent.
    pub fn files(&self) -> impl ExactSizeIterator<Item = &File> {
        self.0.files.iter().map(|file| &file.file)
    }

    /// Length of all files; `None` when one of them is made while it is sent.
    #[must_use]
    pub fn size_bytes(&self) -> Option<u64> {
        self.files()
            .try_fold(0_u64, |sum, file| match file.content {
                Content::Hashed { size_bytes, .. } => Some(sum.saturating_add(size_bytes)),
                Content::Live => None,
            })
    }

    /// The unpacked size of all files, if the manifest gives it for each.
    #[must_use]
    pub fn unpacked_bytes(&self) -> Option<u64> {
        self.files()
            .try_fold(0_u64, |sum, file| match file.content {
                Content::Hashed { unpacked, .. } => Some(sum.saturating_add(unpacked?.size_bytes)),
                Content::Live => None,
            })
    }

    pub(crate) fn file(&self, index: u16) -> Option<&ApprovedFile> {
        self.0.files.get(usize::from(index))
    }

    /// The hash that a chunk must have; `None` behind the last one, and in live files.
    pub(crate) fn hash(&self, file: &ApprovedFile, chunk: u32) -> Option<&Sha256> {
        if chunk >= file.file.chunks()? {
            return None;
        }
        let index = file.first_hash.checked_add(usize::try_from(chunk).ok()?)?;
        self.0.hashes.get(index)
    }
}

/// An image is not taken.
#[derive(Debug, Error)]
#[allow(missing_docs)] // the fields name themselves
pub enum ApproveError {
    /// Longer than any may be.
    #[error("the {part} has {len_bytes} bytes; {max} is the most")]
    TooLong {
        /// Manifest, signature or chunk lists.
        part: &'static str,
        /// Its length.
        len_bytes: usize,
        /// The limit.
        max: usize,
    },
    /// There are trusted keys, and no signature.
    #[error(
        "the manifest is unsigned; this machine takes only what one of its {keys} trusted keys has signed"
    )]
    Unsigned {
        /// How many.
        keys: usize,
    },
    /// There are trusted keys, and none of them made this signature of these bytes.
    #[error("verifying the manifest's signature")]
    Signature(#[from] SignatureError),
    /// The text.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// For something else.
    #[error("the image is of role {found}; {wanted} is wanted here")]
    Role {
        /// The role in the manifest.
        found: Role,
        wanted: Role,
    },
    /// For another kind of machine, or another place.
    #[error("the image is for {found}; {wanted} is wanted here")]
    Product {
        /// The product in the manifest.
        found: String,
        wanted: String,
    },
    /// A file of unknown contents, where a signature says what the contents are.
    #[error("{name} is made while it is sent, so no signature can vouch for it")]
    Live { name: String },
    /// A signed manifest says what its files unpack to.
    #[error("the signed manifest does not say what {name} unpacks to")]
    Uncounted { name: String },
    /// More or fewer hashes than chunks.
    #[error("chunk lists of {len_bytes} bytes for {chunks} chunks of {HASH_LEN} each")]
    ListLength {
        /// Their length.
        len_bytes: usize,
        /// The number of chunks in the manifest.
        chunks: u32,
    },
    /// Not the list that the manifest is about.
    #[error("the chunk list of {name} is not the one that the manifest names")]
    ListHash { name: String },
    /// Older than this machine takes.
    #[error("the image has counter {found}; this machine takes none below {floor}")]
    BelowFloor {
        /// The image's.
        found: u64,
        /// The machine's.
        floor: u64,
    },
}

impl ApproveError {
    /// The donor is refused; no disk was written.
    #[must_use]
    pub const fn outcome(&self) -> Outcome {
        Outcome::Refuse
    }
}

/// Decides whether an image may be installed in the place that wants it.
///
/// # Errors
/// The first reason against it.
pub fn approve(
    offered: Offered<'_>,
    wanted: Wanted<'_>,
    trust: &Trust,
) -> Result<Approved, ApproveError> {
    let Offered {
        manifest,
        signature,
        chunk_lists,
    } = offered;
    within("chunk lists", chunk_lists, CHUNK_LISTS_MAX)?;
    let (parsed, voucher) = vouch_for(manifest, signature, wanted, trust)?;
    let head = parsed.head();
    let (files, hashes) = files(&parsed, chunk_lists, !signature.is_empty(), &voucher)?;
    if let Some(floor) = trust.floor.filter(|floor| head.counter < *floor) {
        return Err(ApproveError::BelowFloor {
            found: head.counter,
            floor,
        });
    }
    Ok(Approved(Arc::new(Image {
        manifest: manifest.to_vec(),
        signature: signature.to_vec(),
        sha256: Hasher::digest(manifest).into(),
        version: head.version.to_owned(),
        counter: head.counter,
        voucher,
        files,
        hashes,
    })))
}

/// Decides about a manifest without its chunk lists: what it describes is here already, and is
/// compared as a whole. Returns the manifest, and who vouches for it.
///
/// # Errors
/// The first reason against it.
pub fn vouch_for<'a>(
    manifest: &'a [u8],
    signature: &[u8],
    wanted: Wanted<'_>,
    trust: &Trust,
) -> Result<(Manifest<'a>, Voucher), ApproveError> {
    within("manifest", manifest, manifest::LEN_MAX)?;
    within("signature", signature, SIGNATURE_MAX)?;
    let voucher = vouch(manifest, signature, trust)?;
    let parsed = Manifest::parse(manifest)?;
    let head = parsed.head();
    if head.role != wanted.role {
        return Err(ApproveError::Role {
            found: head.role,
            wanted: wanted.role,
        });
    }
    if head.product != wanted.product {
        return Err(ApproveError::Product {
            found: head.product.to_owned(),
            wanted: wanted.product.to_owned(),
        });
    }
    Ok((parsed, voucher))
}

const fn within(part: &'static str, bytes: &[u8], max: usize) -> Result<(), ApproveError> {
    if bytes.len() > max {
        return Err(ApproveError::TooLong {
            part,
            len_bytes: bytes.len(),
            max,
        });
    }
    Ok(())
}

fn vouch(manifest: &[u8], signature: &[u8], trust: &Trust) -> Result<Voucher, ApproveError> {
    if !trust.demands_signature() {
        return Ok(Voucher::Sender {
            has_signature: !signature.is_empty(),
        });
    }
    if signature.is_empty() {
        return Err(ApproveError::Unsigned {
            keys: trust.keys.len(),
        });
    }
    let keys = trust.keys.iter().map(|key| (&key.key, &key.base64));
    let signer = signature::verify(manifest, signature, keys)?;
    Ok(Voucher::Key(signer.clone()))
}

/// The files with their hashes, which the manifest names one by one.
fn files(
    manifest: &Manifest<'_>,
    chunk_lists: &[u8],
    is_signed: bool,
    voucher: &Voucher,
) -> Result<(Vec<ApprovedFile>, Vec<Sha256>), ApproveError> {
    let (hashes, rest) = chunk_lists.as_chunks::<HASH_LEN>();
    if !rest.is_empty() || u32::try_from(hashes.len()) != Ok(manifest.chunk_count()) {
        return Err(ApproveError::ListLength {
            len_bytes: chunk_lists.len(),
            chunks: manifest.chunk_count(),
        });
    }
    let mut approved = Vec::with_capacity(usize::from(manifest.file_count()));
    let mut left = hashes;
    for file in manifest.files() {
        let name = || file.name.to_string();
        let first_hash = hashes.len() - left.len();
        match file.content {
            Content::Live if is_signed => return Err(ApproveError::Live { name: name() }),
            Content::Live => {}
            Content::Hashed {
                unpacked,
                chunk_list_sha256,
                ..
            } => {
                if unpacked.is_none() && matches!(voucher, Voucher::Key(_)) {
                    return Err(ApproveError::Uncounted { name: name() });
                }
                // As many as the manifest counted above.
                let len = file.chunks().and_then(|len| usize::try_from(len).ok());
                let (list, others) = left.split_at(len.unwrap_or(usize::MAX).min(left.len()));
                let found: Sha256 = Hasher::digest(list.as_flattened()).into();
                if found != chunk_list_sha256 {
                    return Err(ApproveError::ListHash { name: name() });
                }
                left = others;
            }
        }
        approved.push(ApprovedFile { file, first_hash });
    }
    Ok((approved, hashes.to_vec()))
}

#[cfg(test)]
mod tests;
