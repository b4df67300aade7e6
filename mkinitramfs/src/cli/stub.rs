//! The option `--stub`: the program of systemd-boot that starts what is added to it.

use std::path::{Path, PathBuf};

use lexopt::Parser;

use super::path;
use crate::uki;

/// Help text of the option.
macro_rules! stub_help {
    () => {
        "  --stub FILE       linuxx64.efi.stub of systemd-boot (default: the path of Debian's
                    package systemd-boot-efi)
"
    };
}
pub(super) use stub_help;

/// Where the stub is.
#[derive(Debug)]
pub struct Stub(PathBuf);

/// There is no stub.
#[derive(Debug, thiserror::Error)]
#[error("reading {} (Debian: systemd-boot-efi)", path.display())]
pub struct StubError {
    path: PathBuf,
    source: std::io::Error,
}

impl Default for Stub {
    fn default() -> Self {
        Self(PathBuf::from(uki::STUB))
    }
}

impl Stub {
    /// Reads the option's value.
    ///
    /// # Errors
    /// It is missing.
    pub fn option(parser: &mut Parser) -> Result<Self, lexopt::Error> {
        Ok(Self(path(parser)?))
    }

    /// The stub's bytes.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn read(&self) -> Result<Vec<u8>, StubError> {
        std::fs::read(&self.0).map_err(|source| StubError {
            path: self.0.clone(),
            source,
        })
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }
}
