//! `deploy-system-img-copy`: packages of a directory onto the machine that shows a code.
//!
//! In: options. Out: lines for a person; `Ok` only when the target has said that it is installed.

use std::io::{self, Write};
use std::net::SocketAddr;
use std::time::Instant;

use thiserror::Error;

use crate::cli::Deploy;
use crate::discovery::{DiscoveryError, Listener};
use crate::exit::Exit;
use crate::packages::{self, Packages, PackagesError};
use crate::progress::{Progress, Rate, Screen, clock, size};
use crate::socket;
use crate::transfer::{self, Step, TransferError};

/// Why nothing was deployed.
#[derive(Debug, Error)]
pub enum DeployError {
    /// No `--legacy`.
    #[error(
        "the authenticated session is not in this version; --legacy speaks the original stream, which is neither \
         authenticated nor encrypted: use it on a network you own"
    )]
    NoSession,
    /// The packages cannot be sent.
    #[error(transparent)]
    Packages(#[from] PackagesError),
    /// The target is not found.
    #[error(transparent)]
    Discovery(#[from] DiscoveryError),
    /// The target does not answer.
    #[error("connecting to {to}{}", if source.kind() == io::ErrorKind::ConnectionRefused { " (is another donor connected already?)" } else { "" })]
    Connect {
        /// Where.
        to: SocketAddr,
        /// The kernel's reason.
        source: io::Error,
    },
    /// The connection or the target failed.
    #[error(transparent)]
    Transfer(#[from] TransferError),
}

impl DeployError {
    /// The exit code.
    #[must_use]
    pub const fn exit(&self) -> Exit {
        match self {
            Self::NoSession => Exit::Unavailable,
            Self::Packages(error) => error.exit(),
            Self::Discovery(error) => error.exit(),
            Self::Connect { .. } => Exit::Connection,
            Self::Transfer(error) => error.exit(),
        }
    }
}

/// Deploys, with standard output as the screen.
///
/// # Errors
/// See [`DeployError`].
pub fn run(options: &Deploy) -> Result<(), DeployError> {
    run_on(options, &mut Screen::stdout())
}

/// Deploys.
///
/// # Errors
/// See [`DeployError`].
pub fn run_on<W: Write>(options: &Deploy, screen: &mut Screen<W>) -> Result<(), DeployError> {
    if !options.is_legacy {
        return Err(DeployError::NoSession);
    }
    // The packages first: a directory that cannot be sent is told before anybody waits for a beacon.
    let packages = packages::open(&options.packages)?;
    list(&packages, screen);
    let to = find(options, screen)?;
    screen.say(&format!("connecting to {to}, UNAUTHENTICATED"));
    let connection = socket::connect(to, options.interface.as_deref())
        .map_err(|source| DeployError::Connect { to, source })?;
    let start = Instant::now();
    let mut sending = Sending::new(&packages, screen, start);
    let result = transfer::run(connection, &packages.packages, &mut |step| {
        sending.step(step)
    });
    screen.close_line();
    result?;
    screen.say(&format!("installed on {to} in {}", clock(start.elapsed())));
    Ok(())
}

fn list<W: Write>(found: &Packages, screen: &mut Screen<W>) {
    for (name, reason) in &found.ignored {
        screen.say(&format!("ignoring {}: {reason}", name.display()));
    }
    for package in &found.packages {
        screen.say(&format!(
            "package {} {}",
            package.name,
            size(package.len_bytes as f64)
        ));
    }
}

fn find<W: Write>(options: &Deploy, screen: &mut Screen<W>) -> Result<SocketAddr, DiscoveryError> {
    let code = options.code;
    if let Some(to) = options.to {
        screen.say(&format!("not listening for {code}: --to {to}"));
        return Ok(to);
    }
    let listener = Listener::open(options.beacon_port, options.interface.as_deref())?;
    screen.say(&format!("listening for {code}"));
    let address = listener.find(&code, options.timeout)?;
    screen.say(&format!("found {code} at {address}"));
    Ok(SocketAddr::new(address, options.stream_port))
}

/// What the screen needs to know between two steps.
struct Sending<'a, W: Write> {
    screen: &'a mut Screen<W>,
    now: Progress,
    /// Bytes of the packages before this one.
    before: u64,
    rate: Rate,
    is_waiting: bool,
}

impl<'a, W: Write> Sending<'a, W> {
    fn new(packages: &Packages, screen: &'a mut Screen<W>, start: Instant) -> Self {
        let now = Progress {
            package: String::new(),
            package_sent: 0,
            package_len: 0,
            sent: 0,
            total: packages.total_bytes(),
            rate: 0.0,
        };
        Self {
            screen,
            now,
            before: 0,
            rate: Rate::start(start),
            is_waiting: false,
        }
    }

    fn step(&mut self, step: Step<'_>) {
        let time = Instant::now();
        match step {
            Step::Package(package) => {
                self.before = self.before.saturating_add(self.now.package_len);
                self.now.package = package.name.to_string();
                self.now.package_len = package.len_bytes;
                self.progress(time, 0);
            }
            Step::Sent(bytes) => self.progress(time, bytes),
            Step::Waiting(elapsed) => {
                if !self.is_waiting {
                    self.is_waiting = true;
                    self.screen
                        .say(&format!("sent {}", size(self.now.sent as f64)));
                    self.screen.hurry();
                }
                self.screen.show(time, |_| {
                    format!("waiting for the target to finish {}", clock(elapsed))
                });
            }
        }
    }

    fn progress(&mut self, time: Instant, package_sent: u64) {
        self.now.package_sent = package_sent;
        self.now.sent = self.before.saturating_add(package_sent);
        self.now.rate = self.rate.update(time, self.now.sent);
        if package_sent == self.now.package_len && !self.screen.is_terminal() {
            // Without a terminal the end of a package is a line of its own, whenever it comes.
            self.screen.say(&format!(
                "sent {} {}",
                self.now.package,
                size(package_sent as f64)
            ));
        } else {
            self.screen.show(time, |width| self.now.line(width));
        }
    }
}
