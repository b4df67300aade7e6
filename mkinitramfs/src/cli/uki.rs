//! `uki`: reads kernel, initramfs and stub, checks that a machine can boot them, and writes the
//! program.

use std::path::PathBuf;

use lexopt::Parser;

use super::parts::{Given, Parts, PartsError, parts_help};
use super::stub::{Stub, StubError, stub_help};
use super::{needed, path};
use crate::output::{OutputError, replace};
use crate::uki::{self, UkiError};

/// The command's name.
pub const COMMAND: &str = "uki";

/// The text of `--help`.
pub const HELP: &str = concat!(
    "\
usage: mkinitramfs uki --kernel FILE --initramfs FILE [--cmdline WORDS] [--stub FILE] -o OUT.efi

Builds a unified kernel image: kernel, initramfs and command line as one program that 64-bit UEFI
starts, from a disk as EFI/BOOT/BOOTX64.EFI, through a boot entry, or over HTTP. It has no menu.
The same input gives the same bytes.

",
    parts_help!(),
    stub_help!(),
    "  -o, --output OUT  where to write the program; only its owner may read it if the same is true
                    of the initramfs
  -h, --help        print this text
"
);

/// The arguments of `uki`.
#[derive(Debug)]
pub struct Uki {
    parts: Parts,
    stub: Stub,
    output: PathBuf,
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

/// Reads the arguments behind the command; `None` means that help was asked for.
///
/// # Errors
/// The first argument that is wrong.
pub fn parse(parser: &mut Parser) -> Result<Option<Uki>, lexopt::Error> {
    use lexopt::Arg::{Long, Short};

    let mut given = Given::default();
    let (mut stub, mut output) = (Stub::default(), None);
    while let Some(argument) = parser.next()? {
        match argument {
            Short('h') | Long("help") => return Ok(None),
            Short('o') | Long("output") => output = Some(path(parser)?),
            Long("stub") => stub = Stub::option(parser)?,
            Long(name) => {
                let name = name.to_owned();
                given.option(&name, parser)?;
            }
            _ => return Err(argument.unexpected()),
        }
    }
    Ok(Some(Uki {
        parts: given.all()?,
        stub,
        output: needed(output, "-o OUT")?,
    }))
}

impl Uki {
    /// Writes the program.
    ///
    /// # Errors
    /// See [`UkiCommandError`].
    pub fn make(&self) -> Result<(), UkiCommandError> {
        let (shim, readers) = self.parts.read()?;
        let stub = self.stub.read()?;
        let program = uki::assemble(&shim, &stub).map_err(|source| UkiCommandError::Uki {
            stub: self.stub.path().to_owned(),
            source,
        })?;
        Ok(replace(&self.output, &program, readers)?)
    }
}
