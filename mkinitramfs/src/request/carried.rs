//! The modules and the firmware that an image of `image` or `wifi` carries: a kernel, a directory
//! and a choice in, their files out.

use std::path::{Path, PathBuf};

use crate::drivers::{self, Choice, Directory, Drivers, DriversError};
use crate::firmware::{self, FirmwareError};
use crate::shim;
use crate::tree::Tree;
use crate::wifi;

/// The kernel whose drivers are carried, and which of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Carried {
    /// `--kernel`: a bzImage.
    pub kernel: PathBuf,
    /// `--modules`: `/lib/modules/RELEASE`.
    pub directory: PathBuf,
    /// `--module`, as often as it was given.
    pub words: Vec<String>,
    /// `--hostonly`: what the devices of this machine need.
    pub is_hostonly: bool,
    /// `--firmware`: `/lib/firmware`.
    pub firmware: Option<PathBuf>,
}

/// The modules cannot be carried.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)] // the fields name themselves
pub enum CarriedError {
    /// The kernel.
    #[error("reading {}", path.display())]
    Read {
        path: PathBuf,
        source: std::io::Error,
    },
    /// A file that tells no release.
    #[error("{} is not a bzImage with a release name", .0.display())]
    Release(PathBuf),
    /// A module.
    #[error(transparent)]
    Drivers(#[from] DriversError),
    /// A file that one asks for.
    #[error(transparent)]
    Firmware(#[from] FirmwareError),
}

impl Carried {
    /// Adds the modules to the image and returns the firmware, which is an archive of its own.
    ///
    /// # Errors
    /// See [`CarriedError`].
    pub fn put(&self, tree: &mut Tree) -> Result<Tree, CarriedError> {
        let release = self.release()?;
        let choice = self.choice();
        let drivers = Directory::read(&self.directory)?.put(&choice, &release, tree)?;
        self.firmware(&drivers, &release)
    }

    /// Adds what wireless cards need and the image lacks, and returns their firmware.
    ///
    /// # Errors
    /// See [`CarriedError`].
    pub fn put_wireless(&self, tree: &mut Tree) -> Result<Tree, CarriedError> {
        let release = self.release()?;
        let image = self.choice();
        let choice = Choice {
            is_wireless: true,
            ..image.clone()
        };
        let directory = Directory::read(&self.directory)?;
        let mut drivers = directory.put_beside(Some(&image), &choice, &release, tree)?;
        // Not a card's, and carried whatever these modules are.
        for name in wifi::REGULATORY {
            drivers.firmware.remove(name);
        }
        self.firmware(&drivers, &release)
    }

    /// Where firmware is to be taken from.
    #[must_use]
    pub fn firmware_directory(&self) -> Option<&Path> {
        self.firmware.as_deref()
    }

    fn release(&self) -> Result<String, CarriedError> {
        let kernel = std::fs::read(&self.kernel).map_err(|source| CarriedError::Read {
            path: self.kernel.clone(),
            source,
        })?;
        let release = shim::release(&kernel).map(str::to_owned);
        release.ok_or_else(|| CarriedError::Release(self.kernel.clone()))
    }

    fn choice(&self) -> Choice {
        let host = || drivers::modaliases_of_host(Path::new("/sys/bus"));
        Choice {
            words: self.words.clone(),
            modaliases: self.is_hostonly.then(host),
            ..Choice::default()
        }
    }

    fn firmware(&self, drivers: &Drivers, release: &str) -> Result<Tree, CarriedError> {
        let count = drivers.count;
        eprintln!("media: {count} modules for kernel {release}");
        let Some(directory) = &self.firmware else {
            return Ok(Tree::default());
        };
        let firmware = firmware::collect(directory, &drivers.firmware)?;
        let (count, missing) = (firmware.count, firmware.missing);
        eprintln!("media: {count} firmware files");
        if !missing.is_empty() {
            let (directory, missing) = (directory.display(), missing.join(" "));
            eprintln!("media: firmware that a driver names is missing in {directory}: {missing}");
        }
        Ok(firmware.tree)
    }
}
