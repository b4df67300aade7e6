//! `image`: reads the programs, keys and drivers, checks that the target can use them, and writes
//! the initramfs.

use std::ffi::OsString;
use std::io::Read;
use std::path::{Path, PathBuf};

use bundle::trust::Trust;
use lexopt::{Parser, ValueExt};

use super::carried::{self, Carried, CarriedError};
use super::pack::{PackError, pack_all};
use super::wifi::{self, PartsError, needed_modules, wifi_help};
use super::{needed, path};
use crate::baked_config::{self, BakedConfig, KEY_FILE_MAX};
use crate::output::{OutputError, Readers, replace};
use crate::tree::Tree;
use crate::{initramfs, program, tree};

/// The command's name.
pub const COMMAND: &str = "image";

/// The text of `--help`.
pub const HELP: &str = concat!(
    "\
usage: mkinitramfs image --init FILE --mke2fs FILE [--trust PUBKEY]... [--floor N] [--pinned FILE]
                         [--kernel FILE --modules DIR [--module WORD]... [--hostonly]
                          [--firmware DIR] [--wifi --supplicant FILE [--wifi-network FILE]]]
                         -o OUT

Packs static programs into an initramfs, for the kernel of kernel-config/build or for a
distribution's kernel, whose drivers are modules. The same input gives the same bytes.

  --init FILE     program that the kernel starts first, at /init
  --mke2fs FILE   mke2fs, at /sbin/mke2fs; mkinitramfs/mke2fs-build prints the path of one
  --trust PUBKEY  minisign public key, as a .pub file or its base 64. The machine then installs
                  only what this key signed (`spk-visor manifest sign`), under every policy.
                  Repeat for more keys
  --floor N       lowest counter that a signed manifest may have
  --pinned FILE   NAME.shim of `spk-visor keys new NAME`: with smv.policy=pinned, the machine
                  pairs unattended with the donor that has NAME.donor. OUT then holds a private
                  key, so only its owner may read it; anyone who can fetch it over the network
                  can impersonate this machine
  --kernel FILE   kernel that the modules must match; required by --modules
  --modules DIR   /lib/modules/RELEASE of that kernel, after depmod. The image then carries
                  modules, and the machine loads what its devices need. Default choice: drivers
                  for network cards, disks, USB and watchdogs
  --module WORD   carry this module, and of the others only its dependencies: a name, a name
                  pattern ('mlx*'), or a module directory (drivers/net/ethernet/intel).
                  Repeat for more
  --hostonly      carry the modules that the devices of this machine need
  --firmware DIR  carry the files in DIR (/lib/firmware) that the carried modules and the kernel
                  name
  --wifi          carry what joins wireless networks: the supplicant, the drivers of all
                  wireless cards or of those chosen above, and the regulatory database
",
    wifi_help!(),
    "  -o, --output OUT  where to write the initramfs
  -h, --help      print this text
"
);

/// The arguments of `image`.
#[derive(Debug)]
pub struct Image {
    init: PathBuf,
    mke2fs: PathBuf,
    output: PathBuf,
    /// Files, or keys themselves.
    trust: Vec<OsString>,
    floor: Option<u64>,
    pinned: Option<PathBuf>,
    modules: Option<Carried>,
    wifi: Option<wifi::Parts>,
}

/// The initramfs cannot be made.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)] // the fields name themselves
pub enum ImageError {
    /// A program or a key.
    #[error("reading {}", path.display())]
    Read {
        path: PathBuf,
        source: std::io::Error,
    },
    /// It cannot run on the machine.
    #[error("checking {}", path.display())]
    Program {
        path: PathBuf,
        source: program::ProgramError,
    },
    /// A key is not what it must be.
    #[error("baking in {what}")]
    BakedConfig {
        what: String,
        source: baked_config::BakedConfigError,
    },
    /// The modules.
    #[error(transparent)]
    Carried(#[from] CarriedError),
    /// The Wi-Fi parts of the image.
    #[error(transparent)]
    Wifi(#[from] PartsError),
    /// Two files have the same path.
    #[error("laying out the archive")]
    Tree(#[from] tree::TreeError),
    /// It cannot be packed.
    #[error(transparent)]
    Pack(#[from] PackError),
    /// The result could not be put where it belongs.
    #[error(transparent)]
    Output(#[from] OutputError),
}

/// Reads the arguments behind the command; `None` means that help was asked for.
///
/// # Errors
/// The first argument that is wrong.
pub fn parse(parser: &mut Parser) -> Result<Option<Image>, lexopt::Error> {
    use lexopt::Arg::{Long, Short};

    let (mut init, mut mke2fs, mut output) = (None, None, None);
    let (mut trust, mut floor, mut pinned) = (Vec::new(), None, None);
    let (mut modules, mut parts) = (carried::Given::default(), wifi::Given::default());
    let mut is_wifi = false;
    while let Some(argument) = parser.next()? {
        let path_of = match argument {
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
            Long("wifi") => {
                is_wifi = true;
                continue;
            }
            Long(name) => {
                let name = name.to_owned();
                if modules.option(&name, parser)? || parts.option(&name, parser)? {
                    continue;
                }
                return Err(lexopt::Error::UnexpectedOption(format!("--{name}")));
            }
            _ => return Err(argument.unexpected()),
        };
        *path_of = Some(path(parser)?);
    }
    let modules = modules.all()?;
    let wifi = if is_wifi {
        needed_modules(modules.as_ref())?;
        Some(parts.all()?)
    } else if parts.is_any() {
        return Err("--wifi is missing: --supplicant and --wifi-network require it".into());
    } else {
        None
    };
    Ok(Some(Image {
        init: needed(init, "--init FILE")?,
        mke2fs: needed(mke2fs, "--mke2fs FILE")?,
        output: needed(output, "-o OUT")?,
        trust,
        floor,
        pinned,
        modules,
        wifi,
    }))
}

impl Image {
    /// Writes the initramfs.
    ///
    /// # Errors
    /// See [`ImageError`].
    pub fn make(&self) -> Result<(), ImageError> {
        let config = baked_config(self)?;
        let mut tree = initramfs::tree(read(&self.init)?, read(&self.mke2fs)?, &config)?;
        let firmware = match &self.modules {
            Some(modules) => modules.put(&mut tree)?,
            None => Tree::default(),
        };
        let mut packed = pack_all(&[tree, firmware])?;
        let mut readers = match config.has_secret() {
            true => Readers::Owner,
            false => Readers::Everybody,
        };
        if let (Some(modules), Some(wifi)) = (&self.modules, &self.wifi) {
            let (trees, wanted) = wifi.trees(modules)?;
            packed.extend(pack_all(&trees)?);
            if wanted == Readers::Owner {
                readers = wanted;
            }
        }
        Ok(replace(&self.output, &packed, readers)?)
    }
}

fn baked_config(image: &Image) -> Result<BakedConfig, ImageError> {
    let mut config = BakedConfig::default();
    for key in &image.trust {
        let failed = |source| ImageError::BakedConfig {
            what: format!("--trust {}", key.display()),
            source,
        };
        match key.to_str().filter(|text| Trust::parse(text).is_ok()) {
            Some(base64) => config.trust(base64.as_bytes()).map_err(failed)?,
            None => config.trust(&read_key(Path::new(key))?).map_err(failed)?,
        }
    }
    if let Some(counter) = image.floor {
        config.floor(counter);
    }
    if let Some(path) = &image.pinned {
        let text = read_key(path)?;
        config
            .pin(&text)
            .map_err(|source| ImageError::BakedConfig {
                what: format!("--pinned {}", path.display()),
                source,
            })?;
    }
    config.check().map_err(|source| ImageError::BakedConfig {
        what: "the floor".to_owned(),
        source,
    })?;
    Ok(config)
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
