//! `iso`: reads kernel and initramfs, checks that they can be started, and writes the image.

use std::path::PathBuf;

use pack::secure_boot::{ChainError, Purpose};

use super::parts::{Parts, PartsError};
use crate::iso::{self, IsoError};
use crate::output::{OutputError, replace};

/// The arguments of `iso`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Iso {
    /// What it starts.
    pub parts: Parts,
    /// `--timeout`: how long the menu waits for a key.
    pub timeout_seconds: u32,
    /// `-o`.
    pub output: PathBuf,
}

/// The image cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum IsoCommandError {
    /// A file that goes in.
    #[error(transparent)]
    Parts(#[from] PartsError),
    /// What starts it with Secure Boot.
    #[error(transparent)]
    Chain(#[from] ChainError),
    /// It could not be made of them.
    #[error(transparent)]
    Iso(#[from] IsoError),
    /// The result could not be put where it belongs.
    #[error(transparent)]
    Output(#[from] OutputError),
}

impl Iso {
    /// Writes the image.
    ///
    /// # Errors
    /// See [`IsoCommandError`].
    pub fn make(&self) -> Result<(), IsoCommandError> {
        let (shim, readers) = self.parts.read()?;
        let chain = self.parts.chain(Purpose::Medium)?;
        let image = iso::image(&shim, self.timeout_seconds, chain.as_ref(), &self.output)?;
        Ok(replace(&self.output, &image, readers)?)
    }
}
