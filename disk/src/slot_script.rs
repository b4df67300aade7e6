//! The script in the head of a slot that starts it (`slot.md` 2.2): made of kernel options for
//! GRUB, and read again by a node that starts the slot without GRUB.
//!
//! Nothing here is a shell: what is not in the form that [`emit`] has is refused, and then GRUB
//! starts the slot.

use thiserror::Error;
use wire::record::Slot;
use wire::slot::head;

/// The longest script, in bytes: more than a kernel takes of options.
pub const LEN_MAX: u64 = 8192;
const FIRST_LINE: &str = "# Made by spk-visor media slot.";

/// Another form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("line {line} of {} is not as media slot writes it", head::SCRIPT)]
pub struct ScriptError {
    /// From 1.
    pub line: usize,
}

/// A script that starts kernel and initramfs of the head with these options, and the one that says
/// which slot it is. Options are words without a single quote.
#[must_use]
pub fn emit(options: &str) -> String {
    let words = options.split(' ').filter(|word| !word.is_empty());
    // In single quotes GRUB's script has no special character.
    let words: String = words.map(|word| format!(" '{word}'")).collect();
    let (kernel, initrd) = (head::KERNEL, head::INITRD);
    format!(
        "{FIRST_LINE}\n\
         linux \"$smv_at/{kernel}\"{words} smv.slot=$smv_slot\n\
         initrd \"$smv_at/{initrd}\"\n"
    )
}

/// The kernel options with which the script starts this slot.
///
/// # Errors
/// It has another form.
pub fn options(script: &str, slot: Slot) -> Result<String, ScriptError> {
    let mut lines = script.split_inclusive('\n');
    let initrd = format!("initrd \"$smv_at/{}\"\n", head::INITRD);
    let first = lines.next().and_then(|line| line.strip_suffix('\n'));
    if first != Some(FIRST_LINE) {
        return Err(ScriptError { line: 1 });
    }
    let options = lines.next().and_then(|line| linux(line, slot));
    let options = options.ok_or(ScriptError { line: 2 })?;
    match (lines.next(), lines.next()) {
        (Some(line), None) if line == initrd => Ok(options),
        (_, None) => Err(ScriptError { line: 3 }),
        _ => Err(ScriptError { line: 4 }),
    }
}

fn linux(line: &str, slot: Slot) -> Option<String> {
    let rest = line.strip_prefix("linux \"$smv_at/")?;
    let rest = rest.strip_prefix(head::KERNEL)?.strip_prefix('"')?;
    let words = rest.strip_suffix(" smv.slot=$smv_slot\n")?;
    let mut options = String::new();
    let mut words = words.split(' ');
    // Each word has a blank before it.
    if words.next() != Some("") {
        return None;
    }
    for word in words {
        let word = word.strip_prefix('\'')?.strip_suffix('\'')?;
        let is_good = |byte: u8| byte.is_ascii_graphic() && byte != b'\'';
        if word.is_empty() || !word.bytes().all(is_good) {
            return None;
        }
        options.push_str(word);
        options.push(' ');
    }
    Some(format!("{options}smv.slot={slot}"))
}

#[cfg(test)]
mod tests {
    use super::{ScriptError, emit, options};
    use wire::record::Slot;

    const GOLDEN: &str = "# Made by spk-visor media slot.\n\
                          linux \"$smv_at/vmlinuz\" 'console=tty0' 'panic=30' smv.slot=$smv_slot\n\
                          initrd \"$smv_at/initrd\"\n";

    #[test]
    fn the_options_come_out_as_they_went_in() {
        assert_eq!(emit("console=tty0  panic=30"), GOLDEN);
        let read = options(GOLDEN, Slot::B).unwrap();
        assert_eq!(read, "console=tty0 panic=30 smv.slot=b");
        assert_eq!(options(&emit(""), Slot::A).unwrap(), "smv.slot=a");
    }

    #[test]
    fn every_truncation_is_refused() {
        for end in 0..GOLDEN.len() {
            assert!(options(&GOLDEN[..end], Slot::A).is_err(), "{end}");
        }
    }

    /// What is read is what would be written.
    #[test]
    fn every_changed_byte_is_refused_or_changes_an_option() {
        for at in 0..GOLDEN.len() {
            for byte in 0..0x80 {
                let mut bytes = GOLDEN.as_bytes().to_vec();
                bytes[at] = byte;
                let text = String::from_utf8(bytes).unwrap();
                if let Ok(read) = options(&text, Slot::A) {
                    let words = read.strip_suffix("smv.slot=a").unwrap();
                    assert_eq!(emit(words), text);
                }
            }
        }
    }

    #[test]
    fn the_line_that_is_wrong_is_named() {
        for (text, line) in [
            ("".to_owned(), 1),
            (GOLDEN.replace("linux", "chainloader"), 2),
            (GOLDEN.replace("'panic=30'", "panic=30"), 2),
            (GOLDEN.replace("'panic=30'", "'a'b'"), 2),
            (GOLDEN.replace("/initrd", "/../initrd"), 3),
            (format!("{GOLDEN}boot\n"), 4),
        ] {
            assert_eq!(options(&text, Slot::A), Err(ScriptError { line }), "{text}");
        }
    }
}
