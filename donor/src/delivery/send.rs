//! One connection to a target: handshake, manifest, chunks from where the target wants them, the
//! end.

use std::net::Shutdown;
use std::sync::atomic::Ordering;
use std::thread;

use session::channel::Sealer;
use wire::chain::chain;
use wire::manifest::Content;
use wire::message::{After, Message, Next, Text};

use super::line::Outgoing;
use super::link::{Accepted, Heard, Place, listen};
use super::reach::Reached;
use super::retry_state::RetryState;
use super::{Cut, Delivery, DeliveryError};
use crate::event::TargetEvent;
use crate::left::Left;
use crate::socket::ConnectError;
use crate::source::Item;
use crate::target_disk::TargetDisk;

impl Delivery<'_> {
    /// Sends until the target is installed; otherwise how far it was, and why not.
    pub(super) fn converse(
        &self,
        reached: Reached,
        retry: &mut RetryState,
    ) -> Result<(), (Next, Cut)> {
        let Reached {
            to,
            stream,
            opener,
            sealer,
            info,
            pulse,
        } = reached;
        (self.tell)(TargetEvent::Paired { to, info });
        let heard = Heard::default();
        let place = Place {
            stream: &stream,
            to,
            pulse: &pulse,
            limits: &self.limits,
            interrupt: self.interrupt,
        };
        let result = thread::scope(|scope| {
            let reader = thread::Builder::new()
                .name(format!("from {to}"))
                .spawn_scoped(scope, || listen(self, place, opener, &heard));
            let result = match reader {
                Err(source) => Err(Cut::Broken(ConnectError { to, source }.into())),
                Ok(_) => self.send_or_say_why(sealer, &heard, &place, retry),
            };
            // The reader ends with the connection, if it has not ended before it.
            let _ = stream.shutdown(Shutdown::Both);
            result
        });
        // Bytes that only our kernel had are lost with the connection.
        retry.is_sent &= heard.is_drained();
        result.map_err(|cut| (heard.furthest(), cut))
    }

    fn send_or_say_why(
        &self,
        mut sealer: Sealer<Outgoing>,
        heard: &Heard,
        place: &Place<'_>,
        retry: &mut RetryState,
    ) -> Result<(), Cut> {
        let result = self.send_all(&mut sealer, heard, place, retry);
        match result {
            Err(Cut::Over(error)) if error.is_ours() => {
                give_up(&mut sealer, heard, place, &chain(&error).to_string());
                Err(Cut::Over(error))
            }
            Err(Cut::Interrupted) => {
                let left = self.leave(&mut sealer, heard, place, retry);
                Err(Cut::Over(DeliveryError::Interrupted { left }))
            }
            result => result,
        }
    }

    /// Somebody wants this donor to end: the target does not have to wait for it.
    fn leave(
        &self,
        sealer: &mut Sealer<Outgoing>,
        heard: &Heard,
        place: &Place<'_>,
        retry: &RetryState,
    ) -> Left {
        match retry.left() {
            Left::Finishing => {
                // It takes what is on its way, and GiveUp would come too late. What it does not
                // say that it has may be lost with this connection.
                let _ = place.stream.shutdown(Shutdown::Write);
                if heard.drained() {
                    Left::Finishing
                } else {
                    Left::Unfinished { is_told: false }
                }
            }
            left => {
                let is_told = give_up(sealer, heard, place, "the donor was interrupted");
                match left {
                    Left::Untouched { .. } => Left::Untouched { is_told },
                    _ => Left::Unfinished { is_told },
                }
            }
        }
    }

    fn send_all(
        &self,
        sealer: &mut Sealer<Outgoing>,
        heard: &Heard,
        place: &Place<'_>,
        retry: &mut RetryState,
    ) -> Result<(), Cut> {
        let mut send = |message: &Message<'_>| {
            sealer
                .send(message)
                .map_err(|error| heard.why(error, place))
        };
        heard.offered();
        send(&Message::Manifest {
            manifest: &self.offer.manifest,
            signature: &self.offer.signature,
            chunk_lists: &self.offer.chunk_lists,
        })?;
        let Accepted { next, asks, disk } = heard.accepted(place)?;
        self.accepted(next, disk.clone())?;
        retry.is_sent = false;
        if asks {
            self.agree(disk, retry, heard, place, &mut send)?;
        } else {
            self.join(disk, next, retry, heard, place)?;
        }
        heard.sent.store(self.bytes_before(next), Ordering::Relaxed);
        let items = (0u16..).zip(&self.offer.items);
        for (file, item) in items.skip(usize::from(next.file)) {
            let chunk = if file == next.file { next.chunk } else { 0 };
            self.send_item(item.as_ref(), Next { file, chunk }, heard, place, &mut send)?;
        }
        retry.is_sent = true;
        heard.has_all(place)?;
        let digest = heard.installed(place)?;
        if digest != self.offer.digest {
            return Err(Cut::Over(DeliveryError::Protocol {
                what: "has installed something else".to_owned(),
            }));
        }
        // It is installed whether or not it hears what to do now.
        match send(&Message::Boot { after: self.after }) {
            Ok(()) => {
                (self.tell)(TargetEvent::Leaving {
                    how: self.after.map_or("as it was told", After::word),
                });
                let _ = place.stream.shutdown(Shutdown::Write);
                heard.closed();
            }
            Err(_) => (self.tell)(TargetEvent::Note {
                text:
                    "the target is installed; the order to leave did not reach it, so it follows \
                           its own setting"
                        .to_owned(),
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
                None => heard.is_open(place)?,
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
                .map_err(|error| match self.interrupt.came() {
                    // It may be the reason why there is no chunk.
                    Some(_) => Cut::Interrupted,
                    None => Cut::Over(error.into()),
                })?;
            for text in item.notes() {
                (self.tell)(TargetEvent::Note { text });
            }
            heard.sending(if chunk.is_last {
                Next {
                    file: next.file.saturating_add(1),
                    chunk: 0,
                }
            } else {
                Next {
                    chunk: next.chunk.saturating_add(1),
                    ..next
                }
            });
            send(&Message::Data {
                place: next,
                is_last: chunk.is_last,
                bytes: &chunk.bytes,
            })?;
            let len = chunk.bytes.len() as u64;
            let sent = heard.sent.fetch_add(len, Ordering::Relaxed);
            if chunk.is_last {
                let bytes = item.len_bytes().unwrap_or_else(|| sent.saturating_add(len));
                (self.tell)(TargetEvent::Sent {
                    package: item.name().to_owned(),
                    bytes,
                });
                return Ok(());
            }
            next.chunk = next.chunk.saturating_add(1);
        }
    }

    /// Checks that the chunk which the target wants exists.
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
        (self.tell)(TargetEvent::Accepted { disk, resumes_at });
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

/// The last word of a donor that sends no more; whether the target has closed on it.
fn give_up(sealer: &mut Sealer<Outgoing>, heard: &Heard, place: &Place<'_>, why: &str) -> bool {
    let text = Text::new(why);
    if sealer.send(&Message::GiveUp { text }).is_err() {
        return false;
    }
    let _ = place.stream.shutdown(Shutdown::Write);
    heard.closed()
}
