//! `uki`: reads kernel, initramfs and stub, checks that they can be started, and writes the program.

use std::path::PathBuf;

use lexopt::Parser;

use super::parts::{Given, Parts, PartsError, parts_help};
use super::stub::{Stub, StubError, stub_help};
use super::{needed, path};
use crate::output::{OutputError, replace};
use crate::uki::{self, UkiError};

/// As it is typed.
pub const COMMAND: &str = "uki";

/// What `--help` prints.
pub const HELP: &str = concat!(
    "\
usage: mkinitramfs uki --kernel FILE --initramfs FILE [--cmdline WORDS] [--stub FILE] -o OUT.efi

Makes one program of kernel, initramfs and command line that 64-bit UEFI starts by itself: from a disk as
EFI/BOOT/BOOTX64.EFI, through a boot entry, over HTTP. There is no menu. The same input gives the same bytes.

",
    parts_help!(),
    stub_help!(),
    "  -o, --output OUT  where to write it; for its owner only, if the initramfs is
  -h, --help        this text
"
);

/// What `uki` was told.
#[derive(Debug)]
pub struct Uki {
    parts: Parts,
    stub: Stub,
    output: PathBuf,
}

/// Why there is no program.
#[derive(Debug, thiserror::Error)]
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
        /// Why.
        source: UkiError,
    },
    /// The result could not be put where it belongs.
    #[error(transparent)]
    Output(#[from] OutputError),
}

/// Reads the arguments behind the command; `None` means that help was asked for.
///
/// # Errors
/// The first one that makes no sense.
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
