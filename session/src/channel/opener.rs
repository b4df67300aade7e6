//! The receiving half: sealed records in, one message at a time out.

use std::fmt;
use std::io::{self, Read};
use std::ops::Range;
use std::sync::Arc;

use snow::StatelessTransportState;
use wire::message::{End, HEADER_LEN, Header, Message};

use super::{ChannelError, LENGTH_LEN, PLAIN_MAX, SEALED_MAX, TAG_LEN};

/// Reads records and opens them.
pub struct Opener<R> {
    read: R,
    transport: Arc<StatelessTransportState>,
    peer: End,
    /// Counts records.
    number: u64,
    /// The record that is being read.
    sealed: Vec<u8>,
    /// A record that more than one message has a part of.
    plain: Vec<u8>,
    /// What of it no message has taken yet.
    left: Range<usize>,
    is_over: bool,
}

impl<R: Read> Opener<R> {
    pub(crate) fn new(read: R, transport: Arc<StatelessTransportState>, own: End) -> Self {
        Self {
            read,
            transport,
            peer: match own {
                End::Donor => End::Target,
                End::Target => End::Donor,
            },
            number: 0,
            sealed: vec![0; SEALED_MAX],
            plain: vec![0; PLAIN_MAX],
            left: 0..0,
            is_over: false,
        }
    }

    /// The next message; its bytes are in `payload`, which a caller uses again for the one after it. It grows to the longest
    /// message that came and never beyond [`wire::message::Kind::payload_max`].
    ///
    /// # Errors
    /// The connection ended or failed, a record does not verify, or the peer sealed what is no message of its own. Nothing is
    /// read after the first error.
    pub fn next<'a>(&mut self, payload: &'a mut Vec<u8>) -> Result<Message<'a>, ChannelError> {
        payload.clear();
        if self.is_over {
            return Err(ChannelError::Over);
        }
        // Set back only when all went well.
        self.is_over = true;
        let header = self.header()?;
        self.payload(header.len_bytes, payload)?;
        let message = Message::parse(header.kind, payload).map_err(reading)?;
        self.is_over = false;
        Ok(message)
    }

    fn header(&mut self) -> Result<Header, ChannelError> {
        let mut field = [0; HEADER_LEN];
        let mut to = &mut field[..];
        let mut is_between_messages = true;
        while !to.is_empty() {
            if self.left.is_empty() {
                let len = self.receive(is_between_messages)?;
                self.open_aside(len)?;
            }
            let part = self.take(to.len());
            let (here, rest) = to.split_at_mut(part.len());
            here.copy_from_slice(part);
            to = rest;
            is_between_messages = false;
        }
        let header = Header::parse(field).map_err(reading)?;
        if header.kind.sender() == self.peer {
            Ok(header)
        } else {
            Err(ChannelError::Sender {
                kind: header.kind,
                sender: self.peer,
            })
        }
    }

    /// A record that lies within the message is opened in its place; only those at its edges are copied.
    fn payload(&mut self, len_bytes: usize, payload: &mut Vec<u8>) -> Result<(), ChannelError> {
        payload.reserve_exact(len_bytes);
        loop {
            let missing = len_bytes.saturating_sub(payload.len());
            if missing == 0 {
                return Ok(());
            }
            if !self.left.is_empty() {
                payload.extend_from_slice(self.take(missing));
                continue;
            }
            let len = self.receive(false)?;
            if len > missing {
                self.open_aside(len)?;
                continue;
            }
            let at = payload.len();
            payload.resize(at.saturating_add(len), 0);
            let place = payload.get_mut(at..).unwrap_or_default();
            open(&self.transport, &mut self.number, &self.sealed, place)?;
        }
    }

    /// At most so many of the bytes that lie aside.
    fn take(&mut self, most: usize) -> &[u8] {
        let start = self.left.start;
        let end = self.left.end.min(start.saturating_add(most));
        self.left.start = end;
        self.plain.get(start..end).unwrap_or_default()
    }

    /// Reads one record, and says how long its plaintext will be.
    fn receive(&mut self, is_between_messages: bool) -> Result<usize, ChannelError> {
        let mut length = [0; LENGTH_LEN];
        if read_up_to(&mut self.read, &mut length)? < LENGTH_LEN {
            // A single byte of a length is not between anything; it makes no difference to what follows.
            return Err(match is_between_messages {
                true => ChannelError::Closed,
                false => ChannelError::Truncated { of: "a message" },
            });
        }
        let claimed = u16::from_be_bytes(length);
        let len = usize::from(claimed);
        if len <= TAG_LEN {
            return Err(ChannelError::RecordLength {
                number: self.number,
                claimed,
            });
        }
        // Not longer than SEALED_MAX, being a u16.
        self.sealed.resize(len, 0);
        if read_up_to(&mut self.read, &mut self.sealed)? < len {
            return Err(ChannelError::Truncated { of: "a record" });
        }
        Ok(len.saturating_sub(TAG_LEN))
    }

    fn open_aside(&mut self, len: usize) -> Result<(), ChannelError> {
        self.left = 0..0;
        let place = self.plain.get_mut(..len).unwrap_or_default();
        open(&self.transport, &mut self.number, &self.sealed, place)?;
        self.left = 0..len;
        Ok(())
    }

    /// What is read from.
    pub const fn get_mut(&mut self) -> &mut R {
        &mut self.read
    }

    #[cfg(test)]
    pub(super) const fn memory_bytes(&self) -> usize {
        self.sealed.capacity() + self.plain.capacity()
    }

    /// Ends the channel in this direction and gives back what was read from.
    pub fn into_inner(self) -> R {
        self.read
    }
}

/// `place` is as long as the plaintext.
fn open(
    transport: &StatelessTransportState,
    number: &mut u64,
    sealed: &[u8],
    place: &mut [u8],
) -> Result<(), ChannelError> {
    transport
        .read_message(*number, sealed, place)
        .map_err(|_| ChannelError::Record { number: *number })?;
    *number = number.saturating_add(1);
    Ok(())
}

/// Fills `to`, or as much of it as comes before the end.
fn read_up_to(read: &mut impl Read, to: &mut [u8]) -> Result<usize, ChannelError> {
    let mut filled = 0;
    while let Some(rest) = to.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match read.read(rest) {
            Ok(0) => break,
            Ok(len) => filled = filled.saturating_add(len),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(source) => {
                return Err(ChannelError::Io {
                    doing: "reading a record",
                    source,
                });
            }
        }
    }
    Ok(filled)
}

const fn reading(source: wire::message::MessageError) -> ChannelError {
    ChannelError::Message {
        doing: "reading a message",
        source,
    }
}

impl<R> fmt::Debug for Opener<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Opener")
            .field("peer", &self.peer)
            .field("number", &self.number)
            .field("is_over", &self.is_over)
            .finish_non_exhaustive()
    }
}
