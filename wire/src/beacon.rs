//! The beacon: a target's datagram to the broadcast address, once a second (`protocol.md` 1).
//!
//! In: the payload of a UDP datagram from anybody. Out: the [`Code`] it announces, or why it is no
//! beacon.

use crate::code::{CODE_LEN, Code, CodeError};
use crate::outcome::Outcome;
use thiserror::Error;

/// The prefix of every beacon.
pub const PREFIX: &[u8; 16] = b"SMECHVISOR_SHIM:";

/// Length of a beacon as we send it.
pub const BEACON_LEN: usize = PREFIX.len() + CODE_LEN;

/// Longest payload that is looked at; padding of a peer counts. Receive into one byte more to
/// notice longer ones.
pub const PAYLOAD_MAX: usize = 512;

/// Time between two beacons of a target, in milliseconds.
pub const INTERVAL_MS: u64 = 1000;

/// Why a datagram is no beacon.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum BeaconError {
    /// Longer than any beacon.
    #[error("a beacon has at most {PAYLOAD_MAX} bytes, this datagram has {found}")]
    TooLong {
        /// Bytes found.
        found: usize,
    },
    /// Somebody else's datagram.
    #[error("the datagram does not begin with SMECHVISOR_SHIM:")]
    Prefix,
    /// The text behind the prefix is no code.
    #[error("reading the code in a beacon")]
    Code(#[from] CodeError),
}

impl BeaconError {
    /// The sender is to be ignored.
    #[must_use]
    pub const fn outcome(self) -> Outcome {
        Outcome::Refuse
    }
}

/// The datagram that announces `code`: no terminator, no padding.
#[must_use]
pub fn emit(code: &Code) -> [u8; BEACON_LEN] {
    let mut payload = [0; BEACON_LEN];
    for (to, from) in payload.iter_mut().zip(PREFIX.iter().chain(code.as_bytes())) {
        *to = *from;
    }
    payload
}

/// The code a datagram announces. White space and NUL after the code are ignored: peers were seen
/// to send the line end of a text file and the rest of a fixed buffer.
///
/// # Errors
/// Anything else, which is then nobody's beacon.
pub fn parse(payload: &[u8]) -> Result<Code, BeaconError> {
    if payload.len() > PAYLOAD_MAX {
        return Err(BeaconError::TooLong {
            found: payload.len(),
        });
    }
    let rest = payload.strip_prefix(PREFIX).ok_or(BeaconError::Prefix)?;
    Ok(Code::from_bytes(without_padding(rest))?)
}

fn without_padding(bytes: &[u8]) -> &[u8] {
    let mut rest = bytes;
    while let [head @ .., 0 | b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c] = rest {
        rest = head;
    }
    rest
}

#[cfg(test)]
mod tests;
