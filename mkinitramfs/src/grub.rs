//! Modules and a first configuration in, one GRUB image out that loads nothing else on its way to
//! the menu.

use std::path::{Path, PathBuf};

use crate::output::OutputError;
use crate::scratch::Scratch;
use crate::tool::{Tool, ToolError};

/// Where Debian keeps GRUB's parts.
const PARTS: &str = "/usr/lib/grub";

/// The format of an image, as `grub-mkimage -O` calls it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Platform {
    /// A program for 64-bit UEFI.
    Efi,
    /// The image that a BIOS starts from a CD (El Torito), and GRUB's boot sector from a disk.
    BiosCd,
    /// The image that a BIOS fetches over the network.
    BiosPxe,
}

impl Platform {
    const fn name(self) -> &'static str {
        match self {
            Platform::Efi => "x86_64-efi",
            Platform::BiosCd => "i386-pc-eltorito",
            Platform::BiosPxe => "i386-pc-pxe",
        }
    }

    const fn package(self) -> &'static str {
        match self {
            Platform::Efi => "grub-efi-amd64-bin",
            Platform::BiosCd | Platform::BiosPxe => "grub-pc-bin",
        }
    }

    const fn directory(self) -> &'static str {
        match self {
            Platform::Efi => "x86_64-efi",
            Platform::BiosCd | Platform::BiosPxe => "i386-pc",
        }
    }
}

/// The image cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum GrubError {
    /// GRUB is not installed, or not all of it, or its tool failed.
    #[error(transparent)]
    Tool(#[from] ToolError),
    /// A file on the way.
    #[error(transparent)]
    Output(#[from] OutputError),
}

/// The contents of an image.
#[derive(Clone, Copy, Debug)]
pub struct Recipe<'a> {
    /// For which firmware.
    pub platform: Platform,
    /// Names of modules, with blanks between them.
    pub modules: &'a [&'a str],
    /// Where GRUB looks for `grub.cfg` when `config` says nothing else.
    pub prefix: &'a str,
    /// Plain commands, run before anything is looked for.
    pub config: &'a str,
}

impl Recipe<'_> {
    /// Makes the image. The same modules give the same bytes.
    ///
    /// # Errors
    /// See [`GrubError`].
    pub fn image(&self, scratch: &Scratch) -> Result<Vec<u8>, GrubError> {
        // grub-mkimage would only say which file it misses.
        let _ = part(self.platform, "kernel.img")?;
        let name = self.platform.name();
        let config = scratch.write(&format!("{name}.cfg"), self.config.as_bytes())?;
        let modules = self.modules.iter().flat_map(|list| list.split_whitespace());
        Tool::new("grub-mkimage", "grub-common")
            .args(["-O", name, "-p", self.prefix, "-c"])
            .arg(config)
            .arg("-o")
            .arg(scratch.file(name))
            .args(modules)
            .run()?;
        Ok(scratch.read(name)?)
    }
}

/// The path of one of GRUB's own files.
///
/// # Errors
/// The package that has it is not installed.
pub fn part(platform: Platform, name: &str) -> Result<PathBuf, ToolError> {
    let path = Path::new(PARTS).join(platform.directory()).join(name);
    if path.is_file() {
        return Ok(path);
    }
    Err(ToolError::Part {
        path,
        package: platform.package(),
    })
}
