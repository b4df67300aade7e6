//! `uki`: reads kernel, initramfs and stub, checks that a machine can boot them, and writes the
//! program.

use std::path::PathBuf;

use super::parts::{Parts, PartsError, StubError, read_stub};
use crate::output::{OutputError, replace};
use crate::uki::{self, UkiError};

/// The arguments of `uki`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Uki {
    /// What it starts.
    pub parts: Parts,
    /// `--stub`: systemd-boot's.
    pub stub: PathBuf,
    /// `-o`.
    pub output: PathBuf,
}

/// The program cannot be made.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)] // the fields name themselves
pub enum UkiCommandError {
    /// A file that goes in.
    #[error(transparent)]
    Parts(#[from] PartsError),
    /// The stub.
    #[error(transparent)]
    Stub(#[from] StubError),
    /// It could not be made of them.
    #[error("adding to {}", stub.display())]
    Uki {
        /// To which.
        stub: PathBuf,
        source: UkiError,
    },
    /// The result could not be put where it belongs.
    #[error(transparent)]
    Output(#[from] OutputError),
}

impl Uki {
    /// Writes the program.
    ///
    /// # Errors
    /// See [`UkiCommandError`].
    pub fn make(&self) -> Result<(), UkiCommandError> {
        let (shim, readers) = self.parts.read()?;
        let stub = read_stub(&self.stub)?;
        let program = uki::assemble(&shim, &stub).map_err(|source| UkiCommandError::Uki {
            stub: self.stub.clone(),
            source,
        })?;
        Ok(replace(&self.output, &program, readers)?)
    }
}
