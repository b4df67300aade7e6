//! The boot entry: a Boot Loader Specification file of type 1, written for boot loaders and read
//! back for kexec.
//!
//! Made from a layout and the options a package asks for; the text is one `key value` line per
//! field. Values come from untrusted packages, so nothing that could begin another line gets in.

use std::fmt;

use thiserror::Error;
use uuid::Uuid;
use wire::outcome::Outcome;

/// Where the entry stands on the ESP.
pub const PATH: &str = "loader/entries/smechvisor.conf";
/// The kernel's path on the ESP, as boot loaders name it.
pub const LINUX: &str = "/smechvisor/vmlinuz";
/// The initial ramdisk's.
pub const INITRD: &str = "/smechvisor/initrd";
/// `loader/loader.conf`: for a systemd-boot that somebody puts beside GRUB.
pub const LOADER_CONF: &str = "default smechvisor.conf\ntimeout 3\n";
/// The kernel's own limit for a command line on x86 (COMMAND_LINE_SIZE), less its terminator.
pub const OPTIONS_MAX: usize = 2047;

/// The kernel, ramdisk and options to boot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BootEntry {
    /// For the menu.
    pub title: String,
    /// The kernel's path on the ESP, absolute.
    pub linux: String,
    /// The initial ramdisk's, when there is one.
    pub initrd: Option<String>,
    /// The kernel command line.
    pub options: String,
}

/// No entry can be made of this, or this is not an entry.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[allow(missing_docs)] // the fields name themselves
pub enum EntryError {
    /// A control character, or one that is not ASCII.
    #[error("the {key} of the boot entry has '{}' at byte {at}", byte.escape_ascii())]
    Byte {
        /// The key of the line.
        key: &'static str,
        /// Position, from 0.
        at: usize,
        /// The byte at that place.
        byte: u8,
    },
    /// The kernel would cut it off.
    #[error("the kernel command line has {len} bytes; {OPTIONS_MAX} is the most")]
    TooLong {
        /// Its length.
        len: usize,
    },
    /// A path on the ESP is absolute and stays there.
    #[error("the {key} of the boot entry is '{path}', not an absolute path without '..'")]
    Path {
        /// The key of the line.
        key: &'static str,
        /// The path on that line.
        path: String,
    },
    /// A line that must be there.
    #[error("the boot entry has no {key} line")]
    Missing { key: &'static str },
}

impl EntryError {
    /// The package that brought it is refused.
    #[must_use]
    pub const fn outcome(&self) -> Outcome {
        Outcome::Refuse
    }
}

impl BootEntry {
    /// The entry of an installed system: its root by PARTUUID, which the kernel finds without an
    /// initial ramdisk, and what the packages ask for in `/etc/kernel/cmdline`.
    ///
    /// # Errors
    /// `extra_options` are longer than the kernel takes or hold a byte that no option has.
    pub fn new(
        title: &str,
        root_guid: Uuid,
        has_initrd: bool,
        extra_options: &str,
    ) -> Result<Self, EntryError> {
        let entry = Self {
            title: title.to_owned(),
            linux: LINUX.to_owned(),
            initrd: has_initrd.then(|| INITRD.to_owned()),
            options: format!("root=PARTUUID={root_guid} rw {}", extra_options.trim())
                .trim_end()
                .to_owned(),
        };
        entry.check()?;
        Ok(entry)
    }

    /// Reads an entry. Unknown keys are left to other readers; of repeated keys the last one
    /// counts, but `options` lines are joined (Boot Loader Specification, Type #1).
    ///
    /// # Errors
    /// No `linux` line, or a value that [`BootEntry::new`] would not make.
    pub fn parse(text: &str) -> Result<Self, EntryError> {
        let mut entry = Self {
            title: String::new(),
            linux: String::new(),
            initrd: None,
            options: String::new(),
        };
        for line in text.lines() {
            let line = line.trim();
            let Some((key, value)) = line.split_once([' ', '\t']) else {
                continue;
            };
            let value = value.trim();
            match key {
                "title" => value.clone_into(&mut entry.title),
                "linux" => value.clone_into(&mut entry.linux),
                "initrd" => entry.initrd = Some(value.to_owned()),
                "options" if entry.options.is_empty() => value.clone_into(&mut entry.options),
                "options" => entry.options = format!("{} {value}", entry.options),
                _ => {}
            }
        }
        if entry.linux.is_empty() {
            return Err(EntryError::Missing { key: "linux" });
        }
        entry.check()?;
        Ok(entry)
    }

    fn check(&self) -> Result<(), EntryError> {
        let initrd = self.initrd.as_deref();
        let len = self.options.len();
        if len > OPTIONS_MAX {
            return Err(EntryError::TooLong { len });
        }
        let lines = [
            ("title", Some(self.title.as_str())),
            ("linux", Some(self.linux.as_str())),
            ("initrd", initrd),
            ("options", Some(self.options.as_str())),
        ];
        for (key, value) in lines {
            let bytes = value.unwrap_or_default().bytes().enumerate();
            if let Some((at, byte)) = bytes
                .into_iter()
                .find(|(_, byte)| !matches!(byte, b' '..=b'~'))
            {
                return Err(EntryError::Byte { key, at, byte });
            }
        }
        for (key, path) in [("linux", Some(self.linux.as_str())), ("initrd", initrd)] {
            if let Some(path) = path
                .filter(|path| !path.starts_with('/') || path.split('/').any(|part| part == ".."))
            {
                return Err(EntryError::Path {
                    key,
                    path: path.to_owned(),
                });
            }
        }
        Ok(())
    }
}

impl fmt::Display for BootEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "title {}", self.title)?;
        writeln!(f, "linux {}", self.linux)?;
        if let Some(initrd) = &self.initrd {
            writeln!(f, "initrd {initrd}")?;
        }
        writeln!(f, "options {}", self.options)
    }
}

#[cfg(test)]
mod tests {
    use super::{BootEntry, EntryError, OPTIONS_MAX};
    use uuid::Uuid;

    const GUID: Uuid = Uuid::from_u128(0x0102_0304_0506_0708_090a_0b0c_0d0e_0f10);

    #[test]
    fn an_entry_is_read_back_as_it_was_written() {
        for (has_initrd, extra) in [
            (false, ""),
            (true, "console=ttyS0 quiet"),
            (true, "  x=\"a b\" \n"),
        ] {
            let entry = BootEntry::new("Debian GNU/Linux 12", GUID, has_initrd, extra).unwrap();
            assert_eq!(BootEntry::parse(&entry.to_string()).unwrap(), entry);
            assert!(
                entry
                    .options
                    .starts_with("root=PARTUUID=01020304-0506-0708-090a-0b0c0d0e0f10 rw")
            );
        }
        let golden = "title t\nlinux /smechvisor/vmlinuz\ninitrd /smechvisor/initrd\n\
            options root=PARTUUID=01020304-0506-0708-090a-0b0c0d0e0f10 rw quiet\n";
        assert_eq!(
            BootEntry::new("t", GUID, true, "quiet")
                .unwrap()
                .to_string(),
            golden
        );
    }

    #[test]
    fn no_value_begins_another_line() {
        for extra in ["a\nlinux /evil", "a\rb", "a\0b", "a\u{7f}", "ä", "a\tb"] {
            let error = BootEntry::new("t", GUID, false, extra).unwrap_err();
            assert!(
                matches!(error, EntryError::Byte { key: "options", .. }),
                "{extra:?}: {error}"
            );
        }
        assert!(matches!(
            BootEntry::new("a\nb", GUID, false, ""),
            Err(EntryError::Byte {
                key: "title",
                at: 1,
                ..
            })
        ));
    }

    #[test]
    fn a_command_line_that_the_kernel_would_cut_off_is_refused() {
        let fixed = BootEntry::new("t", GUID, false, "x").unwrap().options.len() - 1;
        assert!(BootEntry::new("t", GUID, false, &"x".repeat(OPTIONS_MAX - fixed)).is_ok());
        let error =
            BootEntry::new("t", GUID, false, &"x".repeat(OPTIONS_MAX - fixed + 1)).unwrap_err();
        assert_eq!(
            error,
            EntryError::TooLong {
                len: OPTIONS_MAX + 1
            }
        );
    }

    #[test]
    fn entries_of_others_are_read_by_the_specification() {
        let text = "# comment\n\ntitle\tX\nversion 6.1\nlinux\t  /a/vmlinuz\noptions a\noptions b c\nlinux";
        let entry = BootEntry::parse(text).unwrap();
        assert_eq!(
            (
                entry.title.as_str(),
                entry.linux.as_str(),
                entry.options.as_str()
            ),
            ("X", "/a/vmlinuz", "a b c")
        );
        assert_eq!(
            BootEntry::parse("title x\n"),
            Err(EntryError::Missing { key: "linux" })
        );
        for path in ["vmlinuz", "/../vmlinuz", "/a/.."] {
            assert!(
                matches!(
                    BootEntry::parse(&format!("linux {path}\n")),
                    Err(EntryError::Path { .. })
                ),
                "{path}"
            );
        }
    }
}
