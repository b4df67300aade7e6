//! Chunks that several targets are about to send, so that each is read and checked once.
//!
//! In: keys, and how to load what is missing. Out: chunks. At most `capacity` are kept, the one
//! unused for longest goes first; two who want the same chunk wait for one loading. Targets that
//! drift further apart than the capacity read for themselves.

use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use super::{Chunk, SourceError};

/// File and chunk.
pub type Key = (u16, u32);

/// Kept chunks.
#[derive(Debug)]
pub struct Cache {
    state: Mutex<State>,
    loaded: Condvar,
    capacity: usize,
}

#[derive(Debug, Default)]
struct State {
    entries: BTreeMap<Key, Entry>,
    /// Counts uses, to tell which is the oldest.
    clock: u64,
    /// Buffers of chunks that went: the next load needs no new megabyte from the kernel.
    spare: Vec<Vec<u8>>,
}

#[derive(Debug)]
enum Entry {
    /// Somebody reads it.
    Loading,
    Ready {
        chunk: Chunk,
        used: u64,
    },
}

impl Cache {
    /// For so many chunks.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        Self {
            state: Mutex::default(),
            loaded: Condvar::new(),
            capacity: capacity.max(1),
        }
    }

    /// The chunk of `key`; `load` fills an empty buffer and says whether it is the last one.
    ///
    /// # Errors
    /// Those of `load`; the next one who asks loads again.
    pub fn get(
        &self,
        key: Key,
        load: impl FnOnce(&mut Vec<u8>) -> Result<bool, SourceError>,
    ) -> Result<Chunk, SourceError> {
        let mut buffer = match self.reserve(key) {
            Reserved::Found(chunk) => return Ok(chunk),
            Reserved::Load(buffer) => buffer,
        };
        let result = load(&mut buffer);
        let mut state = self.lock();
        let result = match result {
            Err(error) => {
                state.entries.remove(&key);
                state.spare.push(buffer);
                Err(error)
            }
            Ok(is_last) => {
                let chunk = Chunk {
                    bytes: Arc::new(buffer),
                    is_last,
                };
                let used = state.tick();
                let kept = chunk.clone();
                state
                    .entries
                    .insert(key, Entry::Ready { chunk: kept, used });
                state.shrink(self.capacity);
                Ok(chunk)
            }
        };
        drop(state);
        self.loaded.notify_all();
        result
    }

    fn reserve(&self, key: Key) -> Reserved {
        let mut state = self.lock();
        loop {
            let now = state.tick();
            match state.entries.get_mut(&key) {
                Some(Entry::Ready { chunk, used }) => {
                    *used = now;
                    return Reserved::Found(chunk.clone());
                }
                Some(Entry::Loading) => {
                    state = self
                        .loaded
                        .wait(state)
                        .unwrap_or_else(PoisonError::into_inner);
                }
                None => {
                    state.entries.insert(key, Entry::Loading);
                    let mut buffer = state.spare.pop().unwrap_or_default();
                    buffer.clear();
                    return Reserved::Load(buffer);
                }
            }
        }
    }

    /// A thread that panicked while it held the lock left the map whole: every change of it is one
    /// call.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

enum Reserved {
    Found(Chunk),
    Load(Vec<u8>),
}

impl State {
    fn tick(&mut self) -> u64 {
        self.clock = self.clock.wrapping_add(1);
        self.clock
    }

    /// Lets the oldest chunks go. One that is still being sent is freed by its sender.
    fn shrink(&mut self, capacity: usize) {
        let ready = |entry: &Entry| matches!(entry, Entry::Ready { .. });
        while self.entries.values().filter(|entry| ready(entry)).count() > capacity {
            let oldest = self
                .entries
                .iter()
                .filter_map(|(key, entry)| match entry {
                    Entry::Ready { used, .. } => Some((*used, *key)),
                    Entry::Loading => None,
                })
                .min();
            let Some((_, key)) = oldest else { return };
            if let Some(Entry::Ready { chunk, .. }) = self.entries.remove(&key)
                && let Ok(buffer) = Arc::try_unwrap(chunk.bytes)
                && self.spare.len() < 2
            {
                self.spare.push(buffer);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Cache;
    use crate::source::SourceError;
    use std::sync::Barrier;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::thread;

    fn bytes(cache: &Cache, chunk: u32, loads: &AtomicUsize) -> Vec<u8> {
        let found = cache.get((0, chunk), |buffer| {
            loads.fetch_add(1, Ordering::SeqCst);
            assert!(buffer.is_empty());
            buffer.extend(chunk.to_be_bytes());
            Ok(false)
        });
        found.unwrap().bytes.to_vec()
    }

    #[test]
    fn who_moves_together_loads_once() {
        const CHUNKS: u32 = 500;
        let (cache, loads, step) = (Cache::new(4), AtomicUsize::new(0), Barrier::new(5));
        thread::scope(|scope| {
            for _ in 0..5 {
                scope.spawn(|| {
                    for chunk in 0..CHUNKS {
                        step.wait();
                        assert_eq!(bytes(&cache, chunk, &loads), chunk.to_be_bytes());
                    }
                });
            }
        });
        assert_eq!(loads.into_inner(), CHUNKS as usize);
    }

    #[test]
    fn the_oldest_goes_first_and_memory_is_bounded() {
        let (cache, loads) = (Cache::new(2), AtomicUsize::new(0));
        for chunk in [0, 1, 0, 2, 0] {
            bytes(&cache, chunk, &loads);
        }
        assert_eq!(loads.load(Ordering::SeqCst), 3, "0 was used and stays");
        bytes(&cache, 1, &loads);
        assert_eq!(loads.load(Ordering::SeqCst), 4, "1 went");
        assert_eq!(cache.lock().entries.len(), 2);
        assert!(cache.lock().spare.len() <= 2);
    }

    #[test]
    fn a_failure_is_nobody_elses() {
        let (cache, loads) = (Cache::new(2), AtomicUsize::new(0));
        let failed = cache.get((0, 1), |_| {
            Err(SourceError::Gone {
                name: "a".into(),
                chunk: 1,
            })
        });
        failed.unwrap_err();
        assert_eq!(bytes(&cache, 1, &loads), 1u32.to_be_bytes());
    }
}
