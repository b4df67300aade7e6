//! The directory of a kernel's modules and a choice among them in, the files that PID 1 loads them
//! from out (`modules.md` 1).
//!
//! With each module come its dependencies, hard (modules.dep) and soft (modules.softdep). The
//! tables in the image are the lines of the original tables that concern its modules.

mod error;
mod purpose;
mod tables;
mod wireless;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use modules::{Index, Row, Tables, is_same_name, pattern};

pub use error::DriversError;
pub use purpose::Purpose;
use tables::{alias, dep, folded, plain, softdep};

use crate::modinfo::Modinfo;
use crate::packed;
use crate::tree::{Node, Tree};

/// Where PID 1 looks, and everybody else.
const MODULES_PATH: &str = "lib/modules";

/// A driver, and another that it asks the kernel for by name, which no table tells.
const COMPANIONS: [(&str, &str); 1] = [("mlx4_core", "mlx4_en")];

/// The choice of modules.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Choice {
    /// Names, patterns of names, and directories (what has a `/`).
    pub words: Vec<String>,
    /// The modaliases of one machine's devices.
    pub modaliases: Option<Vec<String>>,
    /// Those for wireless cards too.
    pub is_wireless: bool,
    /// What the image does.
    pub purpose: Purpose,
}

/// A directory of modules with its tables.
#[derive(Debug)]
pub struct Directory {
    path: PathBuf,
    dep: String,
    alias: String,
    softdep: String,
    builtin: String,
    builtin_modinfo: Vec<u8>,
}

/// The modules and firmware for the image.
#[derive(Debug, Default)]
pub struct Drivers {
    /// Names of the modules, without what comes along.
    pub count: usize,
    /// Firmware that they, and built-in drivers, may ask for.
    pub firmware: BTreeSet<String>,
}

impl Directory {
    /// Reads the tables. A kernel that has everything built in has no modules.dep and needs none.
    ///
    /// # Errors
    /// No directory of modules.
    pub fn read(path: &Path) -> Result<Self, DriversError> {
        let text = |name: &str| {
            let path = path.join(name);
            fs::read_to_string(&path).map_err(|source| DriversError::Read { path, source })
        };
        let optional = |name: &str| match text(name) {
            Err(DriversError::Read { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                Ok(String::new())
            }
            other => other,
        };
        let builtin = text("modules.builtin")?;
        let modinfo = path.join("modules.builtin.modinfo");
        let builtin_modinfo = match fs::read(&modinfo) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(), // before Linux 5.2
            read => read.map_err(|source| DriversError::Read {
                path: modinfo,
                source,
            })?,
        };
        if path.join("kernel").exists() && !path.join("modules.dep").exists() {
            return Err(DriversError::NoTables(path.to_owned()));
        }
        Ok(Self {
            path: path.to_owned(),
            dep: optional("modules.dep")?,
            alias: optional("modules.alias")?,
            softdep: optional("modules.softdep")?,
            builtin,
            builtin_modinfo,
        })
    }

    fn is_built_in(&self, name: &str) -> bool {
        self.builtin
            .lines()
            .any(|path| is_same_name(modules::name(path), name))
    }

    /// Adds the chosen modules to `tree`, for the kernel with this release.
    ///
    /// # Errors
    /// See [`DriversError`].
    pub fn put(
        &self,
        choice: &Choice,
        release: &str,
        tree: &mut Tree,
    ) -> Result<Drivers, DriversError> {
        self.put_beside(None, choice, release, tree)
    }

    /// The same without the modules of an image that has these already; the tables speak of all of
    /// them, and replace its own.
    ///
    /// # Errors
    /// See [`DriversError`].
    pub fn put_beside(
        &self,
        image: Option<&Choice>,
        choice: &Choice,
        release: &str,
        tree: &mut Tree,
    ) -> Result<Drivers, DriversError> {
        let tables = Tables {
            dep: &self.dep,
            alias: &self.alias,
            softdep: &self.softdep,
        };
        let index = Index::parse(tables).map_err(|source| DriversError::Index {
            path: self.path.clone(),
            source,
        })?;
        let (chosen, always) = self.choose(&index, choice)?;
        let there = match image {
            Some(image) => self.choose(&index, image)?.0,
            None => BTreeMap::new(),
        };
        let mut drivers = Drivers::default();
        if image.is_none() {
            let builtin = Modinfo::of_builtin(&self.builtin_modinfo).values("firmware");
            drivers.firmware.extend(builtin.map(str::to_owned));
        }
        let added = chosen.values().filter(|row| !there.contains_key(row.path));
        let added: Vec<&Row<'_>> = added.collect();
        if added.is_empty() {
            return Ok(drivers);
        }
        let place = format!("{MODULES_PATH}/{release}");
        for row in added {
            let path = self.path.join(row.path);
            let module = read_module(&path)?;
            let info = Modinfo::of_module(&module).map_err(|source| DriversError::Modinfo {
                path: path.clone(),
                source,
            })?;
            if let Some(own) = info.release().filter(|own| *own != release) {
                return Err(DriversError::Release {
                    path,
                    module: own.to_owned(),
                    kernel: release.to_owned(),
                });
            }
            drivers.count += 1;
            let firmware = info.values("firmware").map(str::to_owned);
            drivers.firmware.extend(firmware);
            tree.add(&format!("{place}/{}", plain(row.path)), Node::Data(module))?;
        }
        for (name, text) in [
            ("modules.dep", dep(&chosen)),
            ("modules.alias", alias(&index, &chosen)),
            ("modules.softdep", softdep(&self.softdep, &chosen)),
            ("modules.load", always),
        ] {
            tree.add(&format!("{place}/{name}"), Node::Data(text.into_bytes()))?;
        }
        Ok(drivers)
    }

    /// The modules by their paths, and a list of those that no device would ask for.
    fn choose<'a>(
        &self,
        index: &Index<'a>,
        choice: &Choice,
    ) -> Result<(BTreeMap<&'a str, Row<'a>>, String), DriversError> {
        let mut chosen = BTreeMap::new();
        let mut take = |wanted: &str| {
            let order = index.order(wanted);
            let is_there = !order.is_empty();
            chosen.extend(order.into_iter().map(|row| (row.path, row)));
            is_there
        };
        let (purpose, mut always) = (choice.purpose, String::new());
        for name in purpose.needed().iter().chain(purpose.welcome()) {
            let is_there = take(name);
            if !is_there && !self.is_built_in(name) && purpose.needed().contains(name) {
                return Err(DriversError::Lacking {
                    name,
                    directory: self.path.clone(),
                });
            }
            if is_there && purpose.loaded().contains(name) {
                always.push_str(name);
                always.push('\n');
            }
        }
        let (device_drivers, answering) = answering(index);
        if choice.words.is_empty() && choice.modaliases.is_none() {
            for row in index.rows() {
                let is_usual = purpose
                    .usual()
                    .iter()
                    .any(|usual| is_beneath(row.path, usual));
                if is_usual && device_drivers.contains(&folded(row.name)) {
                    take(row.name);
                }
            }
        }
        for modalias in choice.modaliases.iter().flatten() {
            take(modalias);
        }
        for word in &choice.words {
            let rows = index.rows().iter().filter(|row| fits(word, row));
            let mut is_known = false;
            for row in rows {
                is_known |= take(row.name);
                if !answering.contains(&folded(row.name)) {
                    always.push_str(row.name);
                    always.push('\n');
                }
            }
            if !is_known && !self.is_built_in(word) {
                return Err(DriversError::Unknown {
                    word: word.clone(),
                    directory: self.path.clone(),
                });
            }
        }
        if choice.is_wireless {
            let is_hostonly = choice.modaliases.is_some();
            wireless::take(index, &device_drivers, is_hostonly, &mut chosen);
            let is_built_in = self.is_built_in(wireless::BASE);
            if is_hostonly && !wireless::has_driver(&chosen) && !is_built_in {
                return Err(DriversError::NoCard(self.path.clone()));
            }
            if index.find(wireless::BASE).is_none() && !is_built_in {
                return Err(DriversError::Lacking {
                    name: wireless::BASE,
                    directory: self.path.clone(),
                });
            }
        }
        for (driver, companion) in COMPANIONS {
            if chosen.values().any(|row| is_same_name(row.name, driver)) {
                let order = index.order(companion).into_iter();
                chosen.extend(order.map(|row| (row.path, row)));
            }
        }
        Ok((chosen, always))
    }
}

/// The modaliases of this machine's devices.
#[must_use]
pub fn modaliases_of_host(buses: &Path) -> Vec<String> {
    let entries = |directory: PathBuf| {
        let entries = fs::read_dir(directory).into_iter().flatten().flatten();
        entries.map(|entry| entry.path())
    };
    let buses = entries(buses.to_owned());
    let devices = buses.flat_map(|bus| entries(bus.join("devices")));
    let modaliases = devices.filter_map(|device| fs::read_to_string(device.join("modalias")).ok());
    let modaliases: BTreeSet<String> = modaliases.map(|text| text.trim().to_owned()).collect();
    modaliases.into_iter().collect()
}

/// Modules that answer to a device, and those that answer to anything.
fn answering(index: &Index<'_>) -> (BTreeSet<String>, BTreeSet<String>) {
    let (mut devices, mut anything) = (BTreeSet::new(), BTreeSet::new());
    for (pattern, module) in index.aliases() {
        // Buses put their name and a colon first; what the kernel asks for by itself has none
        // (`fs-ext4`).
        if pattern.contains(':') {
            devices.insert(folded(module));
        }
        anything.insert(folded(module));
    }
    (devices, anything)
}

fn fits(word: &str, row: &Row<'_>) -> bool {
    if word.contains('/') {
        let below = word.trim_matches('/');
        is_beneath(row.path, below) || is_beneath(row.path, &format!("kernel/{below}"))
    } else {
        pattern::matches(word, row.name)
    }
}

/// Whether a path lies in a directory, or is that module.
fn is_beneath(path: &str, place: &str) -> bool {
    path.strip_prefix(place)
        .is_some_and(|rest| rest.starts_with(['/', '.']))
}

fn read_module(path: &Path) -> Result<Vec<u8>, DriversError> {
    let bytes = fs::read(path).map_err(|source| DriversError::Read {
        path: path.to_owned(),
        source,
    })?;
    packed::unpack(bytes).map_err(|source| DriversError::Packed {
        path: path.to_owned(),
        source,
    })
}

#[cfg(test)]
mod tests;
