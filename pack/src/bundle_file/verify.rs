//! A bundle file or the directory of a release in, what was signed out; or the first byte that is
//! wrong.

use std::path::PathBuf;

use bundle::trust::{Approved, Wanted, approve};

use super::drain::drain;
use super::{BundleFileError, Facts, Watch, wanted_by};
use crate::hash;
use crate::manifest::read_trust;

/// What to verify, and against what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verify {
    /// A bundle file, a block device that holds one, or a directory.
    pub source: PathBuf,
    /// A file of keys, or a key.
    pub trust: String,
    /// The lowest counter.
    pub floor: Option<u64>,
}

/// Verifies the signature and every chunk, as a target does.
///
/// # Errors
/// See [`BundleFileError`].
pub fn verify(options: &Verify, watch: Watch<'_>) -> Result<Facts, BundleFileError> {
    let path = &options.source;
    let mut trust = read_trust(&options.trust)?;
    if let Some(floor) = options.floor {
        trust = trust.with_floor(floor);
    }
    let release = fetch::open(path)?;
    let offered = release.offered();
    let wanted = wanted_by(offered.manifest);
    let approved = approve(offered, wanted, &trust);
    let approved = approved.map_err(|source| BundleFileError::Approve {
        path: path.clone(),
        source,
    })?;
    let facts = Facts::of(&approved, wanted);
    let mut chunks = release.chunks(&approved)?;
    drain("verifying", path, &approved, &mut *chunks, None, watch)?;
    Ok(facts)
}

impl Facts {
    pub(crate) fn of(approved: &Approved, wanted: Wanted<'_>) -> Self {
        Self {
            role: wanted.role.to_string(),
            product: wanted.product.to_owned(),
            version: approved.version().to_owned(),
            counter: approved.counter(),
            digest: hash::hex(approved.digest()),
            voucher: approved.voucher().to_string(),
            files: approved.files().len(),
            size_bytes: approved.size_bytes().unwrap_or(0),
        }
    }
}
