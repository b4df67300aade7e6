//! `slot`: reads packages, kernel and slot-init, checks that a node can start and update them, and
//! writes the image of a slot.

mod kernel;
mod root;

use std::fs::{self, File};
use std::io::{self, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use lexopt::{Parser, ValueExt};
use wire::human::size;
use wire::manifest::PRODUCT;

use super::pack::{PackError, pack_all};
use super::{needed, path};
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

/// The command's name.
pub const COMMAND: &str = "slot";

/// What `--help` prints.
pub const HELP: &str = "\
usage: mkinitramfs slot (PACKAGE... | --root DIR) --init FILE --version WORD --counter N
                        [--product WORD] [--kernel FILE] [--modules DIR [--module WORD]...]
                        [--cmdline WORDS] -o OUT

Makes the image of a slot: a system as one file that a node with two slots starts and checks block
by block. It consists of a FAT volume with kernel, initramfs and GRUB's images, the root as a
squashfs, and the root's dm-verity hash tree. The same input gives the same bytes.

  PACKAGE         archive of a part of the system: .tar, .tar.xz or .tar.zst. Joined in this
                  order; a path that two of them have is an error
  --root DIR      the same from a directory tree, packed by tar(1) as root
  --init FILE     slot-init, the program that the kernel starts first
  --version WORD  version of the release, for people
  --counter N     counter of the release; goes up with each one
  --product WORD  which machines it is for; default: smv-x86_64
  --kernel FILE   kernel, a bzImage; default: the newest one in the packages' /boot. What lies in
                  /boot stays out of the root
  --modules DIR   /lib/modules/RELEASE of that kernel, after depmod; default: what the packages
                  have for it. The initramfs then carries the modules for disks, USB, watchdogs and
                  the root
  --module WORD   carry this module, and of the others only those for the root and dependencies: a
                  name, a name pattern, or a module directory. Repeat for more
  --cmdline WORDS kernel options; default: the packages' /etc/kernel/cmdline
  -o, --output OUT  where to write the image. Its name in a release is smechvisor-system.img
  -h, --help      print this text

The root needs /sbin/init, e2fsck, /usr/lib/smechvisor/grub (package bootloader-grub) and the
directories that are mounted over; docs/slot.md 2.4 has the list. Needs sqfstar (squashfs-tools).
";

/// The arguments of `slot`.
#[derive(Debug)]
pub struct Slot {
    packages: Vec<PathBuf>,
    root: Option<PathBuf>,
    init: PathBuf,
    kernel: Option<PathBuf>,
    modules: Option<PathBuf>,
    words: Vec<String>,
    cmdline: Option<String>,
    product: String,
    version: String,
    counter: u64,
    output: PathBuf,
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

/// Reads the arguments behind the command; `None` means that help was asked for.
///
/// # Errors
/// The first argument that is wrong.
pub fn parse(parser: &mut Parser) -> Result<Option<Slot>, lexopt::Error> {
    use lexopt::Arg::{Long, Short, Value};

    let (mut packages, mut words) = (Vec::new(), Vec::new());
    let (mut root, mut init, mut kernel, mut modules) = (None, None, None, None);
    let (mut cmdline, mut product, mut version) = (None, None, None);
    let (mut counter, mut output) = (None, None);
    while let Some(argument) = parser.next()? {
        match argument {
            Short('h') | Long("help") => return Ok(None),
            Value(package) => packages.push(PathBuf::from(package)),
            Long("root") => root = Some(path(parser)?),
            Long("init") => init = Some(path(parser)?),
            Long("kernel") => kernel = Some(path(parser)?),
            Long("modules") => modules = Some(path(parser)?),
            Long("module") => words.push(parser.value()?.string()?),
            Long("cmdline") => cmdline = Some(parser.value()?.string()?),
            Long("product") => product = Some(word(parser, "product")?),
            Long("version") => version = Some(word(parser, "version")?),
            Long("counter") => counter = Some(parser.value()?.parse()?),
            Short('o') | Long("output") => output = Some(path(parser)?),
            _ => return Err(argument.unexpected()),
        }
    }
    match (packages.is_empty(), &root) {
        (true, None) => return Err("no package given, and no --root DIR".into()),
        (false, Some(_)) => return Err("packages and --root exclude each other".into()),
        _ => {}
    }
    Ok(Some(Slot {
        packages,
        root,
        init: needed(init, "--init FILE")?,
        kernel,
        modules,
        words,
        cmdline,
        product: product.unwrap_or_else(|| PRODUCT.to_owned()),
        version: needed(version, "--version WORD")?,
        counter: needed(counter, "--counter N")?,
        output: needed(output, "-o OUT")?,
    }))
}

/// A word as manifests have them (`protocol.md` 4.1).
fn word(parser: &mut Parser, option: &str) -> Result<String, lexopt::Error> {
    let word = parser.value()?.string()?;
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._+-".contains(&byte);
    if !(1..=wire::manifest::WORD_MAX).contains(&word.len()) || !word.bytes().all(is_plain) {
        return Err(format!("--{option} {word:?}: expected 1 to 64 of [A-Za-z0-9._+-]").into());
    }
    Ok(word)
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
            "mkinitramfs: {}: head {} ({} used), root {} of {} in {} entries, hash tree {}",
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
