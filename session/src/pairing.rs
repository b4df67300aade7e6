//! The handshake over a connection: a reader and a writer in, both halves of a channel out.
//!
//! Patience is the caller's: a reader that waits 5 s in all for what a peer has to send before its
//! proof (`protocol.md` 3.6).

use std::fmt;
use std::io::{self, Read, Write};

use thiserror::Error;
use wire::code::Code;
use wire::handshake::{Info, M1_LEN, M2_HEAD_LEN, M2_MAX, M3_LEN, M4_LEN, Policy};
use wire::outcome::Outcome;

use crate::channel::{Opener, Sealer};
use crate::handshake::HandshakeError;
use crate::randomness::HandshakeRandom;
use crate::{Credential, donor, target};

/// The target's description of itself; authentic, now that it has proved itself.
pub type TargetInfo = Info;

/// A message of the handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Donor's hello.
    M1,
    /// Target's hello.
    M2,
    /// Donor's proof.
    M3,
    /// Target's proof.
    M4,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}

/// Why there is no channel.
#[derive(Debug, Error)]
pub enum PairingError {
    /// The peer is not who it has to be, or does not speak the session.
    #[error(transparent)]
    Handshake(#[from] HandshakeError),
    /// The connection failed, or the peer was silent for too long.
    #[error("{doing} {step} of the handshake")]
    Io {
        /// Reading or writing.
        doing: &'static str,
        /// The message that was being read or written.
        step: Step,
        /// The error of the reader or the writer.
        source: io::Error,
    },
    /// The peer closed before it was its turn to prove anything.
    #[error("the peer closed the connection instead of sending {step} of the handshake")]
    Closed {
        /// The message that was awaited.
        step: Step,
    },
    /// The target closed after this donor's proof: it did not believe it.
    #[error("the target closed the connection when it had seen our proof: {}", match policy {
        Policy::Secret => "the secret is not the one on its screen",
        Policy::Pinned => "its keys do not match the keys of this end",
    })]
    NotBelieved {
        /// The policy, and so the credential.
        policy: Policy,
    },
}

impl PairingError {
    /// A connection that failed is worth another try, a peer that was refused is not.
    #[must_use]
    pub const fn outcome(&self) -> Outcome {
        match self {
            PairingError::Handshake(error) => error.outcome(),
            PairingError::Io { .. } | PairingError::Closed { .. } => Outcome::Retry,
            PairingError::NotBelieved { .. } => Outcome::Refuse,
        }
    }

    /// The connection ended, or the peer was silent for too long, before this message was there.
    #[must_use]
    pub fn receiving(step: Step, source: io::Error) -> Self {
        match source.kind() {
            io::ErrorKind::UnexpectedEof
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::BrokenPipe => PairingError::Closed { step },
            _ => PairingError::Io {
                doing: "receiving",
                step,
                source,
            },
        }
    }

    /// The connection takes no more.
    #[must_use]
    pub const fn sending(step: Step, source: io::Error) -> Self {
        PairingError::Io {
            doing: "sending",
            step,
            source,
        }
    }

    /// Has a donor tried a secret or key, and a wrong one?
    #[must_use]
    pub const fn is_wrong_guess(&self) -> bool {
        matches!(self, PairingError::Handshake(error) if error.is_wrong_guess())
    }
}

/// Pairs with the target of this code, over a connection to where it is said to be.
///
/// # Errors
/// It is not the target that knows the credential, or the connection failed. Nothing but the
/// handshake has been sent.
pub fn pair_donor<R: Read, W: Write>(
    mut read: R,
    mut write: W,
    credential: &Credential,
    code: &Code,
) -> Result<(Opener<R>, Sealer<W>, TargetInfo), PairingError> {
    let random = HandshakeRandom::fresh().map_err(HandshakeError::from)?;
    let (await_m2, m1) = donor::begin(credential, code, random)?;
    send(&mut write, Step::M1, &m1)?;

    let mut m2 = [0; M2_MAX];
    let m2 = receive_m2(&mut read, &await_m2, &mut m2)?;
    let (await_m4, m3) = await_m2.take(m2)?;
    send(&mut write, Step::M3, &m3)?;

    let policy = await_m4.policy();
    let mut m4 = [0; M4_LEN];
    receive(&mut read, Step::M4, &mut m4).map_err(|error| match error {
        PairingError::Closed { .. } => PairingError::NotBelieved { policy },
        error => error,
    })?;
    let paired = await_m4.take(&m4)?;
    let info = paired.info().clone();
    let (opener, sealer) = paired.channel(read, write);
    Ok((opener, sealer, info))
}

fn receive_m2<'a>(
    read: &mut impl Read,
    await_m2: &donor::AwaitM2,
    bytes: &'a mut [u8; M2_MAX],
) -> Result<&'a [u8], PairingError> {
    let mut head = [0; M2_HEAD_LEN];
    receive(read, Step::M2, &mut head)?;
    let len = M2_HEAD_LEN.saturating_add(await_m2.rest_len(&head)?);
    // Not longer than M2_MAX: the head was checked.
    let m2 = bytes.get_mut(..len).unwrap_or_default();
    if let Some((place, rest)) = m2.split_first_chunk_mut::<M2_HEAD_LEN>() {
        *place = head;
        receive(read, Step::M2, rest)?;
    }
    Ok(m2)
}

/// Pairs with the one donor at the other end, if it knows the credential. Whoever has to choose
/// among several, or counts guesses, takes [`crate::trial`] instead. Under `pinned` the donor has
/// proved itself when its first record opens.
///
/// # Errors
/// It does not know the credential, does not speak the session, or the connection failed.
pub fn pair_target<R: Read, W: Write>(
    mut read: R,
    mut write: W,
    credential: &Credential,
    code: &Code,
    info: &Info,
) -> Result<(Opener<R>, Sealer<W>), PairingError> {
    let random = HandshakeRandom::fresh().map_err(HandshakeError::from)?;
    let mut m1 = [0; M1_LEN];
    receive(&mut read, Step::M1, &mut m1)?;
    let answer = target::begin(credential, code, info, random).take(&m1)?;
    send(&mut write, Step::M2, &answer.m2)?;
    let await_m3 = answer.next?;

    let mut m3 = [0; M3_LEN];
    receive(&mut read, Step::M3, &mut m3)?;
    let (paired, m4) = await_m3.take(&m3)?;
    send(&mut write, Step::M4, &m4)?;
    Ok(paired.channel(read, write))
}

fn send(write: &mut impl Write, step: Step, bytes: &[u8]) -> Result<(), PairingError> {
    let sent = write.write_all(bytes).and_then(|()| write.flush());
    sent.map_err(|source| PairingError::sending(step, source))
}

fn receive(read: &mut impl Read, step: Step, bytes: &mut [u8]) -> Result<(), PairingError> {
    read.read_exact(bytes)
        .map_err(|source| PairingError::receiving(step, source))
}
