//! A bundle of content into an empty directory: an approved manifest and its chunks in; a tree that
//! is exactly what was signed out, or an error (`bundles.md` 2 and 4).
//!
//! The files of such a bundle are `FILES`, for a daemon `SERVICE`, for a package `PACKAGE`, and one
//! archive. The list is read first, and tells how much room is needed before a byte is written. The archive goes through
//! [`unpack_pipeline`](crate::unpack_pipeline) under the rules of [`policy`]; then [`tree`] walks
//! over what is there and compares every file with the list.
//!
//! When this fails, the directory holds some of the content and has to be thrown away. Nothing is
//! flushed here.

pub mod policy;
pub mod tree;

use std::os::fd::BorrowedFd;

use rustix::fs::fstatvfs;
use rustix::io::Errno;
use thiserror::Error;
use wire::field::FieldError;
use wire::files::{self, FILES, Files, Kind};
use wire::manifest::Role;
use wire::outcome::Outcome;
use wire::package::{self, PACKAGE, Package};
use wire::service::{self, SERVICE, Service};

use crate::event::Event;
use crate::package_stream::{Header, Packages, PackagesError};
use crate::trust::Approved;
use crate::unpack_pipeline::{PackageError, Resources, UnpackPipeline};
use crate::verify::{ChunkSource, VerifiedPackages};
use policy::{Forbidden, Policy};
use tree::TreeFault;

/// The archive, whichever way it is compressed.
pub const ARCHIVE: &str = "content";
/// What a file or directory takes beside its contents: its last block and its inode.
const ENTRY_BYTES: u64 = 4096 + 512;
/// Headers of an entry, two of them with their padding around a path, and what fills up the last
/// block of its contents.
const HEADERS_BYTES: u64 = 4 * 512 + 2 * files::PATH_MAX as u64;
/// The end of an archive, padded to a record of tar(1).
const END_BYTES: u64 = 20 * 512;
/// Of a file system that has much room left, so much stays free.
const RESERVE_MAX_BYTES: u64 = 1 << 30;

/// What lies beside the tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Taken {
    /// The list of its files.
    pub files: Vec<u8>,
    /// How a daemon is started.
    pub service: Option<Vec<u8>>,
    /// What a package needs.
    pub package: Option<Vec<u8>>,
}

/// A bundle's content is not taken.
#[derive(Debug, Error)]
#[allow(missing_docs)] // the fields name themselves
pub enum ContentError {
    /// A system, or a part of one.
    #[error("a bundle of role {0} has no content to unpack")]
    Role(Role),
    /// Not the files that its role has.
    #[error("the bundle has {found:?} where {wanted} belongs")]
    Layout {
        /// `FILES`, `SERVICE`, `PACKAGE`, `content.tar.zst`.
        wanted: &'static str,
        /// The file in its place, if there is one.
        found: Option<String>,
    },
    /// More than a small file may have.
    #[error("{name} has {len_bytes} bytes; {max} is the most")]
    TooLong {
        name: &'static str,
        len_bytes: u64,
        max: usize,
    },
    /// A small file, or the end.
    #[error("reading {name}")]
    Read {
        name: &'static str,
        #[source]
        source: PackagesError,
    },
    /// `FILES`, `SERVICE` or `PACKAGE`.
    #[error(transparent)]
    Text(#[from] FieldError),
    /// The list as a whole.
    #[error("the bundle's list {0}")]
    Forbidden(Forbidden),
    /// A daemon without its program.
    #[error("SERVICE starts {program}, which is no file of mode 755 in the bundle")]
    Program { program: String },
    /// The file system has less than is needed.
    #[error(
        "the content needs {needed_bytes} bytes in {entries} entries; the file system has \
         {free_bytes} bytes and {free_inodes} inodes, and {reserve_bytes} bytes stay free"
    )]
    Room {
        needed_bytes: u64,
        entries: u64,
        free_bytes: u64,
        free_inodes: u64,
        /// 5 %, at most 1 GiB.
        reserve_bytes: u64,
    },
    /// The file system does not say.
    #[error("asking the file system for room")]
    Statistics(#[source] Errno),
    /// The archive.
    #[error("unpacking the content")]
    Unpack(#[from] PackageError),
    /// It does not unpack to what `FILES` says.
    #[error("the content is not what FILES says")]
    Tree(#[from] TreeFault),
}

impl ContentError {
    /// Whether to try again, to refuse the bundle, or to blame this machine.
    #[must_use]
    pub fn outcome(&self) -> Outcome {
        match self {
            ContentError::Read { source, .. } => source.outcome(),
            ContentError::Unpack(error) => error.outcome(),
            ContentError::Room { .. }
            | ContentError::Statistics(_)
            | ContentError::Tree(TreeFault::Read { .. }) => Outcome::Fatal,
            _ => Outcome::Refuse,
        }
    }
}

/// Takes the content of a bundle into the empty directory `tree`, whose mode is 755.
///
/// # Errors
/// The first reason against it; the directory is to be thrown away.
pub fn take(
    approved: &Approved,
    role: Role,
    source: impl ChunkSource,
    tree: BorrowedFd<'_>,
    resources: &Resources,
) -> Result<Taken, ContentError> {
    let policy = Policy::of(role).ok_or(ContentError::Role(role))?;
    let mut packages = VerifiedPackages::new(approved, source);
    let text = small(&mut packages, FILES, files::LEN_MAX)?;
    let list = Files::parse(&text)?;
    policy.allows(&list).map_err(ContentError::Forbidden)?;
    let service = match role {
        Role::Daemon => Some(small(&mut packages, SERVICE, service::LEN_MAX)?),
        _ => None,
    };
    if let Some(service) = &service {
        starts_a_program(service, &list)?;
    }
    let package = match role {
        Role::Store => Some(small(&mut packages, PACKAGE, package::LEN_MAX)?),
        _ => None,
    };
    if let Some(package) = &package {
        Package::parse(package)?;
    }
    let header = archive(&mut packages)?;
    let stated = header.unpacked.map_or(0, |unpacked| unpacked.entries);
    if stated > policy.entries_max {
        let forbidden = Forbidden::Entries(policy.entries_max);
        return Err(ContentError::Forbidden(forbidden));
    }
    has_room(tree, &list, u64::from(stated))?;
    // Whatever the manifest says, the archive is no longer than its files and their headers.
    let headers = u64::from(stated).saturating_mul(HEADERS_BYTES);
    let cap = list
        .size_bytes()
        .saturating_add(headers)
        .saturating_add(END_BYTES);
    let nobody = |_: Event| ();
    let mut pipeline = UnpackPipeline::new(tree, resources, cap, &nobody).of_content(policy);
    pipeline.receive(&mut packages, &header, &[])?;
    let behind = packages.next_header();
    if let Some(header) = behind.map_err(|source| ContentError::Read {
        name: "the end",
        source,
    })? {
        return Err(ContentError::Layout {
            wanted: "its end",
            found: Some(header.name.to_string()),
        });
    }
    tree::compare(tree, &list)?;
    Ok(Taken {
        files: text,
        service,
        package,
    })
}

/// The next file, which is the archive.
fn archive(packages: &mut dyn Packages) -> Result<Header, ContentError> {
    let name = "content.tar.zst";
    let header = packages.next_header();
    let header = header.map_err(|source| ContentError::Read { name, source })?;
    let found = header.as_ref().map(|header| header.name.to_string());
    header
        .filter(|header| header.name.package() == ARCHIVE && header.name.as_str() != ARCHIVE)
        .ok_or(ContentError::Layout {
            wanted: name,
            found,
        })
}

/// The next file, which is a short text.
fn small(
    packages: &mut dyn Packages,
    name: &'static str,
    max: usize,
) -> Result<Vec<u8>, ContentError> {
    let failed = |source| ContentError::Read { name, source };
    let header = packages.next_header().map_err(failed)?;
    let found = header.as_ref().map(|header| header.name.to_string());
    let Some(header) = header.filter(|header| header.name.as_str() == name) else {
        return Err(ContentError::Layout {
            wanted: name,
            found,
        });
    };
    let len_bytes = header.claimed_len.unwrap_or(u64::MAX);
    let len = usize::try_from(len_bytes).ok().filter(|len| *len <= max);
    let too_long = ContentError::TooLong {
        name,
        len_bytes,
        max,
    };
    let mut text = vec![0; len.ok_or(too_long)?];
    let mut at = 0;
    loop {
        let rest = text.get_mut(at..).unwrap_or_default();
        // Behind its last byte only the end may follow.
        let mut probe = [0];
        let into = match rest.is_empty() {
            true => &mut probe[..],
            false => rest,
        };
        match packages.read_data(into).map_err(failed)? {
            0 => return Ok(text),
            got => at = at.saturating_add(got),
        }
    }
}

fn starts_a_program(text: &[u8], list: &Files<'_>) -> Result<(), ContentError> {
    let service = Service::parse(text)?;
    let mut lines = list.lines();
    match lines.any(|line| line.path == service.program && line.kind == Kind::Program) {
        true => Ok(()),
        false => Err(ContentError::Program {
            program: service.program.to_owned(),
        }),
    }
}

/// What it unpacks to, and 5 % of the file system: a full one is nobody's friend. Of a large one
/// 1 GiB is enough.
fn has_room(tree: BorrowedFd<'_>, list: &Files<'_>, entries: u64) -> Result<(), ContentError> {
    let stat = fstatvfs(tree).map_err(ContentError::Statistics)?;
    let total_bytes = stat.f_blocks.saturating_mul(stat.f_frsize);
    let free_bytes = stat.f_bavail.saturating_mul(stat.f_frsize);
    let reserve_bytes = (total_bytes / 20).min(RESERVE_MAX_BYTES);
    let needed_bytes = entries
        .saturating_mul(ENTRY_BYTES)
        .saturating_add(list.size_bytes());
    // A file system that makes inodes as it needs them counts none.
    let has_inodes = stat.f_files == 0 || stat.f_favail >= entries;
    if free_bytes < needed_bytes.saturating_add(reserve_bytes) || !has_inodes {
        return Err(ContentError::Room {
            needed_bytes,
            entries,
            free_bytes,
            free_inodes: stat.f_favail,
            reserve_bytes,
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests;
