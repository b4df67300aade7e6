//! The target's half of the handshake, without I/O: [`AwaitM1`] turns M1 into M2, [`AwaitM3`] turns
//! M3 into M4 and a [`Paired`]. Each state is spent by its one step, so none can be skipped or
//! taken twice. Nothing but fixed fields is parsed before M3 has been verified.

use snow::HandshakeState;
use wire::code::Code;
use wire::handshake::{Info, M1, M1_LEN, M2, M3_LEN, M4_LEN, Policy};
use wire::message::End;

use crate::Credential;
use crate::handshake::{HandshakeError, Paired};
use crate::randomness::HandshakeRandom;
use crate::share::{Hellos, Share};

/// A stranger has connected; M1 has to come.
pub struct AwaitM1<'a> {
    credential: &'a Credential,
    code: &'a Code,
    info: &'a Info,
    random: HandshakeRandom,
}

/// M2 is to be sent, whatever `next` is: it tells an honest donor which policy it has met.
pub struct Answer {
    /// All of M2.
    pub m2: Vec<u8>,
    /// Goes on, or why it ends here.
    pub next: Result<AwaitM3, HandshakeError>,
}

/// M2 was made; M3 has to come.
pub struct AwaitM3 {
    state: HandshakeState,
    policy: Policy,
    info: Info,
}

/// Begins a handshake with a stranger that has connected.
#[must_use]
pub const fn begin<'a>(
    credential: &'a Credential,
    code: &'a Code,
    info: &'a Info,
    random: HandshakeRandom,
) -> AwaitM1<'a> {
    AwaitM1 {
        credential,
        code,
        info,
        random,
    }
}

impl AwaitM1<'_> {
    /// Takes M1; the answer's M2 is to be sent.
    ///
    /// # Errors
    /// M1 is malformed, or meant for another target: nothing may be sent.
    pub fn take(self, m1: &[u8; M1_LEN]) -> Result<Answer, HandshakeError> {
        let said = M1::parse(m1).map_err(|source| HandshakeError::Hello {
            message: "M1",
            source,
        })?;
        if said.code != *self.code {
            return Err(HandshakeError::OtherCode {
                wanted: said.code,
                own: *self.code,
            });
        }
        let (share, spake) =
            Share::begin(self.credential, End::Target, self.code, self.random.scalar)?;
        let policy = share.policy();
        let m2 = M2 {
            suite: said.suite,
            policy,
            nonce: self.random.nonce,
            info: self.info.clone(),
            spake,
        }
        .emit()
        .to_vec();
        let hellos = Hellos {
            m1,
            m2: &m2,
            suite: said.suite,
        };
        let next = share
            .noise(End::Target, &hellos, &said.spake, self.random.ephemeral)
            .map(|state| AwaitM3 {
                state,
                policy,
                info: self.info.clone(),
            });
        Ok(Answer { m2, next })
    }
}

impl AwaitM3 {
    /// Takes M3. M4 is to be sent. With a secret the donor has proved itself; with keys it has when
    /// its first record opens: Noise KK's first message can also be made by anybody who has this
    /// target's private key (Noise 7.7, source level 1).
    ///
    /// # Errors
    /// It has not, which is a wrong guess ([`HandshakeError::is_wrong_guess`]).
    pub fn take(mut self, m3: &[u8; M3_LEN]) -> Result<(Paired, [u8; M4_LEN]), HandshakeError> {
        let policy = self.policy;
        self.state
            .read_message(m3, &mut [])
            .map_err(|_| HandshakeError::DonorUnproven { policy })?;
        let mut m4 = [0; M4_LEN];
        self.state
            .write_message(&[], &mut m4)
            .map_err(|source| HandshakeError::Setup { source })?;
        let paired = Paired::proven(End::Target, self.state, self.info)?;
        Ok((paired, m4))
    }
}
