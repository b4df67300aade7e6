//! Headers in, entries out: a header with its extensions becomes one [`Entry`] that means the same
//! to every reader.
//!
//! ustar, PAX and GNU formats are read. Where two readers could disagree about what an archive says
//! (an extension given twice, PAX and GNU extensions together, a size said twice), it is refused:
//! that is how archives are smuggled.

use std::io::Read;

use tar::{Header, OldHeader};

use super::blocks::{BLOCK_BYTES, Blocks};
use super::entries::{Entries, Place};
use super::entry::{Entry, Kind, Map};
use super::name::{Name, NameFault, PATH_BYTES_MAX};
use super::pax::{self, Extended, Time};
use super::sparse;
use super::{Refusal, UnpackError};

/// The largest size eleven octal digits hold; a larger one needs a PAX record or base 256.
const OCTAL_SIZE_MAX: u64 = 0o77_777_777_777;
/// Linux device numbers: 12 bits of major, 20 of minor.
pub(super) const MAJOR_MAX: u32 = 0xfff;
pub(super) const MINOR_MAX: u32 = 0xf_ffff;
/// Bytes of the checksum field, which count as spaces in it.
const CHECKSUM_FIELD: std::ops::Range<usize> = 148..156;

/// Extensions met before the header they belong to.
#[derive(Default)]
struct Extensions {
    pax: Option<Extended>,
    long_name: Option<Vec<u8>>,
    long_link: Option<Vec<u8>>,
}

impl Extensions {
    fn are_there(&self) -> bool {
        self.pax.is_some() || self.long_name.is_some() || self.long_link.is_some()
    }
}

impl<R: Read> Entries for Blocks<'_, R> {
    fn next_entry(&mut self) -> Result<Option<Entry>, UnpackError> {
        next(self)
    }

    fn skip_rest(&mut self) -> Result<(), UnpackError> {
        self.skip_content()
    }

    fn place(&self) -> &Place {
        self.entry()
    }

    fn offset(&self) -> u64 {
        self.taken()
    }
}

/// The next entry; its contents follow in `blocks`. Nothing after the end marker.
///
/// # Errors
/// The archive is damaged, ambiguous, or contains what is not supported.
fn next<R: Read>(blocks: &mut Blocks<'_, R>) -> Result<Option<Entry>, UnpackError> {
    let mut extensions = Extensions::default();
    blocks.begin_entry();
    loop {
        let Some(block) = blocks.block()? else {
            return Err(blocks.refuse(Refusal::NoEndMarker));
        };
        if block == [0; BLOCK_BYTES] {
            if extensions.are_there() {
                return Err(blocks.refuse(Refusal::ExtensionDangles));
            }
            end(blocks)?;
            return Ok(None);
        }
        if !extensions.are_there() {
            blocks.name_entry(until_nul(block.get(..100).unwrap_or_default()));
        }
        let header = Header::from_byte_slice(&block);
        let raw = Raw::of(header).map_err(|reason| blocks.refuse(reason))?;
        match raw.kind() {
            b'x' => {
                let bytes = extension_bytes(blocks, &raw, pax::HEADER_BYTES_MAX)?;
                if extensions.are_there() {
                    return Err(blocks.refuse(Refusal::ExtensionsConflict));
                }
                let extended = Extended::parse(&bytes).map_err(|reason| blocks.refuse(reason))?;
                if let Some(path) = &extended.path {
                    blocks.name_entry(path);
                }
                extensions.pax = Some(extended);
            }
            b'g' => {
                let bytes = extension_bytes(blocks, &raw, pax::HEADER_BYTES_MAX)?;
                if extensions.are_there() {
                    return Err(blocks.refuse(Refusal::ExtensionsConflict));
                }
                pax::expect_only_comments(&bytes).map_err(|reason| blocks.refuse(reason))?;
                blocks.begin_entry();
            }
            kind @ (b'L' | b'K') => {
                let mut bytes = extension_bytes(blocks, &raw, PATH_BYTES_MAX as u64 + 1)?;
                if bytes.last() == Some(&0) {
                    bytes.pop();
                }
                let slot = if kind == b'L' {
                    &mut extensions.long_name
                } else {
                    &mut extensions.long_link
                };
                if extensions.pax.is_some() || slot.is_some() {
                    return Err(blocks.refuse(Refusal::ExtensionsConflict));
                }
                if kind == b'L' {
                    blocks.name_entry(&bytes);
                }
                *slot = Some(bytes);
            }
            _ => {
                let entry = raw.entry(extensions, |path| blocks.name_entry(path));
                let mut entry = entry.map_err(|reason| blocks.refuse(reason))?;
                if let Kind::Sparse(map) = &mut entry.kind {
                    sparse::complete(blocks, map)?;
                }
                blocks.begin_content(entry.kind.content_bytes());
                return Ok(Some(entry));
            }
        }
    }
}

/// The first zero block was read: another one and then only zeros must follow.
fn end<R: Read>(blocks: &mut Blocks<'_, R>) -> Result<(), UnpackError> {
    match blocks.block()? {
        Some(second) if second == [0; BLOCK_BYTES] => blocks.expect_zeros_to_the_end(),
        Some(_) => Err(blocks.refuse(Refusal::AfterTheEnd)),
        None => Err(blocks.refuse(Refusal::NoEndMarker)),
    }
}

fn extension_bytes<R: Read>(
    blocks: &mut Blocks<'_, R>,
    raw: &Raw<'_>,
    most: u64,
) -> Result<Vec<u8>, UnpackError> {
    let len = raw.size().map_err(|reason| blocks.refuse(reason))?;
    if len > most {
        return Err(blocks.refuse(Refusal::ExtensionTooLong(len)));
    }
    blocks.content_whole(len)
}

/// A header whose checksum and format are right and whose fields are still allegations.
struct Raw<'a> {
    /// The fields that all formats share.
    fields: &'a OldHeader,
    dev_major: &'a [u8],
    dev_minor: &'a [u8],
    /// The beginning of a long path; GNU's format has other things there.
    prefix: &'a [u8],
}

impl<'a> Raw<'a> {
    fn of(header: &'a Header) -> Result<Self, Refusal> {
        let bytes = header.as_bytes();
        let spaces = CHECKSUM_FIELD.len() as u64 * u64::from(b' ');
        let sum = bytes
            .iter()
            .enumerate()
            .filter(|(at, _)| !CHECKSUM_FIELD.contains(at));
        let sum = sum.fold(spaces, |sum, (_, byte)| {
            sum.saturating_add(u64::from(*byte))
        });
        // Octal only: base 256 is for what does not fit.
        let cksum = &header.as_old().cksum;
        let is_octal = cksum.first().is_some_and(u8::is_ascii);
        if !is_octal || number(cksum) != Some(i128::from(sum)) {
            return Err(Refusal::Checksum);
        }
        let fields = header.as_old();
        match (header.as_ustar(), header.as_gnu()) {
            (Some(ustar), _) => Ok(Raw {
                fields,
                dev_major: &ustar.dev_major,
                dev_minor: &ustar.dev_minor,
                prefix: &ustar.prefix,
            }),
            (None, Some(gnu)) => Ok(Raw {
                fields,
                dev_major: &gnu.dev_major,
                dev_minor: &gnu.dev_minor,
                prefix: &[],
            }),
            (None, None) => Err(Refusal::Magic),
        }
    }

    fn kind(&self) -> u8 {
        let [kind] = self.fields.linkflag;
        kind
    }

    fn size(&self) -> Result<u64, Refusal> {
        field(&self.fields.size, u64::MAX, "size")
    }

    fn entry(
        &self,
        extensions: Extensions,
        mut named: impl FnMut(&[u8]),
    ) -> Result<Entry, Refusal> {
        let extended = extensions.pax.unwrap_or_default();
        let mut path = match extended.path.or(extensions.long_name) {
            Some(path) => path,
            None => self.path().map_err(Refusal::Path)?,
        };
        let map = match extended.sparse {
            Some(sparse) => {
                let stand_in = std::mem::replace(&mut path, sparse.name);
                // GNU tar cuts off what does not fit its field.
                if stand_in.len() < self.fields.name.len() {
                    expect_stand_in(&stand_in, &path)?;
                }
                let len = sparse.len;
                Some(Map {
                    len,
                    ..Map::default()
                })
            }
            None => None,
        };
        named(&path);
        let link = match extended.link_path.or(extensions.long_link) {
            Some(link) => Ok(link),
            None => text(&self.fields.linkname).map(<[u8]>::to_vec),
        };
        let len = self.agreed_size(extended.size)?;
        let kind = match (self.entry_kind(len, link)?, map) {
            (kind, None) => kind,
            (Kind::File { len }, Some(map)) => Kind::Sparse(Map { stored: len, ..map }),
            (_, Some(_)) => return Err(Refusal::Sparse),
        };
        // As open(2) takes them: what stands before `/` or `/.` is a directory.
        let names_directory = path.ends_with(b"/") || path.ends_with(b"/.");
        let path = Name::parse(&path).map_err(Refusal::Path)?;
        if kind != Kind::Directory && (names_directory || path.is_root()) {
            return Err(Refusal::NamedLikeADirectory);
        }
        if !matches!(kind, Kind::File { .. } | Kind::Sparse(_)) && len != 0 {
            return Err(Refusal::UnexpectedContents(len));
        }
        let header_time = || {
            let seconds = number(&self.fields.mtime).and_then(|value| i64::try_from(value).ok());
            seconds
                .map(|seconds| Time {
                    seconds,
                    nanoseconds: 0,
                })
                .ok_or(Refusal::Number("time"))
        };
        let mode = field(&self.fields.mode, u64::from(u32::MAX), "mode")?;
        Ok(Entry {
            path,
            kind,
            mode: u32::try_from(mode & 0o7777).unwrap_or(0),
            uid: id(extended.uid, &self.fields.uid, "user id")?,
            gid: id(extended.gid, &self.fields.gid, "group id")?,
            mtime: extended.mtime.map_or_else(header_time, Ok)?,
            xattrs: extended.xattrs,
        })
    }

    fn path(&self) -> Result<Vec<u8>, NameFault> {
        let name = text(&self.fields.name)?;
        let prefix = text(self.prefix)?;
        Ok(if prefix.is_empty() {
            name.to_vec()
        } else {
            [prefix, b"/", name].concat()
        })
    }

    /// A PAX size may only say what the header says, or what the header cannot.
    fn agreed_size(&self, extended: Option<u64>) -> Result<u64, Refusal> {
        let header = self.size()?;
        match extended {
            None => Ok(header),
            Some(extended) if extended == header => Ok(extended),
            Some(extended) if extended > OCTAL_SIZE_MAX && matches!(header, 0 | OCTAL_SIZE_MAX) => {
                Ok(extended)
            }
            Some(extended) => Err(Refusal::SizeDisagrees { header, extended }),
        }
    }

    fn entry_kind(&self, len: u64, link: Result<Vec<u8>, NameFault>) -> Result<Kind, Refusal> {
        let device = || -> Result<(u32, u32), Refusal> {
            let major = field(self.dev_major, MAJOR_MAX.into(), "major device number")?;
            let minor = field(self.dev_minor, MINOR_MAX.into(), "minor device number")?;
            Ok((
                u32::try_from(major).unwrap_or(0),
                u32::try_from(minor).unwrap_or(0),
            ))
        };
        match self.kind() {
            // NUL is what tar wrote before POSIX; '7' (contiguous) is nothing Linux knows, and
            // nobody writes it.
            b'0' | 0 => Ok(Kind::File { len }),
            b'1' => {
                let target = link
                    .and_then(|link| Name::parse(&link))
                    .map_err(Refusal::HardLink)?;
                if target.is_root() {
                    return Err(Refusal::HardLink(NameFault::Root));
                }
                Ok(Kind::HardLink(target))
            }
            b'2' => symlink_target(link)
                .map(Kind::Symlink)
                .map_err(Refusal::SymbolicLink),
            b'3' => device().map(|(major, minor)| Kind::Character { major, minor }),
            b'4' => device().map(|(major, minor)| Kind::Block { major, minor }),
            b'5' => Ok(Kind::Directory),
            b'6' => Ok(Kind::Fifo),
            b'S' => Err(Refusal::Sparse),
            other => Err(Refusal::Type(other)),
        }
    }
}

/// A sparse file `a/b` goes by `a/GNUSparseFile.NUMBER/b` for readers that know nothing of holes,
/// so that both mean one file.
fn expect_stand_in(stand_in: &[u8], path: &[u8]) -> Result<(), Refusal> {
    let components = |path| {
        let all = <[u8]>::split(path, |byte| *byte == b'/');
        all.filter(|component| !matches!(*component, b"" | b"."))
            .collect::<Vec<_>>()
    };
    let (mut stand_in, path) = (components(stand_in), components(path));
    let mark = stand_in.len().checked_sub(2).map(|at| stand_in.remove(at));
    let is_marked = mark.is_some_and(|mark| mark.starts_with(b"GNUSparseFile."));
    (is_marked && stand_in == path)
        .then_some(())
        .ok_or(Refusal::SparseName)
}

/// The kernel takes any text but an empty one.
pub(super) fn symlink_target(link: Result<Vec<u8>, NameFault>) -> Result<Vec<u8>, NameFault> {
    let link = link?;
    match link.len() {
        0 => Err(NameFault::Empty),
        len if len > PATH_BYTES_MAX => Err(NameFault::Long(len)),
        _ if link.contains(&0) => Err(NameFault::Nul),
        _ => Ok(link),
    }
}

/// -1 means "leave it" to chown(2) and is nobody.
fn id(extended: Option<u64>, raw: &[u8], what: &'static str) -> Result<u32, Refusal> {
    let value = match extended {
        Some(value) => value,
        None => field(raw, u64::from(u32::MAX), what)?,
    };
    u32::try_from(value)
        .ok()
        .filter(|id| *id != u32::MAX)
        .ok_or(Refusal::Number(what))
}

fn field(raw: &[u8], most: u64, what: &'static str) -> Result<u64, Refusal> {
    let value = number(raw).and_then(|value| u64::try_from(value).ok());
    value
        .filter(|value| *value <= most)
        .ok_or(Refusal::Number(what))
}

/// Octal digits between blanks, ended by NUL or blank; or, with the first bit set, two's complement
/// in base 256 (GNU). A field of nothing but NULs and blanks is 0, as ids and device numbers often
/// are.
fn number(raw: &[u8]) -> Option<i128> {
    let (first, rest) = raw.split_first()?;
    if first & 0x80 != 0 {
        // Seven bits of the first byte count; the uppermost of them is the sign.
        let high = i128::from(first & 0x3f) - i128::from(first & 0x40);
        return Some(
            rest.iter()
                .fold(high, |value, byte| value << 8 | i128::from(*byte)),
        );
    }
    let mut digits = raw.trim_ascii_start();
    while let Some((0 | b' ', shorter)) = digits.split_last() {
        digits = shorter;
    }
    digits.iter().try_fold(0_i128, |value, byte| {
        let digit = byte.checked_sub(b'0').filter(|digit| *digit < 8)?;
        Some(value << 3 | i128::from(digit))
    })
}

/// A text field: up to its first NUL, behind which only NULs may follow.
fn text(raw: &[u8]) -> Result<&[u8], NameFault> {
    let text = until_nul(raw);
    let rest = raw.get(text.len()..).unwrap_or_default();
    if rest.iter().all(|byte| *byte == 0) {
        Ok(text)
    } else {
        Err(NameFault::Nul)
    }
}

fn until_nul(raw: &[u8]) -> &[u8] {
    raw.split(|byte| *byte == 0).next().unwrap_or_default()
}
