//! The receiving half: sealed records in, one message at a time out.

use std::fmt;
use std::io::{self, Read};
use std::ops::Range;

use wire::message::{End, HEADER_LEN, Header, Message};

use super::{ChannelError, LENGTH_LEN, SEALED_MAX};
use crate::record_key::{RecordKey, TAG_LEN};

/// Reads records and opens them.
pub struct Opener<R> {
    read: R,
    key: RecordKey,
    peer: End,
    /// Counts records.
    number: u64,
    /// A record that more than one message has a part of.
    aside: Vec<u8>,
    /// The part of its plaintext that no message has taken yet.
    left: Range<usize>,
    is_over: bool,
}

impl<R: Read> Opener<R> {
    pub(crate) fn new(read: R, key: RecordKey, own: End) -> Self {
        Self {
            read,
            key,
            peer: match own {
                End::Donor => End::Target,
                End::Target => End::Donor,
            },
            number: 0,
            aside: vec![0; SEALED_MAX],
            left: 0..0,
            is_over: false,
        }
    }

    /// The next message; its bytes lie in `payload`, which a caller uses again for the one after
    /// it. It grows to the longest message that came and a tag behind it, and never beyond
    /// [`wire::message::Kind::payload_max`] and a tag.
    ///
    /// # Errors
    /// The connection ended or failed, a record does not verify, or the peer sealed what is no
    /// message of its own. Nothing is read after the first error.
    pub fn next<'a>(&mut self, payload: &'a mut Vec<u8>) -> Result<Message<'a>, ChannelError> {
        if self.is_over {
            return Err(ChannelError::Over);
        }
        // Set back only when all went well.
        self.is_over = true;
        let header = self.header()?;
        let bytes = self.payload(header.len_bytes, payload)?;
        let message = Message::parse(header.kind, bytes).map_err(reading)?;
        self.is_over = false;
        Ok(message)
    }

    fn header(&mut self) -> Result<Header, ChannelError> {
        let mut field = [0; HEADER_LEN];
        let mut to = &mut field[..];
        let mut is_between_messages = true;
        while !to.is_empty() {
            if self.left.is_empty() {
                let len = self.length(is_between_messages)?;
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

    /// A record that lies within the message is read to its place and opened there; only those at
    /// its edges are copied. The tag of such a record lies where the next one, or nothing, will be.
    fn payload<'a>(
        &mut self,
        len_bytes: usize,
        payload: &'a mut Vec<u8>,
    ) -> Result<&'a [u8], ChannelError> {
        let with_tag = len_bytes.saturating_add(TAG_LEN);
        if payload.len() < with_tag {
            payload.reserve_exact(with_tag.saturating_sub(payload.len()));
            payload.resize(with_tag, 0);
        }
        let mut at = 0;
        while at < len_bytes {
            let missing = len_bytes.saturating_sub(at);
            if self.left.is_empty() {
                let sealed = self.length(false)?;
                if let Some(place) = payload.get_mut(at..with_tag.min(at.saturating_add(sealed)))
                    && place.len() == sealed
                {
                    read_whole(&mut self.read, place)?;
                    at = at.saturating_add(open(&self.key, &mut self.number, place)?);
                    continue;
                }
                self.open_aside(sealed)?;
            }
            let part = self.take(missing);
            let end = at.saturating_add(part.len());
            if let Some(place) = payload.get_mut(at..end) {
                place.copy_from_slice(part);
            }
            at = end;
        }
        Ok(payload.get(..len_bytes).unwrap_or_default())
    }

    /// At most so many of the bytes that lie aside.
    fn take(&mut self, most: usize) -> &[u8] {
        let start = self.left.start;
        let end = self.left.end.min(start.saturating_add(most));
        self.left.start = end;
        self.aside.get(start..end).unwrap_or_default()
    }

    /// Reads the length of a record, of its ciphertext and tag together.
    fn length(&mut self, is_between_messages: bool) -> Result<usize, ChannelError> {
        let mut length = [0; LENGTH_LEN];
        if read_up_to(&mut self.read, &mut length)? < LENGTH_LEN {
            // A single byte of a length is not between anything; it makes no difference to what
            // follows.
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
        Ok(len)
    }

    fn open_aside(&mut self, sealed: usize) -> Result<(), ChannelError> {
        self.left = 0..0;
        // Not longer than SEALED_MAX, being a u16.
        let place = self.aside.get_mut(..sealed).unwrap_or_default();
        read_whole(&mut self.read, place)?;
        self.left = 0..open(&self.key, &mut self.number, place)?;
        Ok(())
    }

    /// The reader behind it.
    pub const fn get_mut(&mut self) -> &mut R {
        &mut self.read
    }

    #[cfg(test)]
    pub(super) const fn memory_bytes(&self) -> usize {
        self.aside.capacity()
    }

    /// Ends the channel in this direction and gives back what was read from.
    pub fn into_inner(self) -> R {
        self.read
    }
}

/// Opens a record where it lies, and says how long its plaintext is.
fn open(key: &RecordKey, number: &mut u64, sealed: &mut [u8]) -> Result<usize, ChannelError> {
    let plain = key
        .open(*number, &[], sealed)
        .ok_or(ChannelError::Record { number: *number })?;
    *number = number.saturating_add(1);
    Ok(plain.len())
}

fn read_whole(read: &mut impl Read, record: &mut [u8]) -> Result<(), ChannelError> {
    if read_up_to(read, record)? < record.len() {
        return Err(ChannelError::Truncated { of: "a record" });
    }
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
