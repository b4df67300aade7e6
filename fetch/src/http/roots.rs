//! Who vouches for the names of servers: certificates of authorities in, the settings of TLS out.
//!
//! Those of the system count, so that an authority that its operator has added is known here as
//! well. Roots that are compiled in would grow old with a node, and cost 250 kB; and a system that
//! has `ca-certificates` has them in one file, which takes no crate to find.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::crypto::ring;
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, parse_pem};

use super::error::HttpError;

/// Names the file of the system, as OpenSSL has it.
const VARIABLE: &str = "SSL_CERT_FILE";
/// The first one that is there: Debian, Alpine and Arch; Fedora; openSUSE.
const SYSTEM: [&str; 3] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
];

/// Authorities.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Roots {
    /// Those that this system trusts.
    #[default]
    System,
    /// Only those of this file, in PEM.
    File(PathBuf),
}

impl Roots {
    /// The file that has them.
    pub(super) fn path(&self) -> PathBuf {
        match self {
            Roots::File(path) => path.clone(),
            Roots::System => system(),
        }
    }
}

/// TLS with these authorities, by ring.
pub(super) fn config(roots: &Roots) -> Result<TlsConfig, HttpError> {
    let path = roots.path();
    let read = fs::read(&path);
    let pem = read.map_err(|source| HttpError::Roots {
        path: path.clone(),
        source,
    })?;
    let certs: Vec<Certificate<'static>> = parse_pem(&pem)
        // One bad certificate of a hundred is no reason to trust none.
        .filter_map(|item| match item {
            Ok(PemItem::Certificate(certificate)) => Some(certificate),
            _ => None,
        })
        .collect();
    if certs.is_empty() {
        return Err(HttpError::NoRoots { path });
    }
    Ok(TlsConfig::builder()
        .root_certs(RootCerts::from(certs.into_iter()))
        .unversioned_rustls_crypto_provider(Arc::new(ring::default_provider()))
        .build())
}

fn system() -> PathBuf {
    let [usual, ..] = SYSTEM;
    let found = SYSTEM.into_iter().find(|path| Path::new(path).exists());
    let named = env::var_os(VARIABLE).map(PathBuf::from);
    named.unwrap_or_else(|| found.unwrap_or(usual).into())
}
