//! `slot`: reads packages, kernel and slot-init, checks that a node can start and update them, and
//! writes the image of a slot.

mod kernel;
mod root;

use std::fs::{self, File};
use std::io::{self, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use wire::human::size;

use super::pack::{PackError, pack_all};
use crate::drivers::DriversError;
use crate::join::JoinError;
use crate::output::OutputError;
use crate::progress::Progress;
use crate::scratch::Scratch;
use crate::shim::ShimError;
use crate::slot::{self, Head, Release, SlotError};
use crate::squashfs::{self, SquashfsError};
use crate::verity::{self, HashTree, VerityError};
use crate::{initramfs, program, tree};

use kernel::Kernel;
use root::RootTar;

/// The arguments of `slot`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slot {
    /// Archives of parts of the system, in this order.
    pub packages: Vec<PathBuf>,
    /// `--root`: a tree in their place.
    pub root: Option<PathBuf>,
    /// `--init`: slot-init.
    pub init: PathBuf,
    /// `--kernel`: a bzImage; otherwise the newest of the packages.
    pub kernel: Option<PathBuf>,
    /// `--modules`: its directory of modules; otherwise that of the packages.
    pub modules: Option<PathBuf>,
    /// `--module`, as often as it was given.
    pub words: Vec<String>,
    /// `--cmdline`: otherwise that of the packages.
    pub cmdline: Option<String>,
    /// `--product`.
    pub product: String,
    /// `--version`.
    pub version: String,
    /// `--counter`.
    pub counter: u64,
    /// `-o`.
    pub output: PathBuf,
}

/// The image cannot be made.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)] // the fields name themselves
pub enum SlotCommandError {
    /// A file that goes in, or one on the way.
    #[error("reading {}", path.display())]
    Read { path: PathBuf, source: io::Error },
    /// A package that is no archive.
    #[error("package {}", path.display())]
    Decode {
        path: PathBuf,
        source: bundle::decode::DecodeError,
    },
    /// A package that does not go with the others.
    #[error("package {}", path.display())]
    Join {
        path: PathBuf,
        source: Box<JoinError>,
    },
    /// The root could not be put together.
    #[error(transparent)]
    Joined(#[from] JoinError),
    /// The tree cannot be packed.
    #[error(transparent)]
    Tool(#[from] crate::tool::ToolError),
    /// A node could not start it, or never update it.
    #[error("the root has no {what}: {why}")]
    Lacking {
        what: &'static str,
        why: &'static str,
    },
    /// GRUB would refuse each of its own starts.
    #[error(
        "the root has /usr/lib/smechvisor/grub/shimx64.efi: a signed GRUB has no command that \
         checks the boot record of a disk with two slots (package grub without --secure-boot)"
    )]
    SignedGrub,
    /// There is no kernel to be found.
    #[error(transparent)]
    Boot(#[from] bundle::directory::DirectoryError),
    /// Likewise.
    #[error("the packages have no kernel in /boot; name one with --kernel")]
    NoKernel,
    /// A file that tells no release.
    #[error("{} is not a bzImage with a release name", .0.display())]
    KernelRelease(PathBuf),
    /// A kernel that cannot mount the root.
    #[error("the kernel {release} lacks {options} (/boot/config-{release})")]
    KernelLacks { release: String, options: String },
    /// The modules.
    #[error(transparent)]
    Drivers(#[from] DriversError),
    /// slot-init cannot run.
    #[error("checking {}", path.display())]
    Program {
        path: PathBuf,
        source: program::ProgramError,
    },
    /// Two files have the same path.
    #[error("laying out the initramfs")]
    Tree(#[from] tree::TreeError),
    /// The initramfs cannot be packed.
    #[error(transparent)]
    Pack(#[from] PackError),
    /// Kernel and command line.
    #[error("{}", kernel.display())]
    Shim { kernel: PathBuf, source: ShimError },
    /// The root file system.
    #[error(transparent)]
    Squashfs(#[from] SquashfsError),
    /// Its hash tree.
    #[error(transparent)]
    Verity(#[from] VerityError),
    /// The head.
    #[error(transparent)]
    Slot(#[from] SlotError),
    /// The result could not be put where it belongs.
    #[error(transparent)]
    Output(#[from] OutputError),
}

impl Slot {
    /// Writes the image.
    ///
    /// # Errors
    /// See [`SlotCommandError`].
    pub fn make(&self) -> Result<(), SlotCommandError> {
        let scratch = Scratch::beside(&self.output)?;
        let init = read(&self.init)?;
        program::check(&init).map_err(|source| SlotCommandError::Program {
            path: self.init.clone(),
            source,
        })?;
        let packages = root::hash(&self.packages)?;
        let mut root = RootTar::new(&scratch)?;
        match &self.root {
            Some(tree) => root.add_tree(tree, &scratch)?,
            None => root.add_packages(&self.packages)?,
        }
        root.check()?;

        let kernel = Kernel::choose(self.kernel.as_deref(), self.modules.as_deref(), &scratch)?;
        let release = Release {
            product: self.product.clone(),
            version: self.version.clone(),
            counter: self.counter,
            kernel: kernel.release().to_owned(),
            packages,
        };
        root.add_release(&release)?;
        let joined = root.finish()?;
        // Before the long work: a kernel without what it needs shows here.
        let mut initramfs = initramfs::starting(init)?;
        kernel.put_modules(&self.words, &mut initramfs)?;
        let initramfs = pack_all(&[initramfs])?;

        let image = scratch.file("root");
        squashfs::make(&scratch.file(root::TAR), joined.newest, &image)?;
        let (salt, tree) = hash_tree(&image)?;

        let cmdline = self.cmdline.clone().unwrap_or_else(|| root.cmdline());
        let shim = kernel.shim(initramfs, &with_defaults(&cmdline))?;
        let len_bytes = len(&image)?;
        let described = slot::Root {
            len_bytes,
            tree: &tree,
            salt,
        };
        let head = slot::head(&shim, &release, root.grub()?, described)?;
        self.write(&scratch, &head, &image, &tree)?;
        eprintln!(
            "media: {}: head {} ({} used), root {} of {} in {} entries, hash tree {}",
            self.output.display(),
            size(head.bytes.len() as u64),
            size(head.content_bytes),
            size(len_bytes),
            size(joined.content_bytes),
            joined.entries,
            size(tree.bytes.len() as u64),
        );
        Ok(())
    }

    /// Puts the three parts one behind another, and replaces the output in one step.
    fn write(
        &self,
        scratch: &Scratch,
        head: &Head,
        root: &Path,
        tree: &HashTree,
    ) -> Result<(), OutputError> {
        let whole = scratch.file("image");
        let written = || {
            let mut file = File::create_new(&whole)?;
            file.write_all(&head.bytes)?;
            io::copy(&mut File::open(root)?, &mut file)?;
            file.write_all(&tree.bytes)?;
            // Nothing in it is secret, whatever the umask.
            file.set_permissions(fs::Permissions::from_mode(0o644))?;
            fs::rename(&whole, &self.output)
        };
        written().map_err(|source| OutputError {
            path: self.output.clone(),
            source,
        })
    }
}

/// What the packages ask for, and what a node needs besides.
fn with_defaults(cmdline: &str) -> String {
    let has = |key: &str| {
        let mut words = cmdline.split_whitespace();
        words.any(|word| word.split('=').next() == Some(key))
    };
    let defaults = slot::CMDLINE.into_iter();
    let defaults = defaults.filter(|word| !has(word.split('=').next().unwrap_or_default()));
    let words = cmdline.split_whitespace().chain(defaults);
    words.collect::<Vec<_>>().join(" ")
}

/// The salt is the hash of the root itself: the same root has the same tree.
fn hash_tree(image: &Path) -> Result<([u8; 32], HashTree), SlotCommandError> {
    let total_bytes = len(image)?;
    let open = || File::open(image).map_err(|source| unread(image, source));
    let mut progress = Progress::new("hashing the root", total_bytes);
    let hashed = pack::hash::file(open()?, 1 << 20, &mut |_| ());
    let salt = hashed.map_err(|(_, source)| unread(image, source))?.whole;
    let blocks = BufReader::with_capacity(1 << 20, open()?);
    let tree = verity::hash_tree(blocks, &salt, &mut |done| progress.at(done))?;
    Ok((salt, tree))
}

fn len(path: &Path) -> Result<u64, SlotCommandError> {
    let metadata = fs::metadata(path).map_err(|source| unread(path, source))?;
    Ok(metadata.len())
}

fn read(path: &Path) -> Result<Vec<u8>, SlotCommandError> {
    fs::read(path).map_err(|source| unread(path, source))
}

fn unread(path: &Path, source: io::Error) -> SlotCommandError {
    SlotCommandError::Read {
        path: path.to_owned(),
        source,
    }
}

#[cfg(test)]
mod tests;
