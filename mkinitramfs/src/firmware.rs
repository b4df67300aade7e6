//! Names that drivers ask for and a directory of firmware in, the files with these names out, as
//! the kernel looks for them: unpacked, beneath `lib/firmware`.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::packed::{self, PackedError};
use crate::tree::{Node, Tree, TreeError};

/// Where the kernel looks (`Documentation/driver-api/firmware/fw_search_path.rst`).
const FIRMWARE_PATH: &str = "lib/firmware";
/// Characters of a name that stands for several.
const WILD: [char; 3] = ['*', '?', '['];

/// Why there is no firmware.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)] // the fields name themselves
pub enum FirmwareError {
    /// The directory or a file in it.
    #[error("reading {}", path.display())]
    Read { path: PathBuf, source: io::Error },
    /// A file is damaged.
    #[error("reading {}", path.display())]
    Packed { path: PathBuf, source: PackedError },
    /// A driver asks for what no file can be called.
    #[error("laying out the firmware")]
    Tree(#[from] TreeError),
}

/// The firmware files that were found, and those that were not.
#[derive(Debug, Default)]
pub struct Firmware {
    /// The files.
    pub tree: Tree,
    /// How many.
    pub count: usize,
    /// Names without a file. That is ordinary: drivers name what cards may ask for that were never
    /// sold.
    pub missing: Vec<String>,
}

/// Collects the files with these names.
///
/// # Errors
/// See [`FirmwareError`].
pub fn collect(directory: &Path, names: &BTreeSet<String>) -> Result<Firmware, FirmwareError> {
    fs::read_dir(directory).map_err(|source| FirmwareError::Read {
        path: directory.to_owned(),
        source,
    })?;
    let mut all = None;
    let mut firmware = Firmware::default();
    for name in names {
        let found = if name.contains(WILD) {
            let all = match &all {
                Some(all) => all,
                None => all.insert(list(directory)?),
            };
            let fits = |known: &&String| modules::pattern::matches(name, known);
            all.iter().filter(fits).cloned().collect()
        } else {
            vec![name.clone()]
        };
        let before = firmware.count;
        for name in &found {
            firmware.take(directory, name)?;
        }
        if firmware.count == before {
            firmware.missing.push(name.clone());
        }
    }
    Ok(firmware)
}

impl Firmware {
    /// Adds one file under its own name, however it is packed.
    fn take(&mut self, directory: &Path, name: &str) -> Result<(), FirmwareError> {
        let at = format!("{FIRMWARE_PATH}/{name}");
        for ending in packed::ENDINGS {
            let path = directory.join(format!("{name}{ending}"));
            let bytes = match fs::read(&path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                read => read.map_err(|source| FirmwareError::Read {
                    path: path.clone(),
                    source,
                })?,
            };
            let bytes =
                packed::unpack(bytes).map_err(|source| FirmwareError::Packed { path, source })?;
            match self.tree.add(&at, Node::Data(bytes)) {
                // Named by two patterns.
                Err(TreeError::Taken(_)) if self.tree.has(&at) => {}
                added => added?,
            }
            self.count += 1;
            return Ok(());
        }
        Ok(())
    }
}

/// Every file, by its name as drivers use it.
fn list(directory: &Path) -> Result<BTreeSet<String>, FirmwareError> {
    let mut names = BTreeSet::new();
    let mut open = vec![PathBuf::new()];
    while let Some(below) = open.pop() {
        let path = directory.join(&below);
        let failed = |source| FirmwareError::Read {
            path: path.clone(),
            source,
        };
        for entry in fs::read_dir(&path).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let name = below.join(entry.file_name());
            // Not through links to directories: they may lead in circles.
            if entry.file_type().map_err(failed)?.is_dir() {
                open.push(name);
            } else if let Some(text) = name.to_str() {
                let packed = [".xz", ".zst"].into_iter();
                let plain = packed.filter_map(|ending| text.strip_suffix(ending)).next();
                names.insert(plain.unwrap_or(text).to_owned());
            }
        }
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::{FirmwareError, collect};
    use crate::packed::tests::xz;
    use crate::test_dir::TestDir;
    use crate::tree::Node;
    use std::collections::BTreeSet;

    fn names(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn only_what_is_named_is_taken_and_it_is_unpacked() {
        let dir = TestDir::new("firmware");
        dir.write("tigon/tg3.bin", b"tg3");
        dir.write("rtl_nic/rtl8125b-2.fw.xz", &xz(b"rtl"));
        dir.write(
            "bnx2/bnx2-mips-06.fw.zst",
            &zstd::bulk::compress(b"bnx2", 1).unwrap(),
        );
        dir.write("iwlwifi-8000C.ucode", b"not asked for");
        let wanted = [
            "bnx2/bnx2-mips-*.fw",
            "rtl_nic/rtl8125b-2.fw",
            "rtl_nic/never-sold.fw",
            "tigon/tg3.bin",
            "tigon/tg?.bin",
        ];
        let firmware = collect(dir.path(), &names(&wanted)).unwrap();
        let files: Vec<_> = firmware
            .tree
            .iter()
            .filter_map(|(path, node)| match node {
                Node::Data(bytes) => Some((path, &bytes[..])),
                _ => None,
            })
            .collect();
        let expected: [(&str, &[u8]); 3] = [
            ("lib/firmware/bnx2/bnx2-mips-06.fw", b"bnx2"),
            ("lib/firmware/rtl_nic/rtl8125b-2.fw", b"rtl"),
            ("lib/firmware/tigon/tg3.bin", b"tg3"),
        ];
        assert_eq!(files, expected);
        assert_eq!(firmware.missing, ["rtl_nic/never-sold.fw"]);
    }

    #[test]
    fn a_name_that_leaves_the_directory_is_refused() {
        let dir = TestDir::new("firmware-out");
        dir.write("inside/x", b"");
        dir.write("secret", b"secret");
        let error = collect(&dir.path().join("inside"), &names(&["../secret"])).unwrap_err();
        assert!(matches!(error, FirmwareError::Tree(_)), "{error}");
    }

    #[test]
    fn a_missing_directory_is_named() {
        let error = collect("/nonexistent/firmware".as_ref(), &names(&[])).unwrap_err();
        assert!(error.to_string().contains("/nonexistent/firmware"));
    }
}
