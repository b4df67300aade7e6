//! `receive-deploy`: the receiver of the Deploy Shim, run on a Linux that is up already.
//!
//! In: options. Out: stage lines on standard error; `Ok` when the disk is committed.

use std::io::{self, Write};

use receiver::donor::Network;
use thiserror::Error;
use wire::stage::Stage;
use wire::{BEACON_PORT, STREAM_PORT};

use crate::cli::Receive;
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
    /// The receiver is not wired up.
    #[error("deploying onto {disk}: the receiver is not in this version")]
    NoReceiver {
        /// The disk that was asked for; untouched.
        disk: String,
    },
}

impl ReceiveError {
    /// The exit code.
    #[must_use]
    pub const fn exit(&self) -> Exit {
        match self {
            Self::NoSession => Exit::Unavailable,
            Self::Network(_) | Self::NoReceiver { .. } => Exit::Receiver,
        }
    }
}

/// Waits for donors until one has deployed onto the disk.
///
/// # Errors
/// See [`ReceiveError`]; a donor's mistakes are shown and the next one is waited for.
pub fn run(options: &Receive) -> Result<(), ReceiveError> {
    if !options.is_legacy {
        return Err(ReceiveError::NoSession);
    }
    let network = KernelNetwork::open(BEACON_PORT, STREAM_PORT).map_err(ReceiveError::Network)?;
    for address in network.addresses() {
        // A closed standard error must not stop a deploy.
        let _ = writeln!(io::stderr(), "smv {}: addr={address}", Stage::Network);
    }
    Err(ReceiveError::NoReceiver { disk: options.disk.clone() })
}
