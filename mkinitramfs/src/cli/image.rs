//! `image`: reads the programs and what is to be baked in beside them, checks that they can run there, and writes the
//! initramfs.

use std::ffi::OsString;
use std::io::Read;
use std::path::{Path, PathBuf};

use lexopt::{Parser, ValueExt};

use super::carried::{self, Carried, CarriedError};
use super::pack::{PackError, pack_all};
use super::wifi::{self, PartsError, needed_modules, wifi_help};
use super::{needed, path};
use crate::baked_config::{self, BakedConfig, KEY_FILE_MAX};
use crate::output::{OutputError, Readers, replace};
use crate::tree::Tree;
use crate::{initramfs, program, tree};

/// As it is typed.
pub const COMMAND: &str = "image";

/// What `--help` prints.
pub const HELP: &str = concat!(
    "\
usage: mkinitramfs image --init FILE --mke2fs FILE [--trust PUBKEY]... [--floor N] [--pinned FILE] -o OUT
                         [--kernel FILE --modules DIR [--module WORD]... [--hostonly] [--firmware DIR]
                          [--wifi --supplicant FILE [--wifi-network FILE]]]

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
  --wifi          carry what joins wireless networks: the drivers of their cards, or of them those that were chosen, and
",
    wifi_help!(),
    "  -o, --output OUT  where to write it
  -h, --help      this text
"
);

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
    modules: Option<Carried>,
    wifi: Option<wifi::Parts>,
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
    BakedConfig {
        /// Which option.
        what: String,
        /// Why.
        source: baked_config::BakedConfigError,
    },
    /// The modules.
    #[error(transparent)]
    Carried(#[from] CarriedError),
    /// What joins wireless networks.
    #[error(transparent)]
    Wifi(#[from] PartsError),
    /// Two things want one place.
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
/// The first one that makes no sense.
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
        return Err("--wifi is missing: --supplicant and --wifi-network belong to it".into());
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
        match key.to_str().filter(|text| BakedConfig::is_public_key(text)) {
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
