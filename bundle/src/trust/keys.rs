//! The keys that a machine trusts, and the lowest counter that it takes: text in, a [`Trust`] out.

use minisign_verify::PublicKey;
use thiserror::Error;
use wire::manifest::PUBLIC_KEY_BEGINS;

/// Trusted keys that are looked through; more than one are for changing them.
pub const KEYS_MAX: usize = 16;

/// A minisign public key.
#[derive(Clone, Debug)]
pub(super) struct Key {
    /// As it stands in its file.
    pub(super) base64: String,
    pub(super) key: PublicKey,
}

/// The keys that this machine trusts. By default there are none: then any paired donor may install
/// anything.
#[derive(Clone, Debug, Default)]
pub struct Trust {
    pub(super) keys: Vec<Key>,
    pub(super) floor: Option<u64>,
}

impl Trust {
    /// Reads trusted keys: minisign public keys in base64, one on a line. Blank lines and
    /// minisign's comment lines may stand between them, so that files of public keys can be joined.
    ///
    /// # Errors
    /// A line that is no key, too many keys, or none at all: a list that is there and empty must
    /// not mean that anybody is believed.
    pub fn parse(keys: &str) -> Result<Self, TrustError> {
        let mut trust = Self::default();
        for (line, text) in (1_usize..).zip(keys.lines()) {
            let text = text.trim();
            if text.is_empty() || text.starts_with("untrusted comment:") {
                continue;
            }
            let key = public_key(text).map_err(|source| TrustError::Key { line, source })?;
            if trust.keys.len() >= KEYS_MAX {
                return Err(TrustError::TooMany);
            }
            trust.keys.push(Key {
                base64: text.to_owned(),
                key,
            });
        }
        if trust.keys.is_empty() {
            return Err(TrustError::NoKeys);
        }
        Ok(trust)
    }

    /// Refuses images whose counter is lower than this.
    #[must_use]
    pub fn with_floor(self, floor: u64) -> Self {
        Self {
            floor: Some(floor),
            ..self
        }
    }

    /// Reads the number for [`Trust::with_floor`] from its file.
    ///
    /// # Errors
    /// It is not a number.
    pub fn parse_floor(text: &str) -> Result<u64, TrustError> {
        text.trim().parse().map_err(|source| TrustError::Floor {
            found: text.trim().escape_debug().take(40).collect(),
            source,
        })
    }

    /// Is only a signed image taken?
    #[must_use]
    pub fn demands_signature(&self) -> bool {
        !self.keys.is_empty()
    }

    /// The trusted keys, in base64.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.keys.iter().map(|key| key.base64.as_str())
    }

    /// The lowest counter that is taken.
    #[must_use]
    pub const fn floor(&self) -> Option<u64> {
        self.floor
    }
}

/// As minisign takes it.
fn public_key(base64: &str) -> Result<PublicKey, minisign_verify::Error> {
    let key = PublicKey::from_base64(base64)?;
    match base64.starts_with(PUBLIC_KEY_BEGINS) {
        true => Ok(key),
        false => Err(minisign_verify::Error::UnsupportedAlgorithm),
    }
}

/// The trust settings of this machine cannot be used.
#[derive(Debug, Error)]
#[allow(missing_docs)] // the fields name themselves
pub enum TrustError {
    /// A line is no public key.
    #[error("reading the trusted key in line {line}")]
    Key {
        /// From 1.
        line: usize,
        #[source]
        source: minisign_verify::Error,
    },
    /// More than [`KEYS_MAX`].
    #[error("more than {KEYS_MAX} trusted keys")]
    TooMany,
    /// A list without a key.
    #[error("the list of trusted keys has none")]
    NoKeys,
    /// The floor is no number.
    #[error("reading the lowest counter, {found:?}")]
    Floor {
        /// The text at that place.
        found: String,
        /// The number's fault.
        #[source]
        source: std::num::ParseIntError,
    },
}
