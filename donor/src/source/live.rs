//! A package that is made while it is sent, and stored nowhere.
//!
//! In: a stream of its bytes. Out: chunks, in order. What the target has not acknowledged is kept
//! in memory, so that a broken connection can go on; the sender stops at [`WINDOW`] such chunks,
//! which bounds it.

use std::collections::VecDeque;
use std::io::{self, Read};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::Receiver;
use std::sync::{Arc, Mutex, PoisonError};

use wire::manifest::{Content, File};
use wire::stream::PackageName;

use super::{Chunk, Item, SourceError};

/// Chunks that may be on their way: 32 MiB fill the longest pipe a deploy will meet (1 Gbit/s for a
/// quarter of a second).
pub const WINDOW: u32 = 32;

/// A package that is being made.
pub struct Live {
    name: PackageName,
    chunk_bytes: u32,
    /// The chunks that the target has acknowledged. Apart from the rest: an acknowledgement must
    /// not wait for a reader.
    acknowledged: AtomicU32,
    state: Mutex<State>,
    notes: Mutex<Receiver<String>>,
}

struct State {
    stream: Box<dyn Read + Send>,
    /// The chunk `first` and those behind it.
    kept: VecDeque<Arc<Vec<u8>>>,
    first: u32,
    /// Chunks that were asked for. One behind them is wanted by a target that another stream was
    /// sent to.
    asked: u32,
    is_ended: bool,
}

impl Live {
    /// What `stream` brings, under `name`; `notes` are lines for the person, whenever there are
    /// some.
    #[must_use]
    pub fn new(
        name: PackageName,
        chunk_bytes: u32,
        stream: Box<dyn Read + Send>,
        notes: Receiver<String>,
    ) -> Self {
        Self {
            name,
            chunk_bytes,
            acknowledged: AtomicU32::new(0),
            state: Mutex::new(State {
                stream,
                kept: VecDeque::new(),
                first: 0,
                asked: 0,
                is_ended: false,
            }),
            notes: Mutex::new(notes),
        }
    }
}

impl Live {
    /// Its line in a manifest.
    #[must_use]
    pub fn announced(&self) -> File {
        File {
            name: self.name.clone(),
            chunk_size: self.chunk_bytes,
            content: Content::Live,
        }
    }
}

impl State {
    /// Lets go of what is acknowledged.
    fn forget(&mut self, before: u32) {
        while self.first < before && self.kept.pop_front().is_some() {
            self.first = self.first.saturating_add(1);
        }
    }

    fn read_one(&mut self, chunk_bytes: u32) -> io::Result<()> {
        let mut bytes = Vec::new();
        let mut part = (&mut self.stream).take(u64::from(chunk_bytes));
        part.read_to_end(&mut bytes)?;
        self.is_ended = bytes.len() < chunk_bytes as usize;
        if !bytes.is_empty() {
            self.kept.push_back(Arc::new(bytes));
        }
        Ok(())
    }

    fn get(&self, index: u32) -> Option<&Arc<Vec<u8>>> {
        let at = index.checked_sub(self.first)?;
        self.kept.get(usize::try_from(at).ok()?)
    }
}

impl Item for Live {
    fn name(&self) -> &str {
        self.name.as_str()
    }

    fn len_bytes(&self) -> Option<u64> {
        None
    }

    fn chunk(&self, index: u32) -> Result<Chunk, SourceError> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.forget(self.acknowledged.load(Ordering::Relaxed));
        if index > state.asked {
            return Err(SourceError::Gone {
                name: self.name.to_string(),
                chunk: index,
            });
        }
        state.asked = state.asked.max(index.saturating_add(1));
        // One chunk ahead: only then is it known whether this one is the last.
        let ahead = index.saturating_add(1);
        while !state.is_ended && index >= state.first && state.get(ahead).is_none() {
            state
                .read_one(self.chunk_bytes)
                .map_err(|source| SourceError::Stream {
                    name: self.name.to_string(),
                    source,
                })?;
        }
        match state.get(index) {
            Some(bytes) => Ok(Chunk {
                bytes: Arc::clone(bytes),
                is_last: state.get(ahead).is_none(),
            }),
            None if index == 0 && state.first == 0 => Err(SourceError::Stream {
                name: self.name.to_string(),
                source: io::ErrorKind::UnexpectedEof.into(),
            }),
            None => Err(SourceError::Gone {
                name: self.name.to_string(),
                chunk: index,
            }),
        }
    }

    fn acknowledged(&self, next: u32) {
        self.acknowledged.fetch_max(next, Ordering::Relaxed);
    }

    fn window(&self) -> Option<u32> {
        Some(WINDOW)
    }

    fn notes(&self) -> Vec<String> {
        let notes = self.notes.lock().unwrap_or_else(PoisonError::into_inner);
        notes.try_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::Live;
    use crate::source::{Item, SourceError};
    use std::io::{self, Read};
    use std::sync::mpsc::channel;
    use wire::stream::PackageName;

    fn live(stream: impl Read + Send + 'static) -> Live {
        let name = PackageName::parse(b"root.tar.xz").unwrap();
        Live::new(name, 4, Box::new(stream), channel().1)
    }

    fn chunks(bytes: &'static [u8]) -> Vec<(Vec<u8>, bool)> {
        let item = live(bytes);
        let mut found = Vec::new();
        loop {
            let chunk = item.chunk(found.len() as u32).unwrap();
            found.push((chunk.bytes.to_vec(), chunk.is_last));
            if chunk.is_last {
                return found;
            }
        }
    }

    #[test]
    fn the_last_chunk_is_known_whatever_its_length() {
        let part = |bytes: &[u8], is_last| (bytes.to_vec(), is_last);
        assert_eq!(chunks(b"abcdef"), [part(b"abcd", false), part(b"ef", true)]);
        assert_eq!(
            chunks(b"abcdefgh"),
            [part(b"abcd", false), part(b"efgh", true)]
        );
        assert_eq!(chunks(b"a"), [part(b"a", true)]);
    }

    #[test]
    fn unacknowledged_chunks_come_again_and_others_are_gone() {
        let item = live(&b"aaaabbbbccccdddde"[..]);
        for index in 0..4 {
            item.chunk(index).unwrap();
        }
        item.acknowledged(2);
        item.acknowledged(1); // late, and no step back
        assert_eq!(*item.chunk(2).unwrap().bytes, b"cccc");
        assert!(matches!(
            item.chunk(1),
            Err(SourceError::Gone { chunk: 1, .. })
        ));
        assert!(item.state.lock().unwrap().kept.len() <= 3);
        assert!(item.chunk(4).unwrap().is_last);
        assert!(item.chunk(5).is_err());
    }

    #[test]
    fn a_target_of_another_stream_gets_nothing() {
        let item = live(&b"aaaabbbbcccc"[..]);
        assert!(matches!(
            item.chunk(1),
            Err(SourceError::Gone { chunk: 1, .. })
        ));
        assert_eq!(*item.chunk(0).unwrap().bytes, b"aaaa");
    }

    #[test]
    fn a_packers_words_reach_the_person() {
        struct Fails;
        impl Read for Fails {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                Err(io::Error::other("reading /etc/shadow: permission denied"))
            }
        }
        let text = wire::chain::chain(&live(Fails).chunk(0).unwrap_err()).to_string();
        assert!(
            text.ends_with("root.tar.xz: reading /etc/shadow: permission denied"),
            "{text}"
        );
        assert!(live(&b""[..]).chunk(0).is_err(), "nothing is no package");
    }
}
