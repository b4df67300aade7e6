//! Whether a generation is what was signed: a directory with `MANIFEST`, `MANIFEST.minisig`,
//! `FILES`, for a daemon `SERVICE`, for a package `PACKAGE`, and `tree` in; its version and key out,
//! or the first thing that is wrong.
//!
//! Archive and chunks are gone by then. The manifest names the hash of `FILES`, and `FILES` that of
//! every file, so the one signature holds for what is on the disk, too.

use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::os::fd::{AsFd, BorrowedFd};

use bundle::content::policy::{Forbidden, Policy};
use bundle::content::tree::{self, TreeFault};
use bundle::key;
use bundle::trust::{self, ApproveError, Trust, Voucher};
use rustix::fs::{Mode, OFlags, openat};
use sha2::{Digest, Sha256 as Hasher};
use thiserror::Error;
use wire::field::FieldError;
use wire::files::{self, FILES, Files};
use wire::ledger::{KeyId, Version};
use wire::manifest::{self, Content, MANIFEST, Manifest, Role, SIGNATURE};
use wire::message::SIGNATURE_MAX;
use wire::package::{self, PACKAGE, Package};
use wire::service::{self, SERVICE, Service};

use crate::place::Place;
use crate::sets::rules::Clash;

/// The content, beside the texts.
pub const TREE: &str = "tree";

/// A generation that is as it was signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// Its name.
    pub version: Version,
    /// For people.
    pub name: String,
    /// Who has signed it; `None` where no key is trusted, in tests.
    pub key: Option<KeyId>,
    /// Files in its tree.
    pub files: usize,
    /// Bytes of all of them together.
    pub size_bytes: u64,
}

/// A generation is not taken.
#[derive(Debug, Error)]
#[allow(missing_docs)] // the fields name themselves
pub enum Reject {
    /// A part of it cannot be read.
    #[error("reading {name}")]
    Read {
        name: &'static str,
        #[source]
        source: io::Error,
    },
    /// Longer than any may be.
    #[error("{name} has more than {max} bytes")]
    TooLong { name: &'static str, max: usize },
    /// Signature, role, name.
    #[error("verifying MANIFEST")]
    Manifest(#[from] ApproveError),
    /// Renamed.
    #[error("its manifest has counter {found}")]
    Counter { found: u64 },
    /// Not the list or service that was signed.
    #[error("{name} is not the one that the manifest names")]
    Text { name: &'static str },
    /// The list or service itself.
    #[error(transparent)]
    Field(#[from] FieldError),
    /// A list that this role may not have.
    #[error("its list {0}")]
    Forbidden(Forbidden),
    /// Its files.
    #[error(transparent)]
    Tree(#[from] TreeFault),
    /// A set, because of one of its packages.
    #[error("the package {name}, counter {counter}")]
    Package {
        name: String,
        counter: u64,
        #[source]
        source: Box<Reject>,
    },
    /// Packages that cannot be together.
    #[error(transparent)]
    Clash(#[from] Clash),
    /// A package of another digest than the set has.
    #[error("it is not the one that the set names")]
    NoSet,
    /// A shelf of tests says so.
    #[error("it is torn")]
    Torn,
}

impl Reject {
    /// In one word, as `generation 2 rejected (sha256)`.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Reject::Read { .. } => "unreadable",
            Reject::TooLong { .. } | Reject::Field(_) | Reject::Forbidden(_) => "malformed",
            Reject::Manifest(ApproveError::Unsigned { .. } | ApproveError::Signature(_)) => {
                "signature"
            }
            Reject::Manifest(_) => "manifest",
            Reject::Counter { .. } => "counter",
            Reject::Text { .. } | Reject::Torn | Reject::NoSet => "sha256",
            Reject::Package { source, .. } => source.word(),
            Reject::Clash(_) => "clash",
            Reject::Tree(fault) => fault.word(),
        }
    }
}

/// A manifest that is as it was signed.
pub(crate) struct Vouched {
    text: Vec<u8>,
    pub(crate) key: Option<KeyId>,
}

/// Reads the manifest of the generation in `directory`. `counter` is what its name says.
pub(crate) fn manifest(
    directory: BorrowedFd<'_>,
    place: &Place,
    counter: Option<u64>,
    trust: &Trust,
) -> Result<Vouched, Reject> {
    let manifest = text(directory, MANIFEST, manifest::LEN_MAX)?;
    let signature = match text(directory, SIGNATURE, SIGNATURE_MAX) {
        // Whether it may be missing, `trust` decides.
        Err(Reject::Read { source, .. }) if source.kind() == ErrorKind::NotFound => Vec::new(),
        signature => signature?,
    };
    let (parsed, voucher) = trust::vouch_for(&manifest, &signature, place.wanted(), trust)?;
    let found = parsed.head().counter;
    if counter.is_some_and(|counter| counter != found) {
        return Err(Reject::Counter { found });
    }
    let key = match voucher {
        Voucher::Key(base64) => key::of_public_key(&base64),
        Voucher::Sender { .. } => None,
    };
    Ok(Vouched {
        text: manifest,
        key,
    })
}

/// What a package says about itself, beside its tree.
#[derive(Debug)]
pub(crate) struct Texts {
    pub(crate) files: Vec<u8>,
    pub(crate) package: Vec<u8>,
}

/// The texts of the package in `directory`. Nothing is verified.
pub(crate) fn texts(directory: BorrowedFd<'_>) -> Result<Texts, Reject> {
    Ok(Texts {
        files: text(directory, FILES, files::LEN_MAX)?,
        package: text(directory, PACKAGE, package::LEN_MAX)?,
    })
}

/// Reads all of the generation in `directory`. `counter` is what its name says.
///
/// # Errors
/// The first thing that is wrong.
pub fn verify(
    directory: BorrowedFd<'_>,
    place: &Place,
    counter: Option<u64>,
    trust: &Trust,
) -> Result<Held, Reject> {
    let Vouched {
        text: manifest,
        key,
    } = self::manifest(directory, place, counter, trust)?;
    let parsed = Manifest::parse(&manifest).map_err(ApproveError::from)?;
    let list = text(directory, FILES, files::LEN_MAX)?;
    is_named(&parsed, FILES, &list)?;
    let list = Files::parse(&list)?;
    // A place is of no other role.
    let policy = Policy::of(place.role()).unwrap_or(Policy {
        entries_max: 0,
        has_links: false,
        lies_over_usr: false,
    });
    policy.allows(&list).map_err(Reject::Forbidden)?;
    if place.role() == Role::Daemon {
        let service = text(directory, SERVICE, service::LEN_MAX)?;
        is_named(&parsed, SERVICE, &service)?;
        Service::parse(&service)?;
    }
    if place.role() == Role::Store {
        let package = text(directory, PACKAGE, package::LEN_MAX)?;
        is_named(&parsed, PACKAGE, &package)?;
        Package::parse(&package)?;
    }
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let top = openat(directory, TREE, flags, Mode::empty());
    let top = top.map_err(|errno| unreadable(TREE, errno.into()))?;
    tree::compare(top.as_fd(), &list)?;
    Ok(Held {
        version: Version {
            digest: Hasher::digest(&manifest).into(),
            counter: parsed.head().counter,
        },
        name: parsed.head().version.to_owned(),
        key,
        files: list.count(),
        size_bytes: list.size_bytes(),
    })
}

/// The counter that a generation claims. Nothing is verified.
#[must_use]
pub fn claimed_counter(directory: BorrowedFd<'_>) -> Option<u64> {
    let manifest = text(directory, MANIFEST, manifest::LEN_MAX).ok()?;
    Some(Manifest::parse(&manifest).ok()?.head().counter)
}

/// Are these the bytes of the file that the manifest names so?
fn is_named(manifest: &Manifest<'_>, name: &'static str, bytes: &[u8]) -> Result<(), Reject> {
    let found: [u8; 32] = Hasher::digest(bytes).into();
    let is_it = |file: &manifest::File| {
        let Content::Hashed { sha256, .. } = file.content else {
            return false;
        };
        file.name.as_str() == name && sha256 == found
    };
    match manifest.files().any(|file| is_it(&file)) {
        true => Ok(()),
        false => Err(Reject::Text { name }),
    }
}

const fn unreadable(name: &'static str, source: io::Error) -> Reject {
    Reject::Read { name, source }
}

/// A file of the directory, not longer than `max`.
pub(crate) fn text(
    directory: BorrowedFd<'_>,
    name: &'static str,
    max: usize,
) -> Result<Vec<u8>, Reject> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = openat(directory, name, flags, Mode::empty());
    let file = File::from(file.map_err(|errno| unreadable(name, errno.into()))?);
    let mut bytes = Vec::new();
    let read = file.take(max as u64 + 1).read_to_end(&mut bytes);
    read.map_err(|source| unreadable(name, source))?;
    match bytes.len() <= max {
        true => Ok(bytes),
        false => Err(Reject::TooLong { name, max }),
    }
}
