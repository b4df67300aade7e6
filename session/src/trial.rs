//! One stranger's handshake at a target, in steps as its bytes come: for a target that judges
//! several at a time.
//!
//! In: what the peer has said so far. Out: how many bytes the next step takes, what to answer, and
//! a [`Paired`] once the peer has proved itself, which is when its first record opens and not
//! before (`protocol.md` 3.2).

use wire::code::Code;
use wire::handshake::{Info, M1_LEN, M3_LEN, M4_LEN};

use crate::Credential;
use crate::handshake::{HandshakeError, Paired};
use crate::pairing::Step;
use crate::randomness::HandshakeRandom;
use crate::target::{self, AwaitM3};

/// Of a record: the length in front of it.
const RECORD_LENGTH_LEN: usize = 2;

/// The terms that every stranger is judged by.
#[derive(Clone, Copy, Debug)]
pub struct Terms<'a> {
    /// The credential to prove.
    pub credential: &'a Credential,
    /// Of this target.
    pub code: &'a Code,
    /// The target's description of itself.
    pub info: &'a Info,
}

/// How far one stranger is. It is spent by its last step, and by its first mistake.
#[derive(Default)]
pub struct Trial(State);

#[derive(Default)]
enum State {
    #[default]
    AwaitM1,
    AwaitM3(Box<AwaitM3>),
    AwaitRecord(Box<Paired>),
    Over,
}

/// The result of a step.
pub enum Verdict {
    /// This is to be sent, and the peer has to go on.
    Answer(Vec<u8>),
    /// This is to be sent, and there it ends: it tells an honest donor which policy it has met.
    Refused(Vec<u8>, HandshakeError),
    /// The peer knows the credential. The record that showed it is still to be read by the channel.
    Proved(Box<Paired>),
}

impl Trial {
    /// Of somebody who has said nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The message that the peer has to send next; `None`: its first record.
    #[must_use]
    pub const fn awaits(&self) -> Option<Step> {
        match self.0 {
            State::AwaitM1 => Some(Step::M1),
            State::AwaitM3(_) => Some(Step::M3),
            State::AwaitRecord(_) | State::Over => None,
        }
    }

    /// How many bytes the next step takes, as far as `heard` tells.
    #[must_use]
    pub fn wants(&self, heard: &[u8]) -> usize {
        match self.0 {
            State::AwaitM1 => M1_LEN,
            State::AwaitM3(_) => M3_LEN,
            State::AwaitRecord(_) | State::Over => {
                heard
                    .first_chunk()
                    .map_or(RECORD_LENGTH_LEN, |length: &[u8; RECORD_LENGTH_LEN]| {
                        RECORD_LENGTH_LEN.saturating_add(usize::from(u16::from_be_bytes(*length)))
                    })
            }
        }
    }

    /// Takes as many bytes as are wanted.
    ///
    /// # Errors
    /// The peer does not speak the session, is meant for another target, or does not know the
    /// credential, which is a wrong guess ([`HandshakeError::is_wrong_guess`]). Nothing is to be
    /// sent.
    pub fn take(&mut self, heard: &[u8], terms: Terms<'_>) -> Result<Verdict, HandshakeError> {
        let Terms {
            credential,
            code,
            info,
        } = terms;
        let policy = credential.policy();
        let unproven = HandshakeError::DonorUnproven { policy };
        match std::mem::replace(&mut self.0, State::Over) {
            State::AwaitM1 => {
                let m1: &[u8; M1_LEN] = heard.try_into().map_err(|_| unproven)?;
                let answer =
                    target::begin(credential, code, info, HandshakeRandom::fresh()?).take(m1)?;
                match answer.next {
                    Ok(next) => self.0 = State::AwaitM3(Box::new(next)),
                    Err(error) => return Ok(Verdict::Refused(answer.m2, error)),
                }
                Ok(Verdict::Answer(answer.m2))
            }
            State::AwaitM3(next) => {
                let m3: &[u8; M3_LEN] = heard.try_into().map_err(|_| unproven)?;
                let (paired, m4): (_, [u8; M4_LEN]) = next.take(m3)?;
                self.0 = State::AwaitRecord(Box::new(paired));
                Ok(Verdict::Answer(m4.to_vec()))
            }
            State::AwaitRecord(paired) if paired.opens(heard) => Ok(Verdict::Proved(paired)),
            State::AwaitRecord(_) | State::Over => Err(unproven),
        }
    }
}

#[cfg(test)]
mod tests;
