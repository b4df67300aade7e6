//! The package `bootloader-grub` from the GRUB of this machine: for nodes that were not deployed by
//! us and have no images of their own yet.
//!
//! Everything GRUB needs is in one image for UEFI and one for BIOS, so the target's ESP holds no
//! modules. The images go where `install` looks for them. GRUB is never updated on a node: a module
//! that a later `grub.cfg` or slot may want has to be in them. For machines with Secure Boot the one
//! for UEFI is Debian's signed GRUB, with the programs that start it.

use std::io::{self, Write};
use std::path::PathBuf;

use thiserror::Error;

use super::compress::{Encoder, Format};
use super::grub_image::{ImageError, Parts, Platform, Recipe};
use super::secure_boot::{Chain, ChainError, FIRST_STAGE_NAME, MOK_MANAGER_NAME, Purpose};
use super::tar::{self, Kind, Member};

/// The package's name.
pub const NAME: &str = "bootloader-grub";
/// Where `install` looks for the images.
pub const DIRECTORY: &str = "usr/lib/smechvisor/grub";
/// Its files.
pub const IMAGES: [&str; 3] = ["grubx64.efi", "boot.img", "core.img"];
/// Which packages of Debian have GRUB's parts.
const DEBIANS: &str = "grub-efi-amd64-bin for UEFI, grub-pc-bin for a BIOS";
/// The boot sector, as GRUB brings it.
const BOOT_PART: &str = "boot.img";
/// The ESP of the disk that the program was started from.
const EFI_PREFIX: &str = "/EFI/smechvisor";
/// Partition 1, the ESP, of the disk that the firmware booted, whichever that is.
const BIOS_PREFIX: &str = "(,gpt1)/EFI/smechvisor";
/// The modules that a generated grub.cfg may use: finding the ESP, starting Linux, speaking on
/// screen and serial line; the boot record and the hashes of a disk with two slots.
const SHARED: &str = "normal part_gpt part_msdos fat ext2 linux echo configfile \
    search search_fs_uuid search_label serial terminal terminfo loadenv test true reboot halt \
    minicmd ls cat sleep regexp hashsum gcry_sha256";
/// A later slot may bring a unified kernel image (chain).
const EFI: &str = "efi_gop efi_uga all_video efifwsetup chain";
/// The firmware's own disk calls: the same for every controller that the machine can boot from.
const BIOS: &str = "biosdisk all_video";
/// From LBA 34 to the first MiB: the room for core.img (`disk-layout.md` 4).
const CORE_MAX: usize = 1_048_576 - 34 * 512;

/// Why there are no images.
#[derive(Debug, Error)]
#[allow(missing_docs)] // the fields name themselves
pub enum GrubError {
    /// GRUB is not installed for any platform.
    #[error(
        "GRUB of this machine lacks {}; install it (Debian: {DEBIANS}), \
         or give a package {NAME} with --packages DIR",
        path.display()
    )]
    Missing {
        /// The path that was looked for.
        path: PathBuf,
    },
    /// An image cannot be made.
    #[error("making GRUB's images; a package {NAME} can be given with --packages DIR")]
    Image(#[from] ImageError),
    /// What starts a system with Secure Boot.
    #[error(transparent)]
    Chain(#[from] ChainError),
    /// A part cannot be read.
    #[error("reading {}", path.display())]
    Read {
        path: PathBuf,
        /// The kernel's reason.
        source: io::Error,
    },
    /// The image for BIOS is too large for its place on the disk.
    #[error("GRUB's core.img has {len} bytes; there is room for {CORE_MAX}")]
    Large {
        /// Its length.
        len: usize,
    },
    /// No memory.
    #[error("packing GRUB's images")]
    Pack(#[source] io::Error),
}

/// The platforms that GRUB's images start a system on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Platforms {
    /// UEFI.
    pub uefi: bool,
    /// A BIOS.
    pub bios: bool,
}

impl Platforms {
    /// By the names of the images that there are.
    #[must_use]
    pub fn of(has: impl Fn(&str) -> bool) -> Self {
        let [efi, boot, core] = IMAGES;
        Platforms {
            uefi: has(efi),
            bios: has(boot) && has(core),
        }
    }

    /// Whether there are any.
    #[must_use]
    pub const fn are_there(self) -> bool {
        self.uefi || self.bios
    }

    /// The warning about a platform without the other.
    #[must_use]
    pub const fn warning(self) -> Option<&'static str> {
        match (self.uefi, self.bios) {
            (true, false) => Some(
                "GRUB is there for UEFI only (a BIOS needs Debian's grub-pc-bin): \
                 the copy boots under UEFI, and a target that was started by a BIOS refuses it",
            ),
            (false, true) => Some(
                "GRUB is there for a BIOS only (UEFI needs Debian's grub-efi-amd64-bin): \
                 the copy boots under a BIOS, and a target that was started by UEFI refuses it",
            ),
            _ => None,
        }
    }
}

/// GRUB as a package.
pub struct Package {
    /// The package's bytes.
    pub bytes: Vec<u8>,
    /// The platforms that it starts on.
    pub platforms: Platforms,
}

/// A package of what is installed here: both platforms, or one.
///
/// # Errors
/// See [`GrubError`].
pub fn package(format: Format) -> Result<Package, GrubError> {
    package_of(&Parts::default(), None, format)
}

/// Likewise, by signed programs under UEFI.
///
/// # Errors
/// See [`GrubError`].
pub fn signed_package(format: Format) -> Result<Package, GrubError> {
    let chain = Chain::read(Purpose::Disk)?;
    package_of(&Parts::default(), Some(chain), format)
}

fn package_of(parts: &Parts, chain: Option<Chain>, format: Format) -> Result<Package, GrubError> {
    let boot = parts.path(Platform::Bios, BOOT_PART);
    let platforms = Platforms {
        uefi: chain.is_some() || parts.are_there(Platform::Efi),
        bios: parts.are_there(Platform::Bios) && boot.is_ok(),
    };
    if !platforms.are_there() {
        return Err(GrubError::Missing {
            path: parts.directory().to_owned(),
        });
    }
    let image = |platform, prefix, modules| {
        parts.image(&Recipe {
            platform,
            modules: &[SHARED, modules],
            prefix,
            config: "",
        })
    };
    let [efi_name, boot_name, core_name] = IMAGES;
    let mut images = Vec::new();
    if platforms.bios {
        let path = boot?;
        let boot = std::fs::read(&path).map_err(|source| GrubError::Read { path, source })?;
        let core = image(Platform::Bios, BIOS_PREFIX, BIOS)?;
        if core.len() > CORE_MAX {
            return Err(GrubError::Large { len: core.len() });
        }
        images.extend([(boot_name, boot), (core_name, core)]);
    }
    match chain {
        Some(chain) => images.extend([
            (efi_name, chain.grub),
            (FIRST_STAGE_NAME, chain.first_stage),
            (MOK_MANAGER_NAME, chain.mok_manager),
        ]),
        None if platforms.uefi => {
            images.push((efi_name, image(Platform::Efi, EFI_PREFIX, EFI)?));
        }
        None => {}
    }
    let bytes = archive(&images, format).map_err(GrubError::Pack)?;
    Ok(Package { bytes, platforms })
}

/// Files only: the directories on the way are made by the target, or stay as they are.
fn archive(images: &[(&str, Vec<u8>)], format: Format) -> io::Result<Vec<u8>> {
    let mut out = Encoder::new(Vec::new(), format, 1)?;
    for (name, contents) in images {
        let path = format!("{DIRECTORY}/{name}");
        let len = contents.len() as u64;
        let member = Member {
            path: path.as_bytes(),
            kind: Kind::File { len },
            mode: 0o644,
            uid: 0,
            gid: 0,
            mtime: (0, 0),
            xattrs: &[],
        };
        tar::write_header(&mut out, &member)?;
        out.write_all(contents)?;
        tar::write_padding(&mut out, len)?;
    }
    tar::write_end(&mut out)?;
    out.finish()
}

#[cfg(test)]
mod tests {
    use super::{Chain, Format, Parts, Platforms, archive, package, package_of};
    use bundle::decode::{DecodeLimits, decode};
    use bundle::unpack::{UnpackLimits, check};
    use std::path::Path;

    const LIMITS: DecodeLimits = DecodeLimits {
        memory_bytes: 16 << 20,
        threads: 1,
        output_cap: 1 << 26,
    };

    #[test]
    fn a_target_takes_the_archive() {
        let images = [
            ("a", vec![1; 1000]),
            ("b", vec![2; 512]),
            ("c", vec![3; 70_000]),
        ];
        let bytes = archive(&images, Format::QuickZst).unwrap();
        let tar = decode(&bytes[..], LIMITS).unwrap();
        let unpacked = check(tar, &UnpackLimits::for_memory(1 << 20)).unwrap();
        assert_eq!((unpacked.entries, unpacked.content_bytes), (3, 71_512));
    }

    #[test]
    fn grub_of_this_machine_becomes_a_package_or_says_what_is_missing() {
        match package(Format::Zst) {
            Ok(made) => {
                assert_eq!(
                    entries(&made.bytes),
                    u64::from(made.platforms.uefi) + 2 * u64::from(made.platforms.bios)
                );
                let again = package(Format::Zst).unwrap();
                assert!(again.bytes == made.bytes, "the same bytes again");
            }
            Err(error) => assert!(error.to_string().contains("--packages DIR"), "{error}"),
        }
    }

    fn entries(bytes: &[u8]) -> u64 {
        let tar = decode(bytes, LIMITS).unwrap();
        let limits = UnpackLimits::for_memory(1 << 20);
        check(tar, &limits).unwrap().entries
    }

    #[test]
    fn one_platform_is_a_package_that_says_what_it_boots_under() {
        let all = Path::new(crate::grub_image::PARTS);
        let parts = std::env::temp_dir().join(format!("grub-parts-{}", std::process::id()));
        std::fs::create_dir_all(&parts).unwrap();
        let none = package_of(&Parts::at(&parts), None, Format::Zst)
            .err()
            .unwrap()
            .to_string();
        assert!(
            none.contains("grub-pc-bin") && none.contains("grub-efi-amd64-bin"),
            "{none}"
        );
        for (platform, only, images) in [
            ("x86_64-efi", "boots under UEFI,", 1),
            ("i386-pc", "boots under a BIOS,", 2),
        ] {
            if !all.join(platform).join("kernel.img").is_file() {
                continue; // It is not installed here.
            }
            let link = parts.join(platform);
            std::os::unix::fs::symlink(all.join(platform), &link).unwrap();
            let made = package_of(&Parts::at(&parts), None, Format::Zst).unwrap();
            std::fs::remove_file(link).unwrap();
            assert_eq!(entries(&made.bytes), images);
            let warning = made.platforms.warning().unwrap();
            assert!(warning.contains(only), "{warning}");
        }
        let chain = Chain {
            first_stage: b"first".to_vec(),
            grub: b"signed".to_vec(),
            mok_manager: b"keys".to_vec(),
        };
        let made = package_of(&Parts::at(&parts), Some(chain), Format::Zst).unwrap();
        assert_eq!((entries(&made.bytes), made.platforms.uefi), (3, true));
        std::fs::remove_dir(parts).unwrap();
        let both = Platforms {
            uefi: true,
            bios: true,
        };
        assert_eq!(both.warning(), None);
        let names =
            |there: &'static [&'static str]| Platforms::of(move |name| there.contains(&name));
        assert!(!names(&["boot.img"]).are_there() && names(&["core.img", "boot.img"]).bios);
    }
}
