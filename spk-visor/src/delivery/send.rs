//! One connection to a target: handshake, manifest, chunks from where the target wants them, the end.

use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;

use receiver::screen::chain;
use session::channel::Sealer;
use wire::manifest::Content;
use wire::message::{Message, Next, Text};

use super::link::{Accepted, Heard, Place, listen};
use super::memory::Memory;
use super::{Cut, Delivery, DeliveryError};
use crate::cli::deploy;
use crate::event::About;
use crate::socket::{self, ConnectError};
use crate::source::Item;
use crate::target_disk::TargetDisk;

/// A target answers M1 within seconds; but after wrong guesses of others it makes everybody wait, up to 30 s (`protocol.md` 3.5).
const HANDSHAKE_PATIENCE: Duration = Duration::from_secs(40);

impl Delivery<'_> {
    /// Connects, pairs and sends until the target is installed.
    pub(super) fn attempt(&self, to: SocketAddr, memory: &mut Memory) -> Result<(), Cut> {
        (self.tell)(About::Connecting {
            to,
            is_authenticated: true,
        });
        let unreachable = |source| Cut::NotThere(ConnectError { to, source }.into());
        let stream = socket::connect(to, self.interface).map_err(unreachable)?;
        stream.set_nodelay(true).map_err(unreachable)?;
        let unpaired = |source| Cut::NotThere(DeliveryError::Pairing { to, source });
        stream
            .set_read_timeout(Some(HANDSHAKE_PATIENCE))
            .map_err(unreachable)?;
        let (opener, sealer, info) =
            session::pair_donor(&stream, &stream, self.credential, &self.code).map_err(unpaired)?;
        // From here on keepalive tells of a target that is gone.
        stream.set_read_timeout(None).map_err(unreachable)?;
        memory.passed(to);
        (self.tell)(About::Paired {
            to,
            info: info.to_string(),
        });
        let (heard, place) = (
            Heard::default(),
            Place {
                stream: &stream,
                to,
            },
        );
        thread::scope(|scope| {
            let reader = thread::Builder::new()
                .name(format!("from {to}"))
                .spawn_scoped(scope, || listen(self, place, opener, &heard));
            let result = match reader {
                Err(source) => Err(unreachable(source)),
                Ok(_) => self.converse(sealer, &heard, &place, memory),
            };
            // The reader ends with the connection, if it has not ended before it.
            let _ = stream.shutdown(Shutdown::Both);
            result
        })
    }

    fn converse(
        &self,
        mut sealer: Sealer<&TcpStream>,
        heard: &Heard,
        place: &Place<'_>,
        memory: &mut Memory,
    ) -> Result<(), Cut> {
        let result = self.send_all(&mut sealer, heard, place, memory);
        if let Err(Cut::Over(error)) = &result
            && error.is_ours()
        {
            let text = chain(error);
            let text = Text::new(&text);
            if sealer.send(&Message::GiveUp { text }).is_ok() {
                let _ = place.stream.shutdown(Shutdown::Write);
                heard.closed();
            }
        }
        result
    }

    fn send_all(
        &self,
        sealer: &mut Sealer<&TcpStream>,
        heard: &Heard,
        place: &Place<'_>,
        memory: &mut Memory,
    ) -> Result<(), Cut> {
        let mut send = |message: &Message<'_>| {
            sealer
                .send(message)
                .map_err(|error| heard.why(error, place))
        };
        send(&Message::Manifest {
            manifest: &self.offer.manifest,
            signature: &self.offer.signature,
            chunk_lists: &self.offer.chunk_lists,
        })?;
        let Accepted { next, asks, disk } = heard.accepted(place)?;
        memory.accepted(next);
        self.accepted(next, disk.clone())?;
        if asks {
            self.agree(disk, memory, heard, place, &mut send)?;
        }
        heard.sent.store(self.bytes_before(next), Ordering::Relaxed);
        let items = (0u16..).zip(&self.offer.items);
        for (file, item) in items.skip(usize::from(next.file)) {
            let chunk = if file == next.file { next.chunk } else { 0 };
            self.send_item(item.as_ref(), Next { file, chunk }, heard, place, &mut send)?;
        }
        let digest = heard.installed(place)?;
        if digest != self.offer.digest {
            return Err(Cut::Over(DeliveryError::Protocol {
                what: "has installed something else".to_owned(),
            }));
        }
        // It is installed whether or not it hears what to do now.
        match send(&Message::Boot { after: self.after }) {
            Ok(()) => {
                (self.tell)(About::Leaving {
                    how: deploy::word(self.after),
                });
                let _ = place.stream.shutdown(Shutdown::Write);
                heard.closed();
            }
            Err(_) => (self.tell)(About::Note {
                text: "the target is installed and was not told what to do now: it does what it was started with".to_owned(),
            }),
        }
        Ok(())
    }

    /// Sends one item from a chunk on.
    fn send_item(
        &self,
        item: &dyn Item,
        from: Next,
        heard: &Heard,
        place: &Place<'_>,
        send: &mut impl FnMut(&Message<'_>) -> Result<(), Cut>,
    ) -> Result<(), Cut> {
        let mut next = from;
        loop {
            match item.window() {
                None => heard.progress(place).map(drop)?,
                Some(window) => {
                    let oldest = Next {
                        chunk: next.chunk.saturating_sub(window),
                        ..next
                    };
                    heard.acknowledged(oldest, place)?;
                }
            }
            let chunk = item
                .chunk(next.chunk)
                .map_err(|error| Cut::Over(error.into()))?;
            for text in item.notes() {
                (self.tell)(About::Note { text });
            }
            send(&Message::Data {
                place: next,
                is_last: chunk.is_last,
                bytes: &chunk.bytes,
            })?;
            let len = chunk.bytes.len() as u64;
            let sent = heard.sent.fetch_add(len, Ordering::Relaxed);
            if chunk.is_last {
                let bytes = item.len_bytes().unwrap_or_else(|| sent.saturating_add(len));
                (self.tell)(About::Sent {
                    package: item.name().to_owned(),
                    bytes,
                });
                return Ok(());
            }
            next.chunk = next.chunk.saturating_add(1);
        }
    }

    /// What the target wants exists.
    fn accepted(&self, next: Next, disk: TargetDisk) -> Result<(), Cut> {
        let files = &self.offer.files;
        let file = files.get(usize::from(next.file));
        let is_there = match file {
            // Live: its source knows what it has.
            Some(file) => file.chunks().is_none_or(|chunks| next.chunk < chunks),
            None => usize::from(next.file) == files.len() && next.chunk == 0,
        };
        if !is_there {
            return Err(Cut::Over(DeliveryError::Protocol {
                what: format!(
                    "wants chunk {} of file {}, which there is not",
                    next.chunk, next.file
                ),
            }));
        }
        let name = file.map_or("the end", |file| file.name.as_str());
        let resumes_at = (next != Next::default()).then(|| (name.to_owned(), next.chunk));
        (self.tell)(About::Accepted { disk, resumes_at });
        Ok(())
    }

    /// Bytes that need not be sent; of live items nobody knows.
    fn bytes_before(&self, next: Next) -> u64 {
        let mut bytes = 0u64;
        for (number, file) in (0u16..).zip(&self.offer.files) {
            let Content::Hashed { size_bytes, .. } = file.content else {
                continue;
            };
            if number < next.file {
                bytes = bytes.saturating_add(size_bytes);
            } else if number == next.file {
                let chunks = u64::from(next.chunk).saturating_mul(u64::from(file.chunk_size));
                bytes = bytes.saturating_add(chunks.min(size_bytes));
            }
        }
        bytes
    }
}
