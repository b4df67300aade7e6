//! An open regular file in, its contents out, with a length that is true: a running system writes
//! while it is read.
//!
//! A small file is read whole before anything is said about its length, and again when it changed
//! meanwhile. A large one has the length that it had when it was opened: what it grows by is left,
//! what it shrinks by is zeros, and the caller learns of it. Of a file with holes
//! ([`super::holes`]) the segments between them are sent.

use std::io::{self, Write};
use std::os::fd::BorrowedFd;

use bundle::unpack::Segment;
use rustix::fs::{Advice, fadvise};
use rustix::io::{Errno, pread};

use super::node::{Facts, look_at};

/// A file up to this length is small, in bytes.
pub const SMALL_MAX: u64 = 4 << 20;
/// How often a small file is read before its last reading is taken.
const TRIES: u32 = 3;
/// Bytes read at once.
const CHUNK: usize = 256 << 10;
/// Where mkswap(8) leaves its mark on a page of 4 KiB, and the shortest swap area.
const SWAP_MARK_AT: u64 = 4086;
const SWAP_MIN: u64 = 10 * 4096;

/// A small file, read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Small {
    /// It did not change while it was read for the last time.
    Whole {
        /// The file's facts then.
        facts: Facts,
        /// How often it was read.
        tries: u32,
    },
    /// It changed each time.
    Restless {
        /// The file's facts the time before.
        facts: Facts,
    },
    /// It has grown and is large now.
    Grown {
        /// The file's facts now.
        facts: Facts,
    },
}

/// Reads a small file into `into`, whose contents are replaced.
///
/// # Errors
/// The kernel's.
pub fn read_small(
    file: BorrowedFd<'_>,
    facts: Facts,
    into: &mut Vec<u8>,
) -> rustix::io::Result<Small> {
    let mut before = facts;
    for tries in 1..=TRIES {
        if before.len_bytes > SMALL_MAX || !read_up_to_max(file, into)? {
            return Ok(Small::Grown {
                facts: look_at(file)?,
            });
        }
        let after = look_at(file)?;
        if !after.has_changed_since(&before) && into.len() as u64 == after.len_bytes {
            return Ok(Small::Whole {
                facts: after,
                tries,
            });
        }
        if tries < TRIES {
            before = after;
        }
    }
    Ok(Small::Restless { facts: before })
}

/// False when the file has more than [`SMALL_MAX`] bytes.
fn read_up_to_max(file: BorrowedFd<'_>, into: &mut Vec<u8>) -> rustix::io::Result<bool> {
    let most = usize::try_from(SMALL_MAX).unwrap_or(usize::MAX);
    into.clear();
    loop {
        let at = into.len();
        if at > most {
            return Ok(false);
        }
        // The first read is as long as most files are; then more at once.
        let room = if at == 0 { CHUNK / 4 } else { CHUNK };
        into.resize(at.saturating_add(room), 0);
        let count = read_at(file, into.get_mut(at..).unwrap_or_default(), at as u64)?;
        into.truncate(at.saturating_add(count));
        if count == 0 {
            return Ok(true);
        }
    }
}

fn read_at(file: BorrowedFd<'_>, into: &mut [u8], at: u64) -> rustix::io::Result<usize> {
    loop {
        match pread(file, &mut *into, at) {
            Err(Errno::INTR) => {}
            result => return result,
        }
    }
}

/// Whether it is a swap file: what is in it is this machine's memory.
///
/// # Errors
/// The kernel's.
pub fn is_swap(file: BorrowedFd<'_>, facts: &Facts) -> rustix::io::Result<bool> {
    let mut mark = [0; 10];
    Ok(facts.len_bytes >= SWAP_MIN
        && read_at(file, &mut mark, SWAP_MARK_AT)? == mark.len()
        && matches!(&mark, b"SWAPSPACE2" | b"SWAP-SPACE" | b"S1SUSPEND\0"))
}

/// The outcome of packing a large file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sent {
    /// Zeros that were sent because the file had become shorter than announced.
    pub padded_bytes: u64,
    /// Its length or times changed meanwhile.
    pub has_changed: bool,
}

/// Why a large file was not sent.
#[derive(Debug)]
pub enum SendError {
    /// The file.
    Read(Errno),
    /// Where it goes.
    Write(io::Error),
}

impl From<Errno> for SendError {
    fn from(error: Errno) -> Self {
        SendError::Read(error)
    }
}

/// Sends exactly the bytes of `segments`. `went` receives the number of bytes of each step.
///
/// # Errors
/// See [`SendError`].
pub fn send_large(
    file: BorrowedFd<'_>,
    facts: &Facts,
    segments: &[Segment],
    out: &mut impl Write,
    went: &mut dyn FnMut(u64),
) -> Result<Sent, SendError> {
    // Advice: nothing depends on it.
    let _ = fadvise(file, 0, None, Advice::Sequential);
    let mut large = Large {
        file,
        at: 0,
        out,
        went,
    };
    let mut buffer = vec![0; CHUNK];
    let mut padded_bytes = 0_u64;
    for segment in segments {
        large.at = segment.at;
        let end = segment.at.saturating_add(segment.len);
        large.copy(end, &mut buffer)?;
        padded_bytes = padded_bytes.saturating_add(end.saturating_sub(large.at));
        large.zeros(end)?;
    }
    Ok(Sent {
        padded_bytes,
        has_changed: look_at(file)?.has_changed_since(facts),
    })
}

struct Large<'a, W> {
    file: BorrowedFd<'a>,
    /// In the file.
    at: u64,
    out: &'a mut W,
    went: &'a mut dyn FnMut(u64),
}

impl<W: Write> Large<'_, W> {
    fn zeros(&mut self, end: u64) -> Result<(), SendError> {
        let zeros = [0; 64 << 10];
        while self.at < end {
            let left = usize::try_from(end.saturating_sub(self.at)).unwrap_or(usize::MAX);
            let part = zeros.get(..left).unwrap_or(&zeros);
            self.send(part)?;
        }
        Ok(())
    }

    fn send(&mut self, bytes: &[u8]) -> Result<(), SendError> {
        self.out.write_all(bytes).map_err(SendError::Write)?;
        self.at = self.at.saturating_add(bytes.len() as u64);
        (self.went)(bytes.len() as u64);
        Ok(())
    }

    /// Sends data up to `end`, or to the file's own end before it.
    fn copy(&mut self, end: u64, buffer: &mut [u8]) -> Result<(), SendError> {
        while self.at < end {
            let left = usize::try_from(end.saturating_sub(self.at)).unwrap_or(usize::MAX);
            let most = left.min(buffer.len());
            let room = buffer.get_mut(..most).unwrap_or_default();
            let count = read_at(self.file, room, self.at)?;
            if count == 0 {
                break;
            }
            self.send(buffer.get(..count).unwrap_or_default())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{SMALL_MAX, Segment, Small, is_swap, read_small, send_large};
    use crate::holes::segments;
    use crate::node::look_at;
    use std::fs::{self, File};
    use std::io::{self, Seek, SeekFrom, Write};
    use std::os::fd::AsFd;

    /// An open file without a name.
    fn file() -> File {
        let path = std::env::temp_dir().join(format!(
            "contents-{}-{:?}",
            std::process::id(),
            std::thread::current().id()
        ));
        let file = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(true)
            .open(&path)
            .unwrap();
        fs::remove_file(path).unwrap();
        file
    }

    #[test]
    fn a_quiet_small_file_is_read_once() {
        let mut file = file();
        file.write_all(&[7; 100_000]).unwrap();
        let facts = look_at(file.as_fd()).unwrap();
        let mut into = vec![1; 5];
        let read = read_small(file.as_fd(), facts, &mut into).unwrap();
        assert_eq!(read, Small::Whole { facts, tries: 1 });
        assert!(into == [7; 100_000]);
    }

    #[test]
    fn a_file_that_changed_since_it_was_looked_at_is_read_again() {
        let mut file = file();
        file.write_all(b"old").unwrap();
        let facts = look_at(file.as_fd()).unwrap();
        file.write_all(b"new").unwrap();
        let mut into = Vec::new();
        let read = read_small(file.as_fd(), facts, &mut into).unwrap();
        let Small::Whole { facts, tries: 2 } = read else {
            panic!("{read:?}");
        };
        assert_eq!((&into[..], facts.len_bytes), (&b"oldnew"[..], 6));
    }

    #[test]
    fn a_small_file_that_becomes_large_is_reported() {
        let file = file();
        let facts = look_at(file.as_fd()).unwrap();
        file.set_len(SMALL_MAX + 1).unwrap();
        let read = read_small(file.as_fd(), facts, &mut Vec::new()).unwrap();
        assert!(matches!(read, Small::Grown { facts } if facts.len_bytes == SMALL_MAX + 1));
    }

    /// Runs `change` when the first bytes have been sent.
    struct Meddler<'a> {
        sent: Vec<u8>,
        change: Option<Box<dyn FnOnce() + 'a>>,
    }

    impl Write for Meddler<'_> {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            if let Some(change) = self.change.take() {
                change();
            }
            self.sent.write(bytes)
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn sent_while(file: &File, change: impl FnOnce()) -> (Vec<u8>, super::Sent) {
        let facts = look_at(file.as_fd()).unwrap();
        let mut out = Meddler {
            sent: Vec::new(),
            change: Some(Box::new(change)),
        };
        let mut went = 0;
        let found = segments(file.as_fd(), &facts).unwrap();
        let whole = Segment {
            at: 0,
            len: facts.len_bytes,
        };
        let sent = send_large(
            file.as_fd(),
            &facts,
            &found.unwrap_or(vec![whole]),
            &mut out,
            &mut |bytes| went += bytes,
        )
        .unwrap();
        assert_eq!(went, out.sent.len() as u64);
        (out.sent, sent)
    }

    #[test]
    fn what_was_announced_is_sent_whatever_happens() {
        let mut file = file();
        file.write_all(&vec![3; 5 << 20]).unwrap();
        let (quiet, sent) = sent_while(&file, || {});
        assert!(quiet == vec![3; 5 << 20] && !sent.has_changed && sent.padded_bytes == 0);
        let (cut, sent) = sent_while(&file, || file.set_len(1 << 20).unwrap());
        assert!(
            cut.len() == 5 << 20
                && cut[..1 << 20] == vec![3; 1 << 20]
                && cut[1 << 20..] == vec![0; 4 << 20]
        );
        assert!(sent.has_changed && sent.padded_bytes == 4 << 20);
        let (short, sent) = sent_while(&file, || file.set_len(9 << 20).unwrap());
        assert!(short.len() == 1 << 20 && sent.has_changed && sent.padded_bytes == 0);
    }

    #[test]
    fn holes_are_left_out_wherever_they_are() {
        let mut file = file();
        for at in [1_u64 << 20, (1 << 20) + 12_288, 6 << 20] {
            file.seek(SeekFrom::Start(at)).unwrap();
            file.write_all(&[5; 4096]).unwrap();
        }
        file.set_len(9 << 20).unwrap();
        let facts = look_at(file.as_fd()).unwrap();
        let segment = |at, len| Segment { at, len };
        assert_eq!(
            segments(file.as_fd(), &facts).unwrap().unwrap(),
            [segment(1 << 20, 16_384), segment(6 << 20, 4096)],
            "a short hole is data"
        );
        let (got, sent) = sent_while(&file, || {});
        assert_eq!((got.len(), sent.padded_bytes), (20_480, 0));
        assert_eq!(got.iter().filter(|byte| **byte == 5).count(), 3 * 4096);
        let (cut, sent) = sent_while(&file, || file.set_len(3 << 20).unwrap());
        assert_eq!((cut.len(), sent.padded_bytes), (20_480, 4096));
        file.set_len(0).unwrap();
        file.set_len(1 << 40).unwrap();
        let facts = look_at(file.as_fd()).unwrap();
        assert_eq!(segments(file.as_fd(), &facts).unwrap(), Some(Vec::new()));
    }

    #[test]
    fn a_swap_file_is_known_by_its_mark() {
        let mut file = file();
        file.set_len(1 << 20).unwrap();
        let facts = look_at(file.as_fd()).unwrap();
        assert!(!is_swap(file.as_fd(), &facts).unwrap());
        file.seek(SeekFrom::Start(4086)).unwrap();
        file.write_all(b"SWAPSPACE2").unwrap();
        assert!(is_swap(file.as_fd(), &facts).unwrap());
    }
}
