//! The metadata of a module: an ELF file in, the `key=value` texts of its section `.modinfo` out
//! (`include/linux/moduleparam.h`).

use object::read::elf::ElfFile64;
use object::{Object, ObjectSection};

/// No module.
#[derive(Debug, thiserror::Error)]
pub enum ModinfoError {
    /// Another format, or cut short.
    #[error("not a 64-bit ELF file")]
    NotElf(#[source] object::Error),
    /// An ordinary program or object file.
    #[error("not a kernel module: it has no section .modinfo")]
    NoSection,
}

/// The texts of one module.
#[derive(Clone, Copy, Debug)]
pub struct Modinfo<'a> {
    texts: &'a [u8],
}

impl<'a> Modinfo<'a> {
    /// Finds them in a module that is not packed.
    ///
    /// # Errors
    /// See [`ModinfoError`].
    pub fn of_module(file: &'a [u8]) -> Result<Self, ModinfoError> {
        let elf = ElfFile64::<object::Endianness>::parse(file).map_err(ModinfoError::NotElf)?;
        let section = elf
            .section_by_name(".modinfo")
            .ok_or(ModinfoError::NoSection)?;
        let texts = section.data().map_err(ModinfoError::NotElf)?;
        Ok(Self { texts })
    }

    /// The same for everything that is built into a kernel: modules.builtin.modinfo, where each key
    /// has the module's name before it.
    #[must_use]
    pub const fn of_builtin(texts: &'a [u8]) -> Self {
        Self { texts }
    }

    /// Every value of a key, in all modules. Values that are not UTF-8 are left out: no firmware
    /// file has such a name.
    pub fn values(self, key: &str) -> impl Iterator<Item = &'a str> {
        let texts = self.texts.split(|byte| *byte == 0);
        texts.filter_map(move |text| {
            let (name, value) = std::str::from_utf8(text).ok()?.split_once('=')?;
            let name = name.rsplit('.').next().unwrap_or(name);
            (name == key).then_some(value)
        })
    }

    /// The kernel it was built for: the first word of its version magic.
    #[must_use]
    pub fn release(self) -> Option<&'a str> {
        self.values("vermagic").next()?.split(' ').next()
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::{Modinfo, ModinfoError};

    /// A file with nothing but the section: header, texts, names of sections, three section headers
    /// (elf(5)).
    pub(crate) fn module(texts: &[&str]) -> Vec<u8> {
        const NAMES: &[u8] = b"\0.modinfo\0.shstrtab\0";
        let texts: Vec<u8> = texts
            .iter()
            .flat_map(|text| text.bytes().chain([0]))
            .collect();
        let names_at = 64 + texts.len();
        let table_at = (names_at + NAMES.len()).next_multiple_of(8);
        let mut file = b"\x7fELF\x02\x01\x01".to_vec();
        file.resize(16, 0);
        for half in [1_u16, 62] {
            file.extend(half.to_le_bytes()); // relocatable, x86-64
        }
        file.extend(1_u32.to_le_bytes());
        for wide in [0, 0, table_at as u64] {
            file.extend(wide.to_le_bytes());
        }
        file.extend(0_u32.to_le_bytes());
        for half in [64_u16, 0, 0, 64, 3, 2] {
            file.extend(half.to_le_bytes());
        }
        file.extend(&texts);
        file.extend(NAMES);
        file.resize(table_at, 0);
        let sections = [
            (0, 0, 0, 0),
            (1, 1, 64, texts.len()),
            (10, 3, names_at, NAMES.len()),
        ];
        for (name, kind, at, len) in sections {
            for word in [name, kind] {
                file.extend(u32::to_le_bytes(word));
            }
            for wide in [0, 0, at, len] {
                file.extend((wide as u64).to_le_bytes());
            }
            file.extend([0; 8]);
            for wide in [1_u64, 0] {
                file.extend(wide.to_le_bytes());
            }
        }
        file
    }

    #[test]
    fn texts_are_found_by_their_key() {
        let file = module(&[
            "firmware=rtl_nic/rtl8168h-2.fw",
            "license=GPL",
            "firmware=rtl_nic/rtl8125b-2.fw",
            "vermagic=6.1.0-28-amd64 SMP preempt mod_unload modversions ",
        ]);
        let info = Modinfo::of_module(&file).unwrap();
        let firmware: Vec<&str> = info.values("firmware").collect();
        assert_eq!(firmware, ["rtl_nic/rtl8168h-2.fw", "rtl_nic/rtl8125b-2.fw"]);
        assert_eq!(info.release(), Some("6.1.0-28-amd64"));
    }

    #[test]
    fn what_is_built_in_has_names_before_its_keys() {
        let texts = b"tg3.license=GPL\0tg3.firmware=tigon/tg3.bin\0r8169.firmware=rtl_nic/a.fw\0";
        let firmware: Vec<&str> = Modinfo::of_builtin(texts).values("firmware").collect();
        assert_eq!(firmware, ["tigon/tg3.bin", "rtl_nic/a.fw"]);
    }

    #[test]
    fn every_truncation_is_refused_or_shorter() {
        let file = module(&["vermagic=1", "license=GPL"]);
        for len in 0..file.len() {
            assert!(Modinfo::of_module(&file[..len]).is_err(), "{len}");
        }
        for at in 0..file.len() {
            let mut changed = file.clone();
            changed[at] ^= 0x55;
            let _ = Modinfo::of_module(&changed).map(|info| info.values("license").count());
        }
    }

    #[test]
    fn a_program_is_no_module() {
        let program = std::fs::read("/proc/self/exe").unwrap();
        let error = Modinfo::of_module(&program).unwrap_err();
        assert!(matches!(error, ModinfoError::NoSection), "{error}");
        let error = Modinfo::of_module(b"\x1f\x8b gzip").unwrap_err();
        assert!(matches!(error, ModinfoError::NotElf(_)), "{error}");
    }
}
