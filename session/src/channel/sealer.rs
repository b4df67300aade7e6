//! The sending half: a message in, one or more sealed records out.

use std::fmt;
use std::io::Write;

use wire::message::{End, Message};

use super::{ChannelError, LENGTH_LEN, PLAIN_MAX, SEALED_MAX};
use crate::record_key::{RecordKey, TAG_LEN};

/// Seals messages and writes them.
pub struct Sealer<W> {
    write: W,
    key: RecordKey,
    own: End,
    /// Counts records.
    number: u64,
    /// The record that is being made: length, plaintext and later ciphertext, tag.
    record: Vec<u8>,
    /// How much plaintext it has.
    filled: usize,
    is_over: bool,
}

impl<W: Write> Sealer<W> {
    pub(crate) fn new(write: W, key: RecordKey, own: End) -> Self {
        Self {
            write,
            key,
            own,
            number: 0,
            record: vec![0; LENGTH_LEN.saturating_add(SEALED_MAX)],
            filled: 0,
            is_over: false,
        }
    }

    /// Sends a message, all of it, and flushes.
    ///
    /// # Errors
    /// This end may not send that message, or it is malformed: then nothing was sent. Or the
    /// connection failed: then nothing can be sent any more.
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

    /// Records are filled from the pieces; a piece's odd bytes, which do not fill one, go with what
    /// is before it, so that large pieces end on the edge of a record.
    pub(super) fn send_pieces(&mut self, pieces: &[&[u8]]) -> Result<(), ChannelError> {
        if self.is_over {
            return Err(ChannelError::Over);
        }
        let sent = pieces
            .iter()
            .try_for_each(|piece| self.add(piece))
            .and_then(|()| self.seal())
            .and_then(|()| self.write.flush().map_err(writing));
        self.is_over = sent.is_err();
        sent
    }

    fn add(&mut self, piece: &[u8]) -> Result<(), ChannelError> {
        let room = PLAIN_MAX.saturating_sub(self.filled);
        if piece.len() <= room {
            self.fill(piece);
            return Ok(());
        }
        let odd = (piece.len() % PLAIN_MAX).min(room);
        let (front, rest) = piece.split_at(odd);
        self.fill(front);
        self.seal()?;
        let (whole, tail) = rest.as_chunks::<PLAIN_MAX>();
        for plain in whole {
            self.fill(plain);
            self.seal()?;
        }
        self.fill(tail);
        Ok(())
    }

    /// The caller has looked how much room there is.
    fn fill(&mut self, plain: &[u8]) {
        let start = LENGTH_LEN.saturating_add(self.filled);
        let end = start.saturating_add(plain.len());
        if let Some(place) = self.record.get_mut(start..end) {
            place.copy_from_slice(plain);
            self.filled = self.filled.saturating_add(plain.len());
        }
    }

    /// One record, if there is anything to be in it: encrypted where it lies, and written with its
    /// length and tag at once.
    fn seal(&mut self) -> Result<(), ChannelError> {
        if self.filled == 0 {
            return Ok(());
        }
        let number = self.number;
        let len = self.encrypt().ok_or(ChannelError::Seal { number })?;
        self.number = number.saturating_add(1);
        self.filled = 0;
        let record = self.record.get(..len).unwrap_or_default();
        self.write.write_all(record).map_err(writing)
    }

    /// Makes a record of what was filled in, and says how many bytes it has.
    fn encrypt(&mut self) -> Option<usize> {
        let (length, rest) = self.record.split_first_chunk_mut::<LENGTH_LEN>()?;
        let (text, rest) = rest.split_at_mut_checked(self.filled)?;
        let tag = self.key.seal(self.number, &[], text)?;
        *rest.first_chunk_mut()? = tag;
        let len = text.len().checked_add(TAG_LEN)?;
        *length = u16::try_from(len).ok()?.to_be_bytes();
        len.checked_add(LENGTH_LEN)
    }

    /// The writer behind it.
    pub const fn get_mut(&mut self) -> &mut W {
        &mut self.write
    }

    #[cfg(test)]
    pub(super) const fn memory_bytes(&self) -> usize {
        self.record.capacity()
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
