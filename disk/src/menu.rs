//! GRUB's configuration, made from a boot entry: one file on the ESP that GRUB reads under BIOS and
//! under UEFI.
//!
//! GRUB's script is a language; the title and the options come from untrusted packages. Every word
//! goes into single quotes, in which GRUB knows no special character at all, and a value with a
//! single quote of its own is refused.

use thiserror::Error;
use wire::outcome::Outcome;

use crate::entry::BootEntry;

/// A value that GRUB would hand on changed: in single quotes it has no escape, and its `linux`
/// command puts a backslash before quotes and backslashes (GRUB manual, "Quoting";
/// `grub-core/lib/cmdline.c`).
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("the {key} of the boot entry has {} at byte {at}, which GRUB cannot pass on", byte.escape_ascii())]
pub struct MenuError {
    /// `title`, `options`, …
    pub key: &'static str,
    /// Position, from 0.
    pub at: usize,
    /// The character.
    pub byte: u8,
}

impl MenuError {
    /// The package that brought it is refused.
    #[must_use]
    pub const fn outcome(&self) -> Outcome {
        Outcome::Refuse
    }
}

/// The text of `grub.cfg`.
///
/// # Errors
/// The entry has a character that GRUB cannot pass on.
pub fn grub_cfg(entry: &BootEntry) -> Result<String, MenuError> {
    let title = quoted("title", &entry.title)?;
    let linux = quoted("linux", &entry.linux)?;
    let mut options = String::new();
    for word in words(&entry.options) {
        options.push(' ');
        options.push_str(&quoted("options", &word)?);
    }
    let initrd = match &entry.initrd {
        Some(path) => format!("    initrd {}\n", quoted("initrd", path)?),
        None => String::new(),
    };
    // A machine without a serial port keeps its screen.
    Ok(format!(
        "# Made from loader/entries/smechvisor.conf when this disk was deployed.\n\
         if serial --unit=0 --speed=115200; then\n    \
             terminal_input console serial\n    \
             terminal_output console serial\n\
         fi\n\
         set timeout=1\n\
         set default=0\n\
         menuentry {title} {{\n    \
             linux {linux}{options}\n\
         {initrd}}}\n"
    ))
}

/// Splits a command line as the kernel does (`lib/cmdline.c`, `next_arg`): blanks between double
/// quotes belong to the word. The quotes go: GRUB puts them back around a word with blanks.
fn words(options: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = String::new();
    let mut is_quoted = false;
    for c in options.chars() {
        match c {
            '"' => is_quoted = !is_quoted,
            ' ' if !is_quoted => {
                if !word.is_empty() {
                    words.push(core::mem::take(&mut word));
                }
            }
            c => word.push(c),
        }
    }
    if !word.is_empty() {
        words.push(word);
    }
    words
}

fn quoted(key: &'static str, value: &str) -> Result<String, MenuError> {
    match value
        .bytes()
        .enumerate()
        .find(|(_, byte)| matches!(byte, b'\'' | b'\\' | b'\n'))
    {
        Some((at, byte)) => Err(MenuError { key, at, byte }),
        None => Ok(format!("'{value}'")),
    }
}

#[cfg(test)]
mod tests {
    use super::grub_cfg;
    use crate::entry::BootEntry;
    use tempfile::TempDir;
    use uuid::Uuid;

    fn entry(title: &str, has_initrd: bool, extra: &str) -> BootEntry {
        BootEntry::new(title, Uuid::from_u128(7), has_initrd, extra).unwrap()
    }

    #[test]
    fn the_configuration_has_a_fixed_form() {
        let expected = "# Made from loader/entries/smechvisor.conf when this disk was deployed.\n\
            if serial --unit=0 --speed=115200; then\n    terminal_input console serial\n    \
            terminal_output console serial\nfi\nset timeout=1\nset default=0\nmenuentry 'Debian GNU/Linux 12' {\n    \
            linux '/smechvisor/vmlinuz' 'root=PARTUUID=00000000-0000-0000-0000-000000000007' 'rw' 'console=ttyS0,115200' 'x=a b'\n    \
            initrd '/smechvisor/initrd'\n}\n";
        let entry = entry(
            "Debian GNU/Linux 12",
            true,
            "console=ttyS0,115200  x=\"a b\"",
        );
        assert_eq!(grub_cfg(&entry).unwrap(), expected);
    }

    /// GRUB's own parser, and no value that leaves its quotes.
    #[test]
    fn hostile_values_stay_words_or_are_refused() {
        let dir = TempDir::new().unwrap();
        let path = dir.path().join("grub.cfg");
        for extra in [
            "",
            "a;reboot",
            "$(x) ${y} `z` & | < > { } [ ] # ! * ~",
            "\"unbalanced",
            "}",
        ] {
            for title in ["x", "x }\" ; reboot", "$x"] {
                std::fs::write(
                    &path,
                    grub_cfg(&entry(title, extra.is_empty(), extra)).unwrap(),
                )
                .unwrap();
                let check = std::process::Command::new("grub-script-check")
                    .arg(&path)
                    .output();
                let output = check.expect("grub-script-check (grub-common) is needed by this test");
                assert!(output.status.success(), "{extra}: {output:?}");
            }
        }
        for bad in ["a'b", "a\\b"] {
            assert_eq!(
                grub_cfg(&entry("x", false, bad)).unwrap_err().at,
                1,
                "{bad}"
            );
            assert_eq!(grub_cfg(&entry(bad, false, "")).unwrap_err().key, "title");
        }
    }
}
