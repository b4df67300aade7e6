//! A message out of a payload: field after field, each bounded, nothing left over.

use super::{
    ASKS, After, Answer, BLANK, CHUNK_LISTS_MAX, CHUNK_MAX, CONTENTS_MAX, Disk, Kind, LAST,
    LINE_MAX, Level, MANIFEST_MAX, MODEL_MAX, Message, MessageError, Next, PATH_MAX, REASON_MAX,
    RejectCode, SERIAL_MAX, SIGNATURE_MAX, TRANSPORT_MAX, Text, check_manifest, within,
};
use crate::stage::Stage;

/// The orders of a donor; without one the target chooses.
const ORDERS: [Option<After>; 4] = {
    let [kexec, reboot, poweroff] = After::ALL;
    [None, Some(kexec), Some(reboot), Some(poweroff)]
};

pub(super) fn parse(kind: Kind, payload: &[u8]) -> Result<Message<'_>, MessageError> {
    let mut fields = Fields {
        kind,
        len_bytes: payload.len(),
        rest: payload,
    };
    let message = match kind {
        Kind::Manifest => fields.manifest()?,
        Kind::Accept => fields.accept()?,
        Kind::Reject => Message::Reject {
            code: fields.reject_code()?,
            text: fields.text(REASON_MAX)?,
        },
        Kind::Data => fields.data()?,
        Kind::Progress => Message::Progress {
            stage: fields.one_of("stage", Stage::ALL, |stage| stage as u8)?,
            next: fields.next()?,
            received_bytes: u64::from_be_bytes(fields.array("bytes received")?),
            unpacked_bytes: u64::from_be_bytes(fields.array("bytes unpacked")?),
        },
        Kind::Log => Message::Log {
            level: fields.one_of("level", Level::ALL, |level| level as u8)?,
            text: fields.text(LINE_MAX)?,
        },
        Kind::Failed => Message::Failed {
            text: fields.text(REASON_MAX)?,
        },
        Kind::Installed => Message::Installed {
            manifest_sha256: fields.array("digest")?,
        },
        Kind::Boot => Message::Boot {
            after: fields.one_of("order", ORDERS, After::order)?,
        },
        Kind::Consent => Message::Consent {
            answer: fields.one_of("answer", Answer::ALL, |answer| answer as u8)?,
        },
        Kind::GiveUp => Message::GiveUp {
            text: fields.text(REASON_MAX)?,
        },
    };
    match fields.rest.len() {
        0 => Ok(message),
        left => Err(MessageError::Long { kind, left }),
    }
}

/// A payload, read from its beginning.
struct Fields<'a> {
    kind: Kind,
    len_bytes: usize,
    rest: &'a [u8],
}

impl<'a> Fields<'a> {
    fn take(&mut self, len: usize, field: &'static str) -> Result<&'a [u8], MessageError> {
        let (head, tail) = self.rest.split_at_checked(len).ok_or(MessageError::Short {
            kind: self.kind,
            len_bytes: self.len_bytes,
            field,
        })?;
        self.rest = tail;
        Ok(head)
    }

    fn array<const N: usize>(&mut self, field: &'static str) -> Result<[u8; N], MessageError> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N, field)?);
        Ok(array)
    }

    /// All that is left.
    fn tail(&mut self, max: usize, field: &'static str) -> Result<&'a [u8], MessageError> {
        let bytes = core::mem::take(&mut self.rest);
        within(self.kind, field, bytes, max)?;
        Ok(bytes)
    }

    fn text(&mut self, max: usize) -> Result<Text<'a>, MessageError> {
        let bytes = self.tail(max, "text")?;
        self.utf8(bytes)
    }

    fn utf8(&self, bytes: &'a [u8]) -> Result<Text<'a>, MessageError> {
        match core::str::from_utf8(bytes) {
            Ok(text) => Ok(Text::new(text)),
            Err(error) => Err(MessageError::NotText {
                kind: self.kind,
                at: error.valid_up_to(),
            }),
        }
    }

    fn next(&mut self) -> Result<Next, MessageError> {
        Ok(Next {
            file: u16::from_be_bytes(self.array("file")?),
            chunk: u32::from_be_bytes(self.array("chunk")?),
        })
    }

    fn one_of<T: Copy, const N: usize>(
        &mut self,
        field: &'static str,
        all: [T; N],
        number: fn(T) -> u8,
    ) -> Result<T, MessageError> {
        let [value] = self.array(field)?;
        let found = all.into_iter().find(|one| number(*one) == value);
        found.ok_or(self.meaningless(field, u32::from(value)))
    }

    fn reject_code(&mut self) -> Result<RejectCode, MessageError> {
        let value = u16::from_be_bytes(self.array("code")?);
        let found = RejectCode::ALL
            .into_iter()
            .find(|code| *code as u16 == value);
        found.ok_or(self.meaningless("code", u32::from(value)))
    }

    const fn meaningless(&self, field: &'static str, value: u32) -> MessageError {
        MessageError::Value {
            kind: self.kind,
            field,
            value,
        }
    }

    fn manifest(&mut self) -> Result<Message<'a>, MessageError> {
        let claimed = u32::from_be_bytes(self.array("manifest's length")?);
        let len = self.part("manifest", u64::from(claimed), MANIFEST_MAX)?;
        let manifest = self.take(len, "manifest")?;
        let claimed = u16::from_be_bytes(self.array("signature's length")?);
        let len = self.part("signature", u64::from(claimed), SIGNATURE_MAX)?;
        let signature = self.take(len, "signature")?;
        let chunk_lists = self.tail(CHUNK_LISTS_MAX, "chunk lists")?;
        check_manifest(manifest, chunk_lists)?;
        Ok(Message::Manifest {
            manifest,
            signature,
            chunk_lists,
        })
    }

    /// A claimed length, within its limit.
    fn part(&self, field: &'static str, claimed: u64, max: usize) -> Result<usize, MessageError> {
        let claimed = usize::try_from(claimed).unwrap_or(usize::MAX);
        if claimed > max {
            return Err(MessageError::Part {
                kind: self.kind,
                field,
                claimed,
                max,
            });
        }
        Ok(claimed)
    }

    fn accept(&mut self) -> Result<Message<'a>, MessageError> {
        let next = self.next()?;
        let [flags] = self.array("flags")?;
        if flags & !(BLANK | ASKS) != 0 {
            return Err(self.meaningless("flags", u32::from(flags)));
        }
        let size_bytes = u64::from_be_bytes(self.array("size")?);
        let mut len = |field, max| {
            let claimed = u16::from_be_bytes(self.array(field)?);
            self.part(field, u64::from(claimed), max)
        };
        let lens = [
            ("path", len("path", PATH_MAX)?),
            ("serial number", len("serial number", SERIAL_MAX)?),
            ("model", len("model", MODEL_MAX)?),
            ("transport", len("transport", TRANSPORT_MAX)?),
        ];
        let mut texts = [Text::default(); 4];
        for (text, (field, len)) in texts.iter_mut().zip(lens) {
            let bytes = self.take(len, field)?;
            *text = self.utf8(bytes)?;
        }
        let [path, serial, model, transport] = texts;
        let disk = Disk {
            size_bytes,
            is_blank: flags & BLANK != 0,
            path,
            serial,
            model,
            transport,
            contents: self.text(CONTENTS_MAX)?,
        };
        let asks = flags & ASKS != 0;
        Ok(Message::Accept { next, asks, disk })
    }

    fn data(&mut self) -> Result<Message<'a>, MessageError> {
        let place = self.next()?;
        let [flags] = self.array("flags")?;
        if flags & !LAST != 0 {
            return Err(self.meaningless("flags", u32::from(flags)));
        }
        let bytes = self.tail(CHUNK_MAX, "chunk")?;
        Ok(Message::Data {
            place,
            is_last: flags == LAST,
            bytes,
        })
    }
}
