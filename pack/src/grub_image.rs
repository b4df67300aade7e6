//! Modules and a first configuration in, one GRUB image out that loads nothing else on its way to
//! its menu: for a disk, a medium or the network.
//!
//! `grub-mkimage` of this machine makes it. It writes to a file in memory: it syncs what it writes,
//! and a pipe cannot be. The same parts and the same recipe give the same bytes.

use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rustix::fs::{MemfdFlags, memfd_create};
use thiserror::Error;

/// Where distributions keep GRUB's parts, and what they call the program.
pub(crate) const PARTS: &str = "/usr/lib/grub";
const PROGRAMS: [&str; 2] = ["grub-mkimage", "grub2-mkimage"];
const PROGRAM_PACKAGE: &str = "grub-common";
/// The part that every image begins with.
const KERNEL: &str = "kernel.img";

/// The kind of image, as `grub-mkimage -O` calls it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Platform {
    /// A program for 64-bit UEFI.
    Efi,
    /// For a BIOS, from a disk by GRUB's boot sector.
    Bios,
    /// For a BIOS, from a CD (El Torito), or from a stick by GRUB's boot sector.
    BiosCd,
    /// For a BIOS, over the network.
    BiosPxe,
}

impl Platform {
    const fn name(self) -> &'static str {
        match self {
            Platform::Efi => "x86_64-efi",
            Platform::Bios => "i386-pc",
            Platform::BiosCd => "i386-pc-eltorito",
            Platform::BiosPxe => "i386-pc-pxe",
        }
    }

    const fn directory(self) -> &'static str {
        match self {
            Platform::Efi => "x86_64-efi",
            Platform::Bios | Platform::BiosCd | Platform::BiosPxe => "i386-pc",
        }
    }

    const fn package(self) -> &'static str {
        match self {
            Platform::Efi => "grub-efi-amd64-bin",
            Platform::Bios | Platform::BiosCd | Platform::BiosPxe => "grub-pc-bin",
        }
    }
}

/// The image cannot be made.
#[derive(Debug, Error)]
#[allow(missing_docs)] // the fields name themselves
pub enum ImageError {
    /// GRUB is not installed, or not for this platform.
    #[error("{} is missing (Debian: {package})", path.display())]
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
        source: io::Error,
    },
    /// It ran and failed.
    #[error("{program} failed: {text}")]
    Failed {
        program: &'static str,
        /// Its standard error.
        text: String,
    },
    /// There is no memory for what goes in or comes out.
    #[error("making a file in memory for GRUB")]
    Memory(#[source] io::Error),
}

/// The contents of an image.
#[derive(Clone, Copy, Debug)]
pub struct Recipe<'a> {
    /// For which firmware.
    pub platform: Platform,
    /// Names of modules, with blanks between them.
    pub modules: &'a [&'a str],
    /// Where GRUB looks for `grub.cfg` when `config` says nothing else.
    pub prefix: &'a str,
    /// Plain commands, run before anything is looked for; may be empty.
    pub config: &'a str,
}

/// GRUB's own files on this machine.
#[derive(Clone, Debug)]
pub struct Parts {
    directory: PathBuf,
}

impl Default for Parts {
    fn default() -> Self {
        Self::at(Path::new(PARTS))
    }
}

impl Parts {
    /// Those in a directory, which has one for each platform.
    #[must_use]
    pub fn at(directory: &Path) -> Self {
        Self {
            directory: directory.to_owned(),
        }
    }

    /// The directory that they lie in, a directory for each platform.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Whether images for this platform can be made.
    #[must_use]
    pub fn are_there(&self, platform: Platform) -> bool {
        self.path(platform, KERNEL).is_ok()
    }

    /// The path of a part.
    ///
    /// # Errors
    /// The package that has it is not installed.
    pub fn path(&self, platform: Platform, name: &str) -> Result<PathBuf, ImageError> {
        let path = self.directory.join(platform.directory()).join(name);
        if path.is_file() {
            return Ok(path);
        }
        Err(ImageError::Missing {
            path,
            package: platform.package(),
        })
    }

    /// Makes an image.
    ///
    /// # Errors
    /// See [`ImageError`].
    pub fn image(&self, recipe: &Recipe<'_>) -> Result<Vec<u8>, ImageError> {
        // grub-mkimage would only say which file it misses.
        let _ = self.path(recipe.platform, KERNEL)?;
        let mut image = memory().map_err(ImageError::Memory)?;
        let mut config = memory().map_err(ImageError::Memory)?;
        let written = config.write_all(recipe.config.as_bytes());
        written.map_err(ImageError::Memory)?;
        let run = |program: &'static str| {
            let mut command = Command::new(program);
            command.args(["-O", recipe.platform.name(), "-p", recipe.prefix, "-d"]);
            command.arg(self.directory.join(recipe.platform.directory()));
            if !recipe.config.is_empty() {
                command.args(["-c", "/dev/stdin"]);
            }
            command
                .args(
                    recipe
                        .modules
                        .iter()
                        .flat_map(|list| list.split_whitespace()),
                )
                .stdin(config.try_clone()?)
                .stdout(image.try_clone()?)
                .stderr(Stdio::piped())
                .output()
        };
        let [first, second] = PROGRAMS;
        let (program, ran) = match run(first) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => (second, run(second)),
            result => (first, result),
        };
        let output = ran.map_err(|source| match source.kind() {
            io::ErrorKind::NotFound => ImageError::Missing {
                path: first.into(),
                package: PROGRAM_PACKAGE,
            },
            _ => ImageError::Run { program, source },
        })?;
        if !output.status.success() {
            return Err(ImageError::Failed {
                program,
                text: String::from_utf8_lossy(&output.stderr).trim().to_owned(),
            });
        }
        let mut bytes = Vec::new();
        let read = image.rewind().and_then(|()| image.read_to_end(&mut bytes));
        read.map_err(ImageError::Memory)?;
        Ok(bytes)
    }
}

fn memory() -> io::Result<File> {
    Ok(memfd_create(c"grub", MemfdFlags::CLOEXEC).map(File::from)?)
}

#[cfg(test)]
mod tests {
    use super::{Parts, Platform, Recipe};
    use std::path::Path;

    /// With a module that loads others, and commands of its own.
    fn recipe(platform: Platform, config: &str) -> Recipe<'_> {
        Recipe {
            platform,
            modules: &["normal", "echo true"],
            prefix: "/grub",
            config,
        }
    }

    #[test]
    fn the_same_recipe_gives_the_same_bytes_with_its_commands_in_them() {
        let parts = Parts::default();
        for platform in [
            Platform::Efi,
            Platform::Bios,
            Platform::BiosCd,
            Platform::BiosPxe,
        ] {
            if !parts.are_there(platform) {
                continue; // It is not installed here.
            }
            let image = |config| parts.image(&recipe(platform, config)).unwrap();
            let plain = image("");
            assert!(plain.len() > 20_000 && plain == image(""));
            assert_ne!(plain, image("echo some words\n"));
            if platform == Platform::Efi {
                let words = image("echo some words\n");
                assert!(words.windows(10).any(|bytes| bytes == b"some words"));
            }
        }
    }

    #[test]
    fn what_is_missing_or_wrong_is_named() {
        let none = Parts::at(Path::new("/nonexistent"));
        assert!(!none.are_there(Platform::Efi));
        let text = none.image(&recipe(Platform::BiosCd, "")).unwrap_err();
        assert_eq!(
            text.to_string(),
            "/nonexistent/i386-pc/kernel.img is missing (Debian: grub-pc-bin)"
        );
        let parts = Parts::default();
        if parts.are_there(Platform::Efi) {
            let wrong = Recipe {
                modules: &["no_such_module"],
                ..recipe(Platform::Efi, "")
            };
            let text = parts.image(&wrong).unwrap_err().to_string();
            assert!(text.contains("no_such_module"), "{text}");
        }
    }
}
