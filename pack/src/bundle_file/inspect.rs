//! A bundle file in, what it says of itself out: nothing of it is verified.

use std::path::Path;

use bundle::trust::{Trust, approve};
use minisign::SignatureBox;
use wire::manifest::{File, Manifest};

use super::{BundleFileError, Facts, wanted_by};

/// What a bundle file claims.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// Where nobody vouches for anything.
    pub facts: Facts,
    /// Which generation of keys.
    pub keyset: u32,
    /// For people.
    pub created: String,
    /// The number of the key that is said to have signed, as minisign shows it; `None` without a
    /// signature.
    pub key: Option<String>,
    /// In the order of the file.
    pub files: Vec<File>,
}

/// Looks into a bundle file: its manifest, and that its files lie behind one another as the
/// manifest says. No file is read.
///
/// # Errors
/// See [`BundleFileError`].
pub fn inspect(path: &Path) -> Result<Claim, BundleFileError> {
    let release = fetch::open(path)?;
    let offered = release.offered();
    let wanted = wanted_by(offered.manifest);
    let refused = |source| BundleFileError::Approve {
        path: path.to_owned(),
        source,
    };
    let approved = approve(offered, wanted, &Trust::default()).map_err(refused)?;
    let manifest = Manifest::parse(offered.manifest).map_err(|error| refused(error.into()))?;
    let claim = Claim {
        facts: Facts::of(&approved, wanted),
        keyset: manifest.head().keyset,
        created: manifest.head().created.to_owned(),
        key: key_number(offered.signature),
        files: approved.files().cloned().collect(),
    };
    release.chunks(&approved)?;
    Ok(claim)
}

fn key_number(signature: &[u8]) -> Option<String> {
    if signature.is_empty() {
        return None;
    }
    let text = std::str::from_utf8(signature).ok();
    let found = text.and_then(|text| SignatureBox::from_string(text).ok());
    // Little-endian, and shown as a number.
    let number = found.and_then(|found| <[u8; 8]>::try_from(found.keynum()).ok());
    Some(number.map_or_else(
        || "no minisign signature".to_owned(),
        |number| format!("{:016X}", u64::from_le_bytes(number)),
    ))
}
