//! Chunks for the deploy, over as many connections as it takes (`protocol.md` 3.4).
//!
//! A place in the manifest in, the bytes of that chunk as they were sent out. When a connection
//! breaks, the source waits for a donor with the same manifest, tells it the same place and goes
//! on; decoder and unpacker notice nothing but a pause.

use std::error::Error;
use std::io::{self, Write};
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use bundle::interrupt::Interrupter;
use bundle::trust::Approved;
use bundle::verify::{ChunkError, ChunkSource, IsLast, VerifyError};
use machine::diagnostics::Mark;
use session::channel::{ChannelError, Opener, Sealer};
use thiserror::Error;
use wire::chain::chain;
use wire::message::{Kind, Level, Message, Next, RejectCode};
use wire::outcome::Outcome;

use crate::connection::Connection;
use crate::error::SessionError;
use crate::operator::Phase;
use crate::operator::event::ReceiverEvent;
use crate::operator::reporter::warn;
use crate::pairing::Paired;
use crate::pairing::admission::{Admission, Judgement};
use crate::pairing::description::Description;
use crate::transfer::reports::{Report, Reports, Teller};

/// Why a connection is given up; the donor may come back on another.
#[derive(Debug, Error)]
pub(super) enum Fault {
    /// The connection broke, or a record or message is malformed.
    #[error(transparent)]
    Channel(#[from] ChannelError),
    /// No connection, or it takes nothing.
    #[error("the donor does not listen")]
    Deaf,
    /// A message before its time.
    #[error("the donor sent {kind}, which does not belong here")]
    Unexpected {
        /// The type of the message.
        kind: Kind,
    },
    /// It will send no more.
    #[error("the donor gives up: {text}")]
    GaveUp {
        /// Its reason.
        text: String,
    },
    /// Another chunk.
    #[error(
        "the donor sent chunk {} of file {}, chunk {} of file {} was wanted",
        found.chunk, found.file, wanted.chunk, wanted.file
    )]
    Place {
        /// The one that came.
        found: Next,
        /// The one that belongs there.
        wanted: Next,
    },
}

/// Another image is to be installed instead.
#[derive(Debug, Error)]
#[error(
    "donor {peer} knows the secret and offers another image, version {version:?}; \
     the unfinished deploy is given up"
)]
struct Superseded {
    peer: SocketAddr,
    version: String,
}

/// The donor has said that it will send no more.
#[derive(Debug, Error)]
#[error("donor {peer} gives up: {text}")]
struct GaveUp {
    peer: SocketAddr,
    text: String,
}

/// The donor's side of a deploy.
pub(crate) struct SessionChunkSource<'l, 'r> {
    pub(super) admission: Admission<'l>,
    pub(super) reports: &'r Reports,
    pub(super) approved: Approved,
    /// The disk that is taken, for Accept.
    disk: Description,
    /// How long a donor is waited for.
    patience: Duration,
    /// Where the kernel's log ended then.
    pub(super) begun: Mark,
    /// The connection in use.
    pub(super) connection: Option<(SocketAddr, Opener<Connection>)>,
    /// The donor of a running system: no hash says that another one sends the same bytes.
    bound_to: Option<IpAddr>,
    /// A donor that has had its last message, or has sent its own.
    pub(super) leaving: Option<Connection>,
    wanted: Next,
    pub(super) payload: Vec<u8>,
}

impl<'l, 'r> SessionChunkSource<'l, 'r> {
    /// For an approved image, once its donor has agreed to the disk.
    pub(crate) fn new(
        admission: Admission<'l>,
        reports: &'r Reports,
        approved: Approved,
        disk: Description,
        patience: Duration,
    ) -> Self {
        Self {
            admission,
            reports,
            approved,
            disk,
            patience,
            begun: Mark::now(),
            connection: None,
            bound_to: None,
            leaving: None,
            wanted: Next::default(),
            payload: Vec::new(),
        }
    }

    /// Tells a donor that is back where to go on. It, or another donor that knew the secret, has
    /// agreed to the disk.
    fn accept(&mut self, mut paired: Paired) {
        let said = paired.sealer.send(&Message::Accept {
            next: self.wanted,
            asks: false,
            disk: self.disk.words(),
        });
        match said {
            Ok(()) => {
                let peer = paired.peer;
                self.connect(paired);
                self.admission
                    .reporter
                    .report(&ReceiverEvent::DonorBack { peer });
            }
            Err(error) => self.lost(paired.peer, &Fault::from(error)),
        }
    }

    /// Takes chunks from this donor, and lets the reports go its way. It may break at once, like at
    /// any time.
    pub(crate) fn connect(&mut self, paired: Paired) {
        let Paired {
            peer,
            opener,
            sealer,
        } = paired;
        if self.approved.size_bytes().is_none() {
            self.bound_to.get_or_insert(peer.ip());
        }
        self.connection = Some((peer, opener));
        if let Err(error) = self.reports.connect(Box::new(Voice(sealer))) {
            let text = format!(
                "starting a thread for the donor's reports: {}",
                chain(&error)
            );
            warn(self.admission.reporter, &text); // it hears nothing; the deploy goes on
        }
    }

    /// Gives a connection up.
    pub(super) fn lose(&mut self, fault: &dyn Error) {
        self.reports.disconnect();
        if let Some((peer, opener)) = self.connection.take() {
            drop(opener);
            self.lost(peer, fault);
        }
    }

    fn lost(&self, peer: SocketAddr, fault: &dyn Error) {
        let reason = chain(fault).to_string();
        let event = ReceiverEvent::DonorLost { peer, reason };
        self.admission.reporter.report(&event);
        for line in event.lines() {
            self.reports.line(Level::Warning, line.text());
        }
    }

    /// The next chunk over the connection in use.
    fn receive(&mut self, buf: &mut Vec<u8>) -> Result<IsLast, Fault> {
        let Some((_, opener)) = &mut self.connection else {
            return Err(Fault::Deaf);
        };
        match opener.next(&mut self.payload)? {
            Message::Data {
                place,
                is_last,
                bytes,
            } if place == self.wanted => {
                buf.extend_from_slice(bytes);
                Ok(IsLast(is_last))
            }
            Message::Data { place: found, .. } => Err(Fault::Place {
                found,
                wanted: self.wanted,
            }),
            Message::GiveUp { text } => Err(Fault::GaveUp {
                text: text.to_string(),
            }),
            other => Err(Fault::Unexpected { kind: other.kind() }),
        }
    }

    /// The donor's last word.
    fn let_go(&mut self, text: String) -> ChunkError {
        self.reports.disconnect();
        let source = self.connection.take().map(|(peer, opener)| {
            self.leaving = Some(opener.into_inner());
            Box::new(GaveUp { peer, text }).into()
        });
        ChunkError::Missing {
            what: "waiting for the donor".to_owned(),
            outcome: Outcome::Refuse,
            source,
        }
    }

    /// Waits until a donor with the same image is back; after a while for nobody any more.
    fn await_donor(&mut self) -> Result<(), ChunkError> {
        if self.rejoin(Some(Instant::now() + self.patience))? {
            return Ok(());
        }
        let seconds = self.patience.as_secs();
        Err(ChunkError::Missing {
            what: format!("waiting for the donor to come back: nobody has within {seconds} s"),
            outcome: Outcome::Refuse,
            source: None,
        })
    }

    /// Waits until a donor with the same image is back; false when `deadline` passes first.
    pub(super) fn rejoin(&mut self, deadline: Option<Instant>) -> Result<bool, ChunkError> {
        loop {
            let offer =
                self.admission
                    .accept_offer_until(deadline)
                    .map_err(|error| match error {
                        SessionError::Cancelled { .. } | SessionError::TakenOver => {
                            ChunkError::Cancelled
                        }
                        error => ChunkError::Missing {
                            what: "waiting for the donor to come back".to_owned(),
                            outcome: error.outcome(),
                            source: Some(Box::new(error)),
                        },
                    })?;
            let Some((paired, judgement)) = offer else {
                return Ok(false);
            };
            let bound_to = self.bound_to.filter(|ip| *ip != paired.peer.ip());
            match judgement {
                Judgement::Approved(image)
                    if image.digest() == self.approved.digest() && bound_to.is_some() =>
                {
                    let other = bound_to.map(|ip| ip.to_string()).unwrap_or_default();
                    let text = format!(
                        "this target takes the running system of {other}, and waits for that donor: \
                         nothing says that another one sends the same bytes"
                    );
                    self.turn_away(paired, RejectCode::Busy, &text);
                }
                Judgement::Approved(image) if image.digest() == self.approved.digest() => {
                    let (peer, next) = (paired.peer, self.wanted);
                    let Next { file, chunk } = next;
                    let text =
                        format!("connection to {peer}: goes on at file={file} chunk={chunk}");
                    let event = ReceiverEvent::Resuming { peer, next };
                    self.admission.reporter.report(&event);
                    self.reports.line(Level::Info, &text);
                    self.accept(paired);
                    return Ok(true);
                }
                Judgement::Approved(_) if self.is_complete() => {
                    let text = "this target has just been installed and is about to boot";
                    self.turn_away(paired, RejectCode::Busy, text);
                }
                Judgement::Approved(image) => return Err(self.give_up(paired, &image)),
                Judgement::Refused(error) => {
                    self.turn_away(paired, RejectCode::Manifest, &chain(&*error).to_string());
                }
            }
        }
    }

    /// Every chunk was taken.
    fn is_complete(&self) -> bool {
        usize::from(self.wanted.file) >= self.approved.files().len()
    }

    /// A donor whose image changes nothing here.
    fn turn_away(&mut self, paired: Paired, code: RejectCode, text: &str) {
        let peer = paired.peer;
        let warning = format!("refused the manifest of {peer}: {text}");
        warn(self.admission.reporter, &warning);
        let connection = self.admission.reject(paired, code, text);
        self.close(peer, connection);
    }

    /// Unless a person at the machine has cancelled.
    fn not_cancelled(&self) -> Result<(), ChunkError> {
        match self.admission.token.stop() {
            None => Ok(()),
            Some(_) => Err(ChunkError::Cancelled),
        }
    }

    fn give_up(&mut self, paired: Paired, image: &Approved) -> ChunkError {
        let superseded = Superseded {
            peer: paired.peer,
            version: image.version().to_owned(),
        };
        let text = "this target waited for another image to be finished; \
                    that deploy is given up now, and the target \
                    shows a new code and secret: start again with those";
        self.leaving = self.admission.reject(paired, RejectCode::Superseded, text);
        ChunkError::Missing {
            what: "waiting for the donor to come back".to_owned(),
            outcome: Outcome::Refuse,
            source: Some(Box::new(superseded)),
        }
    }
}

impl ChunkSource for SessionChunkSource<'_, '_> {
    fn chunk(&mut self, file: u16, chunk: u32, buf: &mut Vec<u8>) -> Result<IsLast, ChunkError> {
        self.wanted = Next { file, chunk };
        self.reports.wanted(self.wanted);
        loop {
            if self.connection.is_none() {
                self.admission.invite_back(self.disk.path(), self.wanted);
                self.await_donor()?;
            }
            self.not_cancelled()?;
            match self.receive(buf) {
                Ok(is_last) => return Ok(is_last),
                Err(Fault::GaveUp { text }) => return Err(self.let_go(text)),
                Err(fault) => {
                    self.not_cancelled()?;
                    self.lose(&fault);
                }
            }
        }
    }

    /// Nothing of it has reached the decoder: another connection may bring the right one.
    fn refused(&mut self, fault: &VerifyError) -> bool {
        self.lose(fault);
        true
    }

    fn interrupter(&self) -> Interrupter {
        self.admission.token.abandoner()
    }

    fn end(&mut self) -> Result<(), ChunkError> {
        let finishing = self.admission.token.enter(Phase::Finishing);
        finishing.map_err(|_| ChunkError::Cancelled)?;
        let file = u16::try_from(self.approved.files().len()).unwrap_or(u16::MAX);
        self.wanted = Next { file, chunk: 0 };
        self.reports.wanted(self.wanted);
        Ok(())
    }
}

/// A sealed channel as the way of reports.
struct Voice(Sealer<Box<dyn Write + Send>>);

impl Teller for Voice {
    fn tell(&mut self, report: &Report) -> io::Result<()> {
        self.0.send(&report.message()).map_err(io::Error::other)
    }
}
