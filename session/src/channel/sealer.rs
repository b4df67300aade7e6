//! The sending half: a message in, one or more sealed records out.

use std::fmt;
use std::io::Write;
use std::sync::Arc;

use snow::StatelessTransportState;
use wire::message::{End, Message};

use super::{ChannelError, LENGTH_LEN, PLAIN_MAX, SEALED_MAX};

/// Seals messages and writes them.
pub struct Sealer<W> {
    write: W,
    transport: Arc<StatelessTransportState>,
    own: End,
    /// Counts records.
    number: u64,
    /// Small pieces, gathered for one record.
    gathered: Vec<u8>,
    /// The record that is being written.
    sealed: Vec<u8>,
    is_over: bool,
}

impl<W: Write> Sealer<W> {
    pub(crate) fn new(write: W, transport: Arc<StatelessTransportState>, own: End) -> Self {
        Self {
            write,
            transport,
            own,
            number: 0,
            gathered: Vec::with_capacity(PLAIN_MAX),
            sealed: vec![0; LENGTH_LEN.saturating_add(SEALED_MAX)],
            is_over: false,
        }
    }

    /// Sends a message, all of it, and flushes.
    ///
    /// # Errors
    /// The message is not this end's to send, or is none: then nothing was sent. Or the connection failed: then nothing can be
    /// sent any more.
    pub fn send(&mut self, message: &Message<'_>) -> Result<(), ChannelError> {
        let kind = message.kind();
        if kind.sender() != self.own {
            return Err(ChannelError::Sender {
                kind,
                sender: self.own,
            });
        }
        let emitted = message.emit().map_err(|source| ChannelError::Message {
            doing: "writing a message",
            source,
        })?;
        self.send_pieces(&emitted.pieces())
    }

    /// The caller's bytes are sealed where they are, except for the odd bytes that do not fill a record: those go with the header.
    pub(super) fn send_pieces(&mut self, pieces: &[&[u8]]) -> Result<(), ChannelError> {
        if self.is_over {
            return Err(ChannelError::Over);
        }
        let sent = pieces
            .iter()
            .try_for_each(|piece| self.add(piece))
            .and_then(|()| self.seal_gathered())
            .and_then(|()| self.write.flush().map_err(writing));
        self.is_over = sent.is_err();
        sent
    }

    fn add(&mut self, piece: &[u8]) -> Result<(), ChannelError> {
        let room = PLAIN_MAX.saturating_sub(self.gathered.len());
        if piece.len() <= room {
            self.gathered.extend_from_slice(piece);
            return Ok(());
        }
        let odd = (piece.len() % PLAIN_MAX).min(room);
        let (front, rest) = piece.split_at(odd);
        self.gathered.extend_from_slice(front);
        self.seal_gathered()?;
        let (whole, tail) = rest.as_chunks::<PLAIN_MAX>();
        for plain in whole {
            self.seal(plain)?;
        }
        self.gathered.extend_from_slice(tail);
        Ok(())
    }

    fn seal_gathered(&mut self) -> Result<(), ChannelError> {
        if self.gathered.is_empty() {
            return Ok(());
        }
        let plain = std::mem::take(&mut self.gathered);
        let sealed = self.seal(&plain);
        self.gathered = plain;
        self.gathered.clear();
        sealed
    }

    /// One record: snow copies the plaintext beside the length, encrypts it there, and one write takes both.
    fn seal(&mut self, plain: &[u8]) -> Result<(), ChannelError> {
        let number = self.number;
        let seal = |source| ChannelError::Seal { number, source };
        let (length, body) = self
            .sealed
            .split_first_chunk_mut::<LENGTH_LEN>()
            .ok_or(seal(snow::Error::Input))?;
        let len = self
            .transport
            .write_message(number, plain, body)
            .map_err(seal)?;
        *length = u16::try_from(len)
            .map_err(|_| seal(snow::Error::Input))?
            .to_be_bytes();
        self.number = number.saturating_add(1);
        let record = self.sealed.get(..LENGTH_LEN.saturating_add(len));
        self.write
            .write_all(record.unwrap_or_default())
            .map_err(writing)
    }

    /// What is written to.
    pub const fn get_mut(&mut self) -> &mut W {
        &mut self.write
    }

    #[cfg(test)]
    pub(super) const fn memory_bytes(&self) -> usize {
        self.gathered.capacity() + self.sealed.capacity()
    }

    /// Ends the channel in this direction and gives back what was written to.
    pub fn into_inner(self) -> W {
        self.write
    }
}

fn writing(source: std::io::Error) -> ChannelError {
    ChannelError::Io {
        doing: "writing a record",
        source,
    }
}

impl<W> fmt::Debug for Sealer<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sealer")
            .field("own", &self.own)
            .field("number", &self.number)
            .field("is_over", &self.is_over)
            .finish_non_exhaustive()
    }
}
