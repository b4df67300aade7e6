//! One target of the original stream (`protocol.md` 2): found, sent to, and believed when it closes
//! in order.
//!
//! In: open packages and a code. Out: events; the last is `Installed` or `Failed`.

use std::fs::File;
use std::io::Write;
use std::net::SocketAddr;
use std::time::Instant;

use rustix::fs::MemfdFlags;
use thiserror::Error;
use wire::chain::chain;
use wire::code::Code;
use wire::human::percent;
use wire::manifest::{CHUNK_LISTS, MANIFEST, SIGNATURE};
use wire::stream::PackageName;

use super::Tell;
use crate::discovery::{DiscoveryError, Listener, Watch};
use crate::ending::Ending;
use crate::event::{Step, TargetEvent};
use crate::options::Options;
use crate::rate::Rate;
use crate::socket::{self, ConnectError};
use crate::transfer::{self, TransferError};
use pack::manifest::directory::Directory;
use pack::manifest::listing::ListingError;
use pack::packages::{Package, Packages, PackagesError};

/// Why a target of the original stream is not installed.
#[derive(Debug, Error)]
enum LegacyError {
    /// It is not found.
    #[error(transparent)]
    Discovery(#[from] DiscoveryError),
    /// It does not answer.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The connection or the target failed.
    #[error(transparent)]
    Transfer(#[from] TransferError),
}

impl LegacyError {
    /// How a deploy ends that failed like this.
    const fn ending(&self) -> Ending {
        match self {
            Self::Discovery(_) => Ending::NotFound,
            Self::Connect(_) => Ending::Unreachable,
            Self::Transfer(error) => error.ending(),
        }
    }
}

/// What is sent: the packages, and before them the directory's own manifest with all that is needed
/// to check it (`protocol.md` 4.4). Without one it is the packages alone, as old targets know it.
///
/// # Errors
/// A file is not the one that the manifest lists, or there is no memory for the records.
pub fn records(directory: Directory, step: &mut dyn FnMut(u64)) -> Result<Packages, ListingError> {
    if directory.listed.is_none() {
        return Ok(directory.packages);
    }
    let hashed = directory.hash(step)?;
    let chunk_lists: Vec<u8> = hashed
        .iter()
        .flat_map(|hashed| hashed.chunks.as_flattened())
        .copied()
        .collect();
    let Directory {
        mut packages,
        listed,
    } = directory;
    let listed = listed.unwrap_or_default();
    let mut records = vec![record(MANIFEST, &listed.manifest)?];
    if !listed.signature.is_empty() {
        records.push(record(SIGNATURE, &listed.signature)?);
    }
    records.push(record(CHUNK_LISTS, &chunk_lists)?);
    packages.packages.splice(..0, records);
    Ok(packages)
}

/// Bytes as a file that is nowhere.
fn record(name: &'static str, bytes: &[u8]) -> Result<Package, ListingError> {
    let failed = |source| ListingError::Read {
        path: name.into(),
        source,
    };
    let fd = rustix::fs::memfd_create(name, MemfdFlags::CLOEXEC)
        .map_err(|errno| failed(errno.into()))?;
    let mut file = File::from(fd);
    file.write_all(bytes).map_err(failed)?;
    let wire_name = PackageName::parse(name.as_bytes()).map_err(|source| PackagesError::Name {
        path: name.into(),
        source,
    })?;
    Ok(Package {
        name: wire_name,
        path: name.into(),
        file,
        len_bytes: bytes.len() as u64,
    })
}

/// Deploys onto the machine that shows `code`.
pub fn run(options: &Options, code: Code, packages: &Packages, tell: Tell<'_>) {
    match attempt(options, code, packages, tell) {
        Ok(installed) => tell(installed),
        Err(error) => tell(TargetEvent::Failed {
            ending: error.ending(),
            reason: chain(&error).to_string(),
            left: None,
        }),
    }
}

fn attempt(
    options: &Options,
    code: Code,
    packages: &Packages,
    tell: Tell<'_>,
) -> Result<TargetEvent, LegacyError> {
    let to = find(options, &code, tell)?;
    tell(TargetEvent::Connecting {
        to,
        is_authenticated: false,
    });
    let connection = socket::connect(to, options.interface.as_deref())
        .map_err(|source| ConnectError { to, source })?;
    let start = Instant::now();
    let mut sending = Sending::new(packages, tell, start);
    transfer::run(connection, &packages.packages, &mut |step| {
        sending.step(step);
    })?;
    Ok(TargetEvent::Installed {
        to,
        took: start.elapsed(),
    })
}

fn find(options: &Options, code: &Code, tell: Tell<'_>) -> Result<SocketAddr, DiscoveryError> {
    if let Some(to) = options.to {
        tell(TargetEvent::Addressed { to });
        return Ok(to);
    }
    let listener = Listener::open(options.beacon_port, options.interface.as_deref())?;
    tell(TargetEvent::Listening);
    let watch = Watch::start(listener, &[*code])?;
    let address = watch.find_one(code, options.timeout)?;
    tell(TargetEvent::Found { address });
    Ok(address.at(options.stream_port))
}

/// The state of a transfer between two steps.
struct Sending<'a> {
    tell: Tell<'a>,
    now: Step,
    /// Bytes of the packages before this one.
    before: u64,
    rate: Rate,
    is_waiting: bool,
}

impl<'a> Sending<'a> {
    fn new(packages: &Packages, tell: Tell<'a>, start: Instant) -> Self {
        Self {
            tell,
            now: Step {
                total: Some(packages.total_bytes()),
                ..Step::default()
            },
            before: 0,
            rate: Rate::start(start),
            is_waiting: false,
        }
    }

    fn step(&mut self, step: transfer::Step<'_>) {
        match step {
            transfer::Step::Package(package) => {
                self.before = self
                    .before
                    .saturating_add(self.now.package_total.unwrap_or(0));
                self.now.package = package.name.to_string();
                self.now.package_total = Some(package.len_bytes);
                self.progress(0);
            }
            transfer::Step::Sent(bytes) => self.progress(bytes),
            transfer::Step::Waiting(elapsed) => {
                if !self.is_waiting {
                    self.is_waiting = true;
                    (self.tell)(TargetEvent::Sent {
                        package: "everything".to_owned(),
                        bytes: self.now.sent,
                    });
                }
                (self.tell)(TargetEvent::Waiting(elapsed));
            }
        }
    }

    fn progress(&mut self, package_sent: u64) {
        let sent = self.before.saturating_add(package_sent);
        self.now.package_done = package_sent;
        self.now.sent = sent;
        // The target tells nothing: what it has taken is what has left.
        self.now.received = sent;
        self.now.percent = percent(sent, self.now.total.unwrap_or(0));
        self.now.rate = self.rate.update(Instant::now(), sent);
        (self.tell)(TargetEvent::Progress(self.now.clone()));
        if Some(package_sent) == self.now.package_total {
            (self.tell)(TargetEvent::Sent {
                package: self.now.package.clone(),
                bytes: package_sent,
            });
        }
    }
}
