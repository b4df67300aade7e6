//! A bundle file in, the same one with another signature out.

use std::path::PathBuf;

use bundle::front::Front;
use bundle::trust::{Trust, approve};

use super::drain::{Output, drain};
use super::{BundleFileError, Facts, Watch, wanted_by};
use crate::manifest::read_trust;
use crate::manifest::sign::Signed;

/// What to sign, and with what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sign {
    /// The bundle file; a signature that it has is replaced.
    pub file: PathBuf,
    /// A minisign secret key.
    pub key: PathBuf,
    /// Where its password is.
    pub password: Option<PathBuf>,
}

/// Signs a bundle file, of which every chunk is verified first: a signature vouches for all of it.
/// The file is replaced whole.
///
/// # Errors
/// See [`BundleFileError`].
pub fn sign(options: &Sign, watch: Watch<'_>) -> Result<Facts, BundleFileError> {
    let path = &options.file;
    if path.is_dir() {
        return Err(BundleFileError::NotAFile { path: path.clone() });
    }
    let release = fetch::open(path)?;
    let offered = release.offered();
    let refused = |source| BundleFileError::Approve {
        path: path.clone(),
        source,
    };
    let nobody = Trust::default();
    approve(offered, wanted_by(offered.manifest), &nobody).map_err(refused)?;
    let signed = Signed::of(offered.manifest, &options.key, options.password.as_deref())?;
    let front = Front {
        manifest: offered.manifest.to_vec(),
        signature: signed.file.into_bytes(),
        chunk_lists: offered.chunk_lists.to_vec(),
    };
    let wanted = wanted_by(&front.manifest);
    // The key that has just signed is the one that vouches.
    let trust = read_trust(&signed.public)?;
    let approved = approve(front.offered(), wanted, &trust).map_err(refused)?;
    let mut chunks = release.chunks(&approved)?;
    let mut output = Output::begin(path, &front)?;
    drain(
        "writing",
        path,
        &approved,
        &mut *chunks,
        Some(&mut output),
        watch,
    )?;
    output.finish()?;
    Ok(Facts::of(&approved, wanted))
}
