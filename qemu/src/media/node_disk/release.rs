//! What a node's disk is filled with.

use std::path::Path;
use std::process::Command;

use disk::slots::Image as SlotImage;
use sha2::{Digest, Sha256};
use wire::ledger::Version;

use crate::error::{Doing, Result};
use crate::process::run;

/// An image is written in pieces of this length.
pub(super) const CHUNK_BYTES: u32 = 1 << 20;

/// GRUB's images as the product makes them.
#[derive(Clone, Debug)]
pub struct GrubImages {
    /// For the ESP.
    pub efi: Vec<u8>,
    /// The first sector.
    pub boot: Vec<u8>,
    /// For the BIOS boot partition.
    pub core: Vec<u8>,
}

impl GrubImages {
    /// Has `spk-visor` make them, in the current directory.
    ///
    /// # Errors
    /// It failed.
    pub fn make(program: &Path) -> Result<Self> {
        run(Command::new(program).args(["package", "grub", "-o", "."]))?;
        run(Command::new("tar").args(["-xf", "bootloader-grub.tar.xz"]))?;
        let read = |name: &str| {
            let path = Path::new("usr/lib/smechvisor/grub").join(name);
            std::fs::read(&path).doing("reading", path.display())
        };
        Ok(Self {
            efi: read("grubx64.efi")?,
            boot: read("boot.img")?,
            core: read("core.img")?,
        })
    }
}

/// A release on the host: what a slot is filled with.
#[derive(Clone, Debug)]
pub struct Release {
    pub(super) image: Vec<u8>,
    pub(super) manifest: Vec<u8>,
    pub(super) signature: Vec<u8>,
    pub(super) sha256: [u8; 32],
    /// Its name and place among others.
    pub version: Version,
}

impl Release {
    /// Reads the directory of a release whose only file has this name.
    ///
    /// # Errors
    /// A file is missing.
    pub fn read(directory: &Path, name: &str, counter: u64) -> Result<Self> {
        let read = |name: &str| {
            let path = directory.join(name);
            std::fs::read(&path).doing("reading", path.display())
        };
        let (image, manifest) = (read(name)?, read("MANIFEST")?);
        Ok(Self::new(
            image,
            manifest,
            read("MANIFEST.minisig")?,
            counter,
        ))
    }

    /// An image without its manifest, which slot-init does not ask for.
    ///
    /// # Errors
    /// The file.
    pub fn unsigned(image: &Path) -> Result<Self> {
        let image = std::fs::read(image).doing("reading", image.display())?;
        Ok(Self::new(image, Vec::new(), Vec::new(), 1))
    }

    pub(super) fn new(image: Vec<u8>, manifest: Vec<u8>, signature: Vec<u8>, counter: u64) -> Self {
        Self {
            sha256: Sha256::digest(&image).into(),
            version: Version {
                digest: Sha256::digest(&manifest).into(),
                counter,
            },
            image,
            manifest,
            signature,
        }
    }

    /// Bytes of its image.
    #[must_use]
    pub const fn len_bytes(&self) -> u64 {
        self.image.len() as u64
    }

    pub(super) const fn image(&self) -> SlotImage {
        SlotImage {
            digest: self.version.digest,
            counter: self.version.counter,
            image_bytes: self.len_bytes(),
            sha256: self.sha256,
            chunk_bytes: CHUNK_BYTES,
        }
    }
}
