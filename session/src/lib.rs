//! Who may speak to whom: the authenticated session between donor and target (`protocol.md` 3).
//!
//! In: bytes of a stranger and what this end was told (a secret off a screen, or keys). Out: a sealed channel of messages, when and
//! only when the other end has proved that it knows the same; otherwise why not. No sockets and no clock: [`donor`] and [`target`]
//! are the handshake without I/O, [`pair_donor`] and [`pair_target`] drive them over any reader and writer, whose patience is
//! the caller's, and [`trial`] is a target's side for one of several strangers. [`guess_limit`] counts
//! wrong guesses, [`keys`] reads and draws pinned keys, [`channel`] is what it is all for.

pub mod channel;
pub mod donor;
pub mod guess_limit;
pub mod handshake;
pub mod keys;
pub mod target;
pub mod trial;

mod noise;
mod pairing;
mod randomness;
mod record_key;
mod share;

pub use handshake::{HandshakeError, Paired};
pub use keys::PinnedKeys;
pub use pairing::{PairingError, Step, TargetInfo, pair_donor, pair_target};
pub use randomness::{HandshakeRandom, RandomError};

use wire::handshake::Policy;
use wire::secret::Secret;

/// What one end knows, and demands that the other knows too. It decides the policy; nothing that a peer sends can change it.
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
