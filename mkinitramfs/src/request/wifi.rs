//! `wifi`: packs what an image needs to join wireless networks, as an archive to append to it; also
//! the options with which `image` appends it itself.

use std::path::{Path, PathBuf};

use super::carried::{Carried, CarriedError};
use super::pack::{PackError, pack_all};
use crate::output::{OutputError, Readers, replace};
use crate::tree::{Tree, TreeError};
use crate::wifi::{self, Wifi, WifiError};

/// Where the regulatory database lies when it is not with the firmware: Debian's package
/// wireless-regdb.
const REGULATORY: &str = "/lib/firmware";

/// The parts that the image carries besides modules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parts {
    /// `--supplicant`.
    pub supplicant: PathBuf,
    /// `--wifi-network`.
    pub network: Option<PathBuf>,
}

/// The arguments of `wifi`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alone {
    /// `--modules` and what belongs to it.
    pub carried: Carried,
    /// What joins networks.
    pub parts: Parts,
    /// `-o`.
    pub output: PathBuf,
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
            eprintln!("media: without --firmware, only wireless cards without firmware work");
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
    use std::os::unix::fs::PermissionsExt;
    use std::path::PathBuf;

    use super::{Alone, Parts};
    use crate::program::tests::program;
    use crate::request::carried::Carried;
    use crate::request::image::Image;
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

    /// What names files in the directory.
    fn file(dir: &TestDir, name: &str) -> PathBuf {
        dir.path().join(name)
    }

    fn carried(dir: &TestDir) -> Carried {
        Carried {
            kernel: file(dir, "kernel"),
            directory: file(dir, "modules"),
            words: Vec::new(),
            is_hostonly: false,
            firmware: Some(file(dir, "firmware")),
        }
    }

    fn wireless(dir: &TestDir) -> Parts {
        Parts {
            supplicant: file(dir, "program"),
            network: Some(file(dir, "network")),
        }
    }

    fn alone(dir: &TestDir) -> Alone {
        Alone {
            carried: carried(dir),
            parts: wireless(dir),
            output: file(dir, "wifi"),
        }
    }

    fn image(dir: &TestDir, wifi: Option<Parts>, output: &str) -> Image {
        Image {
            init: file(dir, "program"),
            mke2fs: file(dir, "program"),
            output: file(dir, output),
            trust: Vec::new(),
            floor: None,
            pinned: None,
            modules: Some(carried(dir)),
            wifi,
        }
    }

    #[test]
    fn alone_it_is_what_the_image_has_more_of() {
        let dir = parts("wifi-alone");
        image(&dir, None, "image").make().unwrap();
        alone(&dir).make().unwrap();
        for name in ["whole", "again"] {
            image(&dir, Some(wireless(&dir)), name).make().unwrap();
        }
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
        for (name, wrong) in [
            ("network", &b"Workshop\n"[..]),
            ("program", b"#!/bin/sh\n"),
            ("firmware/regulatory.db", b"<html>"),
        ] {
            let right = std::fs::read(dir.path().join(name)).unwrap();
            dir.write(name, wrong);
            alone(&dir).make().unwrap_err();
            assert!(!dir.path().join("wifi").exists(), "{name}");
            dir.write(name, &right);
        }
        alone(&dir).make().unwrap();
    }
}
