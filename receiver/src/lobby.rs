//! A donor at the door, and what it wants to install: pairings and manifests, until one of them is worth an answer.
//!
//! The door, the network and the screen go in; a paired donor and what somebody made of its manifest comes out. A donor that
//! pairs and then says something else, or nothing, is closed, counted and shown like any other stranger.

use std::error::Error;
use std::time::Instant;

use install::trust::{ApproveError, Approved, Trust, approve};
use session::channel::ChannelError;
use thiserror::Error;
use wire::message::{Kind, Message, RejectCode, Text};
use wire::stage::Stage;

use crate::connection::Connection;
use crate::donor::Network;
use crate::door::{Door, Paired};
use crate::person::Turn;
use crate::refusals::Refusals;
use crate::screen::Screen;
use crate::session::SessionError;

/// Why a donor that had proved itself was closed all the same.
#[derive(Debug, Error)]
pub(crate) enum Fault {
    /// The channel broke, or what came through it is no message.
    #[error("waiting for its manifest")]
    Channel(#[from] ChannelError),
    /// A message before its time.
    #[error("it sent {kind} where a manifest belongs")]
    Unexpected {
        /// Which.
        kind: Kind,
    },
}

/// What is needed to be found by a donor, for as long as code and secret hold.
pub(crate) struct Lobby<'a> {
    pub(crate) door: Door<'a>,
    pub(crate) network: &'a mut (dyn Network + 'a),
    pub(crate) refusals: &'a mut Refusals,
    pub(crate) screen: &'a dyn Screen,
    pub(crate) trust: &'a Trust,
    pub(crate) turn: Turn,
}

/// A paired donor and the judgement of its manifest.
pub(crate) type Offer = (Paired, Result<Approved, ApproveError>);

impl Lobby<'_> {
    /// Invites donors: `facts` beside code and policy on every console, and what to type on the donor.
    /// To a resumed deploy nobody new is invited: that is no news.
    pub(crate) fn invite(&self, facts: &str) {
        let facts = format!("{} {facts}", self.door.facts());
        self.screen.stage(Stage::Waiting, &facts);
        self.door.show(self.screen);
    }

    /// Waits for a donor that has proved itself and says what it has; `None` when `deadline` passes first.
    ///
    /// # Errors
    /// The network failed, or a person at the machine wants something else.
    pub(crate) fn offer(
        &mut self,
        deadline: Option<Instant>,
    ) -> Result<Option<Offer>, SessionError> {
        loop {
            let (network, screen) = (&mut *self.network, self.screen);
            let paired = self.door.pair(network, self.refusals, screen, deadline)?;
            let Some(mut paired) = paired else {
                return Ok(None);
            };
            match manifest(&mut paired, self.trust) {
                Ok(judgement) => return Ok(Some((paired, judgement))),
                Err(fault) => {
                    if let Some(stop) = self.turn.stop() {
                        return Err(stop.into());
                    }
                    self.note(&paired, &fault);
                }
            }
        }
    }

    pub(crate) fn note(&mut self, paired: &Paired, fault: &dyn Error) {
        self.refusals
            .note(paired.peer, fault, Instant::now(), self.screen);
    }

    /// Tells a paired donor why its image is not taken. What is left to do with its connection is to close it.
    pub(crate) fn reject(
        &mut self,
        paired: Paired,
        code: RejectCode,
        text: &str,
    ) -> Option<Connection> {
        let Paired {
            opener, mut sealer, ..
        } = paired;
        let text = text.replace('\n', "; "); // a donor has one line for it
        let text = Text::new(&text);
        sealer.send(&Message::Reject { code, text }).ok()?;
        Some(opener.into_inner())
    }
}

impl Drop for Lobby<'_> {
    /// Whoever is still at the door is reset, and nobody is invited any more.
    fn drop(&mut self) {
        self.network.rest();
    }
}

/// Reads the donor's first message. What it took in memory is given back here; an approved image is smaller.
fn manifest(paired: &mut Paired, trust: &Trust) -> Result<Result<Approved, ApproveError>, Fault> {
    let mut payload = Vec::new();
    match paired.opener.next(&mut payload)? {
        Message::Manifest {
            manifest,
            signature,
            chunk_lists,
        } => Ok(approve(manifest, signature, chunk_lists, trust)),
        other => Err(Fault::Unexpected { kind: other.kind() }),
    }
}
