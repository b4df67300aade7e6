//! Pairing: the authenticated session between donor and target (`protocol.md` 3).
//!
//! In: bytes of a stranger, and a [`Credential`] (the secret from a screen, or pinned keys). Out: a
//! sealed channel of messages, only if the peer has proved that it knows the same; otherwise the
//! reason. No sockets and no clock: both are the caller's.
//!
//! The way of a session, module by module:
//!
//! 1. [`keys`] reads, makes and writes pinned keys; `randomness` draws all the random numbers of
//!    one handshake before it begins ([`HandshakeRandom`]).
//! 2. [`donor`] and [`target`] are the two halves of the handshake without I/O: each message is
//!    bytes in, bytes out. `share` is the half of the key exchange that differs with the policy,
//!    `noise` the two Noise patterns, [`handshake`] the common errors and the result, [`Paired`].
//! 3. `pairing` drives these halves over any reader and writer: [`pair_donor`], [`pair_target`].
//!    [`trial`] is a target's half for one of several strangers whose bytes arrive interleaved, and
//!    [`guess_limit`] decides how fast they may guess at a secret.
//! 4. [`channel`] seals and opens messages behind the handshake, with the keys of `record_key`.

pub mod keys;
mod randomness;

pub mod donor;
pub mod handshake;
mod noise;
mod share;
pub mod target;

pub mod guess_limit;
mod pairing;
pub mod trial;

pub mod channel;
mod record_key;

pub use handshake::{HandshakeError, Paired};
pub use keys::PinnedKeys;
pub use pairing::{PairingError, Step, TargetInfo, pair_donor, pair_target};
pub use randomness::{HandshakeRandom, RandomError};

use wire::handshake::Policy;
use wire::secret::Secret;

/// The credential that one end has, and demands of the other. It decides the policy; nothing that a
/// peer sends can change it.
#[derive(Clone, Debug)]
pub enum Credential {
    /// Off the target's screen.
    Secret(Secret),
    /// Handed out before.
    Pinned(PinnedKeys),
}

impl Credential {
    /// The policy it stands for.
    #[must_use]
    pub const fn policy(&self) -> Policy {
        match self {
            Credential::Secret(_) => Policy::Secret,
            Credential::Pinned(_) => Policy::Pinned,
        }
    }
}
