//! `iso`: reads kernel and initramfs, checks that they can be started, and writes the image.

use std::path::PathBuf;

use lexopt::Parser;

use super::parts::{Given, Parts, PartsError, parts_help};
use super::timeout::{self, timeout_help};
use super::{needed, path};
use crate::iso::{self, IsoError};
use crate::output::{OutputError, replace};

/// The command's name.
pub const COMMAND: &str = "iso";

/// The text of `--help`.
pub const HELP: &str = concat!(
    "\
usage: mkinitramfs iso --kernel FILE --initramfs FILE [--cmdline WORDS] [--timeout SECONDS] -o OUT

Makes a hybrid image that boots under BIOS and UEFI, from a CD and from a USB stick
(dd if=OUT of=/dev/sdX bs=4M). Its menu deploys, with or without a serial console, and takes kernel
options, which a stick remembers. The same input gives the same bytes.

",
    parts_help!(),
    timeout_help!(),
    "  -o, --output OUT  where to write the image; only its owner may read it if the same is true
                    of the initramfs
  -h, --help        print this text

Uses grub-mkimage (grub-common, grub-pc-bin, grub-efi-amd64-bin), xorriso and mtools.
"
);

/// The arguments of `iso`.
#[derive(Debug)]
pub struct Iso {
    parts: Parts,
    timeout_seconds: u32,
    output: PathBuf,
}

/// The image cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum IsoCommandError {
    /// A file that goes in.
    #[error(transparent)]
    Parts(#[from] PartsError),
    /// It could not be made of them.
    #[error(transparent)]
    Iso(#[from] IsoError),
    /// The result could not be put where it belongs.
    #[error(transparent)]
    Output(#[from] OutputError),
}

/// Reads the arguments behind the command; `None` means that help was asked for.
///
/// # Errors
/// The first argument that is wrong.
pub fn parse(parser: &mut Parser) -> Result<Option<Iso>, lexopt::Error> {
    use lexopt::Arg::{Long, Short};

    let mut given = Given::default();
    let (mut timeout_seconds, mut output) = (timeout::SECONDS, None);
    while let Some(argument) = parser.next()? {
        match argument {
            Short('h') | Long("help") => return Ok(None),
            Short('o') | Long("output") => output = Some(path(parser)?),
            Long("timeout") => timeout_seconds = timeout::option(parser)?,
            Long(name) => {
                let name = name.to_owned();
                given.option(&name, parser)?;
            }
            _ => return Err(argument.unexpected()),
        }
    }
    Ok(Some(Iso {
        parts: given.all()?,
        timeout_seconds,
        output: needed(output, "-o OUT")?,
    }))
}

impl Iso {
    /// Writes the image.
    ///
    /// # Errors
    /// See [`IsoCommandError`].
    pub fn make(&self) -> Result<(), IsoCommandError> {
        let (shim, readers) = self.parts.read()?;
        let image = iso::image(&shim, self.timeout_seconds, &self.output)?;
        Ok(replace(&self.output, &image, readers)?)
    }
}
