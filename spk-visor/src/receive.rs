//! `receive-deploy`: the receiver of the Deploy Shim, run on a Linux that is up already.
//!
//! In: options. Out: stage lines on standard error; `Ok` when the disk is committed.

use std::io::{self, Write};
use std::num::NonZeroUsize;
use std::thread;

use install::options;
use receiver::disks::Disks;
use receiver::donor::Network;
use receiver::gate::Wish;
use receiver::screen::Screen;
use receiver::{Options, SessionError};
use thiserror::Error;
use wire::stage::Stage;
use wire::{BEACON_PORT, STREAM_PORT};

use crate::cli::receive::{Policy, Receive};
use crate::exit::Exit;
use crate::kernel_net::KernelNetwork;

/// Why this machine could not be deployed onto.
#[derive(Debug, Error)]
pub enum ReceiveError {
    /// No `--legacy`.
    #[error(
        "the authenticated session is not in this version; --legacy accepts the original stream, which is neither \
         authenticated nor encrypted: use it on a network you own"
    )]
    NoSession,
    /// No sockets.
    #[error("opening the network")]
    Network(#[source] io::Error),
    /// The receiver gave up.
    #[error(transparent)]
    Session(#[from] SessionError),
}

impl ReceiveError {
    /// The exit code.
    #[must_use]
    pub const fn exit(&self) -> Exit {
        match self {
            Self::NoSession => Exit::Unavailable,
            Self::Network(_) | Self::Session(_) => Exit::Receiver,
        }
    }
}

/// Waits for donors until one has deployed onto the disk.
///
/// # Errors
/// See [`ReceiveError`]; a donor's mistakes are shown and the next one is waited for.
pub fn run(options: &Receive) -> Result<(), ReceiveError> {
    if options.policy != Policy::Legacy {
        return Err(ReceiveError::NoSession);
    }
    let mut network =
        KernelNetwork::open(BEACON_PORT, STREAM_PORT).map_err(ReceiveError::Network)?;
    let screen = Stderr;
    for address in network.addresses() {
        screen.stage(Stage::Network, &format!("addr={address}"));
    }
    let session = Options {
        disks: Disks::One(options.disk.clone().into()),
        wish: Wish {
            disk: None,
            wipe: options.wipe.clone(),
        },
        deploy: deploy_options(),
        policy: "legacy",
    };
    receiver::run(&session, &mut network, &screen)?;
    Ok(())
}

/// A running Linux has other work to do: half a GiB lets four cores decode an archive made with `xz -9`, whatever the
/// machine has.
fn deploy_options() -> options::Options {
    let threads = thread::available_parallelism().map_or(1, NonZeroUsize::get);
    options::Options {
        memory_bytes: 512 << 20,
        threads: u32::try_from(threads).unwrap_or(1),
        unpacked_max_bytes: None,
    }
}

/// Stage lines on standard error.
struct Stderr;

impl Screen for Stderr {
    fn stage(&self, stage: Stage, facts: &str) {
        // A closed standard error must not stop a deploy half-way.
        let _ = writeln!(io::stderr(), "smv {stage}: {facts}");
    }

    fn hint(&self, text: &str) {
        let _ = writeln!(io::stderr(), "{text}");
    }

    fn warning(&self, text: &str) {
        let _ = writeln!(io::stderr(), "warning: {text}");
    }
}
