//! The common part of both state machines: their errors, and the result once both ends have proved
//! themselves.

use std::io::{Read, Write};

use snow::HandshakeState;
use thiserror::Error;
use wire::code::Code;
use wire::handshake::{HelloError, Info, Policy, Suite};
use wire::message::End;
use wire::outcome::Outcome;

use crate::channel::{Opener, Sealer};
use crate::keys::KeysError;
use crate::randomness::RandomError;
use crate::record_key::{RecordKey, TAG_LEN};

/// Why a handshake ended. None of them holds anything secret.
#[derive(Debug, Error)]
pub enum HandshakeError {
    /// M1 or M2 is malformed.
    #[error("reading {message}")]
    Hello {
        /// `M1` or `M2`.
        message: &'static str,
        /// The fault.
        source: HelloError,
    },
    /// The donor looks for another machine.
    #[error("the donor looks for {wanted}, and this is {own}")]
    OtherCode {
        /// The code that the donor asked for.
        wanted: Code,
        /// The code on the screen.
        own: Code,
    },
    /// M2 names another suite than M1.
    #[error("the target answers with suite {}, which was not asked for", suite.number())]
    OtherSuite {
        /// The suite in the answer.
        suite: Suite,
    },
    /// The target demands something that this donor was not given. Neither end falls back.
    #[error("the target's policy is {theirs}, and this donor was given what policy {own} needs")]
    TargetPolicy {
        /// The target's, which M2 alleges.
        theirs: Policy,
        /// The policy that this end has a credential for.
        own: Policy,
    },
    /// The peer's key exchange is that of the other policy.
    #[error("the peer does not pair under policy {own}, which is the one here")]
    PeerPolicy {
        /// The policy here.
        own: Policy,
    },
    /// The peer's key exchange is no message of its side: no point of the group, or our own one
    /// reflected.
    #[error("the peer's SPAKE2 message is no point of the group, or not one of its side")]
    Exchange,
    /// M3 does not verify: a wrong guess.
    #[error("the donor does not prove that it knows the {}", known(*policy))]
    DonorUnproven {
        /// The policy, and so the credential.
        policy: Policy,
    },
    /// M4 does not verify: somebody poses as the target.
    #[error("the target does not prove that it knows the {}", known(*policy))]
    TargetUnproven {
        /// The policy, and so the credential.
        policy: Policy,
    },
    /// This end was given the key file of the other.
    #[error("pairing with keys")]
    Keys {
        /// The keys.
        #[from]
        source: KeysError,
    },
    /// No random numbers.
    #[error("preparing a handshake")]
    Random {
        /// The error of the kernel.
        #[from]
        source: RandomError,
    },
    /// The cryptography refuses to work with what this program gave it.
    #[error("setting up the cryptography of a handshake")]
    Setup {
        /// The error of `snow`.
        source: snow::Error,
    },
    /// `spake2` took more random numbers than it was given.
    #[error("setting up the cryptography of a handshake: random numbers ran out")]
    Overdrawn,
    /// `ring` refuses the keys that the handshake ended in.
    #[error("setting up the cryptography of a channel")]
    ChannelKeys,
}

/// The credential of a policy, in words.
const fn known(policy: Policy) -> &'static str {
    match policy {
        Policy::Secret => "secret",
        Policy::Pinned => "private key that belongs here",
    }
}

impl HandshakeError {
    /// A peer that does not prove itself is refused; without cryptography nobody can.
    #[must_use]
    pub const fn outcome(&self) -> Outcome {
        match self {
            HandshakeError::Hello { .. }
            | HandshakeError::OtherCode { .. }
            | HandshakeError::OtherSuite { .. }
            | HandshakeError::TargetPolicy { .. }
            | HandshakeError::PeerPolicy { .. }
            | HandshakeError::Exchange
            | HandshakeError::DonorUnproven { .. }
            | HandshakeError::TargetUnproven { .. } => Outcome::Refuse,
            HandshakeError::Keys { .. }
            | HandshakeError::Random { .. }
            | HandshakeError::Setup { .. }
            | HandshakeError::Overdrawn
            | HandshakeError::ChannelKeys => Outcome::Fatal,
        }
    }

    /// Has the peer tried a secret or key, and a wrong one?
    #[must_use]
    pub const fn is_wrong_guess(&self) -> bool {
        matches!(self, HandshakeError::DonorUnproven { .. })
    }
}

/// The peer's messages were right. Only [`crate::donor`] makes one, after M4, and
/// [`crate::target`], after M3. A donor with keys has proved itself to the target only when
/// [`Paired::opens`] its first record (`protocol.md` 3.2).
pub struct Paired {
    end: End,
    from_donor: RecordKey,
    from_target: RecordKey,
    info: Info,
}

impl Paired {
    /// The caller has verified the peer's message; there are no keys before the last one.
    pub(crate) fn proven(
        end: End,
        mut state: HandshakeState,
        info: Info,
    ) -> Result<Self, HandshakeError> {
        let (from_donor, from_target) =
            RecordKey::pair(&mut state).ok_or(HandshakeError::ChannelKeys)?;
        Ok(Self {
            end,
            from_donor,
            from_target,
            info,
        })
    }

    /// The target's description of itself; at a donor, proven to be the target's own words.
    #[must_use]
    pub const fn info(&self) -> &Info {
        &self.info
    }

    /// Was this first record, with its length in front, sealed by the peer? Nothing of it is taken.
    #[must_use]
    pub fn opens(&self, record: &[u8]) -> bool {
        let key = match self.end {
            End::Donor => &self.from_target,
            End::Target => &self.from_donor,
        };
        let Some((length, rest)) = record.split_first_chunk() else {
            return false;
        };
        let len = usize::from(u16::from_be_bytes(*length));
        let Some(sealed) = rest.get(..len).filter(|sealed| sealed.len() > TAG_LEN) else {
            return false;
        };
        key.open(0, &[], &mut sealed.to_vec()).is_some()
    }

    /// The channel over this connection, a half for each direction. They may go to two threads.
    pub fn channel<R: Read, W: Write>(self, read: R, write: W) -> (Opener<R>, Sealer<W>) {
        let (opening, sealing) = match self.end {
            End::Donor => (self.from_target, self.from_donor),
            End::Target => (self.from_donor, self.from_target),
        };
        (
            Opener::new(read, opening, self.end),
            Sealer::new(write, sealing, self.end),
        )
    }
}

#[cfg(test)]
mod tests;
