//! What this boot has read back already, so that `activate` behind `update` need not read it again
//! (`update.md` 1.7).
//!
//! In: bytes of a slot that were flushed, read from the medium and hashed. Out: whether the very
//! same still hold. A [`Witness`] forgets with the reboot, is made to forget before anything writes
//! to a slot, and knows whether the slot was written since by anybody else. It only ever spares
//! reading: what cannot be had of it is read from the medium.

use std::fmt::Debug;
use std::fs;
use std::io;
use std::path::PathBuf;

use wire::digits::Hex;
use wire::manifest::Sha256;
use wire::record::Slot;

/// The file of a node: `/run` is in memory, and slot-init mounts a new one in every boot.
pub const PATH: &str = "/run/smv/read-back";

/// What a slot begins with, on the medium.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Which slot.
    pub slot: Slot,
    /// How many bytes of it.
    pub image_bytes: u64,
    /// Their hash.
    pub sha256: Sha256,
}

/// Remembers until the reboot.
pub trait Witness: Debug {
    /// This was read from the medium, and everything that was written to the slot was flushed
    /// before.
    ///
    /// # Errors
    /// It will not be remembered.
    fn note(&mut self, seen: &Seen) -> io::Result<()>;

    /// Was exactly this noted, and is it certain that nothing has written to the slot since?
    /// Whatever was written has been flushed.
    fn knows(&mut self, seen: &Seen) -> bool;

    /// Nothing is known any more: a slot is about to be written.
    ///
    /// # Errors
    /// It would still be remembered.
    fn forget(&mut self) -> io::Result<()>;
}

/// How often a slot was written: another value when it was written again. `None` where that cannot
/// be said, and then nothing is remembered.
pub type Generation = Box<dyn FnMut() -> Option<String>>;

/// A file that says it.
pub struct InFile {
    /// Where: [`PATH`].
    pub path: PathBuf,
    /// Of the slot that does not run.
    pub generation: Generation,
}

impl Debug for InFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("InFile").field(&self.path).finish()
    }
}

impl InFile {
    fn text(&mut self, seen: &Seen) -> Option<String> {
        let generation = (self.generation)()?;
        let Seen {
            slot,
            image_bytes,
            sha256,
        } = seen;
        let sha256 = Hex(sha256);
        Some(format!(
            "smechvisor-read-back 1\nslot {slot}\nimage {image_bytes}\nsha256 {sha256}\n\
             written {generation}\nend\n"
        ))
    }
}

impl Witness for InFile {
    fn note(&mut self, seen: &Seen) -> io::Result<()> {
        match self.text(seen) {
            Some(text) => fs::write(&self.path, text),
            None => Ok(()),
        }
    }

    fn knows(&mut self, seen: &Seen) -> bool {
        let said = fs::read(&self.path).ok();
        said.is_some_and(|said| self.text(seen).is_some_and(|text| text.as_bytes() == said))
    }

    fn forget(&mut self) -> io::Result<()> {
        match fs::remove_file(&self.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{InFile, Seen, Witness};
    use std::cell::Cell;
    use std::fs;
    use std::path::Path;
    use std::rc::Rc;
    use wire::record::Slot;

    const SEEN: Seen = Seen {
        slot: Slot::B,
        image_bytes: 8192,
        sha256: [0xAB; 32],
    };

    /// The witness, and a count of writes that may be unknown.
    fn witness(directory: &Path) -> (InFile, Rc<Cell<Option<u32>>>) {
        let writes = Rc::new(Cell::new(Some(17)));
        let counted = Rc::clone(&writes);
        let witness = InFile {
            path: directory.join("read-back"),
            generation: Box::new(move || Some(counted.get()?.to_string())),
        };
        (witness, writes)
    }

    #[test]
    fn only_what_was_noted_is_known() {
        let dir = tempfile::tempdir().unwrap();
        let (mut witness, _) = witness(dir.path());
        assert!(!witness.knows(&SEEN));
        witness.note(&SEEN).unwrap();
        assert!(witness.knows(&SEEN));
        let text = fs::read_to_string(dir.path().join("read-back")).unwrap();
        let hash = "ab".repeat(32);
        let expected = "smechvisor-read-back 1\nslot b\nimage 8192\nsha256 ";
        assert_eq!(text, format!("{expected}{hash}\nwritten 17\nend\n"));
        let (slot, image_bytes) = (Slot::A, 4096);
        let mut sha256 = SEEN.sha256;
        sha256[31] ^= 1;
        for other in [
            Seen { slot, ..SEEN },
            Seen {
                image_bytes,
                ..SEEN
            },
            Seen { sha256, ..SEEN },
        ] {
            assert!(!witness.knows(&other), "{other:?}");
        }
        witness.forget().unwrap();
        assert!(!witness.knows(&SEEN));
        witness.forget().unwrap();
    }

    #[test]
    fn what_was_written_since_or_may_have_been_is_not_known() {
        let dir = tempfile::tempdir().unwrap();
        let (mut witness, writes) = witness(dir.path());
        witness.note(&SEEN).unwrap();
        for count in [Some(18), None] {
            writes.set(count);
            assert!(!witness.knows(&SEEN), "{count:?}");
        }
        // Nothing is noted that could not be compared.
        witness.forget().unwrap();
        witness.note(&SEEN).unwrap();
        assert!(!dir.path().join("read-back").exists());
    }

    #[test]
    fn no_changed_byte_of_the_file_is_believed() {
        let dir = tempfile::tempdir().unwrap();
        let (mut witness, _) = witness(dir.path());
        witness.note(&SEEN).unwrap();
        let path = dir.path().join("read-back");
        let text = fs::read(&path).unwrap();
        for at in 0..text.len() {
            let mut changed = text.clone();
            changed[at] ^= 1;
            fs::write(&path, &changed).unwrap();
            assert!(!witness.knows(&SEEN), "byte {at}");
            fs::write(&path, &text[..at]).unwrap();
            assert!(!witness.knows(&SEEN), "cut at {at}");
        }
    }
}
