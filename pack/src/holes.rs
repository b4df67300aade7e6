//! An open file in, where its data are out: the holes between them are not read, not packed, and
//! holes again on the target.

use std::os::fd::BorrowedFd;

use bundle::unpack::{SEGMENTS_MAX, Segment};
use rustix::fs::{SeekFrom, seek};
use rustix::io::Errno;

use super::node::Facts;

/// A shorter hole is data: its line in the map, and a block that is written on its own, cost more
/// than its zeros, which are compressed.
const HOLE_MIN: u64 = 16 << 10;

/// Where the data of a file are, when it has holes worth keeping; `None` when it is packed whole.
/// Bytes written into a hole from now on are not in the package; nor are bytes appended to a file.
///
/// # Errors
/// The kernel's. A file system that knows no holes has none.
pub fn segments(file: BorrowedFd<'_>, facts: &Facts) -> rustix::io::Result<Option<Vec<Segment>>> {
    let len = facts.len_bytes;
    if facts.stored_bytes.saturating_add(HOLE_MIN) > len {
        return Ok(None);
    }
    let mut segments: Vec<Segment> = Vec::new();
    let mut at = 0;
    while at < len {
        let data = match seek(file, SeekFrom::Data(at)) {
            Ok(data) => data.min(len),
            // Nothing but a hole up to the end, or the end itself came nearer.
            Err(Errno::NXIO) => len,
            Err(Errno::INVAL | Errno::OPNOTSUPP) => return Ok(None),
            Err(error) => return Err(error),
        };
        // Seeking moves only the file's own position, which nothing else uses.
        let end = match data {
            data if data == len => len,
            data => match seek(file, SeekFrom::Hole(data)) {
                Ok(hole) => hole.min(len),
                Err(Errno::NXIO) => len,
                Err(error) => return Err(error),
            },
        };
        let hole = data.saturating_sub(at);
        let is_full = segments.len() >= SEGMENTS_MAX;
        match segments.last_mut() {
            Some(last) if hole < HOLE_MIN && data < len || is_full => {
                last.len = end.saturating_sub(last.at);
            }
            _ if data < len => segments.push(Segment {
                at: data,
                len: end.saturating_sub(data),
            }),
            _ => {}
        }
        // A file that shrinks meanwhile gives no end.
        at = end.max(at.saturating_add(1));
    }
    let data: u64 = segments.iter().map(|segment| segment.len).sum();
    let saved = len.saturating_sub(data);
    Ok((saved >= HOLE_MIN).then_some(segments))
}
