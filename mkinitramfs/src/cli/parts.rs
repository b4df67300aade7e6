//! The options that every boot medium has: `--kernel`, `--initramfs`, `--cmdline`.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use lexopt::{Parser, ValueExt};

use super::{needed, path};
use crate::output::Readers;
use crate::shim::{Shim, ShimError};

/// How the options are explained.
macro_rules! parts_help {
    () => {
        "  --kernel FILE     bzImage (kernel-config/build prints the path of one)
  --initramfs FILE  what `mkinitramfs image` wrote
  --cmdline WORDS   kernel command line of the shim, as in: --cmdline 'smv.after=kexec quiet'
"
    };
}
pub(super) use parts_help;

/// Everything a file can be, as far as memory is concerned: a kernel with all its drivers and firmware beside it.
const FILE_MAX_BYTES: u64 = 2 << 30;

/// The options as they come.
#[derive(Debug, Default)]
pub struct Given {
    kernel: Option<PathBuf>,
    initramfs: Option<PathBuf>,
    cmdline: Option<String>,
}

/// All of them.
#[derive(Debug)]
pub struct Parts {
    kernel: PathBuf,
    initramfs: PathBuf,
    cmdline: String,
}

/// Why there is nothing to start.
#[derive(Debug, thiserror::Error)]
pub enum PartsError {
    /// One of the files.
    #[error("reading {}", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file of another kind altogether.
    #[error("{} has {len} bytes, which no machine boots; at most {FILE_MAX_BYTES}", path.display())]
    Large {
        /// Which.
        path: PathBuf,
        /// Its length.
        len: u64,
    },
    /// They do not fit together.
    #[error("taking {} and {}", kernel.display(), initramfs.display())]
    Shim {
        /// The one.
        kernel: PathBuf,
        /// The other.
        initramfs: PathBuf,
        /// Why.
        source: ShimError,
    },
}

impl Given {
    /// Reads the option `name`, the last that a command looks for.
    ///
    /// # Errors
    /// Its value is missing, or it is none of these.
    pub fn option(&mut self, name: &str, parser: &mut Parser) -> Result<(), lexopt::Error> {
        match name {
            "kernel" => self.kernel = Some(path(parser)?),
            "initramfs" => self.initramfs = Some(path(parser)?),
            "cmdline" => self.cmdline = Some(parser.value()?.string()?),
            _ => return Err(lexopt::Error::UnexpectedOption(format!("--{name}"))),
        }
        Ok(())
    }

    /// All of them.
    ///
    /// # Errors
    /// A file was not named.
    pub fn all(self) -> Result<Parts, lexopt::Error> {
        Ok(Parts {
            kernel: needed(self.kernel, "--kernel FILE")?,
            initramfs: needed(self.initramfs, "--initramfs FILE")?,
            cmdline: self.cmdline.unwrap_or_default(),
        })
    }
}

impl Parts {
    /// Reads and checks them. An initramfs that is for its owner only has a private key in it, and so has what is made of it.
    ///
    /// # Errors
    /// See [`PartsError`].
    pub fn read(&self) -> Result<(Shim, Readers), PartsError> {
        let (kernel, _) = read(&self.kernel)?;
        let (initramfs, readers) = read(&self.initramfs)?;
        let shim = Shim::new(kernel, initramfs, &self.cmdline);
        let shim = shim.map_err(|source| PartsError::Shim {
            kernel: self.kernel.clone(),
            initramfs: self.initramfs.clone(),
            source,
        })?;
        Ok((shim, readers))
    }
}

fn read(path: &Path) -> Result<(Vec<u8>, Readers), PartsError> {
    let failed = |source| PartsError::Read {
        path: path.to_owned(),
        source,
    };
    let metadata = path.metadata().map_err(failed)?;
    if metadata.len() > FILE_MAX_BYTES {
        return Err(PartsError::Large {
            path: path.to_owned(),
            len: metadata.len(),
        });
    }
    let readers = if metadata.permissions().mode() & 0o044 == 0 {
        Readers::Owner
    } else {
        Readers::Everybody
    };
    Ok((std::fs::read(path).map_err(failed)?, readers))
}
