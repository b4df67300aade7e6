//! The end of a session: the donor learns of success or failure and gives its order, and the
//! connection is closed so that the last message arrives. Whatever the donor does, or does not do,
//! each step ends within a stated time.

use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use machine::diagnostics;
use session::channel::ChannelError;
use wire::chain::chain;
use wire::message::{After, Level, Message};

use crate::connection::Connection;
use crate::error::SessionError;
use crate::operator::reporter::warn;
use crate::transfer::reports::Report;
use crate::transfer::session_source::{Fault, SessionChunkSource};

/// How long the last word may take to leave.
const LAST_WORD: Duration = Duration::from_secs(10);
/// How long an installed machine waits for the order of a donor that has the success, or for that
/// donor to come back (`protocol.md` 3.3).
const ORDER: Duration = Duration::from_secs(10);
/// How long it waits for a donor whose connection broke before it could be told.
const RETURN: Duration = Duration::from_secs(30);

impl SessionChunkSource<'_, '_> {
    /// Tells the donor of success, and learns what the machine does now: the donor's order, or none
    /// when there is no donor left to give one. The machine is installed either way.
    pub(crate) fn report_success(mut self) -> Option<After> {
        let mut deadline = Instant::now() + RETURN;
        let installed = Report::Installed(*self.approved.digest());
        loop {
            if self.connection.is_some() && self.reports.last_word(installed.clone(), LAST_WORD) {
                deadline = deadline.min(Instant::now() + ORDER);
                match self.order() {
                    Ok(after) => return after,
                    Err(fault) => self.lose(&fault),
                }
            } else {
                self.lose(&Fault::Deaf);
            }
            if Instant::now() >= deadline || !matches!(self.rejoin(Some(deadline)), Ok(true)) {
                let text = "the donor gave no order and is not waited for any longer";
                warn(self.admission.reporter, text);
                return None;
            }
        }
    }

    /// The donor's last message, and an orderly end.
    fn order(&mut self) -> Result<Option<After>, Fault> {
        let Some((_, opener)) = &mut self.connection else {
            return Ok(None);
        };
        opener.get_mut().within(Some(ORDER));
        let after = match opener.next(&mut self.payload) {
            Ok(Message::Boot { after }) => after,
            Ok(other) => return Err(Fault::Unexpected { kind: other.kind() }),
            // It has heard of success and is in no hurry.
            Err(error) if is_timeout(&error) => None,
            Err(error) => return Err(error.into()),
        };
        if let Some((peer, opener)) = self.connection.take() {
            self.close(peer, Some(opener.into_inner()));
        }
        Ok(after)
    }

    /// Tells the donor why it came to nothing, with what may explain it. Its connection is left to
    /// be closed.
    pub(crate) fn report_failure(mut self, error: &SessionError) -> Option<Connection> {
        let Some((_, opener)) = self.connection.take() else {
            return self.leaving;
        };
        let reason = chain(error).to_string();
        // A person's will needs no evidence.
        if !matches!(error, SessionError::Cancelled { .. }) {
            self.reports.line(Level::Error, &reason);
            for line in diagnostics::gather(self.begun) {
                self.reports.line(Level::Info, &line);
            }
        }
        let failed = Report::Failed(reason);
        let is_told = self.reports.last_word(failed, LAST_WORD);
        is_told.then(|| opener.into_inner())
    }

    /// In order, so that the last word arrives whatever the donor is still sending.
    pub(super) fn close(&self, peer: SocketAddr, connection: Option<Connection>) {
        if let Some(Err(error)) = connection.map(Connection::close) {
            let text = format!("closing the connection to {peer}: {}", chain(&error));
            warn(self.admission.reporter, &text);
        }
    }
}

fn is_timeout(error: &ChannelError) -> bool {
    matches!(error, ChannelError::Io { source, .. } if source.kind() == io::ErrorKind::TimedOut)
}
