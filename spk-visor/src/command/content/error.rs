//! Why a command about content did not do what it was asked for.

use std::io;
use std::path::PathBuf;

use bundle::trust::{ApproveError, TrustError};
use fetch::FetchError;
use hold::client::ClientError;
use hold::event::Event;
use machine::locks::LockError;
use machine::overlay::OverlayError;
use store::StoreError;
use store::place::Place;
use thiserror::Error;
use wire::manifest::ManifestError;

use crate::command::hold::sentence;
use crate::command::node::error::NodeError;

/// What went wrong.
#[derive(Debug, Error)]
#[allow(missing_docs)] // the fields name themselves
pub enum ContentError {
    /// Another command changes the place.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// The source.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// The manifest cannot be read.
    #[error("the bundle is not taken")]
    Manifest(#[from] ManifestError),
    /// It is signed for no place that a node has.
    #[error("the bundle is of role {role} for {product:?}; a site, model or daemon is wanted here")]
    NoPlace { role: String, product: String },
    /// Signature, chunk lists.
    #[error("the bundle is not taken")]
    Approve(#[from] ApproveError),
    /// Keys, or a directory of places.
    #[error("reading {}", path.display())]
    Read {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    /// The keys.
    #[error("reading the trusted keys in {}", path.display())]
    Trust {
        path: PathBuf,
        #[source]
        source: TrustError,
    },
    /// The state partition.
    #[error("making {}", path.display())]
    State {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    /// The place.
    #[error("{place}")]
    Store {
        place: Place,
        #[source]
        source: Box<StoreError>,
    },
    /// The packages of the node.
    #[error("packages")]
    Sets {
        #[source]
        source: Box<StoreError>,
    },
    /// Something else where a package is wanted.
    #[error(
        "the bundle is of role {role} for {product:?}; a package, of role store, is wanted here"
    )]
    NoPackage { role: String, product: String },
    /// An address whose last part is no name of a package.
    #[error("{from} does not end in the name of a package: give NAME --source {from}")]
    NoName { from: String },
    /// A package that is not there.
    #[error("there is no package {name} in the set")]
    NotInstalled { name: String },
    /// `system-install` and `userland-install` on a node with slots.
    #[error(
        "the node is sealed: its system is a signed slot, and nothing is installed into it; use \
         package install for programs over /usr, entire-system-upgrade for another system"
    )]
    Sealed,
    /// More than a set may have.
    #[error(
        "{name} is one package too many; {} is the most",
        wire::set::MEMBERS_MAX
    )]
    TooMany { name: String },
    /// It would take more away than a file.
    #[error(
        "the package {name} would hide /usr/{path}: a file where the system has a directory, or \
         a directory where it has something else"
    )]
    Hides { name: String, path: String },
    /// `/usr`.
    #[error(transparent)]
    Overlay(#[from] OverlayError),
    /// The node's source of packages.
    #[error(transparent)]
    Source(#[from] Box<NodeError>),
    /// A source that does not say what it has.
    #[error("{from} has no CHANNEL that lists its packages")]
    NoChannel { from: String },
    /// The new version of a daemon was taken back, or not tried.
    #[error("{place}: {}", sentence(answer))]
    NotSwapped { place: Place, answer: Event },
    /// The daemon may have changed or not.
    #[error("{place}")]
    Hold {
        place: Place,
        #[source]
        source: ClientError,
    },
}
