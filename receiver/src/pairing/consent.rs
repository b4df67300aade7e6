//! The donor's yes to the disk: nothing is written without it (`protocol.md` 3.3).
//!
//! A paired donor whose image is approved goes in, with the disk that it is shown. Out comes the
//! same donor, which has agreed; or nobody, when its connection broke over it, and it may ask again
//! with the same code and secret.

use std::time::{Duration, Instant};

use session::channel::ChannelError;
use thiserror::Error;
use wire::chain::chain;
use wire::message::{Answer, Kind, Message, Next, Text};
use wire::stream::STALL_SECONDS;

use crate::attempt::Ended;
use crate::error::SessionError;
use crate::operator::Stop;
use crate::operator::event::ReceiverEvent;
use crate::pairing::Paired;
use crate::pairing::admission::Admission;
use crate::pairing::description::Description;

/// Why a donor that was asked was closed.
#[derive(Debug, Error)]
enum Fault {
    /// The channel broke, or the donor said nothing for too long.
    #[error("waiting for its consent")]
    Channel(#[from] ChannelError),
    /// A message before its time.
    #[error("it sent {kind} where its consent belongs")]
    Unexpected {
        /// The type of the message.
        kind: Kind,
    },
}

/// The outcome of the question.
enum Answered {
    Yes,
    GaveUp(String),
    TooLate,
    /// A person at the machine wants something else.
    Stopped(Stop),
}

impl Admission<'_> {
    /// Shows the disk to the donor and waits until it agrees. While a person is being asked there,
    /// it says so again and again, and `patience` is for all of that; a donor that says nothing is
    /// gone as soon as everywhere else.
    ///
    /// # Errors
    /// The donor does not want to, or takes too long.
    pub(crate) fn consent(
        &mut self,
        mut paired: Paired,
        disk: &Description,
        patience: Duration,
    ) -> Result<Option<Paired>, Ended> {
        let peer = paired.peer;
        let answered = match self.ask(&mut paired, disk, patience) {
            Ok(answered) => answered,
            Err(fault) => match self.token.stop() {
                Some(stop) => Answered::Stopped(stop),
                None => {
                    self.note(&paired, &fault);
                    return Ok(None);
                }
            },
        };
        let error = match answered {
            Answered::Yes => {
                paired.opener.get_mut().within(None);
                return Ok(Some(paired));
            }
            Answered::GaveUp(text) => SessionError::GaveUp { peer, text },
            Answered::TooLate => SessionError::NoConsent { peer, patience },
            Answered::Stopped(stop) => stop.into(),
        };
        Err(match error {
            SessionError::GaveUp { .. } => Ended {
                connection: Some(Box::new(paired.opener.into_inner())),
                error,
            },
            error => dismissed(paired, error),
        })
    }

    fn ask(
        &self,
        paired: &mut Paired,
        disk: &Description,
        patience: Duration,
    ) -> Result<Answered, Fault> {
        let deadline = Instant::now() + patience;
        paired.sealer.send(&Message::Accept {
            next: Next::default(),
            asks: true,
            disk: disk.words(),
        })?;
        let peer = paired.peer;
        self.reporter
            .report(&ReceiverEvent::AwaitingConsent { peer });
        let (mut payload, mut is_shown) = (Vec::new(), false);
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(Answered::TooLate);
            }
            let connection = paired.opener.get_mut();
            connection.within(Some(Duration::from_secs(STALL_SECONDS)));
            match paired.opener.next(&mut payload)? {
                Message::Consent {
                    answer: Answer::Yes,
                } => return Ok(Answered::Yes),
                Message::Consent {
                    answer: Answer::Asking,
                } if is_shown => {}
                Message::Consent {
                    answer: Answer::Asking,
                } => {
                    let disk = disk.facts();
                    self.reporter
                        .report(&ReceiverEvent::DonorAsks { peer, disk });
                    is_shown = true;
                }
                Message::GiveUp { text } => return Ok(Answered::GaveUp(text.to_string())),
                other => return Err(Fault::Unexpected { kind: other.kind() }),
            }
        }
    }
}

/// A donor that was shown the disk, and is sent the reason of the refusal.
pub(crate) fn dismissed(mut paired: Paired, error: SessionError) -> Ended {
    let text = chain(&error).to_string();
    let text = Text::new(&text);
    // It may be gone; the screen says the same.
    let _ = paired.sealer.send(&Message::Failed { text });
    let connection = Some(Box::new(paired.opener.into_inner()));
    Ended { error, connection }
}

#[cfg(test)]
mod tests;
