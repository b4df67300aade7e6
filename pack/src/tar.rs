//! One file's facts in, its tar header out: ustar, with a PAX header in front of it where ustar's
//! fields are too small.
//!
//! The same facts give the same bytes. Nothing says who packed it or when: no names of users, no
//! access or change times, and the names of PAX headers come from the paths. Contents follow the
//! header, padded by [`padding`].

use std::borrow::Cow;
use std::fmt::Write as _;
use std::io::{self, Write};

use bundle::unpack::Segment;

use super::node::Xattr;

/// The unit of a tar.
pub const BLOCK_BYTES: usize = 512;
/// The limits of the fields of ustar: name and link name, seven and eleven octal digits.
const NAME_MAX: usize = 100;
const ID_MAX: u32 = 0o777_7777;
const SIZE_MAX: u64 = 0o777_7777_7777;

/// The kind of an entry.
#[derive(Clone, Copy, Debug)]
pub enum Kind<'a> {
    /// `path` ends in a slash.
    Directory,
    /// Its contents follow.
    File {
        /// Their length, in bytes.
        len: u64,
    },
    /// A file with holes. The data of the segments follow.
    Sparse {
        /// Its length with the holes, in bytes.
        len: u64,
        /// In order.
        segments: &'a [Segment],
    },
    /// Another name of the entry with this path.
    HardLink(&'a [u8]),
    /// With its target.
    Symlink(&'a [u8]),
    /// Major and minor number.
    Character(u32, u32),
    /// Major and minor number.
    Block(u32, u32),
    /// A named pipe.
    Fifo,
}

/// An entry.
#[derive(Clone, Debug)]
pub struct Member<'a> {
    /// Relative to the root.
    pub path: &'a [u8],
    /// The kind of the entry.
    pub kind: Kind<'a>,
    /// Permissions, set-id and sticky bits.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Seconds since 1970 and nanoseconds.
    pub mtime: (i64, u32),
    /// Extended attributes.
    pub xattrs: &'a [Xattr],
}

impl Member<'_> {
    const fn type_flag(&self) -> u8 {
        match self.kind {
            Kind::File { .. } | Kind::Sparse { .. } => b'0',
            Kind::HardLink(_) => b'1',
            Kind::Symlink(_) => b'2',
            Kind::Character(..) => b'3',
            Kind::Block(..) => b'4',
            Kind::Directory => b'5',
            Kind::Fifo => b'6',
        }
    }

    const fn link(&self) -> &[u8] {
        match self.kind {
            Kind::HardLink(target) | Kind::Symlink(target) => target,
            _ => &[],
        }
    }

    /// The bytes in the archive behind the header.
    fn len(&self) -> u64 {
        match self.kind {
            Kind::File { len } => len,
            Kind::Sparse { segments, .. } => {
                let map = map(segments).len() as u64;
                map.saturating_add(segments.iter().map(|segment| segment.len).sum())
            }
            _ => 0,
        }
    }

    /// The path in the header. Of a sparse file it is another one, for readers that would take the
    /// map for its contents.
    fn path(&self) -> Cow<'_, [u8]> {
        let Kind::Sparse { .. } = self.kind else {
            return Cow::Borrowed(self.path);
        };
        let name = self.path.rsplit(|byte| *byte == b'/').next();
        let name = name.unwrap_or_default();
        let directory = self.path.strip_suffix(name).unwrap_or_default();
        Cow::Owned([directory, b"GNUSparseFile.0/", name].concat())
    }
}

/// The map of a sparse file: decimal numbers, a line each, and zeros up to the next block (GNU tar
/// manual, "Storing Sparse Files", PAX format, version 1.0).
fn map(segments: &[Segment]) -> Vec<u8> {
    let mut text = format!("{}\n", segments.len());
    for segment in segments {
        // Writing to a String does not fail.
        let _ = write!(text, "{}\n{}\n", segment.at, segment.len);
    }
    let mut map = text.into_bytes();
    map.resize(map.len().next_multiple_of(BLOCK_BYTES), 0);
    map
}

/// Writes the header of an entry, and the map of a sparse file.
///
/// # Errors
/// Those of `out`.
pub fn write_header(out: &mut impl Write, member: &Member<'_>) -> io::Result<()> {
    let records = pax_records(member);
    if !records.is_empty() {
        let name = pax_name(member.path);
        let mut header = Header::new(&name, b'x');
        header.octal(100, 8, 0o644);
        header.octal(124, 12, records.len() as u64);
        out.write_all(&header.finish())?;
        out.write_all(&records)?;
        write_padding(out, records.len() as u64)?;
    }
    let mut header = Header::new(&member.path(), member.type_flag());
    header.octal(100, 8, u64::from(member.mode));
    header.octal(
        108,
        8,
        u64::from(if member.uid > ID_MAX { 0 } else { member.uid }),
    );
    header.octal(
        116,
        8,
        u64::from(if member.gid > ID_MAX { 0 } else { member.gid }),
    );
    let len = member.len();
    // A reader takes the PAX record when the field says 0.
    header.octal(124, 12, if len > SIZE_MAX { 0 } else { len });
    let seconds = u64::try_from(member.mtime.0).unwrap_or(0);
    header.octal(136, 12, seconds.min(SIZE_MAX));
    header.text(157, NAME_MAX, member.link());
    let (major, minor) = match member.kind {
        Kind::Character(major, minor) | Kind::Block(major, minor) => (major, minor),
        _ => (0, 0),
    };
    header.octal(329, 8, u64::from(major));
    header.octal(337, 8, u64::from(minor));
    out.write_all(&header.finish())?;
    match member.kind {
        Kind::Sparse { segments, .. } => out.write_all(&map(segments)),
        _ => Ok(()),
    }
}

/// The end of an archive: two blocks of zeros.
///
/// # Errors
/// Those of `out`.
pub fn write_end(out: &mut impl Write) -> io::Result<()> {
    out.write_all(&[0; 2 * BLOCK_BYTES])
}

/// Bytes from the end of contents to the next header.
#[must_use]
pub const fn padding(len: u64) -> u64 {
    len.wrapping_neg() % BLOCK_BYTES as u64
}

/// Writes them.
///
/// # Errors
/// Those of `out`.
pub fn write_padding(out: &mut impl Write, len: u64) -> io::Result<()> {
    let zeros = [0; BLOCK_BYTES];
    let count = usize::try_from(padding(len)).unwrap_or(0);
    out.write_all(zeros.get(..count).unwrap_or_default())
}

/// As GNU tar names them, without the process number; where that is too long, its end.
fn pax_name(path: &[u8]) -> Vec<u8> {
    const DIRECTORY: &[u8] = b"PaxHeaders/";
    let path = path.strip_suffix(b"/").unwrap_or(path);
    let last = path.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
    let room = NAME_MAX.saturating_sub(DIRECTORY.len());
    let tail = last.get(last.len().saturating_sub(room)..);
    [DIRECTORY, tail.unwrap_or_default()].concat()
}

/// In the order of their keywords' bytes, attributes in the order given.
fn pax_records(member: &Member<'_>) -> Vec<u8> {
    let mut records = Vec::new();
    let path = member.path();
    let needs_path = path.len() > NAME_MAX;
    let needs_link = member.link().len() > NAME_MAX;
    let sparse = match member.kind {
        Kind::Sparse { len, .. } => Some(len),
        _ => None,
    };
    if let Some(len) = sparse {
        record(&mut records, b"GNU.sparse.major", b"1");
        record(&mut records, b"GNU.sparse.minor", b"0");
        record(&mut records, b"GNU.sparse.name", member.path);
        let len = len.to_string();
        record(&mut records, b"GNU.sparse.realsize", len.as_bytes());
    }
    for (name, value) in member.xattrs {
        record(&mut records, &[b"SCHILY.xattr.", &name[..]].concat(), value);
    }
    if member.gid > ID_MAX {
        record(&mut records, b"gid", member.gid.to_string().as_bytes());
    }
    let is_text = |bytes: &[u8]| std::str::from_utf8(bytes).is_ok();
    if ((needs_path || sparse.is_some()) && !is_text(member.path))
        || (needs_link && !is_text(member.link()))
    {
        record(&mut records, b"hdrcharset", b"BINARY");
    }
    if needs_link {
        record(&mut records, b"linkpath", member.link());
    }
    if let Some(time) = pax_time(member.mtime) {
        record(&mut records, b"mtime", time.as_bytes());
    }
    if needs_path {
        record(&mut records, b"path", &path);
    }
    if member.len() > SIZE_MAX {
        record(&mut records, b"size", member.len().to_string().as_bytes());
    }
    if member.uid > ID_MAX {
        record(&mut records, b"uid", member.uid.to_string().as_bytes());
    }
    records
}

/// A time that the header's field cannot say: a fraction of a second, before 1970, or after 2242.
fn pax_time((seconds, nanoseconds): (i64, u32)) -> Option<String> {
    let is_plain = u64::try_from(seconds).is_ok_and(|seconds| seconds <= SIZE_MAX);
    if is_plain && nanoseconds == 0 {
        return None;
    }
    // Nanoseconds count forwards, also before 1970; the text counts away from 1970.
    let (sign, whole, fraction) = if seconds < 0 && nanoseconds > 0 {
        (
            "-",
            seconds.saturating_add(1).unsigned_abs(),
            1_000_000_000_u32.saturating_sub(nanoseconds),
        )
    } else if seconds < 0 {
        ("-", seconds.unsigned_abs(), 0)
    } else {
        ("", seconds.unsigned_abs(), nanoseconds)
    };
    let mut text = format!("{sign}{whole}");
    if fraction != 0 {
        // Writing to a String does not fail.
        let _ = write!(text, ".{fraction:09}");
        let end = text.trim_end_matches('0').len();
        text.truncate(end);
    }
    Some(text)
}

/// `length keyword=value\n`, the length counting itself (pax(1), "pax Extended Header").
fn record(into: &mut Vec<u8>, key: &[u8], value: &[u8]) {
    // A blank, an equals sign and a newline.
    let rest = key.len().saturating_add(value.len()).saturating_add(3);
    let mut len = rest;
    loop {
        let counted = rest.saturating_add(len.to_string().len());
        if counted == len {
            break;
        }
        len = counted;
    }
    into.extend_from_slice(len.to_string().as_bytes());
    into.push(b' ');
    into.extend_from_slice(key);
    into.push(b'=');
    into.extend_from_slice(value);
    into.push(b'\n');
}

/// A ustar header that is being filled in (pax(1), "ustar Interchange Format").
struct Header([u8; BLOCK_BYTES]);

impl Header {
    fn new(path: &[u8], type_flag: u8) -> Self {
        let mut header = Header([0; BLOCK_BYTES]);
        header.text(0, NAME_MAX, path);
        header.octal(108, 8, 0);
        header.octal(116, 8, 0);
        header.octal(136, 12, 0);
        header.text(156, 1, &[type_flag]);
        header.text(257, 8, b"ustar\x0000");
        header
    }

    /// As much of it as fits.
    fn text(&mut self, offset: usize, width: usize, text: &[u8]) {
        let text = text.get(..width).unwrap_or(text);
        if let Some(field) = self.0.get_mut(offset..offset.saturating_add(text.len())) {
            field.copy_from_slice(text);
        }
    }

    /// Digits with zeros in front, and a NUL at the end.
    fn octal(&mut self, offset: usize, width: usize, value: u64) {
        let digits = width.saturating_sub(1);
        self.text(offset, width, format!("{value:0digits$o}\0").as_bytes());
    }

    fn finish(mut self) -> [u8; BLOCK_BYTES] {
        self.text(148, 8, b"        ");
        let sum = self
            .0
            .iter()
            .fold(0_u64, |sum, byte| sum.saturating_add(u64::from(*byte)));
        self.text(148, 8, format!("{sum:06o}\0 ").as_bytes());
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::{Kind, Member, Segment, pax_time, record, write_end, write_header, write_padding};
    use bundle::unpack::{self, UnpackLimits};

    fn member<'a>(path: &'a [u8], kind: Kind<'a>) -> Member<'a> {
        Member {
            path,
            kind,
            mode: 0o4755,
            uid: 1000,
            gid: 1001,
            mtime: (1_700_000_000, 0),
            xattrs: &[],
        }
    }

    #[test]
    fn a_plain_header_is_a_single_block_of_ustar() {
        let mut out = Vec::new();
        write_header(&mut out, &member(b"usr/bin/x", Kind::File { len: 5 })).unwrap();
        assert_eq!(out.len(), 512);
        let fields: [(usize, &[u8]); 9] = [
            (0, b"usr/bin/x\0"),
            (100, b"0004755\0"),
            (108, b"0001750\0"),
            (116, b"0001751\0"),
            (124, b"00000000005\0"),
            (136, b"14524770400\0"),
            (156, b"0\0"),
            (257, b"ustar\x0000\0"),
            (329, b"0000000\x000000000\0"),
        ];
        for (offset, expected) in fields {
            assert_eq!(&out[offset..offset + expected.len()], expected, "{offset}");
        }
    }

    #[test]
    fn everything_that_ustar_cannot_say_is_read_back() {
        let long = [&b"d/"[..], &[b'n'; 200], &b"\xff"[..]].concat();
        let sparse = [&long[..], b".sparse"].concat();
        let xattrs = [(b"user.a".to_vec(), b"1\n=\0".to_vec())];
        let members = [
            Member {
                mtime: (-2, 500_000_000),
                uid: 3_000_000,
                gid: 4_000_000_000,
                xattrs: &xattrs,
                ..member(&long, Kind::File { len: 3 })
            },
            member(
                &sparse,
                Kind::Sparse {
                    len: 1 << 40,
                    segments: &[
                        Segment { at: 7, len: 1 },
                        Segment {
                            at: 1 << 39,
                            len: 2,
                        },
                    ],
                },
            ),
            member(b"hard", Kind::HardLink(&long)),
            member(b"soft", Kind::Symlink(&long)),
            member(b"null", Kind::Character(1, 3)),
            member(b"dir/", Kind::Directory),
            member(b"pipe", Kind::Fifo),
        ];
        let mut out = Vec::new();
        for member in &members {
            write_header(&mut out, member).unwrap();
            if !matches!(member.kind, Kind::File { .. } | Kind::Sparse { .. }) {
                continue;
            }
            out.extend_from_slice(b"abc");
            write_padding(&mut out, 3).unwrap();
        }
        write_end(&mut out).unwrap();
        let unpacked = unpack::check(&out[..], &UnpackLimits::for_memory(1 << 20)).unwrap();
        assert_eq!((unpacked.entries, unpacked.content_bytes), (7, 6));
    }

    #[test]
    fn times_are_written_as_a_reader_reads_them() {
        for (time, text) in [
            ((5, 0), None),
            ((5, 120_000_000), Some("5.12")),
            ((5, 1), Some("5.000000001")),
            ((-2, 500_000_000), Some("-1.5")),
            ((-3, 0), Some("-3")),
            ((-1, 1), Some("-0.999999999")),
            ((1 << 33, 0), Some("8589934592")),
        ] {
            assert_eq!(pax_time(time).as_deref(), text, "{time:?}");
        }
    }

    #[test]
    fn the_length_of_a_record_counts_itself() {
        for len in 0..2000 {
            let mut out = Vec::new();
            record(&mut out, b"path", &vec![b'x'; len]);
            let digits = out.iter().position(|byte| *byte == b' ').unwrap();
            let said: usize = std::str::from_utf8(&out[..digits])
                .unwrap()
                .parse()
                .unwrap();
            assert_eq!(said, out.len());
        }
    }
}
