//! Packages, one after the other, wherever they come from: the seam between what was received and
//! what is installed.
//!
//! [`Records`](crate::records::Records) is the original stream, where a donor is believed;
//! [`VerifiedPackages`](crate::verify::VerifiedPackages) gives out nothing that a manifest does not
//! vouch for.

use std::error::Error;
use std::fmt;

use wire::manifest::Unpacked;
use wire::outcome::Outcome;
use wire::stream::PackageName;

use crate::interrupt::{Interrupter, nothing_to_interrupt};
use crate::trust::Approved;

/// One package, as announced.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // the fields name themselves
pub struct Header {
    pub name: PackageName,
    /// Its length in bytes; `None` when it is made while it is sent.
    pub claimed_len: Option<u64>,
    /// The exact length of its tar; `None` when the donor announced none.
    pub unpacked: Option<Unpacked>,
}

/// Packages in the order in which they are installed.
pub trait Packages: Send {
    /// The next package's header; its data must then be read to the end by [`Packages::read_data`].
    /// `None`: there are no more, and everything that belongs to them has come.
    ///
    /// # Errors
    /// The donor broke off, or speaks wrongly.
    fn next_header(&mut self) -> Result<Option<Header>, PackagesError>;

    /// Bytes of the current package; 0 is its end, and only that.
    ///
    /// # Errors
    /// The donor broke off, or what it sends is not what was announced.
    fn read_data(&mut self, buf: &mut [u8]) -> Result<usize, PackagesError>;

    /// For another thread, once unpacking has failed: a [`Packages::read_data`] that waits returns
    /// at once, with an error that nobody reads.
    fn interrupter(&self) -> Interrupter {
        nothing_to_interrupt()
    }

    /// Bytes received so far, all packages together.
    fn offset_bytes(&self) -> u64;

    /// The image that a manifest has described, if there was one.
    fn approved(&self) -> Option<&Approved> {
        None
    }

    /// The unpacked size of all packages, if it was announced.
    fn claimed_unpacked_bytes(&self) -> Option<u64> {
        None
    }
}

/// Packages do not come.
#[derive(Debug)]
#[allow(missing_docs)] // the fields name themselves
pub enum PackagesError {
    /// They cannot be had. Their source says why, and knows what follows from that.
    Failed {
        source: Box<dyn Error + Send + Sync>,
        /// Whether to retry, refuse or stop.
        outcome: Outcome,
    },
    /// This end has cancelled the deploy.
    Cancelled,
}

/// The source's own error speaks for itself: nothing stands before it in a chain.
impl fmt::Display for PackagesError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PackagesError::Failed { source, .. } => source.fmt(f),
            PackagesError::Cancelled => f.write_str("the deploy was cancelled"),
        }
    }
}

impl Error for PackagesError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            PackagesError::Failed { source, .. } => source.source(),
            PackagesError::Cancelled => None,
        }
    }
}

impl PackagesError {
    /// Whether to retry, refuse or stop.
    #[must_use]
    pub const fn outcome(&self) -> Outcome {
        match self {
            PackagesError::Failed { outcome, .. } => *outcome,
            PackagesError::Cancelled => Outcome::Refuse,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::PackagesError;
    use crate::interrupt::Cancelled;
    use crate::records::RecordsError;
    use crate::verify::{ChunkError, VerifyError};
    use std::io;

    fn broken(source: io::Error) -> PackagesError {
        let (what, offset) = ("a package name", 4);
        let error = RecordsError::Read {
            what,
            offset,
            source,
        };
        error.into()
    }

    #[test]
    fn a_cancel_is_one_variant_whatever_was_being_received() {
        let chunk = VerifyError::Receive {
            name: "a.tar.xz".to_owned(),
            chunk: 0,
            source: ChunkError::Cancelled,
        };
        let end = VerifyError::End(ChunkError::Cancelled);
        let cancelled = [chunk.into(), end.into(), broken(Cancelled::error())];
        for error in &cancelled {
            assert!(matches!(error, PackagesError::Cancelled), "{error:?}");
        }
        let lost = broken(io::ErrorKind::ConnectionReset.into());
        assert!(matches!(lost, PackagesError::Failed { .. }), "{lost:?}");
    }
}
