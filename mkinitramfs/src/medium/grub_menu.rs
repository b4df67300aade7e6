//! The text of a `grub.cfg` that [`menu`](crate::menu::menu) made in, what it starts and how out.

use crate::menu::{Entries, Reader, TITLE, menu};

/// More than any of ours.
const LEN_MAX: usize = 64 * 1024;

/// What the menu says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said {
    /// What its entries start.
    pub entries: Entries,
    /// Words for the kernel.
    pub cmdline: String,
    /// This version would write the same text.
    pub is_ours: bool,
}

/// Another one's menu.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum MenuError {
    /// No text of ours.
    #[error("it was not made by spk-visor media")]
    Foreign,
    /// A line that all of ours have.
    #[error("it has no line with {0:?} as spk-visor media writes it")]
    Line(&'static str),
}

/// Reads it.
///
/// # Errors
/// See [`MenuError`].
pub fn read(text: &[u8]) -> Result<Said, MenuError> {
    let text = std::str::from_utf8(text)
        .ok()
        .filter(|text| text.len() <= LEN_MAX);
    let text = text.filter(|text| text.starts_with(TITLE));
    let text = text.ok_or(MenuError::Foreign)?;
    let line = |start: &'static str| {
        let mut lines = text.lines().map(str::trim_start);
        let rest = lines.find_map(|line| line.strip_prefix(start));
        rest.ok_or(MenuError::Line(start))
    };
    let (linux, timeout) = (line("linux ")?, line("set timeout=")?);
    let words = linux.strip_suffix(" $@ $smv_options");
    let (kernel, words) = words
        .map(|words| words.split_once(' ').unwrap_or((words, "")))
        .ok_or(MenuError::Line("linux "))?;
    let words = words.split_ascii_whitespace().map(|word| {
        let inner = word.strip_prefix('\'')?.strip_suffix('\'')?;
        (!inner.contains('\'')).then_some(inner)
    });
    let words: Option<Vec<&str>> = words.collect();
    let cmdline = words.ok_or(MenuError::Line("linux "))?.join(" ");
    let entries = Entries {
        kernel: kernel.to_owned(),
        initramfs: line("initrd ")?.to_owned(),
        timeout_seconds: timeout
            .parse()
            .map_err(|_| MenuError::Line("set timeout="))?,
        reader: match text.contains("smv_memory") {
            true => Reader::Ours,
            false => Reader::Signed,
        },
    };
    Ok(Said {
        is_ours: menu(&cmdline, &entries) == text,
        entries,
        cmdline,
    })
}

#[cfg(test)]
mod tests {
    use super::{Entries, MenuError, Reader, Said, menu, read};

    fn entries(reader: Reader) -> Entries {
        Entries {
            kernel: "/boot/x/vmlinuz".to_owned(),
            initramfs: "/boot/x/initramfs".to_owned(),
            timeout_seconds: 7,
            reader,
        }
    }

    fn text() -> String {
        menu("quiet smv.after=kexec", &entries(Reader::Ours))
    }

    #[test]
    fn what_was_written_is_read() {
        for reader in [Reader::Ours, Reader::Signed] {
            for cmdline in ["quiet smv.after=kexec", "smv.policy=pinned", ""] {
                let said = Said {
                    entries: entries(reader),
                    cmdline: cmdline.to_owned(),
                    is_ours: true,
                };
                assert_eq!(read(menu(cmdline, &said.entries).as_bytes()), Ok(said));
            }
        }
    }

    #[test]
    fn a_menu_that_somebody_changed_is_known_as_such() {
        let changed = text().replace("Restart", "Again");
        let found = read(changed.as_bytes()).unwrap();
        assert!(!found.is_ours);
        assert_eq!(found.entries, entries(Reader::Ours));
    }

    #[test]
    fn another_menu_is_refused() {
        assert_eq!(read(b"menuentry 'Linux' {}\n"), Err(MenuError::Foreign));
        let text = text();
        for (from, to) in [
            ("'quiet'", "\"quiet\""),
            (" $@ $smv_options", ""),
            ("initrd", "initfs"),
            ("timeout=7", "timeout=-1"),
        ] {
            let error = read(text.replace(from, to).as_bytes()).unwrap_err();
            assert!(matches!(error, MenuError::Line(_)), "{from}: {error}");
        }
    }
}
