//! What `SERVICE` asks for, as values that outlive its text.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use machine::health::answer::{Url, UrlError};
use thiserror::Error;
use wire::field::FieldError;
use wire::service::{Address, Mode, Ready, Service};

/// How the program of a generation is started and judged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// The file.
    pub program: PathBuf,
    /// Behind its name.
    pub arguments: Vec<OsString>,
    /// As whom it runs.
    pub user: String,
    /// In the order of their descriptors.
    pub sockets: Vec<Socket>,
    /// When it counts as ready.
    pub ready: Ready,
    /// Where it is asked whether it is well.
    pub health: Option<Url>,
    /// The argument with which it tests itself.
    pub selftest: Option<OsString>,
    /// The order of old and new.
    pub mode: Mode,
}

/// A socket that is kept for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Socket {
    /// In `LISTEN_FDNAMES`.
    pub name: String,
    /// Where it is bound.
    pub at: At,
}

/// Where a socket is bound.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum At {
    /// A stream over IP.
    Tcp(SocketAddr),
    /// A stream on this machine.
    Unix(PathBuf),
}

/// `SERVICE` makes no sense.
#[derive(Debug, Error)]
pub enum PlanError {
    /// A line.
    #[error("reading SERVICE")]
    Line(#[source] Box<FieldError>),
    /// The URL.
    #[error("reading the health of SERVICE")]
    Health(#[from] UrlError),
}

impl Plan {
    /// Reads `SERVICE`; `tree` is what its program is below.
    ///
    /// # Errors
    /// The line that is wrong.
    pub fn parse(service: &[u8], tree: &Path) -> Result<Self, PlanError> {
        let service = Service::parse(service).map_err(|error| PlanError::Line(Box::new(error)))?;
        let sockets = service.listen().iter().map(|listen| Socket {
            name: listen.name.to_owned(),
            at: match listen.address {
                Address::Tcp(address) => At::Tcp(address),
                Address::Unix(path) => At::Unix(path.into()),
            },
        });
        Ok(Self {
            program: tree.join(service.program),
            arguments: service.arguments().iter().map(Into::into).collect(),
            user: service.user.to_owned(),
            sockets: sockets.collect(),
            ready: service.ready,
            health: service.health.map(str::parse).transpose()?,
            selftest: service.selftest.map(Into::into),
            mode: service.mode,
        })
    }
}
