//! `pxe`: reads kernel, initramfs and stub, checks that a machine can boot them, and writes the
//! directory.

use std::net::Ipv4Addr;
use std::path::PathBuf;

use lexopt::{Parser, ValueExt};

use super::parts::{Given, Parts, PartsError, parts_help};
use super::stub::{Stub, StubError, stub_help};
use super::timeout::{self, timeout_help};
use super::{needed, path};
use crate::output::{OutputError, Readers, replace};
use crate::pxe::{self, PxeError, Wish};

/// The command's name.
pub const COMMAND: &str = "pxe";
/// Files with the initramfs in them; as secret as it is.
const WITH_INITRAMFS: [&str; 2] = ["initramfs", "deploy-shim.efi"];

/// The text of `--help`.
pub const HELP: &str = concat!(
    "\
usage: mkinitramfs pxe --kernel FILE --initramfs FILE [--cmdline WORDS] [--server ADDR]
                       [--timeout SECONDS] [--stub FILE] -o DIR

Makes a directory with everything that a machine fetches when it boots over the network: GRUB for
BIOS and UEFI with a menu, a script for iPXE, a unified kernel image for UEFI HTTP boot, and
configurations for dnsmasq. `spk-visor serve-boot --dir DIR` serves it. The same input gives the
same bytes.

",
    parts_help!(),
    "  --server ADDR     address from which GRUB fetches its files (default: the DHCP server).
                    A BIOS without iPXE needs it when another machine is the DHCP server
",
    timeout_help!(),
    stub_help!(),
    "  -o, --output DIR  where to write the directory
  -h, --help        print this text

Uses grub-mkimage (grub-common, grub-pc-bin, grub-efi-amd64-bin).
"
);

/// The arguments of `pxe`.
#[derive(Debug)]
pub struct Pxe {
    parts: Parts,
    stub: Stub,
    server: Option<Ipv4Addr>,
    timeout_seconds: u32,
    output: PathBuf,
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
    /// It could not be made of them.
    #[error(transparent)]
    Pxe(#[from] PxeError),
    /// The directory, or a file in it, could not be written.
    #[error(transparent)]
    Output(#[from] OutputError),
}

/// Reads the arguments behind the command; `None` means that help was asked for.
///
/// # Errors
/// The first argument that is wrong.
pub fn parse(parser: &mut Parser) -> Result<Option<Pxe>, lexopt::Error> {
    use lexopt::Arg::{Long, Short};

    let mut given = Given::default();
    let (mut stub, mut output, mut server) = (Stub::default(), None, None);
    let mut timeout_seconds = timeout::SECONDS;
    while let Some(argument) = parser.next()? {
        match argument {
            Short('h') | Long("help") => return Ok(None),
            Short('o') | Long("output") => output = Some(path(parser)?),
            Long("stub") => stub = Stub::option(parser)?,
            Long("server") => server = Some(parser.value()?.parse()?),
            Long("timeout") => timeout_seconds = timeout::option(parser)?,
            Long(name) => {
                let name = name.to_owned();
                given.option(&name, parser)?;
            }
            _ => return Err(argument.unexpected()),
        }
    }
    Ok(Some(Pxe {
        parts: given.all()?,
        stub,
        server,
        timeout_seconds,
        output: needed(output, "-o DIR")?,
    }))
}

impl Pxe {
    /// Writes the directory. Everything is made before the first file is replaced.
    ///
    /// # Errors
    /// See [`PxeCommandError`].
    pub fn make(&self) -> Result<(), PxeCommandError> {
        let (shim, readers) = self.parts.read()?;
        let stub = self.stub.read()?;
        let wish = Wish {
            shim: &shim,
            stub: &stub,
            timeout_seconds: self.timeout_seconds,
            server: self.server,
        };
        // A path with a slash at its end has no name to put something behind.
        let output: PathBuf = self.output.components().collect();
        let files = pxe::files(&wish)?;
        std::fs::create_dir_all(&output).map_err(|source| OutputError {
            path: output.clone(),
            source,
        })?;
        for (name, bytes) in files {
            let readers = if WITH_INITRAMFS.contains(&name) {
                readers
            } else {
                Readers::Everybody
            };
            replace(&output.join(name), &bytes, readers)?;
        }
        Ok(())
    }
}
