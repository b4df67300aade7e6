//! `wifi`: packs what an image needs to join wireless networks, as an archive to append to it; also
//! the options with which `image` appends it itself.

use std::path::{Path, PathBuf};

use lexopt::Parser;

use super::carried::{self, Carried, CarriedError};
use super::pack::{PackError, pack_all};
use super::{needed, path};
use crate::output::{OutputError, Readers, replace};
use crate::tree::{Tree, TreeError};
use crate::wifi::{self, Wifi, WifiError};

/// The command's name.
pub const COMMAND: &str = "wifi";

/// Where the regulatory database lies when it is not with the firmware: Debian's package
/// wireless-regdb.
const REGULATORY: &str = "/lib/firmware";

/// Help text of the options.
macro_rules! wifi_help {
    () => {
        "  --supplicant FILE  wpa_supplicant, at /sbin/wpa_supplicant; mkinitramfs/wpa-build prints
                  the path of one
  --wifi-network FILE  network to join unattended: lines of ssid=NAME (or ssid-hex=HEX),
                  passphrase=WORDS (without it, the network is open), hidden=yes (its name is
                  not broadcast). OUT then holds the passphrase, so only its owner may read it;
                  anyone who can fetch it over the network can read it too
"
    };
}
pub(super) use wifi_help;

/// The text of `--help`.
pub const HELP: &str = concat!(
    "\
usage: mkinitramfs wifi --kernel FILE --modules DIR [--module WORD]... [--hostonly]
                        [--firmware DIR] --supplicant FILE [--wifi-network FILE] -o OUT

Packs only what `mkinitramfs image --wifi` adds to an image. Appended to an image that was made
with the same module options (cat IMAGE OUT), it gives the same bytes as --wifi would. The kernel
unpacks archives one after another.

  --kernel FILE   kernel of the image
  --modules DIR   modules of that kernel; OUT carries those that the image lacks
  --module WORD   carry this wireless driver and its dependencies (default: all in
                  drivers/net/wireless). Repeat for more
  --hostonly      carry the driver of this machine's wireless card
  --firmware DIR  carry the files in DIR (/lib/firmware) that these modules name; few wireless
                  cards work without. The regulatory database (regulatory.db) is taken from
                  there too, or else from /lib/firmware
",
    wifi_help!(),
    "  -o, --output OUT  where to write the archive
  -h, --help      print this text
"
);

/// The options in any order.
#[derive(Debug, Default)]
pub struct Given {
    supplicant: Option<PathBuf>,
    network: Option<PathBuf>,
}

/// The parts that the image carries besides modules.
#[derive(Debug)]
pub struct Parts {
    supplicant: PathBuf,
    network: Option<PathBuf>,
}

/// The arguments of `wifi`.
#[derive(Debug)]
pub struct Alone {
    carried: Carried,
    parts: Parts,
    output: PathBuf,
}

/// The archive cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum AloneError {
    /// A part of it.
    #[error(transparent)]
    Parts(#[from] PartsError),
    /// It cannot be packed.
    #[error(transparent)]
    Pack(#[from] PackError),
    /// The result could not be put where it belongs.
    #[error(transparent)]
    Output(#[from] OutputError),
}

/// A part cannot be carried.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)] // the fields name themselves
pub enum PartsError {
    /// The supplicant, or the network.
    #[error("reading {}", path.display())]
    Read {
        path: PathBuf,
        source: std::io::Error,
    },
    /// It is not what it must be.
    #[error("using {}", path.display())]
    Wifi { path: PathBuf, source: WifiError },
    /// It is not installed.
    #[error(
        "no {} in {REGULATORY}{}; Debian's package wireless-regdb has it",
        wifi::REGULATORY[0],
        firmware.as_ref().map_or(String::new(), |path| format!(" or {}", path.display()))
    )]
    Regulatory {
        /// Where it was looked for too.
        firmware: Option<PathBuf>,
    },
    /// The modules.
    #[error(transparent)]
    Carried(#[from] CarriedError),
    /// Two files have the same path.
    #[error("laying out the archive")]
    Tree(#[from] TreeError),
}

impl Given {
    /// Reads the option `name`, if it is one of these.
    ///
    /// # Errors
    /// Its value is missing.
    pub fn option(&mut self, name: &str, parser: &mut Parser) -> Result<bool, lexopt::Error> {
        match name {
            "supplicant" => self.supplicant = Some(path(parser)?),
            "wifi-network" => self.network = Some(path(parser)?),
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// Whether one was given.
    #[must_use]
    pub fn is_any(&self) -> bool {
        self.supplicant.is_some() || self.network.is_some()
    }

    /// All of them.
    ///
    /// # Errors
    /// There is no supplicant.
    pub fn all(self) -> Result<Parts, lexopt::Error> {
        Ok(Parts {
            supplicant: needed(
                self.supplicant,
                "--supplicant FILE (mkinitramfs/wpa-build makes it and prints its path)",
            )?,
            network: self.network,
        })
    }
}

/// The message for a kernel without its modules.
const NO_MODULES: &str = "--modules DIR and --kernel FILE are missing: Wi-Fi needs a \
    kernel with drivers for wireless cards, which the kernels of kernel-config/build lack \
    (mkinitramfs/debian-kernel fetches one)";

/// The modules without which there is no card.
///
/// # Errors
/// The kernel has no wireless drivers.
pub(super) fn needed_modules<T>(carried: Option<T>) -> Result<T, lexopt::Error> {
    carried.ok_or_else(|| NO_MODULES.into())
}

/// Reads the arguments behind the command; `None` means that help was asked for.
///
/// # Errors
/// The first argument that is wrong.
pub fn parse(parser: &mut Parser) -> Result<Option<Alone>, lexopt::Error> {
    use lexopt::Arg::{Long, Short};

    let (mut modules, mut parts, mut output) = (carried::Given::default(), Given::default(), None);
    while let Some(argument) = parser.next()? {
        match argument {
            Short('h') | Long("help") => return Ok(None),
            Short('o') | Long("output") => output = Some(path(parser)?),
            Long(name) => {
                let name = name.to_owned();
                if !modules.option(&name, parser)? && !parts.option(&name, parser)? {
                    return Err(lexopt::Error::UnexpectedOption(format!("--{name}")));
                }
            }
            _ => return Err(argument.unexpected()),
        }
    }
    Ok(Some(Alone {
        carried: needed_modules(modules.all()?)?,
        parts: parts.all()?,
        output: needed(output, "-o OUT")?,
    }))
}

impl Alone {
    /// Writes the archive.
    ///
    /// # Errors
    /// See [`AloneError`].
    pub fn make(&self) -> Result<(), AloneError> {
        let (trees, readers) = self.parts.trees(&self.carried)?;
        let packed = pack_all(&trees)?;
        Ok(replace(&self.output, &packed, readers)?)
    }
}

impl Parts {
    /// The archives: supplicant and modules, then firmware; and who may read them.
    ///
    /// # Errors
    /// See [`PartsError`].
    pub fn trees(&self, carried: &Carried) -> Result<([Tree; 2], Readers), PartsError> {
        let wifi = self.read(carried.firmware_directory())?;
        let mut tree = Tree::default();
        wifi.put(&mut tree)?;
        let firmware = carried.put_wireless(&mut tree)?;
        if carried.firmware_directory().is_none() {
            eprintln!("mkinitramfs: without --firmware, only wireless cards without firmware work");
        }
        let readers = match wifi.has_secret() {
            true => Readers::Owner,
            false => Readers::Everybody,
        };
        Ok(([tree, firmware], readers))
    }

    fn read(&self, firmware: Option<&Path>) -> Result<Wifi, PartsError> {
        let taking = |path: &Path| {
            let path = path.to_owned();
            move |source| PartsError::Wifi { path, source }
        };
        let supplicant = read(&self.supplicant)?;
        let regulatory = regulatory(firmware)?;
        let mut wifi = Wifi::new(supplicant, regulatory).map_err(taking(&self.supplicant))?;
        if let Some(path) = &self.network {
            wifi.know(read(path)?).map_err(taking(path))?;
        }
        Ok(wifi)
    }
}

/// The database and its signature, both from one place.
fn regulatory(firmware: Option<&Path>) -> Result<[Vec<u8>; 2], PartsError> {
    for directory in firmware.into_iter().chain([Path::new(REGULATORY)]) {
        let [database, signature] = wifi::REGULATORY.map(|name| directory.join(name));
        if database.exists() {
            return Ok([read(&database)?, read(&signature)?]);
        }
    }
    Err(PartsError::Regulatory {
        firmware: firmware.map(Path::to_owned),
    })
}

fn read(path: &Path) -> Result<Vec<u8>, PartsError> {
    std::fs::read(path).map_err(|source| PartsError::Read {
        path: path.to_owned(),
        source,
    })
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;
    use std::os::unix::fs::PermissionsExt;
    use std::process::ExitCode;

    use crate::cli::run;
    use crate::program::tests::program;
    use crate::shim::tests::kernel;
    use crate::test_dir::TestDir;

    /// A kernel that has everything built in, and what is packed with it.
    fn parts(name: &str) -> TestDir {
        let dir = TestDir::new(name);
        dir.write("kernel", &kernel());
        dir.write(
            "modules/modules.builtin",
            b"kernel/net/packet/af_packet.ko\nkernel/fs/ext4/ext4.ko\n\
              kernel/net/wireless/cfg80211.ko\n",
        );
        dir.write("firmware/regulatory.db", b"RGDB....");
        dir.write("firmware/regulatory.db.p7s", b"signed");
        dir.write("network", b"ssid=Workshop\npassphrase=correct horse\n");
        dir.write("program", &program());
        dir
    }

    /// Runs a command whose words beginning with `@` are files of the directory.
    fn make(dir: &TestDir, line: &str) -> bool {
        let words = line.split(' ').map(|word| match word.strip_prefix('@') {
            Some(name) => dir.path().join(name).into_os_string(),
            None => OsString::from(word),
        });
        run(words) == ExitCode::SUCCESS
    }

    const IMAGE: &str = "image --init @program --mke2fs @program";
    const MODULES: &str = "--kernel @kernel --modules @modules --firmware @firmware";
    const WIFI: &str = "--supplicant @program --wifi-network @network";

    #[test]
    fn alone_it_is_what_the_image_has_more_of() {
        let dir = parts("wifi-alone");
        assert!(make(&dir, &format!("{IMAGE} {MODULES} -o @image")));
        assert!(make(&dir, &format!("wifi {MODULES} {WIFI} -o @wifi")));
        let whole = format!("{IMAGE} {MODULES} --wifi {WIFI} -o");
        assert!(make(&dir, &format!("{whole} @whole")));
        assert!(make(&dir, &format!("{whole} @again")));
        let read = |name: &str| std::fs::read(dir.path().join(name)).unwrap();
        assert_eq!([read("image"), read("wifi")].concat(), read("whole"));
        assert_eq!(read("whole"), read("again"));
        for name in ["wifi", "whole"] {
            let metadata = dir.path().join(name).metadata().unwrap();
            assert_eq!(metadata.permissions().mode() & 0o777, 0o600, "{name}");
        }
    }

    #[test]
    fn what_cannot_work_is_not_written() {
        let dir = parts("wifi-refused");
        let line = format!("wifi {MODULES} {WIFI} -o @wifi");
        dir.write("network", b"Workshop\n");
        assert!(!make(&dir, &line));
        dir.write("network", b"ssid=Workshop\n");
        dir.write("program", b"#!/bin/sh\n");
        assert!(!make(&dir, &line));
        dir.write("program", &program());
        dir.write("firmware/regulatory.db", b"<html>");
        assert!(!make(&dir, &line));
        assert!(!dir.path().join("wifi").exists());
        dir.write("firmware/regulatory.db", b"RGDB....");
        assert!(make(&dir, &line));
    }
}
