//! GRUB's images of the packages or of a slot's head, and what starts them with Secure Boot.

use std::io;

use wire::slot::head;

use super::BootFilesError;
use crate::options::Firmware;
use bundle::directory::Directory;
use disk::boot_order::load_option::Program;
use disk::disk::SectorSize;
use disk::esp::EspReader;
use disk::layout::Layout;
use disk::pe::is_signed;

/// Where the package `bootloader-grub` puts its images in the root.
pub(super) const GRUB_EFI: &str = "usr/lib/smechvisor/grub/grubx64.efi";
pub(super) const GRUB_BOOT: &str = "usr/lib/smechvisor/grub/boot.img";
pub(super) const GRUB_CORE: &str = "usr/lib/smechvisor/grub/core.img";
/// A signed first stage for UEFI, and what it starts when a person adds a key.
pub(super) const FIRST_STAGE: &str = "usr/lib/smechvisor/grub/shimx64.efi";
pub(super) const MOK_MANAGER: &str = "usr/lib/smechvisor/grub/mmx64.efi";
/// UEFI's fallback, booted without a Boot#### variable (UEFI 2.10 3.5.1.1), and our own directory.
const EFI_COPIES: [&str; 2] = ["EFI/BOOT/BOOTX64.EFI", "EFI/smechvisor/grubx64.efi"];
/// The same with a first stage, which looks for the others beside itself.
const SIGNED_COPIES: [[&str; 3]; 2] = [
    [
        "EFI/BOOT/BOOTX64.EFI",
        "EFI/BOOT/grubx64.efi",
        "EFI/BOOT/mmx64.efi",
    ],
    [
        "EFI/smechvisor/shimx64.efi",
        "EFI/smechvisor/grubx64.efi",
        "EFI/smechvisor/mmx64.efi",
    ],
];
/// Where Debian's signed GRUB reads its menu.
const SIGNED_GRUB_CFG: &str = "EFI/debian/grub.cfg";
/// More than any image of GRUB; read into memory.
const IMAGE_MAX: u64 = 1024 * 1024;
/// Likewise of a first stage, which carries lists of what is revoked.
const SIGNED_MAX: u64 = 4 * 1024 * 1024;

/// GRUB's images of the packages, for at least one firmware.
pub(super) struct Images {
    efi: Option<Vec<u8>>,
    /// The boot sector and the core image.
    pub bios: Option<(Vec<u8>, Vec<u8>)>,
    signed: Option<Signed>,
}

/// What starts GRUB with Secure Boot.
struct Signed {
    first_stage: Vec<u8>,
    mok_manager: Vec<u8>,
}

impl Images {
    /// `None` for each that the packages lack, by name in `missing`. Half of GRUB for a BIOS is a
    /// mistake and no choice.
    pub fn read(
        root: Directory<'_>,
        missing: &mut Vec<&'static str>,
    ) -> Result<Self, BootFilesError> {
        let mut images = Self::take([GRUB_EFI, GRUB_BOOT, GRUB_CORE], missing, |path, max| {
            Ok(root.read(path, max)?)
        })?;
        let read = |path| root.read(path, SIGNED_MAX);
        if let Some(first_stage) = read(FIRST_STAGE)? {
            let mok_manager = read(MOK_MANAGER)?;
            missing.extend(images.efi.is_none().then_some(GRUB_EFI));
            missing.extend(mok_manager.is_none().then_some(MOK_MANAGER));
            images.signed = Some(Signed {
                first_stage,
                mok_manager: mok_manager.unwrap_or_default(),
            });
        }
        Ok(images)
    }

    /// Likewise from the head of a slot.
    pub fn read_head(
        head: &mut EspReader<'_>,
        missing: &mut Vec<&'static str>,
    ) -> Result<Self, BootFilesError> {
        let paths = [head::GRUB_EFI, head::GRUB_BOOT, head::GRUB_CORE];
        Self::take(paths, missing, |path, max| {
            let mut bytes = Vec::new();
            match head.read(path, &mut bytes, max) {
                Ok(_) => Ok(Some(bytes)),
                Err(error) if error.source.kind() == io::ErrorKind::NotFound => Ok(None),
                Err(error) => Err(BootFilesError::Head {
                    path: path.to_owned(),
                    source: error.source,
                }),
            }
        })
    }

    fn take(
        paths: [&'static str; 3],
        missing: &mut Vec<&'static str>,
        mut read: impl FnMut(&'static str, u64) -> Result<Option<Vec<u8>>, BootFilesError>,
    ) -> Result<Self, BootFilesError> {
        let [efi_path, boot_path, core_path] = paths;
        let efi = read(efi_path, IMAGE_MAX * 16)?;
        let boot = read(boot_path, IMAGE_MAX)?;
        let core = read(core_path, IMAGE_MAX)?;
        let has_none = efi.is_none() && boot.is_none() && core.is_none();
        let lacks = [
            (efi_path, has_none),
            (boot_path, has_none || boot.is_none() && core.is_some()),
            (core_path, has_none || core.is_none() && boot.is_some()),
        ];
        missing.extend(
            lacks
                .iter()
                .filter(|(_, lacks)| *lacks)
                .map(|(path, _)| path),
        );
        Ok(Images {
            efi,
            bios: boot.zip(core),
            signed: None,
        })
    }

    pub fn only(&self) -> Option<Firmware> {
        match (&self.efi, &self.bios) {
            (Some(_), None) => Some(Firmware::Uefi),
            (None, Some(_)) => Some(Firmware::Bios),
            _ => None,
        }
    }

    /// A disk that its machine does not start is not made.
    pub fn expect(
        &self,
        firmware: Option<Firmware>,
        layout: &Layout,
    ) -> Result<(), BootFilesError> {
        let needed = match layout.sector {
            // `disk-layout.md` 4
            SectorSize::B4096 => Some(Firmware::Uefi),
            SectorSize::B512 => firmware,
        };
        let is_secure = needed == Some(Firmware::SecureUefi);
        match (self.only(), needed) {
            (Some(Firmware::Uefi) | None, _) if is_secure => {
                match self.first().is_some_and(is_signed) {
                    true => Ok(()),
                    false => Err(BootFilesError::NotSigned),
                }
            }
            (Some(has), Some(needed)) if has != needed => Err(BootFilesError::OtherFirmware {
                has,
                needed,
                lacking: match needed {
                    Firmware::Uefi | Firmware::SecureUefi => GRUB_EFI,
                    Firmware::Bios => GRUB_CORE,
                },
            }),
            _ => Ok(()),
        }
    }

    /// The program that firmware starts, signed or not.
    fn first(&self) -> Option<&[u8]> {
        match &self.signed {
            Some(signed) => Some(&signed.first_stage),
            None => self.efi.as_deref(),
        }
    }

    pub const fn program(&self) -> Program {
        match self.signed {
            Some(_) => Program::FirstStage,
            None => Program::Grub,
        }
    }

    /// The programs for UEFI, and a signed GRUB's menu, each with its place on the ESP.
    pub fn programs<'a>(&'a self, menu: &'a str) -> Vec<(&'static str, &'a [u8])> {
        let Some(grub) = &self.efi else {
            return Vec::new();
        };
        let Some(signed) = &self.signed else {
            return EFI_COPIES.map(|path| (path, grub.as_slice())).into();
        };
        let contents: [&[u8]; 3] = [&signed.first_stage, grub, &signed.mok_manager];
        let copies = SIGNED_COPIES
            .iter()
            .flat_map(|paths| paths.iter().copied().zip(contents));
        copies.chain([(SIGNED_GRUB_CFG, menu.as_bytes())]).collect()
    }
}
