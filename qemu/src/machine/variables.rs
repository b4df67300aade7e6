//! The variable store of an OVMF, read from its flash file: what the firmware will find at its next
//! start, seen by nobody's code but this.
//!
//! A firmware volume (UEFI PI 1.8, volume 3, 3.2.1), behind its header the store with EDK2's
//! authenticated variables (`MdeModulePkg/Include/Guid/VariableFormat.h`), one behind the other on
//! multiples of four.

use std::collections::BTreeMap;
use std::path::Path;

use crate::error::{Doing, HarnessError, Result};

/// Offset of the header's length in a firmware volume.
const VOLUME_HEADER_LEN: usize = 48;
/// GUID, size, format, state, reserved.
const STORE_HEADER_BYTES: usize = 28;
const VARIABLE_HEADER_BYTES: usize = 60;
const START: [u8; 2] = [0xAA, 0x55];
/// Complete and not replaced; every step of a change clears a bit.
const ADDED: u8 = 0x3F;

/// Name and content of every variable that begins with `Boot`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Variables {
    boot: BTreeMap<String, Vec<u8>>,
}

impl Variables {
    /// Reads a flash file.
    ///
    /// # Errors
    /// The file has no variables.
    pub fn read(flash: &Path) -> Result<Self> {
        let bytes = std::fs::read(flash).doing("reading", flash.display())?;
        parse(&bytes).ok_or_else(|| {
            HarnessError::unexpected(
                flash.display().to_string(),
                "a variable store",
                "something else",
            )
        })
    }

    /// Every boot option, by name, with its content.
    pub fn options(&self) -> impl Iterator<Item = (&str, &[u8])> {
        let options = self
            .boot
            .iter()
            .map(|(name, content)| (name.as_str(), content.as_slice()));
        options.filter(|(name, _)| {
            name.len() == 8 && name.bytes().skip(4).all(|byte| byte.is_ascii_hexdigit())
        })
    }

    /// The names of the options in the boot order.
    #[must_use]
    pub fn order(&self) -> Vec<String> {
        self.numbers("BootOrder")
    }

    /// The name of the option that the next start boots.
    #[must_use]
    pub fn next(&self) -> Option<String> {
        self.numbers("BootNext").pop()
    }

    fn numbers(&self, name: &str) -> Vec<String> {
        let content = self.boot.get(name).map(Vec::as_slice).unwrap_or_default();
        let pairs = content.as_chunks::<2>().0.iter();
        pairs
            .map(|pair| format!("Boot{:04X}", u16::from_le_bytes(*pair)))
            .collect()
    }
}

fn parse(flash: &[u8]) -> Option<Variables> {
    let mut at = usize::from(u16::from_le_bytes(
        *flash.get(VOLUME_HEADER_LEN..)?.first_chunk()?,
    ));
    let end = at.checked_add(number(flash, at + 16)?)?;
    at += STORE_HEADER_BYTES;
    let mut boot = BTreeMap::new();
    while at < end && flash.get(at..)?.starts_with(&START) {
        let (name_len, data_len) = (number(flash, at + 36)?, number(flash, at + 40)?);
        let name = flash.get(at + VARIABLE_HEADER_BYTES..)?.get(..name_len)?;
        let data = at + VARIABLE_HEADER_BYTES + name_len;
        let content = flash.get(data..)?.get(..data_len)?;
        let name: String = name
            .as_chunks::<2>()
            .0
            .iter()
            .map(|unit| char::from(unit[0]))
            .take_while(|char| *char != '\0')
            .collect();
        if flash.get(at + 2) == Some(&ADDED) && name.starts_with("Boot") {
            boot.insert(name, content.to_vec());
        }
        at = (data + data_len).next_multiple_of(4);
    }
    Some(Variables { boot })
}

fn number(flash: &[u8], at: usize) -> Option<usize> {
    let bytes = flash.get(at..)?.first_chunk()?;
    usize::try_from(u32::from_le_bytes(*bytes)).ok()
}

#[cfg(test)]
mod tests {
    use super::{Variables, parse};
    use crate::machine::Firmware;
    use std::path::Path;

    /// A store with these variables, and a replaced one in front.
    fn store(variables: &[(&str, &[u8])]) -> Vec<u8> {
        let mut all = vec![("BootOrder", [9, 9].as_slice(), 0x3C)];
        all.extend(
            variables
                .iter()
                .map(|(name, content)| (*name, *content, 0x3F)),
        );
        let mut body = Vec::new();
        for (name, content, state) in all {
            let name: Vec<u8> = name.bytes().chain([0]).flat_map(|byte| [byte, 0]).collect();
            body.extend([0xAA, 0x55, state, 0]);
            body.extend([0; 32]);
            body.extend(u32::try_from(name.len()).unwrap().to_le_bytes());
            body.extend(u32::try_from(content.len()).unwrap().to_le_bytes());
            body.extend([0; 16]);
            body.extend(name);
            body.extend(content);
            body.resize(body.len().next_multiple_of(4), 0xFF);
        }
        let mut flash = vec![0; 48];
        flash.extend([72, 0]);
        flash.resize(72 + 16, 0);
        flash.extend(u32::try_from(28 + body.len()).unwrap().to_le_bytes());
        flash.resize(72 + 28, 0);
        flash.extend(body);
        flash
    }

    #[test]
    fn options_and_order_are_read_and_what_was_replaced_is_not() {
        let flash = store(&[
            ("Boot001A", b"abc"),
            ("Other", b"x"),
            ("BootNext", &[2, 0]),
            ("BootOrder", &[0x1A, 0, 2, 0]),
        ]);
        let found = parse(&flash).unwrap();
        let options: Vec<_> = found.options().collect();
        assert_eq!(options, [("Boot001A", b"abc".as_slice())]);
        assert_eq!(found.order(), ["Boot001A", "Boot0002"]);
        assert_eq!(found.next().as_deref(), Some("Boot0002"));
        for len in 0..flash.len() {
            assert_ne!(parse(&flash[..len]).as_ref(), Some(&found), "{len}");
        }
    }

    #[test]
    fn a_fresh_ovmf_has_no_boot_variables() {
        let [_, path] = Firmware::Uefi.ovmf().unwrap().map(Path::new);
        if path.exists() {
            assert_eq!(Variables::read(path).unwrap().options().count(), 0);
        }
    }
}
