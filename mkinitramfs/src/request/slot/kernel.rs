//! The kernel of a slot: where it comes from, what it is known to have, and the modules it needs.

use std::fs::{self, File};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use bundle::directory::Directory;

use super::{SlotCommandError, read, root, unread};
use crate::drivers::{self, Choice, Purpose};
use crate::kernel_config;
use crate::scratch::Scratch;
use crate::shim::{self, Shim};
use crate::tree::Tree;

/// A kernel that can start a slot, as far as that is known.
#[derive(Debug)]
pub(super) struct Kernel {
    path: PathBuf,
    bytes: Vec<u8>,
    release: String,
    /// `/lib/modules/RELEASE`.
    modules: Option<PathBuf>,
}

impl Kernel {
    /// Takes the kernel that was named, or the newest of the packages; and its modules likewise.
    ///
    /// # Errors
    /// No kernel, or one that lacks what a slot needs.
    pub fn choose(
        kernel: Option<&Path>,
        modules: Option<&Path>,
        scratch: &Scratch,
    ) -> Result<Self, SlotCommandError> {
        let aside = scratch.file(root::ASIDE);
        let path = match kernel {
            Some(path) => path.to_owned(),
            None => newest(&aside)?,
        };
        let bytes = read(&path)?;
        let release = shim::release(&bytes).map(str::to_owned);
        let release = release.ok_or_else(|| SlotCommandError::KernelRelease(path.clone()))?;
        let own = ["usr/lib/modules", "lib/modules"]
            .map(|place| aside.join(place).join(&release))
            .into_iter()
            .find(|directory| directory.is_dir());
        let kernel = Self {
            path,
            bytes,
            modules: modules.map(Path::to_owned).or(own),
            release,
        };
        kernel.check_config(&aside)?;
        Ok(kernel)
    }

    /// As `uname -r` will say.
    pub fn release(&self) -> &str {
        &self.release
    }

    /// What its configuration says, where the packages have that.
    fn check_config(&self, aside: &Path) -> Result<(), SlotCommandError> {
        let release = &self.release;
        let path = aside.join(format!("boot/config-{release}"));
        let config = match fs::read_to_string(&path) {
            Ok(config) => config,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                if self.modules.is_none() {
                    eprintln!(
                        "media: kernel {release}: neither --modules nor /boot/config-{release}: \
                         whether it has dm-verity, squashfs and overlay is not known"
                    );
                }
                return Ok(());
            }
            Err(source) => return Err(unread(&path, source)),
        };
        let lacking = kernel_config::lacking(&config, self.modules.is_some());
        if lacking.is_empty() {
            return Ok(());
        }
        Err(SlotCommandError::KernelLacks {
            release: release.clone(),
            options: lacking.join(" "),
        })
    }

    /// Adds the modules that it needs to reach the root. Without a choice those for every disk.
    ///
    /// # Errors
    /// A module is missing, or belongs to another kernel.
    pub fn put_modules(&self, words: &[String], tree: &mut Tree) -> Result<(), SlotCommandError> {
        let Some(modules) = &self.modules else {
            return Ok(());
        };
        let choice = Choice {
            words: words.to_vec(),
            purpose: Purpose::Slot,
            ..Choice::default()
        };
        let directory = drivers::Directory::read(modules)?;
        let drivers = directory.put(&choice, &self.release, tree)?;
        let (count, release) = (drivers.count, &self.release);
        eprintln!("media: {count} modules for kernel {release}");
        Ok(())
    }

    /// Kernel, initramfs and command line together.
    ///
    /// # Errors
    /// A machine could not start them.
    pub fn shim(self, initramfs: Vec<u8>, cmdline: &str) -> Result<Shim, SlotCommandError> {
        let kernel = self.path;
        Shim::new(self.bytes, initramfs, cmdline)
            .map_err(|source| SlotCommandError::Shim { kernel, source })
    }
}

/// The newest kernel that the packages have in `/boot`.
fn newest(aside: &Path) -> Result<PathBuf, SlotCommandError> {
    let handle = File::open(aside).map_err(|source| unread(aside, source))?;
    let packages = Directory::new(handle.as_fd(), "of the packages");
    let kernel = bundle::kernel::find(packages)?.ok_or(SlotCommandError::NoKernel)?;
    Ok(aside.join(kernel.image))
}
