//! The firmware's variables, one file each (`Documentation/filesystems/efivarfs.rst`): boot
//! variables in, steps of a plan out.
//!
//! A file holds four bytes of attributes and then the content. Each write is one call of the
//! firmware, which takes the whole content or nothing.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use disk::boot_order::{Found, Step, name_of, number_in, order_bytes, parse_order};
use rustix::fs::{IFlags, ioctl_getflags, ioctl_setflags};
use thiserror::Error;
use wire::outcome::Outcome;

use crate::mounts::EFIVARS;

/// `EFI_GLOBAL_VARIABLE` (UEFI 2.10 3.3), as it stands behind a variable's name.
const GLOBAL: &str = "8be4df61-93ca-11d2-aa0d-00e098032b8c";
/// Kept without power, for boot services and for the running system: what 3.3 asks of boot
/// variables.
const ATTRIBUTES: [u8; 4] = 7_u32.to_le_bytes();
const ORDER: &str = "BootOrder";
const NEXT: &str = "BootNext";

/// A variable that could not be read or changed.
#[derive(Debug, Error)]
#[error("{action} {name}")]
pub struct VariableError {
    /// `reading`, `writing`, `removing`.
    pub action: &'static str,
    /// Without the GUID.
    pub name: String,
    /// The cause. The firmware's own reason is one of few: no space, read-only, or an error of the
    /// device.
    #[source]
    pub source: io::Error,
}

impl VariableError {
    /// The disk is installed all the same.
    #[must_use]
    pub const fn outcome(&self) -> Outcome {
        Outcome::Fatal
    }
}

/// The variables of this machine.
#[derive(Clone, Copy, Debug)]
pub struct Variables<'a> {
    directory: &'a Path,
}

/// Does this machine's firmware refuse unsigned programs? (UEFI 2.10 3.3, `SecureBoot`.)
#[must_use]
pub fn is_secure() -> bool {
    let directory = Path::new(EFIVARS);
    let value = Variables::new(directory).read("SecureBoot").ok().flatten();
    value.is_some_and(|value| value.first() == Some(&1))
}

impl<'a> Variables<'a> {
    /// Those in a directory.
    #[must_use]
    pub const fn new(directory: &'a Path) -> Self {
        Self { directory }
    }

    /// Everything that decides what is booted.
    ///
    /// # Errors
    /// One of them cannot be read: a plan without it might leave it out of the order.
    pub fn boot(&self) -> Result<Found, VariableError> {
        let failed = |source| error("reading", "the list of variables", source);
        let mut found = Found::default();
        for file in fs::read_dir(self.directory).map_err(failed)? {
            let file = file.map_err(failed)?.file_name();
            let name = file
                .to_str()
                .and_then(|file| file.strip_suffix(GLOBAL)?.strip_suffix('-'));
            let Some(number) = name.and_then(number_in) else {
                continue;
            };
            if let Some(option) = self.read(name.unwrap_or_default())? {
                found.options.insert(number, option);
            }
        }
        found.order = parse_order(&self.read(ORDER)?.unwrap_or_default());
        Ok(found)
    }

    /// A variable's content; `None` when there is no such variable.
    ///
    /// # Errors
    /// The firmware's.
    pub fn read(&self, name: &str) -> Result<Option<Vec<u8>>, VariableError> {
        match fs::read(self.path(name)) {
            // A variable that was never written is an empty file.
            Ok(bytes) => Ok(bytes.get(ATTRIBUTES.len()..).map(<[u8]>::to_vec)),
            Err(source) if source.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(error("reading", name, source)),
        }
    }

    /// Does what a plan says, as far as the firmware goes along. What depends on a step that failed
    /// is left out: the order names no option that is not there.
    #[must_use]
    pub fn apply(&self, found: &Found, steps: &[Step]) -> Vec<VariableError> {
        let mut faults = Vec::new();
        let mut missing = None;
        for step in steps {
            let done = match step {
                Step::Remove(number) => self.remove(&name_of(*number)),
                Step::Write(number, option) => {
                    let done = self.write_option(found, *number, option);
                    missing = done.is_err().then_some(*number);
                    done
                }
                Step::Next(number) if missing == Some(*number) => Ok(()),
                Step::Next(number) => self.write(NEXT, &order_bytes(&[*number])),
                Step::Order(order) => {
                    let there = order
                        .iter()
                        .copied()
                        .filter(|number| missing != Some(*number));
                    let there: Vec<u16> = there.collect();
                    if there == found.order {
                        Ok(())
                    } else {
                        self.write(ORDER, &order_bytes(&there))
                    }
                }
            };
            faults.extend(done.err());
        }
        faults
    }

    /// Firmware writes a new content before it gives up the old one. Where there is no room for
    /// both, the old one, which is ours, goes first.
    fn write_option(&self, found: &Found, number: u16, option: &[u8]) -> Result<(), VariableError> {
        let name = name_of(number);
        let written = self.write(&name, option);
        if written.is_ok() || !found.options.contains_key(&number) {
            return written;
        }
        self.remove(&name)?;
        self.write(&name, option)
    }

    fn write(&self, name: &str, content: &[u8]) -> Result<(), VariableError> {
        let path = self.path(name);
        let is_new = !path.exists();
        let write = || {
            make_mutable(&path);
            let mut file = OpenOptions::new()
                .write(true)
                .create(true)
                .truncate(false)
                .open(&path)?;
            file.write_all(&[&ATTRIBUTES, content].concat())
        };
        write().map_err(|source| {
            if is_new {
                let _ = fs::remove_file(&path); // empty: no variable, but a name for it
            }
            error("writing", name, source)
        })
    }

    fn remove(&self, name: &str) -> Result<(), VariableError> {
        let path = self.path(name);
        make_mutable(&path);
        match fs::remove_file(&path) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => {
                Err(error("removing", name, source))
            }
            _ => Ok(()),
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.join(format!("{name}-{GLOBAL}"))
    }
}

/// The kernel protects most variables with the immutable flag, so that `rm -r` does not break a
/// machine. Boot variables are exempt in the kernels we know (`efivar_variable_is_removable()`);
/// where they are not, the write below says why it fails.
fn make_mutable(path: &Path) {
    let Ok(file) = File::open(path) else {
        return;
    };
    if let Ok(flags) = ioctl_getflags(&file)
        && flags.contains(IFlags::IMMUTABLE)
    {
        let _ = ioctl_setflags(&file, flags.difference(IFlags::IMMUTABLE)); // as above
    }
}

fn error(action: &'static str, name: &str, source: io::Error) -> VariableError {
    VariableError {
        action,
        name: name.to_owned(),
        source,
    }
}

#[cfg(test)]
mod tests;
