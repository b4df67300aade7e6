//! The options of a deploy.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use wire::code::Code;
use wire::message::After;
use wire::{BEACON_PORT, STREAM_PORT};

use crate::delivery::Limits;
use pack::live;

/// The option that lets `--all` erase disks that are not blank.
pub const ERASE: &str = "--erase";
/// The option that lets the named machines be erased.
pub const YES: &str = "--yes";
/// Where a donor looks for packages.
pub const PACKAGES_DIR: &str = "/var/lib/spk-visor/packages";
/// How long a donor listens for a code.
pub const LISTEN_TIMEOUT: Duration = Duration::from_secs(60);
/// How long a broken connection is made again.
pub const RETRY: Duration = Duration::from_secs(600);

/// The image to deploy, and the targets.
#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    /// On the targets' screens; empty for all.
    pub codes: Vec<Code>,
    /// How both ends know each other.
    pub trust: Trust,
    /// Nobody asks before deploying onto all, nor before a disk of a named machine is erased that
    /// is not blank.
    pub is_sure: bool,
    /// Nobody asks before a disk of any machine is erased that is not blank.
    pub may_erase: bool,
    /// Where the packages are; `None` where everything is made while it is sent.
    pub packages: Option<PathBuf>,
    /// A package that is made while it is sent.
    pub live: Option<live::Options>,
    /// Connect here instead of listening.
    pub to: Option<SocketAddr>,
    /// Listen and connect here only.
    pub interface: Option<String>,
    /// How long to listen.
    pub timeout: Duration,
    /// How long to make a broken connection again.
    pub retry: Duration,
    /// The action of an installed target; `None`: as its command line says.
    pub after: Option<After>,
    /// Where beacons arrive.
    pub beacon_port: u16,
    /// Where targets listen.
    pub stream_port: u16,
    /// How patient this donor is.
    pub limits: Limits,
}

impl Options {
    /// Whether every machine that is heard is meant.
    #[must_use]
    pub const fn is_all(&self) -> bool {
        self.codes.is_empty()
    }
}

impl Default for Options {
    fn default() -> Self {
        Self {
            codes: Vec::new(),
            trust: Trust::Secret(None),
            is_sure: false,
            may_erase: false,
            packages: Some(PathBuf::from(PACKAGES_DIR)),
            live: None,
            to: None,
            interface: None,
            timeout: LISTEN_TIMEOUT,
            retry: RETRY,
            after: None,
            beacon_port: BEACON_PORT,
            stream_port: STREAM_PORT,
            limits: Limits::default(),
        }
    }
}

/// How both ends know each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trust {
    /// A secret that a person carries; from this file, or asked for.
    Secret(Option<PathBuf>),
    /// Keys that were made before.
    Pinned(PathBuf),
    /// Not at all. The person knows.
    Legacy,
}
