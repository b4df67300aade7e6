//! The package `bootloader-grub` from the GRUB of this machine: for nodes that were not deployed by
//! us and have no images of their own yet.
//!
//! As `systems/grub/make` does it, with the same modules: `grub-mkimage` puts everything GRUB needs
//! into one image for UEFI and one for BIOS, so the target's ESP holds no modules. The images go
//! where `install` looks for them.

use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rustix::fs::{MemfdFlags, memfd_create};
use thiserror::Error;

use super::compress::{Encoder, Format};
use super::tar::{self, Kind, Member};

/// The package's name.
pub const NAME: &str = "bootloader-grub";
/// Where `install` looks for the images.
pub const DIRECTORY: &str = "usr/lib/smechvisor/grub";
/// Its files.
pub const IMAGES: [&str; 3] = ["grubx64.efi", "boot.img", "core.img"];
/// Where distributions keep GRUB's parts, and what they call the program.
const PARTS: &str = "/usr/lib/grub";
const PROGRAMS: [&str; 2] = ["grub-mkimage", "grub2-mkimage"];
/// Parts of each platform, and the package of Debian that has them.
const EFI_PART: &str = "x86_64-efi/kernel.img";
const BIOS_PARTS: [&str; 2] = ["i386-pc/kernel.img", "i386-pc/boot.img"];
const DEBIANS: &str = "grub-efi-amd64-bin for UEFI, grub-pc-bin for a BIOS";
/// The modules that the generated grub.cfg may use.
const SHARED: &str = "normal part_gpt part_msdos fat ext2 linux echo configfile \
    search search_fs_uuid search_label serial terminal terminfo loadenv test true reboot halt \
    minicmd ls cat sleep regexp hashsum gcry_sha256";
const EFI: &str = "efi_gop efi_uga all_video efifwsetup chain";
const BIOS: &str = "biosdisk all_video";
/// From LBA 34 to the first MiB: the room for core.img (`disk-layout.md` 4).
const CORE_MAX: usize = 1_048_576 - 34 * 512;

/// Why there are no images.
#[derive(Debug, Error)]
#[allow(missing_docs)] // the fields name themselves
pub enum GrubError {
    /// GRUB, or one of its platforms, is not installed.
    #[error(
        "GRUB of this machine lacks {}; install it (Debian: {package}), or give a package {NAME} with --packages DIR", path.display()
    )]
    Missing {
        /// The path that was looked for.
        path: PathBuf,
        /// The Debian package that has it.
        package: &'static str,
    },
    /// The program does not run.
    #[error("running {program}")]
    Run {
        program: &'static str,
        /// The kernel's reason.
        source: io::Error,
    },
    /// It ran and failed.
    #[error("{program} failed: {text}")]
    Failed {
        program: &'static str,
        /// The tool's standard error.
        text: String,
    },
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
    package_of(Path::new(PARTS), format)
}

fn package_of(parts: &Path, format: Format) -> Result<Package, GrubError> {
    let has = |part: &str| parts.join(part).is_file();
    let platforms = Platforms {
        uefi: has(EFI_PART),
        bios: BIOS_PARTS.into_iter().all(has),
    };
    if !platforms.are_there() {
        return Err(GrubError::Missing {
            path: parts.join(EFI_PART),
            package: DEBIANS,
        });
    }
    let [efi_name, boot_name, core_name] = IMAGES;
    let mut images = Vec::new();
    if platforms.bios {
        let path = parts.join("i386-pc/boot.img");
        let boot = std::fs::read(&path).map_err(|source| GrubError::Read { path, source })?;
        // `(,gpt1)`: partition 1, the ESP, of whichever disk the firmware booted.
        let core = image(parts, "i386-pc", "(,gpt1)/EFI/smechvisor", BIOS)?;
        if core.len() > CORE_MAX {
            return Err(GrubError::Large { len: core.len() });
        }
        images.extend([(boot_name, boot), (core_name, core)]);
    }
    if platforms.uefi {
        let efi = image(parts, "x86_64-efi", "/EFI/smechvisor", EFI)?;
        images.push((efi_name, efi));
    }
    let bytes = archive(&images, format).map_err(GrubError::Pack)?;
    Ok(Package { bytes, platforms })
}

/// One image with all its modules. It is written to a file in memory: GRUB's tool syncs what it
/// writes, and a pipe cannot be.
fn image(parts: &Path, platform: &str, prefix: &str, modules: &str) -> Result<Vec<u8>, GrubError> {
    let [first, second] = PROGRAMS;
    let failed = |program: &'static str, source: io::Error| match source.kind() {
        io::ErrorKind::NotFound => GrubError::Missing {
            path: first.into(),
            package: "grub-common",
        },
        _ => GrubError::Run { program, source },
    };
    let memory = memfd_create(c"grub", MemfdFlags::CLOEXEC).map(File::from);
    let mut memory = memory.map_err(|error| failed(first, error.into()))?;
    let run = |program: &'static str| {
        Command::new(program)
            .args(["-O", platform, "-p", prefix, "-d"])
            .arg(parts.join(platform))
            .args(SHARED.split_whitespace().chain(modules.split_whitespace()))
            .stdin(Stdio::null())
            .stdout(memory.try_clone()?)
            .output()
    };
    let (program, ran) = match run(first) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => (second, run(second)),
        result => (first, result),
    };
    let output = ran.map_err(|source| failed(program, source))?;
    if !output.status.success() {
        return Err(GrubError::Failed {
            program,
            text: String::from_utf8_lossy(&output.stderr).trim().to_owned(),
        });
    }
    let mut image = Vec::new();
    memory
        .rewind()
        .and_then(|()| memory.read_to_end(&mut image))
        .map_err(|source| failed(program, source))?;
    Ok(image)
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
    use super::{BIOS, EFI, Format, Platforms, SHARED, archive, package, package_of};
    use bundle::decode::{DecodeLimits, decode};
    use bundle::unpack::{UnpackLimits, check};
    use std::path::Path;

    const LIMITS: DecodeLimits = DecodeLimits {
        memory_bytes: 16 << 20,
        threads: 1,
        output_cap: 1 << 26,
    };

    #[test]
    fn the_images_are_made_of_the_same_modules_everywhere() {
        let script = include_str!("../../systems/grub/make");
        let list = |name: &str| {
            let start = script.find(&format!("{name}=(")).unwrap() + name.len() + 2;
            let text = &script[start..];
            let text = &text[..text.find(')').unwrap()];
            text.split_whitespace().collect::<Vec<_>>()
        };
        for (name, modules) in [("shared", SHARED), ("efi", EFI), ("bios", BIOS)] {
            assert_eq!(list(name), modules.split_whitespace().collect::<Vec<_>>());
        }
    }

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
        let all = Path::new(super::PARTS);
        let parts = std::env::temp_dir().join(format!("grub-parts-{}", std::process::id()));
        std::fs::create_dir_all(&parts).unwrap();
        let none = package_of(&parts, Format::Zst).err().unwrap().to_string();
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
            let made = package_of(&parts, Format::Zst).unwrap();
            std::fs::remove_file(link).unwrap();
            assert_eq!(entries(&made.bytes), images);
            let warning = made.platforms.warning().unwrap();
            assert!(warning.contains(only), "{warning}");
        }
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
