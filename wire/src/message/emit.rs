//! A message as bytes: its own fields in a small buffer, the caller's bytes where they are.

use super::{
    ACCEPT_FIELDS, ASKS, After, BLANK, CHUNK_LISTS_MAX, CHUNK_MAX, CONTENTS_MAX, Disk, HEADER_LEN,
    Kind, LAST, LINE_MAX, MANIFEST_MAX, MODEL_MAX, Message, MessageError, Next, PATH_MAX,
    PROGRESS_LEN, REASON_MAX, SERIAL_MAX, SIGNATURE_MAX, TRANSPORT_MAX, check_manifest, within,
};
use heapless::Vec;

/// Header and the longest fields: those of Installed (32) beat those of Progress and Accept (23
/// each).
const FIELDS_MAX: usize = HEADER_LEN + 32;
const _: () = assert!(PROGRESS_LEN <= 32 && ACCEPT_FIELDS <= 32);

/// A message that is ready to be written: [`Emitted::pieces`], one after the other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Emitted<'a> {
    /// Header and the first fields.
    head: Vec<u8, FIELDS_MAX>,
    /// Chunk, text or manifest; a disk's path.
    body: &'a [u8],
    /// The signature's length, of a Manifest.
    middle: Vec<u8, 2>,
    /// Signature and chunk lists; the other texts of a disk.
    rest: [&'a [u8]; 4],
}

impl Emitted<'_> {
    /// The parts to write, in order; some may be empty.
    #[must_use]
    pub fn pieces(&self) -> [&[u8]; 7] {
        let [a, b, c, d] = self.rest;
        [&self.head, self.body, &self.middle, a, b, c, d]
    }

    /// Length of all pieces, header included, in bytes.
    #[must_use]
    pub fn len_bytes(&self) -> usize {
        self.pieces().iter().map(|piece| piece.len()).sum()
    }
}

pub(super) fn emit<'a>(message: &Message<'a>) -> Result<Emitted<'a>, MessageError> {
    let mut fields = Written(Vec::new());
    fields.put(&[message.kind().number(), 0, 0, 0, 0]);
    let mut emitted = Emitted {
        head: Vec::new(),
        body: &[],
        middle: Vec::new(),
        rest: [&[]; 4],
    };
    match *message {
        Message::Manifest {
            manifest,
            signature,
            chunk_lists,
        } => {
            within(Kind::Manifest, "manifest", manifest, MANIFEST_MAX)?;
            within(Kind::Manifest, "signature", signature, SIGNATURE_MAX)?;
            within(Kind::Manifest, "chunk lists", chunk_lists, CHUNK_LISTS_MAX)?;
            check_manifest(manifest, chunk_lists)?;
            fields.put(&length(manifest));
            let [.., high, low] = length(signature);
            // Two bytes into room for two; it cannot fail.
            let _ = emitted.middle.extend_from_slice(&[high, low]);
            (emitted.body, emitted.rest) = (manifest, [signature, chunk_lists, &[], &[]]);
        }
        Message::Accept { next, asks, disk } => {
            fields.next(next);
            (emitted.body, emitted.rest) = fields.disk(asks, &disk);
        }
        Message::Reject { code, text } => {
            fields.put(&(code as u16).to_be_bytes());
            emitted.body = text.head(REASON_MAX).as_bytes();
        }
        Message::Data {
            place,
            is_last,
            bytes,
        } => {
            within(Kind::Data, "chunk", bytes, CHUNK_MAX)?;
            fields.next(place);
            fields.put(&[if is_last { LAST } else { 0 }]);
            emitted.body = bytes;
        }
        Message::Progress {
            stage,
            next,
            received_bytes,
            unpacked_bytes,
        } => {
            fields.put(&[stage as u8]);
            fields.next(next);
            fields.put(&received_bytes.to_be_bytes());
            fields.put(&unpacked_bytes.to_be_bytes());
        }
        Message::Log { level, text } => {
            fields.put(&[level as u8]);
            emitted.body = text.head(LINE_MAX).as_bytes();
        }
        Message::Failed { text } => emitted.body = text.head(REASON_MAX).as_bytes(),
        Message::Installed { manifest_sha256 } => fields.put(&manifest_sha256),
        Message::Boot { after } => fields.put(&[After::order(after)]),
        Message::Consent { answer } => fields.put(&[answer as u8]),
        Message::GiveUp { text } => emitted.body = text.head(REASON_MAX).as_bytes(),
    }
    emitted.head = fields.0;
    let payload = emitted.len_bytes().saturating_sub(HEADER_LEN);
    let length = u32::try_from(payload).unwrap_or(u32::MAX).to_be_bytes();
    for (to, from) in emitted.head.iter_mut().skip(1).zip(length) {
        *to = from;
    }
    Ok(emitted)
}

/// A length that is within limits far below 4 GiB.
fn length(bytes: &[u8]) -> [u8; 4] {
    u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_be_bytes()
}

/// The fields of one message.
struct Written(Vec<u8, FIELDS_MAX>);

impl Written {
    fn put(&mut self, field: &[u8]) {
        // FIELDS_MAX is the longest there is; the golden test writes every kind.
        let _ = self.0.extend_from_slice(field);
    }

    fn next(&mut self, next: Next) {
        self.put(&next.file.to_be_bytes());
        self.put(&next.chunk.to_be_bytes());
    }

    /// Flags, size and lengths; the texts themselves follow, each cut to what there is room for.
    fn disk<'a>(&mut self, asks: bool, disk: &Disk<'a>) -> (&'a [u8], [&'a [u8]; 4]) {
        let flag = |is_set, flag| if is_set { flag } else { 0 };
        self.put(&[flag(disk.is_blank, BLANK) | flag(asks, ASKS)]);
        self.put(&disk.size_bytes.to_be_bytes());
        let texts = [
            disk.path.head(PATH_MAX).as_bytes(),
            disk.serial.head(SERIAL_MAX).as_bytes(),
            disk.model.head(MODEL_MAX).as_bytes(),
            disk.transport.head(TRANSPORT_MAX).as_bytes(),
        ];
        for text in texts {
            let [.., high, low] = length(text);
            self.put(&[high, low]);
        }
        let [path, serial, model, transport] = texts;
        let contents = disk.contents.head(CONTENTS_MAX).as_bytes();
        (path, [serial, model, transport, contents])
    }
}
