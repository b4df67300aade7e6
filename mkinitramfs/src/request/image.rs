//! `image`: reads the programs, keys and drivers, checks that the target can use them, and writes
//! the initramfs.

use std::ffi::OsString;
use std::io::Read;
use std::path::{Path, PathBuf};

use bundle::trust::Trust;

use super::carried::{Carried, CarriedError};
use super::pack::{PackError, pack_all};
use super::wifi::{self, PartsError};
use crate::baked_config::{self, BakedConfig, KEY_FILE_MAX};
use crate::output::{OutputError, Readers, replace};
use crate::tree::Tree;
use crate::{initramfs, program, tree};

/// The arguments of `image`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    /// `--init`: what the kernel starts first.
    pub init: PathBuf,
    /// `--mke2fs`.
    pub mke2fs: PathBuf,
    /// `-o`.
    pub output: PathBuf,
    /// `--trust`: files, or keys themselves.
    pub trust: Vec<OsString>,
    /// `--floor`.
    pub floor: Option<u64>,
    /// `--pinned`.
    pub pinned: Option<PathBuf>,
    /// `--modules` and what belongs to it.
    pub modules: Option<Carried>,
    /// `--wifi` and what belongs to it; only with modules.
    pub wifi: Option<wifi::Parts>,
}

/// The initramfs cannot be made.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)] // the fields name themselves
pub enum ImageError {
    /// A program or a key.
    #[error("reading {}", path.display())]
    Read {
        path: PathBuf,
        source: std::io::Error,
    },
    /// It cannot run on the machine.
    #[error("checking {}", path.display())]
    Program {
        path: PathBuf,
        source: program::ProgramError,
    },
    /// A key is not what it must be.
    #[error("baking in {what}")]
    BakedConfig {
        what: String,
        source: baked_config::BakedConfigError,
    },
    /// The modules.
    #[error(transparent)]
    Carried(#[from] CarriedError),
    /// The Wi-Fi parts of the image.
    #[error(transparent)]
    Wifi(#[from] PartsError),
    /// Two files have the same path.
    #[error("laying out the archive")]
    Tree(#[from] tree::TreeError),
    /// It cannot be packed.
    #[error(transparent)]
    Pack(#[from] PackError),
    /// The result could not be put where it belongs.
    #[error(transparent)]
    Output(#[from] OutputError),
}

impl ImageError {
    /// A floor that does not go with the rest.
    pub(super) fn floor(source: baked_config::BakedConfigError) -> Self {
        Self::BakedConfig {
            what: "the floor".to_owned(),
            source,
        }
    }
}

impl Image {
    /// Writes the initramfs.
    ///
    /// # Errors
    /// See [`ImageError`].
    pub fn make(&self) -> Result<(), ImageError> {
        let locks = Locks {
            trust: &self.trust,
            floor: self.floor,
            pinned: self.pinned.as_ref(),
        };
        let config = locks.read()?;
        config.check().map_err(ImageError::floor)?;
        let mut tree = initramfs::tree(read(&self.init)?, read(&self.mke2fs)?, &config)?;
        let firmware = match &self.modules {
            Some(modules) => modules.put(&mut tree)?,
            None => Tree::default(),
        };
        let mut packed = pack_all(&[tree, firmware])?;
        let mut readers = match config.has_secret() {
            true => Readers::Owner,
            false => Readers::Everybody,
        };
        if let (Some(modules), Some(wifi)) = (&self.modules, &self.wifi) {
            let (trees, wanted) = wifi.trees(modules)?;
            packed.extend(pack_all(&trees)?);
            if wanted == Readers::Owner {
                readers = wanted;
            }
        }
        Ok(replace(&self.output, &packed, readers)?)
    }
}

/// What says who may install the machine.
pub(super) struct Locks<'a> {
    pub(super) trust: &'a [OsString],
    pub(super) floor: Option<u64>,
    pub(super) pinned: Option<&'a PathBuf>,
}

impl Locks<'_> {
    /// Reads and checks the keys.
    ///
    /// # Errors
    /// One is not what it must be.
    pub(super) fn read(&self) -> Result<BakedConfig, ImageError> {
        let mut config = BakedConfig::default();
        for key in self.trust {
            let failed = |source| ImageError::BakedConfig {
                what: format!("--trust {}", key.display()),
                source,
            };
            match key.to_str().filter(|text| Trust::parse(text).is_ok()) {
                Some(base64) => config.trust(base64.as_bytes()).map_err(failed)?,
                None => config.trust(&read_key(Path::new(key))?).map_err(failed)?,
            }
        }
        if let Some(counter) = self.floor {
            config.floor(counter);
        }
        if let Some(path) = self.pinned {
            let text = read_key(path)?;
            config
                .pin(&text)
                .map_err(|source| ImageError::BakedConfig {
                    what: format!("--pinned {}", path.display()),
                    source,
                })?;
        }
        Ok(config)
    }
}

/// A file that may be anything, as far as a key can reach.
fn read_key(path: &Path) -> Result<Vec<u8>, ImageError> {
    let failed = |source| ImageError::Read {
        path: path.to_owned(),
        source,
    };
    let mut text = Vec::new();
    let file = std::fs::File::open(path).map_err(failed)?;
    file.take(KEY_FILE_MAX)
        .read_to_end(&mut text)
        .map_err(failed)?;
    Ok(text)
}

fn read(path: &Path) -> Result<Vec<u8>, ImageError> {
    let bytes = std::fs::read(path).map_err(|source| ImageError::Read {
        path: path.to_owned(),
        source,
    })?;
    program::check(&bytes).map_err(|source| ImageError::Program {
        path: path.to_owned(),
        source,
    })?;
    Ok(bytes)
}
