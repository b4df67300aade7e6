//! `mkinitramfs --init FILE --mke2fs FILE -o OUT`: reads the programs and what is to be baked in beside them, checks that
//! they can run there, and writes the initramfs. OUT either has the whole new content afterwards or what it had before.

use std::error::Error;
use std::ffi::OsString;
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use lexopt::ValueExt;
use mkinitramfs::locks::{self, KEY_FILE_MAX, Locks};
use mkinitramfs::{initramfs, newc, program, tree};

const HELP: &str = "\
usage: mkinitramfs --init FILE --mke2fs FILE [--trust PUBKEY]... [--floor N] [--pinned FILE] -o OUT

Packs static programs into an initramfs for the kernel that kernel-config/build makes.
The same input gives the same bytes.

  --init FILE     first program of the machine, at /init
  --mke2fs FILE   mke2fs (mkinitramfs/mke2fs-build prints the path of one), at /sbin/mke2fs
  --trust PUBKEY  minisign public key: a .pub file, or its base 64. The machine then takes only what this
                  key signed (`spk-visor manifest sign`), under every policy; give it again for a second key
  --floor N       lowest counter such a manifest may have
  --pinned FILE   NAME.shim of `spk-visor keys new NAME`: started with smv.policy=pinned, the machine pairs with the
                  donor that has NAME.donor, without a person. OUT then holds a private key, so only its owner may
                  read it; and whoever can fetch it over the network can pose as this machine
  -o, --output OUT  where to write it
  -h, --help      this text

Exit status: 0 written, 1 a file could not be read, used or written, 2 wrong arguments.
";

/// What the command line asks for.
struct Request {
    init: PathBuf,
    mke2fs: PathBuf,
    output: PathBuf,
    /// Files, or keys themselves.
    trust: Vec<OsString>,
    floor: Option<u64>,
    pinned: Option<PathBuf>,
}

/// Why there is no initramfs.
#[derive(Debug, thiserror::Error)]
enum MakeError {
    #[error("reading {}", path.display())]
    Read {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("checking {}", path.display())]
    Program {
        path: PathBuf,
        source: program::ProgramError,
    },
    #[error("baking in {what}")]
    Lock {
        what: String,
        source: locks::LockError,
    },
    #[error("laying out the archive")]
    Tree(#[from] tree::TreeError),
    #[error("writing the archive")]
    Newc(#[from] newc::NewcError),
    #[error("compressing the archive")]
    Compress(#[source] std::io::Error),
    #[error("writing {}", path.display())]
    Write {
        path: PathBuf,
        source: std::io::Error,
    },
}

fn main() -> ExitCode {
    let request = match parse(std::env::args_os().skip(1)) {
        Ok(Some(request)) => request,
        Ok(None) => {
            print!("{HELP}");
            return ExitCode::SUCCESS;
        }
        Err(error) => {
            eprintln!("mkinitramfs: {error}\n\n{HELP}");
            return ExitCode::from(2);
        }
    };
    match make(&request) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("mkinitramfs: {}", chain(&error));
            ExitCode::FAILURE
        }
    }
}

/// Reads the arguments; `None` means that help was asked for.
fn parse(arguments: impl Iterator<Item = OsString>) -> Result<Option<Request>, lexopt::Error> {
    use lexopt::Arg::{Long, Short};

    let (mut init, mut mke2fs, mut output) = (None, None, None);
    let (mut trust, mut floor, mut pinned) = (Vec::new(), None, None);
    let mut parser = lexopt::Parser::from_args(arguments);
    while let Some(argument) = parser.next()? {
        let slot = match argument {
            Short('h') | Long("help") => return Ok(None),
            Long("init") => &mut init,
            Long("mke2fs") => &mut mke2fs,
            Long("pinned") => &mut pinned,
            Short('o') | Long("output") => &mut output,
            Long("trust") => {
                trust.push(parser.value()?);
                continue;
            }
            Long("floor") => {
                floor = Some(parser.value()?.parse()?);
                continue;
            }
            _ => return Err(argument.unexpected()),
        };
        *slot = Some(PathBuf::from(parser.value()?));
    }
    let missing = |name: &str| lexopt::Error::from(format!("{name} is missing"));
    Ok(Some(Request {
        init: init.ok_or_else(|| missing("--init FILE"))?,
        mke2fs: mke2fs.ok_or_else(|| missing("--mke2fs FILE"))?,
        output: output.ok_or_else(|| missing("-o OUT"))?,
        trust,
        floor,
        pinned,
    }))
}

fn make(request: &Request) -> Result<(), MakeError> {
    let locks = locks(request)?;
    let tree = initramfs::tree(read(&request.init)?, read(&request.mke2fs)?, &locks)?;
    let archive = newc::archive(&tree)?;
    let packed = initramfs::compress(&archive).map_err(MakeError::Compress)?;
    write(&request.output, &packed, locks.has_secret())
}

fn locks(request: &Request) -> Result<Locks, MakeError> {
    let mut locks = Locks::default();
    for key in &request.trust {
        let lock = |source| MakeError::Lock {
            what: format!("--trust {}", key.display()),
            source,
        };
        match key.to_str().filter(|text| Locks::is_public_key(text)) {
            Some(base64) => locks.trust(base64.as_bytes()).map_err(lock)?,
            None => locks.trust(&read_key(Path::new(key))?).map_err(lock)?,
        }
    }
    if let Some(counter) = request.floor {
        locks.floor(counter);
    }
    if let Some(path) = &request.pinned {
        let text = read_key(path)?;
        locks.pin(&text).map_err(|source| MakeError::Lock {
            what: format!("--pinned {}", path.display()),
            source,
        })?;
    }
    locks.check().map_err(|source| MakeError::Lock {
        what: "the floor".to_owned(),
        source,
    })?;
    Ok(locks)
}

/// A file that may be anything, as far as a key can reach.
fn read_key(path: &Path) -> Result<Vec<u8>, MakeError> {
    let failed = |source| MakeError::Read {
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

fn read(path: &Path) -> Result<Vec<u8>, MakeError> {
    let bytes = std::fs::read(path).map_err(|source| MakeError::Read {
        path: path.to_owned(),
        source,
    })?;
    program::check(&bytes).map_err(|source| MakeError::Program {
        path: path.to_owned(),
        source,
    })?;
    Ok(bytes)
}

/// Writes beside the target and renames, so that nobody ever boots half a file. The process id keeps two
/// callers apart. A private key inside is for the owner's eyes only.
fn write(path: &Path, bytes: &[u8], is_secret: bool) -> Result<(), MakeError> {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{}", std::process::id()));
    let beside = PathBuf::from(name);
    // As std::fs::write does it, less the umask.
    let mode = if is_secret { 0o600 } else { 0o666 };
    // A leftover of a process with our number would keep its own mode.
    let _ = std::fs::remove_file(&beside);
    let mut options = std::fs::OpenOptions::new();
    let file = options.write(true).create_new(true).mode(mode);
    file.open(&beside)
        .and_then(|mut file| file.write_all(bytes))
        .and_then(|()| std::fs::rename(&beside, path))
        .map_err(|source| {
            // Nothing to do about a leftover that cannot be removed: the first error is the one to tell.
            let _ = std::fs::remove_file(&beside);
            MakeError::Write {
                path: path.to_owned(),
                source,
            }
        })
}

/// The error and its causes in one line.
fn chain(error: &dyn Error) -> String {
    let causes = std::iter::successors(Some(error), |&error| error.source());
    causes
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(": ")
}
