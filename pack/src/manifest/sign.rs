//! The signature of a manifest: a minisign file, so that nobody needs us to check it.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use ct_codecs::{Base64, Decoder};
use minisign::{PublicKey, SecretKey, SecretKeyBox};
use wire::manifest::{MANIFEST, SIGNATURE};
use wire::message::SIGNATURE_MAX;

use super::listing::ListingError;
use super::{ManifestCommandError, replace};
use crate::utc;

/// The comment that minisign writes above a signature; a target takes no other comment there
/// (`protocol.md` 4.3).
const UNTRUSTED: &str = "signature from minisign secret key";
/// Longest key file and password file.
const FILE_MAX: u64 = 4096;

/// Signs the manifest of `dir`.
///
/// # Errors
/// No manifest, no key, or the wrong password for it.
pub(super) fn sign(
    dir: &Path,
    key: &Path,
    password: Option<&Path>,
) -> Result<String, ManifestCommandError> {
    let path = dir.join(MANIFEST);
    let manifest = fs::read(&path).map_err(|source| match source.kind() {
        io::ErrorKind::NotFound => ManifestCommandError::Missing { path: path.clone() },
        _ => ManifestCommandError::Read {
            path: path.clone(),
            source,
        },
    })?;
    // Nobody shall sign what no target can read.
    wire::manifest::Manifest::parse(&manifest).map_err(|source| {
        ManifestCommandError::Listing(ListingError::Manifest {
            path: path.clone(),
            source,
        })
    })?;
    let signed = Signed::of(&manifest, key, password)?;
    let signature_path = dir.join(SIGNATURE);
    replace(&signature_path, signed.file.as_bytes())?;
    Ok(format!(
        "{}: signed with {}\n",
        signature_path.display(),
        signed.public
    ))
}

/// A signature, and whose.
pub(crate) struct Signed {
    /// The whole `.minisig` file.
    pub(crate) file: String,
    /// The public half of the key, in base64.
    pub(crate) public: String,
}

impl Signed {
    /// Signs these bytes.
    pub(crate) fn of(
        manifest: &[u8],
        key: &Path,
        password: Option<&Path>,
    ) -> Result<Self, ManifestCommandError> {
        let failed = |source| ManifestCommandError::Sign {
            path: key.to_owned(),
            source,
        };
        let secret = secret_key(key, password)?;
        let public = PublicKey::from_secret_key(&secret).map_err(failed)?;
        let time = utc::source_date().as_secs();
        let comment = format!("timestamp:{time}\tfile:{MANIFEST}\thashed");
        let (comment, untrusted) = (Some(comment.as_str()), Some(UNTRUSTED));
        let signature = minisign::sign(Some(&public), &secret, manifest, comment, untrusted)
            .map_err(failed)?
            .into_string();
        debug_assert!(signature.len() <= SIGNATURE_MAX);
        Ok(Self {
            file: signature,
            public: public.to_base64(),
        })
    }
}

/// A key without a password, or one whose password is in a file or asked for.
fn secret_key(path: &Path, password: Option<&Path>) -> Result<SecretKey, ManifestCommandError> {
    let failed = |source| ManifestCommandError::Sign {
        path: path.to_owned(),
        source,
    };
    let text = read(path)?;
    if let Some(key) = unlocked(&text) {
        return Ok(key);
    }
    let password = password.map(first_line).transpose()?;
    SecretKeyBox::from_string(&text)
        .and_then(|sealed| sealed.into_secret_key(password))
        .map_err(failed)
}

/// A key without a password. Stock minisign writes no checksum into such a key (`minisign -GW`),
/// which the crate takes for damage; a damaged key is noticed all the same, when the public key
/// that is in it as well does not verify the signature.
fn unlocked(text: &str) -> Option<SecretKey> {
    /// `sig_alg (2) kdf_alg (2)`; zero: no password.
    const KDF: std::ops::Range<usize> = 2..4;
    let bytes = Base64::decode_to_vec(text.lines().nth(1)?, None).ok()?;
    if bytes.get(KDF)? != [0, 0] {
        return None;
    }
    SecretKey::from_bytes(&bytes).ok()
}

fn read(path: &Path) -> Result<String, ManifestCommandError> {
    let file = File::open(path).and_then(|file| io::read_to_string(file.take(FILE_MAX)));
    file.map_err(|source| ManifestCommandError::Read {
        path: path.to_owned(),
        source,
    })
}

fn first_line(path: &Path) -> Result<String, ManifestCommandError> {
    let failed = |source| ManifestCommandError::Read {
        path: path.to_owned(),
        source,
    };
    let file = File::open(path).map_err(failed)?;
    let line = BufReader::new(file.take(FILE_MAX)).lines().next();
    line.unwrap_or_else(|| Ok(String::new())).map_err(failed)
}
