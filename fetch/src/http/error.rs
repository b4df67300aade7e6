//! Why nothing came from a server: each error has the address, and its number where there is one.

use std::error::Error;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use thiserror::Error;
use ureq::Timeout;
use wire::outcome::Outcome;

use super::answer::Fault;
use super::client::{Patience, REDIRECTS_MAX};
use super::url::UrlError;

/// Nothing came, or something else.
#[derive(Debug, Error)]
#[allow(missing_docs)] // the fields name themselves
pub enum HttpError {
    /// The certificates of authorities.
    #[error("reading the authorities that vouch for servers in {}", path.display())]
    Roots {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    /// Nobody vouches for any server.
    #[error("{} has no certificate in PEM", path.display())]
    NoRoots { path: PathBuf },
    /// Over the network, and readable for everybody on it.
    #[error(
        "{url} is not encrypted: only https is taken from other machines; --allow-http takes it"
    )]
    Plain { url: String },
    /// A redirect that would read on in the clear.
    #[error("{url} leads to {target}, which is not encrypted")]
    Downgrade { url: String, target: String },
    /// A redirect to nowhere.
    #[error("following the redirect of {url}")]
    Redirect {
        url: String,
        #[source]
        source: UrlError,
    },
    /// A circle, or a server that plays.
    #[error("{url} leads through more than {REDIRECTS_MAX} redirects")]
    Redirects { url: String },
    /// Another server, or somebody between.
    #[error("the certificate that {url} shows is not taken")]
    Certificate {
        url: String,
        #[source]
        source: Box<rustls::Error>,
    },
    /// The connection was not made, or broke before an answer.
    #[error("asking for {url}")]
    Connection {
        url: String,
        /// What TLS, HTTP or the kernel say.
        #[source]
        source: Box<ureq::Error>,
    },
    /// It is there, and silent.
    #[error("{url} does not go on: {what} took more than {} s", limit.as_secs_f32())]
    Stalled {
        url: String,
        /// The phase.
        what: &'static str,
        limit: Duration,
    },
    /// An answer that is none to the question.
    #[error("asking for {url}")]
    Answer {
        url: String,
        #[source]
        source: Fault,
    },
    /// The connection broke in the middle.
    #[error("the connection to {url} broke at byte {at}")]
    Cut {
        url: String,
        /// Of the file.
        at: u64,
        #[source]
        source: Option<io::Error>,
    },
    /// A part of a release that is not there.
    #[error("there is no {url}")]
    Missing { url: String },
}

impl HttpError {
    /// An answer that is wrong.
    pub(super) fn answer(url: &impl ToString, source: Fault) -> Self {
        HttpError::Answer {
            url: url.to_string(),
            source,
        }
    }

    /// What `ureq` says before an answer.
    pub(super) fn of(url: &impl ToString, error: ureq::Error, patience: &Patience) -> Self {
        let url = url.to_string();
        if let Some(source) = of_tls(&error).map(Box::new) {
            return HttpError::Certificate { url, source };
        }
        match error {
            ureq::Error::Timeout(timeout) => {
                let (what, limit) = phase(timeout, patience);
                HttpError::Stalled { url, what, limit }
            }
            error => HttpError::Connection {
                url,
                source: Box::new(error),
            },
        }
    }

    /// What it says in the middle of a body.
    pub(super) fn body(
        url: &impl ToString,
        at: u64,
        error: io::Error,
        patience: &Patience,
    ) -> Self {
        match ureq::Error::from(error) {
            error @ ureq::Error::Timeout(_) => Self::of(url, error, patience),
            error => HttpError::Cut {
                url: url.to_string(),
                at,
                source: Some(error.into_io()),
            },
        }
    }

    /// What follows. A certificate or a redirect that is not taken will not be taken the next time.
    #[must_use]
    pub const fn outcome(&self) -> Outcome {
        match self {
            HttpError::Connection { .. } | HttpError::Stalled { .. } | HttpError::Cut { .. } => {
                Outcome::Retry
            }
            HttpError::Answer { source, .. } => source.outcome(),
            HttpError::Roots { .. }
            | HttpError::NoRoots { .. }
            | HttpError::Plain { .. }
            | HttpError::Downgrade { .. }
            | HttpError::Redirect { .. }
            | HttpError::Redirects { .. }
            | HttpError::Certificate { .. }
            | HttpError::Missing { .. } => Outcome::Refuse,
        }
    }

    /// May the same be asked for once more, a moment later?
    pub(super) const fn is_passing(&self) -> bool {
        match self {
            HttpError::Answer { source, .. } => source.is_passing(),
            error => matches!(error.outcome(), Outcome::Retry),
        }
    }
}

/// For readers: what it means is found again in `of_io`.
impl From<HttpError> for io::Error {
    fn from(error: HttpError) -> Self {
        io::Error::other(error)
    }
}

/// A handshake that failed for what the server is.
fn of_tls(error: &ureq::Error) -> Option<rustls::Error> {
    let found = match error {
        ureq::Error::Rustls(error) => Some(error),
        ureq::Error::Io(error) => {
            let inner = error.get_ref().map(|inner| inner as &(dyn Error + 'static));
            inner.and_then(|inner| inner.downcast_ref())
        }
        _ => None,
    };
    found
        .filter(|error| matches!(error, rustls::Error::InvalidCertificate(_)))
        .cloned()
}

fn phase(timeout: Timeout, patience: &Patience) -> (&'static str, Duration) {
    match timeout {
        Timeout::Resolve => ("looking up its name", patience.connect),
        Timeout::Connect => ("connecting", patience.connect),
        Timeout::PerRead => ("waiting for a byte", patience.stall),
        Timeout::RecvResponse => ("waiting for an answer", patience.stall),
        Timeout::RecvBody => ("its answer, at 4096 bytes in a second,", patience.stall),
        _ => ("asking", patience.stall),
    }
}
