//! `pxe`: reads kernel, initramfs and stub, checks that a machine can boot them, and writes the
//! directory.

use std::net::Ipv4Addr;
use std::path::PathBuf;

use pack::secure_boot::{ChainError, Purpose};

use super::parts::{Parts, PartsError, StubError, read_stub};
use crate::output::{OutputError, Readers, replace};
use crate::pxe::{self, PxeError, Wish};

/// Files with the initramfs in them; as secret as it is.
const WITH_INITRAMFS: [&str; 2] = ["initramfs", "deploy-shim.efi"];

/// The arguments of `pxe`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pxe {
    /// What machines boot.
    pub parts: Parts,
    /// `--stub`: systemd-boot's.
    pub stub: PathBuf,
    /// `--server`: where GRUB fetches its files.
    pub server: Option<Ipv4Addr>,
    /// `--timeout`: how long the menu waits for a key.
    pub timeout_seconds: u32,
    /// `-o`: a directory.
    pub output: PathBuf,
}

/// The directory cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum PxeCommandError {
    /// A file that goes in.
    #[error(transparent)]
    Parts(#[from] PartsError),
    /// The stub.
    #[error(transparent)]
    Stub(#[from] StubError),
    /// What starts it with Secure Boot.
    #[error(transparent)]
    Chain(#[from] ChainError),
    /// It could not be made of them.
    #[error(transparent)]
    Pxe(#[from] PxeError),
    /// The directory, or a file in it, could not be written.
    #[error(transparent)]
    Output(#[from] OutputError),
}

impl Pxe {
    /// Writes the directory. Everything is made before the first file is replaced.
    ///
    /// # Errors
    /// See [`PxeCommandError`].
    pub fn make(&self) -> Result<(), PxeCommandError> {
        let (shim, readers) = self.parts.read()?;
        let stub = read_stub(&self.stub)?;
        let chain = self.parts.chain(Purpose::Network)?;
        let wish = Wish {
            shim: &shim,
            chain: chain.as_ref(),
            stub: &stub,
            timeout_seconds: self.timeout_seconds,
            server: self.server,
        };
        // A path with a slash at its end has no name to put something behind.
        let output: PathBuf = self.output.components().collect();
        let files = pxe::files(&wish)?;
        for (name, bytes) in files {
            let path = output.join(name);
            let directory = path.parent().unwrap_or(&output);
            std::fs::create_dir_all(directory).map_err(|source| OutputError {
                path: directory.to_owned(),
                source,
            })?;
            let readers = if WITH_INITRAMFS.contains(&name) {
                readers
            } else {
                Readers::Everybody
            };
            replace(&path, &bytes, readers)?;
        }
        Ok(())
    }
}
