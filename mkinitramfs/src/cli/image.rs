//! `image`: reads the programs and what is to be baked in beside them, checks that they can run there, and writes the
//! initramfs.

use std::ffi::OsString;
use std::io::Read;
use std::path::{Path, PathBuf};

use lexopt::{Parser, ValueExt};

use super::{needed, path};
use crate::drivers::{self, Choice, Directory, DriversError};
use crate::firmware::{self, FirmwareError};
use crate::locks::{self, KEY_FILE_MAX, Locks};
use crate::output::{OutputError, Readers, replace};
use crate::tree::Tree;
use crate::{initramfs, newc, program, shim, tree};

/// As it is typed.
pub const COMMAND: &str = "image";

/// What `--help` prints.
pub const HELP: &str = "\
usage: mkinitramfs image --init FILE --mke2fs FILE [--trust PUBKEY]... [--floor N] [--pinned FILE] -o OUT
                         [--kernel FILE --modules DIR [--module WORD]... [--hostonly] [--firmware DIR]]

Packs static programs into an initramfs, for the kernel that kernel-config/build makes or for a distribution's,
whose drivers are modules. The same input gives the same bytes.

  --init FILE     first program of the machine, at /init
  --mke2fs FILE   mke2fs (mkinitramfs/mke2fs-build prints the path of one), at /sbin/mke2fs
  --trust PUBKEY  minisign public key: a .pub file, or its base 64. The machine then takes only what this
                  key signed (`spk-visor manifest sign`), under every policy; give it again for a second key
  --floor N       lowest counter such a manifest may have
  --pinned FILE   NAME.shim of `spk-visor keys new NAME`: started with smv.policy=pinned, the machine pairs with the
                  donor that has NAME.donor, without a person. OUT then holds a private key, so only its owner may
                  read it; and whoever can fetch it over the network can pose as this machine
  --kernel FILE   the kernel this is for: with --modules, to see that they go together
  --modules DIR   /lib/modules/RELEASE of that kernel, after depmod. The image then carries modules, and the machine loads
                  what its devices ask for: without a choice, those for network cards, disks, USB and watchdogs
  --module WORD   carry this one, and of the others only what it needs: a name, a pattern of names ('mlx*'), or a directory
                  of modules (drivers/net/ethernet/intel); again for another
  --hostonly      carry what the devices of this very machine ask for
  --firmware DIR  carry the files of DIR (/lib/firmware) that the carried modules name, and the kernel itself
  -o, --output OUT  where to write it
  -h, --help      this text
";

/// What `image` was told.
#[derive(Debug)]
pub struct Image {
    init: PathBuf,
    mke2fs: PathBuf,
    output: PathBuf,
    /// Files, or keys themselves.
    trust: Vec<OsString>,
    floor: Option<u64>,
    pinned: Option<PathBuf>,
    modules: Option<Modules>,
}

/// The kernel whose drivers are carried.
#[derive(Debug)]
struct Modules {
    kernel: PathBuf,
    directory: PathBuf,
    words: Vec<String>,
    is_hostonly: bool,
    firmware: Option<PathBuf>,
}

/// Why there is no initramfs.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// A program or a key.
    #[error("reading {}", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// It cannot run on the machine.
    #[error("checking {}", path.display())]
    Program {
        /// Which.
        path: PathBuf,
        /// Why.
        source: program::ProgramError,
    },
    /// A key is not what it must be.
    #[error("baking in {what}")]
    Lock {
        /// Which option.
        what: String,
        /// Why.
        source: locks::LockError,
    },
    /// A file that tells no release.
    #[error("{} is not a bzImage that tells its release", .0.display())]
    Release(PathBuf),
    /// A module.
    #[error(transparent)]
    Drivers(#[from] DriversError),
    /// A file that one asks for.
    #[error(transparent)]
    Firmware(#[from] FirmwareError),
    /// Two things want one place.
    #[error("laying out the archive")]
    Tree(#[from] tree::TreeError),
    /// Something is too large for the format.
    #[error("writing the archive")]
    Newc(#[from] newc::NewcError),
    /// No memory.
    #[error("compressing the archive")]
    Compress(#[source] std::io::Error),
    /// The result could not be put where it belongs.
    #[error(transparent)]
    Output(#[from] OutputError),
}

/// Reads the arguments behind the command; `None` means that help was asked for.
///
/// # Errors
/// The first one that makes no sense.
pub fn parse(parser: &mut Parser) -> Result<Option<Image>, lexopt::Error> {
    use lexopt::Arg::{Long, Short};

    let (mut init, mut mke2fs, mut output) = (None, None, None);
    let (mut trust, mut floor, mut pinned) = (Vec::new(), None, None);
    let (mut kernel, mut directory, mut firmware) = (None, None, None);
    let (mut words, mut is_hostonly) = (Vec::new(), false);
    while let Some(argument) = parser.next()? {
        let slot = match argument {
            Short('h') | Long("help") => return Ok(None),
            Long("init") => &mut init,
            Long("mke2fs") => &mut mke2fs,
            Long("pinned") => &mut pinned,
            Long("kernel") => &mut kernel,
            Long("modules") => &mut directory,
            Long("firmware") => &mut firmware,
            Short('o') | Long("output") => &mut output,
            Long("trust") => {
                trust.push(parser.value()?);
                continue;
            }
            Long("floor") => {
                floor = Some(parser.value()?.parse()?);
                continue;
            }
            Long("module") => {
                words.push(parser.value()?.string()?);
                continue;
            }
            Long("hostonly") => {
                is_hostonly = true;
                continue;
            }
            _ => return Err(argument.unexpected()),
        };
        *slot = Some(path(parser)?);
    }
    let modules = match directory {
        Some(directory) => Some(Modules {
            kernel: needed(kernel, "--kernel FILE, which --modules belongs to,")?,
            directory,
            words,
            is_hostonly,
            firmware,
        }),
        None if kernel.is_some() || firmware.is_some() || is_hostonly || !words.is_empty() => {
            return Err(
                "--modules DIR is missing: the other options about drivers choose from it".into(),
            );
        }
        None => None,
    };
    Ok(Some(Image {
        init: needed(init, "--init FILE")?,
        mke2fs: needed(mke2fs, "--mke2fs FILE")?,
        output: needed(output, "-o OUT")?,
        trust,
        floor,
        pinned,
        modules,
    }))
}

impl Image {
    /// Writes the initramfs.
    ///
    /// # Errors
    /// See [`ImageError`].
    pub fn make(&self) -> Result<(), ImageError> {
        let locks = locks(self)?;
        let mut tree = initramfs::tree(read(&self.init)?, read(&self.mke2fs)?, &locks)?;
        let firmware = match &self.modules {
            Some(modules) => modules.put(&mut tree)?,
            None => Tree::default(),
        };
        let mut packed = pack(&tree)?;
        if !firmware.is_empty() {
            // The kernel unpacks archives one behind another.
            packed.extend(pack(&firmware)?);
        }
        let readers = if locks.has_secret() {
            Readers::Owner
        } else {
            Readers::Everybody
        };
        Ok(replace(&self.output, &packed, readers)?)
    }
}

impl Modules {
    /// Adds the modules to the image and returns the firmware, which is an archive of its own.
    fn put(&self, tree: &mut Tree) -> Result<Tree, ImageError> {
        let kernel = std::fs::read(&self.kernel).map_err(|source| ImageError::Read {
            path: self.kernel.clone(),
            source,
        })?;
        let release =
            shim::release(&kernel).ok_or_else(|| ImageError::Release(self.kernel.clone()))?;
        let host = || drivers::modaliases_of_host(Path::new("/sys/bus"));
        let choice = Choice {
            words: self.words.clone(),
            modaliases: self.is_hostonly.then(host),
        };
        let drivers = Directory::read(&self.directory)?.put(&choice, release, tree)?;
        eprintln!(
            "mkinitramfs: {} modules for kernel {release}",
            drivers.count
        );
        let Some(directory) = &self.firmware else {
            return Ok(Tree::default());
        };
        let firmware = firmware::collect(directory, &drivers.firmware)?;
        let (count, missing) = (firmware.count, firmware.missing);
        eprintln!("mkinitramfs: {count} firmware files");
        if !missing.is_empty() {
            let (directory, missing) = (directory.display(), missing.join(" "));
            eprintln!("mkinitramfs: named by a driver, but not in {directory}: {missing}");
        }
        Ok(firmware.tree)
    }
}

fn pack(tree: &Tree) -> Result<Vec<u8>, ImageError> {
    let archive = newc::archive(tree)?;
    initramfs::compress(&archive).map_err(ImageError::Compress)
}

fn locks(image: &Image) -> Result<Locks, ImageError> {
    let mut locks = Locks::default();
    for key in &image.trust {
        let lock = |source| ImageError::Lock {
            what: format!("--trust {}", key.display()),
            source,
        };
        match key.to_str().filter(|text| Locks::is_public_key(text)) {
            Some(base64) => locks.trust(base64.as_bytes()).map_err(lock)?,
            None => locks.trust(&read_key(Path::new(key))?).map_err(lock)?,
        }
    }
    if let Some(counter) = image.floor {
        locks.floor(counter);
    }
    if let Some(path) = &image.pinned {
        let text = read_key(path)?;
        locks.pin(&text).map_err(|source| ImageError::Lock {
            what: format!("--pinned {}", path.display()),
            source,
        })?;
    }
    locks.check().map_err(|source| ImageError::Lock {
        what: "the floor".to_owned(),
        source,
    })?;
    Ok(locks)
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
