//! One GET after the other over connections that are kept: TLS by rustls, redirects by our own
//! rules, time limits on everything.
//!
//! The signature of a release is what decides; TLS keeps others from reading along and holding a
//! node back. So plain `http` is for this machine itself, and for a person who asks for it.

use std::io::Read;
use std::sync::Arc;
use std::time::Duration;

use ureq::{Agent, Body, http};

use super::answer::{self, Asked, Head, Part};
use super::error::HttpError;
use super::roots::{self, Roots};
use super::url::Url;

/// More redirects than a store of releases needs.
pub const REDIRECTS_MAX: usize = 5;
/// Longest head of an answer, in bytes.
const HEAD_MAX: usize = 16 << 10;
/// A body that comes slower than so many bytes in a second has stalled as well.
const RATE_MIN: u64 = 4096;

/// How a server is reached.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Access {
    /// Who vouches for it.
    pub roots: Roots,
    /// A person wants plain `http` to other machines as well.
    pub is_plain_allowed: bool,
    /// How long is waited.
    pub patience: Patience,
}

/// What is waited for, and how long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Patience {
    /// Name, connection and handshake.
    pub connect: Duration,
    /// No byte comes.
    pub stall: Duration,
    /// Before each new try, if none brings anything in between; behind the last one we give up.
    pub pauses: Vec<Duration>,
}

impl Default for Patience {
    /// A router that starts again, a server that is updated: a minute.
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(15),
            stall: Duration::from_secs(30),
            pauses: [1, 1, 2, 4, 8, 15, 30].map(Duration::from_secs).to_vec(),
        }
    }
}

/// Cheap to clone; the clones share connections.
#[derive(Clone)]
pub struct Client {
    agent: Agent,
    access: Arc<Access>,
    /// Somebody vouches for servers.
    has_roots: bool,
}

/// A whole small file.
pub(crate) struct Small {
    pub bytes: Vec<u8>,
    /// Where it was, behind all redirects on the server that was asked: what lies beside it is
    /// looked for there.
    pub at: Url,
}

/// A part of a file on its way.
pub(super) struct Coming {
    pub part: Part,
    pub body: Box<dyn Read + Send>,
}

impl Client {
    /// A client for servers like this one.
    ///
    /// # Errors
    /// The certificates that vouch for servers cannot be read.
    pub fn new(access: &Access, url: &Url) -> Result<Self, HttpError> {
        let patience = &access.patience;
        let mut config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .user_agent(concat!("spk-visor/", env!("CARGO_PKG_VERSION")))
            .accept("*/*")
            .accept_encoding("identity")
            .max_response_header_size(HEAD_MAX)
            .timeout_resolve(Some(patience.connect))
            .timeout_connect(Some(patience.connect))
            .timeout_send_request(Some(patience.stall))
            .timeout_recv_response(Some(patience.stall))
            .timeout_per_read(Some(patience.stall))
            .timeout_per_write(Some(patience.stall));
        // A proxy of the environment does not lead to this machine.
        if url.is_loopback() {
            config = config.proxy(None);
        }
        let tls = match roots::config(&access.roots) {
            Err(error) if url.is_tls() => return Err(error),
            tls => tls.ok(),
        };
        let has_roots = tls.is_some();
        if let Some(tls) = tls {
            config = config.tls_config(tls);
        }
        Ok(Self {
            agent: config.build().new_agent(),
            access: Arc::new(access.clone()),
            has_roots,
        })
    }

    pub(super) fn patience(&self) -> &Patience {
        &self.access.patience
    }

    /// A whole file of at most `max` bytes; `None` where there is none.
    pub(super) fn small(&self, url: &Url, max: usize) -> Result<Option<Small>, HttpError> {
        let (hops, response) = self.get(url, None, max as u64)?;
        let at = beside(url, &hops);
        let answered = answer::whole(&head(&response), max as u64);
        match answered {
            Err(answer::Fault::NotFound { .. }) => return Ok(None),
            Err(fault) => return Err(HttpError::answer(url, fault)),
            Ok(_) => {}
        }
        let mut bytes = Vec::new();
        let reader = response.into_body().into_reader();
        let read = reader.take(max as u64 + 1).read_to_end(&mut bytes);
        read.map_err(|error| HttpError::body(url, bytes.len() as u64, error, self.patience()))?;
        let found = bytes.len() as u64;
        match bytes.len() <= max {
            true => Ok(Some(Small { bytes, at })),
            false => {
                let max = max as u64;
                let fault = answer::Fault::TooLong { found, max };
                Err(HttpError::answer(url, fault))
            }
        }
    }

    /// A part of a file.
    pub(super) fn part(&self, url: &Url, asked: &Asked<'_>) -> Result<Coming, HttpError> {
        let len_bytes = asked.end.saturating_sub(asked.begin);
        let (_, response) = self.get(url, Some(asked), len_bytes)?;
        let part = answer::part(&head(&response), asked);
        let part = part.map_err(|fault| HttpError::answer(url, fault))?;
        let body = response.into_body().into_reader();
        Ok(Coming {
            part,
            body: Box::new(body),
        })
    }

    /// The answer behind the redirects, and where they led.
    fn get(
        &self,
        url: &Url,
        range: Option<&Asked<'_>>,
        len_bytes: u64,
    ) -> Result<(Vec<Url>, http::Response<Body>), HttpError> {
        self.may_ask(url)?;
        let mut hops: Vec<Url> = Vec::new();
        loop {
            let at = hops.last().unwrap_or(url);
            let response = self.ask(at, range, len_bytes)?;
            if !matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308) {
                return Ok((hops, response));
            }
            let target = text(&response, "location").unwrap_or_default();
            let next = at.redirected(target);
            let next = next.map_err(|source| HttpError::Redirect {
                url: at.to_string(),
                source,
            })?;
            if at.is_tls() && !next.is_tls() {
                return Err(HttpError::Downgrade {
                    url: at.to_string(),
                    target: next.to_string(),
                });
            }
            self.may_ask(&next)?;
            if hops.len() == REDIRECTS_MAX {
                return Err(HttpError::Redirects {
                    url: url.to_string(),
                });
            }
            hops.push(next);
        }
    }

    fn may_ask(&self, url: &Url) -> Result<(), HttpError> {
        if url.is_tls() && !self.has_roots {
            let path = self.access.roots.path();
            return Err(HttpError::NoRoots { path });
        }
        match url.is_tls() || url.is_loopback() || self.access.is_plain_allowed {
            true => Ok(()),
            false => Err(HttpError::Plain {
                url: url.to_string(),
            }),
        }
    }

    fn ask(
        &self,
        url: &Url,
        range: Option<&Asked<'_>>,
        len_bytes: u64,
    ) -> Result<http::Response<Body>, HttpError> {
        let most = Duration::from_secs(len_bytes / RATE_MIN);
        let most = self.patience().stall.saturating_add(most);
        let mut request = self.agent.get(url.to_string());
        if let Some(asked) = range {
            let last = asked.end.saturating_sub(1);
            request = request.header("range", format!("bytes={}-{last}", asked.begin));
            if let Some(etag) = asked.etag {
                request = request.header("if-range", etag);
            }
        }
        let request = request.config().timeout_recv_body(Some(most)).build();
        let called = request.call();
        called.map_err(|error| HttpError::of(url, error, self.patience()))
    }
}

/// Redirects within one server lead to the place of a release, as `latest` does to a version. What
/// is behind the last of them, another host or a query that will expire, is of one file only.
fn beside(url: &Url, hops: &[Url]) -> Url {
    let name = |url: &Url| url.path().rsplit('/').next().map(str::to_owned);
    let is_same = |hop: &&Url| {
        let is_there = hop.authority() == url.authority() && hop.is_tls() == url.is_tls();
        is_there && name(hop) == name(url) && hop.to_string().ends_with(hop.path())
    };
    hops.iter()
        .take_while(is_same)
        .last()
        .unwrap_or(url)
        .clone()
}

fn head(response: &http::Response<Body>) -> Head<'_> {
    Head {
        status: response.status().as_u16(),
        content_length: text(response, "content-length"),
        content_range: text(response, "content-range"),
        content_encoding: text(response, "content-encoding"),
        etag: text(response, "etag"),
    }
}

fn text<'r>(response: &'r http::Response<Body>, name: &str) -> Option<&'r str> {
    response.headers().get(name)?.to_str().ok()
}
