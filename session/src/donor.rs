//! The donor's half of the handshake, without I/O: [`begin`] gives M1, [`AwaitM2`] turns M2 into
//! M3, [`AwaitM4`] turns M4 into a [`Paired`]. Each state is spent by its one step, so none can be
//! skipped or taken twice.

use snow::HandshakeState;
use wire::code::Code;
use wire::handshake::{
    Info, M1, M1_LEN, M2, M2_HEAD_LEN, M3_LEN, M4_LEN, Policy, Suite, m2_rest_len,
};
use wire::message::End;

use crate::Credential;
use crate::handshake::{HandshakeError, Paired};
use crate::randomness::{EPHEMERAL_LEN, HandshakeRandom};
use crate::share::{Hellos, Share};

/// M1 was made; M2 has to come.
pub struct AwaitM2 {
    m1: [u8; M1_LEN],
    suite: Suite,
    share: Share,
    random: HandshakeRandom,
}

/// M3 was made: this end has proved itself. M4 has to come.
pub struct AwaitM4 {
    state: HandshakeState,
    policy: Policy,
    info: Info,
}

/// Begins a handshake with the target of this code: M1 is to be sent.
///
/// # Errors
/// The cryptography cannot be set up.
pub fn begin(
    credential: &Credential,
    code: &Code,
    random: HandshakeRandom,
) -> Result<(AwaitM2, [u8; M1_LEN]), HandshakeError> {
    let suite = Suite::default();
    let (share, spake) = Share::begin(credential, End::Donor, code, random.scalar)?;
    let m1 = M1 {
        suite,
        code: *code,
        nonce: random.nonce,
        spake,
    }
    .emit();
    let state = AwaitM2 {
        m1,
        suite,
        share,
        random,
    };
    Ok((state, m1))
}

impl AwaitM2 {
    /// How many bytes of M2 follow this head of it.
    ///
    /// # Errors
    /// The head of M2 is malformed.
    pub fn rest_len(&self, head: &[u8; M2_HEAD_LEN]) -> Result<usize, HandshakeError> {
        m2_rest_len(head).map_err(|source| HandshakeError::Hello {
            message: "M2",
            source,
        })
    }

    /// Takes M2 as it came; M3 is to be sent.
    ///
    /// # Errors
    /// M2 is malformed, or does not answer M1: another suite, another policy, no SPAKE2 message of
    /// a target.
    pub fn take(self, m2: &[u8]) -> Result<(AwaitM4, [u8; M3_LEN]), HandshakeError> {
        let said = M2::parse(m2).map_err(|source| HandshakeError::Hello {
            message: "M2",
            source,
        })?;
        let policy = self.share.policy();
        if said.policy != policy {
            return Err(HandshakeError::TargetPolicy {
                theirs: said.policy,
                own: policy,
            });
        }
        if said.suite != self.suite {
            return Err(HandshakeError::OtherSuite { suite: said.suite });
        }
        let hellos = Hellos {
            m1: &self.m1,
            m2,
            suite: self.suite,
        };
        let ephemeral: [u8; EPHEMERAL_LEN] = self.random.ephemeral;
        let mut state = self
            .share
            .noise(End::Donor, &hellos, &said.spake, ephemeral)?;
        let mut m3 = [0; M3_LEN];
        state
            .write_message(&[], &mut m3)
            .map_err(|source| HandshakeError::Setup { source })?;
        let next = AwaitM4 {
            state,
            policy,
            info: said.info,
        };
        Ok((next, m3))
    }
}

impl AwaitM4 {
    /// Takes M4: the target has proved itself.
    ///
    /// # Errors
    /// It has not.
    pub fn take(mut self, m4: &[u8; M4_LEN]) -> Result<Paired, HandshakeError> {
        let policy = self.policy;
        self.state
            .read_message(m4, &mut [])
            .map_err(|_| HandshakeError::TargetUnproven { policy })?;
        Paired::proven(End::Donor, self.state, self.info)
    }

    /// Under which policy M4 is awaited.
    #[must_use]
    pub const fn policy(&self) -> Policy {
        self.policy
    }
}
