//! Addresses of releases, read strictly: a text in, its parts out, and where a name beside it or a
//! redirect of it leads.
//!
//! Only what an address of a static file needs: `https` or `http`, a host, a port, a path, and a
//! query, which the stores behind redirects have. No user, no password, no fragment.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};

use thiserror::Error;

/// Longest address, in bytes: that of a signed query.
pub const LEN_MAX: usize = 4096;

/// An absolute address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Url {
    is_tls: bool,
    /// Host and port, as written.
    authority: String,
    /// From the first `/` on, query included.
    path: String,
}

/// An address that is not used.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[allow(missing_docs)] // the fields name themselves
pub enum UrlError {
    /// Longer than any may be.
    #[error("an address of {len_bytes} bytes; {LEN_MAX} is the most")]
    TooLong { len_bytes: usize },
    /// Neither `https` nor `http`.
    #[error("{text:?} does not begin with https:// or http://")]
    Scheme { text: String },
    /// No host, or one with a user in front of it.
    #[error("{text:?} has no plain host behind its scheme")]
    Host { text: String },
    /// A blank, a control character, a fragment, anything beyond ASCII.
    #[error("byte {at} of {text:?} does not belong in an address")]
    Byte { text: String, at: usize },
}

impl Url {
    /// Reads an address. One without a path is that of the host's top directory.
    ///
    /// # Errors
    /// See [`UrlError`].
    pub fn parse(text: &str) -> Result<Self, UrlError> {
        if text.len() > LEN_MAX {
            return Err(UrlError::TooLong {
                len_bytes: text.len(),
            });
        }
        let is_bad = |byte: u8| !byte.is_ascii_graphic() || b"#\\\"<>".contains(&byte);
        if let Some(at) = text.bytes().position(is_bad) {
            let text = text.to_owned();
            return Err(UrlError::Byte { text, at });
        }
        let (is_tls, rest) = match (text.strip_prefix("https://"), text.strip_prefix("http://")) {
            (Some(rest), _) => (true, rest),
            (None, Some(rest)) => (false, rest),
            (None, None) => {
                return Err(UrlError::Scheme {
                    text: text.to_owned(),
                });
            }
        };
        let at = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(at);
        if !is_authority(authority) {
            return Err(UrlError::Host {
                text: text.to_owned(),
            });
        }
        let slash = if path.starts_with('/') { "" } else { "/" };
        Ok(Self {
            is_tls,
            authority: authority.to_ascii_lowercase(),
            path: format!("{slash}{path}"),
        })
    }

    /// Is it `https`?
    #[must_use]
    pub const fn is_tls(&self) -> bool {
        self.is_tls
    }

    /// Host and port, as written.
    #[must_use]
    pub fn authority(&self) -> &str {
        &self.authority
    }

    /// From the first `/` on, without the query.
    #[must_use]
    pub fn path(&self) -> &str {
        self.path.split('?').next().unwrap_or_default()
    }

    /// Does it name this machine itself?
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        let host = match self.authority.strip_prefix('[') {
            Some(rest) => rest.split(']').next().unwrap_or_default(),
            None => self.authority.split(':').next().unwrap_or_default(),
        };
        let v4 = host.parse().is_ok_and(|host: Ipv4Addr| host.is_loopback());
        let v6 = host.parse().is_ok_and(|host: Ipv6Addr| host.is_loopback());
        host == "localhost" || v4 || v6
    }

    /// The same as a directory: its path ends in `/`. A query has no meaning there.
    #[must_use]
    pub fn directory(&self) -> Self {
        let path = self.path();
        let slash = if path.ends_with('/') { "" } else { "/" };
        self.with(format!("{path}{slash}"))
    }

    /// The directory that this file is in.
    #[must_use]
    pub fn parent(&self) -> Self {
        self.with(directory_of(self.path()).to_owned())
    }

    /// A name, or a path of names, below this directory. Names have only bytes that stand for
    /// themselves.
    #[must_use]
    pub fn join(&self, name: &str) -> Self {
        let directory = self.directory();
        directory.with(format!("{}{name}", directory.path))
    }

    /// Where `Location: target` in an answer to this address leads.
    ///
    /// # Errors
    /// Not an address.
    pub fn redirected(&self, target: &str) -> Result<Self, UrlError> {
        let scheme = if self.is_tls { "https" } else { "http" };
        let origin = format!("{scheme}://{}", self.authority);
        let has_scheme = target
            .split_once("://")
            .is_some_and(|(scheme, _)| !scheme.contains(['/', '?']));
        Self::parse(&match target {
            _ if has_scheme => target.to_owned(),
            _ if target.starts_with("//") => format!("{scheme}:{target}"),
            _ if target.starts_with('/') => format!("{origin}{target}"),
            _ if target.starts_with('?') => format!("{origin}{}{target}", self.path()),
            _ => format!("{origin}{}{target}", directory_of(self.path())),
        })
    }

    fn with(&self, path: String) -> Self {
        Self {
            path,
            ..self.clone()
        }
    }
}

/// Up to the last `/` and with it.
fn directory_of(path: &str) -> &str {
    path.rsplit_once('/').map_or("/", |(directory, _)| {
        path.get(..=directory.len()).unwrap_or("/")
    })
}

/// A host, and maybe a port.
fn is_authority(text: &str) -> bool {
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => match rest.split_once(']') {
            Some((host, port)) if host.parse::<Ipv6Addr>().is_ok() => ("v6", port),
            _ => return false,
        },
        None => text.split_at(text.find(':').unwrap_or(text.len())),
    };
    let is_named = |byte: u8| byte.is_ascii_alphanumeric() || b".-_".contains(&byte);
    let is_port = |port: &str| port.parse::<u16>().is_ok_and(|port| port > 0);
    let has_port = match port.strip_prefix(':') {
        Some(port) => is_port(port),
        None => port.is_empty(),
    };
    !host.is_empty() && host.bytes().all(is_named) && has_port
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.is_tls { "https" } else { "http" };
        write!(f, "{scheme}://{}{}", self.authority, self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::{LEN_MAX, Url, UrlError};

    fn url(text: &str) -> Url {
        Url::parse(text).unwrap()
    }

    #[test]
    fn an_address_is_read_and_shown_as_it_was() {
        for (text, shown) in [
            ("https://a.example/b/c?d=e", "https://a.example/b/c?d=e"),
            ("https://A.example:8443", "https://a.example:8443/"),
            ("http://[::1]:80/x", "http://[::1]:80/x"),
            ("https://a?b", "https://a/?b"),
        ] {
            assert_eq!(url(text).to_string(), shown);
        }
    }

    #[test]
    fn what_is_no_plain_address_is_refused() {
        for text in [
            "",
            "ftp://a/",
            "a.example/b",
            "https://",
            "https:///b",
            "https://user@host/",
            "https://user:word@host/",
            "https://host:/",
            "https://host:0/",
            "https://host:65536/",
            "https://host:80:80/",
            "https://[::1/",
            "https://[host]/",
            "https://h st/",
            "https://host/a b",
            "https://host/a#b",
            "https://host/\u{e4}",
            "https://host/a\r\nx: y",
        ] {
            assert!(Url::parse(text).is_err(), "{text}");
        }
        let long = format!("https://a/{}", "x".repeat(LEN_MAX));
        let found = Url::parse(&long);
        assert!(matches!(found, Err(UrlError::TooLong { len_bytes }) if len_bytes == long.len()));
    }

    #[test]
    fn names_and_redirects_are_resolved() {
        let file = url("https://a.example/x/y/MANIFEST?key=1");
        assert_eq!(file.parent().to_string(), "https://a.example/x/y/");
        let directory = url("https://a.example/x");
        assert_eq!(
            directory.join("MANIFEST").to_string(),
            "https://a.example/x/MANIFEST"
        );
        for (target, leads_to) in [
            ("http://b/", "http://b/"),
            ("//b.example/c", "https://b.example/c"),
            ("/c?d=https://e", "https://a.example/c?d=https://e"),
            ("z", "https://a.example/x/y/z"),
            ("?k=2", "https://a.example/x/y/MANIFEST?k=2"),
        ] {
            let found = file.redirected(target).unwrap().to_string();
            assert_eq!(found, leads_to, "{target}");
        }
        assert!(file.redirected("ftp://b/").is_err());
    }

    #[test]
    fn loopback_is_known_by_its_address() {
        let inside = ["http://127.0.0.1:80/", "http://localhost/", "http://[::1]/"];
        assert!(inside.into_iter().all(|text| url(text).is_loopback()));
        for text in ["http://127.0.0.1.example/", "http://10.0.0.1/"] {
            assert!(!url(text).is_loopback(), "{text}");
        }
    }
}
