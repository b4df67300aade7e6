//! A finished medium in, its parts out; changed, they become a medium of the same kind again.
//!
//! A file is what its first bytes say, not its name. Whatever its headers claim, nothing is read
//! but its own bytes.

pub mod grub_menu;
pub mod iso9660;
pub mod uki;

use crate::iso::{self, IsoError, Loader};
use crate::scratch::Scratch;
use crate::shim::{INITRAMFS_MAGICS, Shim};
use crate::uki::UkiError;
use grub_menu::{MenuError, Said};
use iso9660::Iso9660Error;
use uki::{Taken, UkiReadError};

/// What begins a program for UEFI.
const PROGRAM: &[u8] = b"MZ";

/// What kind of file it is, and what is in it besides the shim.
#[derive(Debug)]
pub enum Kind {
    /// An initramfs, which has neither kernel nor command line.
    Initramfs,
    /// A unified kernel image.
    Uki(Taken),
    /// An image for CD and stick.
    Iso(Box<Iso>),
}

/// What an ISO image has besides the shim.
#[derive(Debug)]
pub struct Iso {
    /// What its menu says.
    pub said: Said,
    loader: Loader,
}

/// The parts.
#[derive(Debug)]
pub struct Medium {
    /// What it is.
    pub kind: Kind,
    /// bzImage.
    pub kernel: Option<Vec<u8>>,
    /// cpio, compressed or not.
    pub initramfs: Vec<u8>,
    /// Words for the kernel.
    pub cmdline: Option<String>,
}

/// It cannot be taken apart.
#[derive(Debug, thiserror::Error)]
pub enum MediumError {
    /// Something else.
    #[error("this is no ISO image, no program for UEFI and no initramfs")]
    Unknown,
    /// A program for UEFI.
    #[error("reading the unified kernel image")]
    Uki(#[from] UkiReadError),
    /// The file system of an image.
    #[error("reading the ISO image")]
    Iso(#[from] Iso9660Error),
    /// The menu of an image.
    #[error("reading the menu of the ISO image")]
    Menu(#[from] MenuError),
}

/// It cannot be put together again.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// As a program for UEFI.
    #[error("making the unified kernel image")]
    Uki(#[from] UkiError),
    /// As an image.
    #[error("making the ISO image")]
    Iso(#[from] IsoError),
    /// Made by another version, whose programs may not know the menu of this one.
    #[error(
        "the menu of the ISO image is not one that this version makes: \
         use the version that made it, or make the image again"
    )]
    Menu,
}

impl Medium {
    /// Takes a file apart.
    ///
    /// # Errors
    /// See [`MediumError`].
    pub fn read(bytes: &[u8]) -> Result<Self, MediumError> {
        if bytes.starts_with(PROGRAM) {
            let taken = uki::read(bytes)?;
            return Ok(Self {
                kernel: Some(taken.kernel),
                initramfs: taken.initramfs,
                cmdline: Some(taken.cmdline),
                kind: Kind::Uki(taken.rest),
            });
        }
        if iso9660::is_image(bytes) {
            return Self::read_iso(bytes);
        }
        if !INITRAMFS_MAGICS
            .iter()
            .any(|magic| bytes.starts_with(magic))
        {
            return Err(MediumError::Unknown);
        }
        Ok(Self {
            kind: Kind::Initramfs,
            kernel: None,
            initramfs: bytes.to_vec(),
            cmdline: None,
        })
    }

    fn read_iso(bytes: &[u8]) -> Result<Self, MediumError> {
        let file = |path: &str| iso9660::file(bytes, path);
        let said = grub_menu::read(file(crate::menu::MENU)?)?;
        let loader = Loader {
            boot_sector: iso9660::boot_sector(bytes)?.to_vec(),
            bios: file(iso::BIOS_IMAGE)?.to_vec(),
            esp: iso9660::partition(bytes, crate::menu::ESP_NUMBER)?.to_vec(),
        };
        Ok(Self {
            kernel: Some(file(&said.entries.kernel)?.to_vec()),
            initramfs: file(&said.entries.initramfs)?.to_vec(),
            cmdline: Some(said.cmdline.clone()),
            kind: Kind::Iso(Box::new(Iso { said, loader })),
        })
    }

    /// The file of the same kind that has these parts; for the two kinds that have a kernel. Its
    /// own parts are made in `scratch`.
    ///
    /// # Errors
    /// See [`WriteError`].
    pub fn write(&self, shim: &Shim, scratch: &Scratch) -> Result<Vec<u8>, WriteError> {
        match &self.kind {
            Kind::Initramfs => Ok(shim.initramfs().to_vec()),
            Kind::Uki(rest) => Ok(crate::uki::assemble(shim, &rest.stub)?),
            Kind::Iso(iso) if !iso.said.is_ours => Err(WriteError::Menu),
            Kind::Iso(iso) => Ok(iso::compose(shim, &iso.said.entries, &iso.loader, scratch)?),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Kind, Medium, MediumError};
    use crate::iso;
    use crate::scratch::Scratch;
    use crate::shim::{Shim, tests::kernel};
    use crate::test_dir::TestDir;
    use pack::secure_boot::Chain;

    fn shim(cmdline: &str) -> Shim {
        Shim::new(kernel(), b"070701 and so on".to_vec(), cmdline).unwrap()
    }

    /// Boot sector, both tables of partitions, El Torito and the FAT volume: all of it is there
    /// again, or the bytes would differ. So a changed image boots wherever the first one does.
    #[test]
    fn an_image_is_taken_apart_and_put_together_again() {
        let chain = Chain {
            first_stage: vec![1; 3000],
            grub: vec![2; 5000],
            mok_manager: vec![3; 1000],
        };
        for (name, chain) in [("medium-iso", None), ("medium-signed", Some(&chain))] {
            must_be_the_same(name, chain);
        }
    }

    fn must_be_the_same(name: &str, chain: Option<&Chain>) {
        let dir = TestDir::new(name);
        let first = iso::image(&shim("quiet"), 5, chain, &dir.path().join("iso")).unwrap();
        let medium = Medium::read(&first).unwrap();
        assert_eq!(medium.kernel.as_deref(), Some(&*kernel()));
        assert_eq!(medium.initramfs, b"070701 and so on");
        let cmdline = medium.cmdline.clone().unwrap();
        assert_eq!(cmdline, "quiet console=tty0 console=ttyS0,115200");
        let again = |cmdline: &str| {
            let scratch = Scratch::beside(&dir.path().join("again")).unwrap();
            medium.write(&shim(cmdline), &scratch).unwrap()
        };
        assert!(again(&cmdline) == first, "the image differs");
        let other = again("loud");
        assert!(other != first && other == again("loud"));
        let other = Medium::read(&other).unwrap();
        assert_eq!(
            other.cmdline.as_deref(),
            Some("loud console=tty0 console=ttyS0,115200")
        );
    }

    #[test]
    fn what_a_file_is_does_not_depend_on_its_name() {
        let found = Medium::read(b"070701 and so on").unwrap();
        assert!(matches!(found.kind, Kind::Initramfs) && found.kernel.is_none());
        for bytes in [&b""[..], b"\x7fELF", b"#!/bin/sh\n"] {
            assert!(matches!(Medium::read(bytes), Err(MediumError::Unknown)));
        }
        assert!(matches!(Medium::read(b"MZ"), Err(MediumError::Uki(_))));
        let mut other = vec![0; 40 * 2048];
        other[16 * 2048..][..6].copy_from_slice(b"\x01CD001");
        assert!(matches!(Medium::read(&other), Err(MediumError::Iso(_))));
    }
}
