//! A tree in, a package out: what a donor sends and a target unpacks.
//!
//! ```text
//! tree → walk (rules, node, contents, tar) → compress → a file (create), or a stream (live)
//! packages → hash → manifest (create, sign, verify) → bundle_file
//! ```
//!
//! Of a running Linux a package holds its system without what makes it that machine, in a form that
//! `bundle::unpack` takes; the same tree gives the same bytes. A [`job`] says what of it, and
//! [`walk`] visits every entry once: [`rules`] decide by path and contents what is left out, with
//! [`glob`] for the patterns, [`mounts`] and [`links`] for what lies or is linked elsewhere, and
//! [`key_search`] for keys that are never packed; [`node`], [`xattrs`], [`contents`] and [`holes`]
//! read what is kept, [`rewrite`] changes a copy's fstab, [`tar`] writes it, [`compress`] makes it
//! small, and [`report`] says what became of the rest. [`create`] puts that into a file by way of
//! [`output`], [`live`] into a stream; [`system`] and [`mod@grub`] see to it that the copy boots,
//! the latter with images by [`grub_image`] or signed ones of [`secure_boot`], of which boot media
//! are made too.
//!
//! [`packages`] opens a directory of packages and [`mod@hash`] reads them once, for [`manifest`],
//! which lists, signs and checks them, and for [`bundle_file`], which makes one file of them.
//! [`publish`] lays releases out for a web server.

pub mod bundle_file;
pub mod compress;
pub mod contents;
pub mod create;
pub mod glob;
pub mod grub;
pub mod grub_image;
pub mod hash;
pub mod holes;
pub mod job;
pub mod key_search;
pub mod links;
pub mod live;
pub mod manifest;
pub mod mounts;
pub mod node;
pub mod output;
pub mod packages;
pub mod publish;
pub mod report;
pub mod rewrite;
pub mod rules;
pub mod secure_boot;
pub mod system;
pub mod tar;
pub mod utc;
pub mod walk;
pub mod xattrs;

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use bundle::directory::DirectoryError;
use bundle::kernel::NoRamdisk;
use rustix::io::Errno;
use thiserror::Error;

use glob::PatternError;
use job::Job;
use rules::Rules;
use rules::secrets::{Policy, Secrets};

/// A tree, and the part of it to pack.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tree {
    /// Its top.
    pub root: PathBuf,
    /// Left out.
    pub exclude: Vec<String>,
    /// Packed whatever else is said.
    pub keep: Vec<String>,
    /// Other file systems that belong to it.
    pub include_mounts: Vec<PathBuf>,
    /// The treatment of secrets of people and services.
    pub secrets: Policy,
}

impl Default for Tree {
    fn default() -> Self {
        Tree {
            root: PathBuf::from("/"),
            exclude: Vec::new(),
            keep: Vec::new(),
            include_mounts: Vec::new(),
            secrets: Policy::default(),
        }
    }
}

/// Why there is no package.
#[derive(Debug, Error)]
#[allow(missing_docs)] // the fields name themselves
pub enum PackageError {
    /// The tree is not there.
    #[error("opening the tree {}", path.display())]
    Root {
        path: PathBuf,
        /// The kernel's reason.
        source: io::Error,
    },
    /// A pattern is malformed.
    #[error("reading the pattern {pattern:?}")]
    Pattern {
        /// As typed.
        pattern: String,
        /// The fault.
        source: PatternError,
    },
    /// The path of `--include-mount` does not exist.
    #[error("opening {} in the tree, named by --include-mount", path.display())]
    Mount {
        /// As typed.
        path: PathBuf,
        /// The kernel's reason.
        source: io::Error,
    },
    /// Something in the tree cannot be read.
    #[error("{action} {path}{}", hint(*source))]
    Tree {
        /// In the -ing form.
        action: &'static str,
        /// From the tree's top, such as `/etc/shadow`; control characters are escaped.
        path: String,
        /// The kernel's reason.
        source: Errno,
    },
    /// No target would take it.
    #[error(
        "the tree has more than {most} entries, which is more than a target takes; --exclude some"
    )]
    TooMany {
        /// Most.
        most: u64,
    },
    /// Where the package goes.
    #[error("writing the package")]
    Write(#[source] io::Error),
    /// The package's file.
    #[error("writing {}", path.display())]
    Output {
        path: PathBuf,
        /// The kernel's reason.
        source: io::Error,
    },
    /// Another command writes the same package.
    #[error("{} is being written by another command", path.display())]
    Busy { path: PathBuf },
    /// The report's file.
    #[error("writing the report {}", path.display())]
    Report {
        path: PathBuf,
        /// The kernel's reason.
        source: io::Error,
    },
    /// No memory, or no threads.
    #[error("starting the encoder")]
    Encoder(#[source] io::Error),
    /// Looking at the system in the tree.
    #[error(transparent)]
    System(#[from] DirectoryError),
    /// The copy would not boot.
    #[error("the copy would not boot")]
    NoRamdisk(#[from] NoRamdisk),
    /// The copy would not boot.
    #[error("the tree has no kernel (boot/vmlinuz-*), the copy would not boot; {hint}")]
    NoKernel {
        /// The remedy.
        hint: &'static str,
    },
    /// The copy would not boot.
    #[error(transparent)]
    Grub(#[from] grub::GrubError),
}

/// The remedy for the most frequent reason.
fn hint(error: Errno) -> &'static str {
    match error {
        Errno::ACCESS | Errno::PERM if !rustix::process::geteuid().is_root() => {
            " (only root can pack a system)"
        }
        _ => " (--exclude it to do without it)",
    }
}

/// Opens what is to be packed.
///
/// # Errors
/// The tree, a pattern or a mount point is not what it should be.
fn job(tree: &Tree) -> Result<Job, PackageError> {
    let rules = Rules::new(&tree.keep, &tree.exclude).map_err(|wrong| PackageError::Pattern {
        pattern: wrong.pattern,
        source: wrong.source,
    })?;
    let root = node::open_root(&tree.root).map_err(|error| PackageError::Root {
        path: tree.root.clone(),
        source: error.into(),
    })?;
    let mut mounts = Vec::new();
    for path in &tree.include_mounts {
        let failed = |source: io::Error| PackageError::Mount {
            path: path.clone(),
            source,
        };
        let relative = relative(path).ok_or_else(|| failed(io::ErrorKind::InvalidInput.into()))?;
        node::open_beneath(root.as_fd(), &relative).map_err(|error| failed(error.into()))?;
        mounts.push(relative);
    }
    Ok(Job {
        secrets: secrets(tree, &root)?,
        root,
        rules,
        mounts,
        own: Vec::new(),
    })
}

/// The files that are secrets, with those that the tree's own tables name.
fn secrets(tree: &Tree, root: &OwnedFd) -> Result<Secrets, PackageError> {
    let mut secrets = Secrets::new(tree.secrets).map_err(|source| PackageError::Pattern {
        pattern: String::new(),
        source,
    })?;
    // One that is not there names nothing; one that cannot be read stops the packing in its turn.
    if let Ok(etc) = node::open_beneath(root.as_fd(), b"etc") {
        let mut bytes = Vec::new();
        for name in [&b"crypttab"[..], b"fstab"] {
            if read_table(etc.as_fd(), name, &mut bytes).is_ok() {
                secrets.learn(&bytes);
            }
        }
    }
    Ok(secrets)
}

fn read_table(etc: BorrowedFd<'_>, name: &[u8], into: &mut Vec<u8>) -> rustix::io::Result<()> {
    let file = node::open(etc, name, false)?;
    let facts = node::look_at(file.as_fd())?;
    contents::read_small(file.as_fd(), facts, into).map(drop)
}

/// `/boot/` to `boot`; nothing for a path that goes up, or nowhere.
fn relative(path: &Path) -> Option<Vec<u8>> {
    let mut relative: Vec<&[u8]> = Vec::new();
    for component in path.components() {
        match component {
            Component::RootDir | Component::CurDir => {}
            Component::Normal(name) => relative.push(name.as_bytes()),
            Component::ParentDir | Component::Prefix(_) => return None,
        }
    }
    (!relative.is_empty()).then(|| relative.join(&b'/'))
}
