//! Extended headers of pax(1): records in, the few meanings that an entry can take from them out.
//!
//! A record is `length keyword=value\n`, its length counting itself. Keywords whose loss would not
//! change the system are passed over; every other unknown one refuses the package.

use super::Refusal;
use super::Shown;

/// Longest extended header: the largest extended attribute Linux takes (XATTR_SIZE_MAX) four times
/// over.
pub const HEADER_BYTES_MAX: u64 = 256 << 10;
/// Longest name of an extended attribute (XATTR_NAME_MAX).
pub(super) const XATTR_NAME_MAX: usize = 255;
/// Most extended attributes of one entry: ext4 keeps them in one block of 4 KiB, where 256 empty
/// ones of one letter each do not fit. Each new one is compared with all before it.
pub(super) const XATTRS_MAX: usize = 256;
/// Information that belongs to the archive's origin and not to the installed system.
const PASSED_OVER: [&[u8]; 10] = [
    b"atime",
    b"ctime",
    b"comment",
    b"uname",
    b"gname",
    b"LIBARCHIVE.creationtime",
    b"SCHILY.dev",
    b"SCHILY.ino",
    b"SCHILY.nlink",
    b"SCHILY.filetype",
];

/// Seconds since 1970 and nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Time {
    /// Before 1970 below zero.
    pub seconds: i64,
    /// Below 10^9, counted forwards from `seconds` also before 1970.
    pub nanoseconds: u32,
}

/// An extended attribute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Xattr {
    /// With its name space, `security.capability`; no NUL.
    pub name: Vec<u8>,
    /// Any bytes.
    pub value: Vec<u8>,
}

/// The extended header of one entry.
#[derive(Debug, Default)]
pub struct Extended {
    pub path: Option<Vec<u8>>,
    pub link_path: Option<Vec<u8>>,
    pub size: Option<u64>,
    pub uid: Option<u64>,
    pub gid: Option<u64>,
    pub mtime: Option<Time>,
    pub xattrs: Vec<Xattr>,
    pub sparse: Option<Sparse>,
}

/// The map of a sparse file (`super::sparse`).
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Sparse {
    pub name: Vec<u8>,
    /// With its holes.
    pub len: u64,
}

impl Extended {
    /// # Errors
    /// A malformed record, a keyword twice, or one that is not supported.
    pub fn parse(header: &[u8]) -> Result<Self, Refusal> {
        let mut extended = Extended::default();
        let mut passed: Vec<&[u8]> = Vec::new();
        let mut sparse = SparseRecords::default();
        for record in Records::new(header) {
            let (key, value) = record?;
            let repeated = match key {
                b"path" => extended.path.replace(value.to_vec()).is_some(),
                b"linkpath" => extended.link_path.replace(value.to_vec()).is_some(),
                b"size" => extended.size.replace(decimal(value, "size")?).is_some(),
                b"uid" => extended.uid.replace(decimal(value, "user id")?).is_some(),
                b"gid" => extended.gid.replace(decimal(value, "group id")?).is_some(),
                b"mtime" => {
                    let time = time(value).ok_or(Refusal::Number("time"))?;
                    extended.mtime.replace(time).is_some()
                }
                // POSIX names one value; BINARY is what GNU tar and libarchive write for names that
                // are not UTF-8.
                b"hdrcharset" if matches!(value, b"BINARY" | b"ISO-IR 10646 2000 UTF-8") => false,
                b"GNU.sparse.major" => sparse.major.replace(value).is_some(),
                b"GNU.sparse.minor" => sparse.minor.replace(value).is_some(),
                b"GNU.sparse.name" => sparse.name.replace(value).is_some(),
                b"GNU.sparse.realsize" => sparse.len.replace(value).is_some(),
                _ if key.starts_with(b"GNU.sparse.") => return Err(Refusal::Sparse),
                _ => match key.strip_prefix(b"SCHILY.xattr.") {
                    Some(name) => extended.add_xattr(name, value)?,
                    // libarchive writes every attribute twice, under both names; one alone would be
                    // lost.
                    None if key.starts_with(b"LIBARCHIVE.xattr.") || PASSED_OVER.contains(&key) => {
                        passed.push(key);
                        false
                    }
                    None => return Err(Refusal::PaxUnsupported(Shown::of(key))),
                },
            };
            if repeated {
                return Err(Refusal::PaxRepeated(Shown::of(key)));
            }
        }
        let lost = passed
            .into_iter()
            .filter_map(|key| Some((key, key.strip_prefix(b"LIBARCHIVE.xattr.")?)));
        for (key, name) in lost {
            if !extended.xattrs.iter().any(|xattr| xattr.name == name) {
                return Err(Refusal::PaxUnsupported(Shown::of(key)));
            }
        }
        extended.sparse = sparse.whole()?;
        Ok(extended)
    }

    /// True when it was there already.
    fn add_xattr(&mut self, name: &[u8], value: &[u8]) -> Result<bool, Refusal> {
        if name.is_empty() || name.len() > XATTR_NAME_MAX || name.contains(&0) {
            return Err(Refusal::PaxUnsupported(Shown::of(name)));
        }
        if self.xattrs.len() >= XATTRS_MAX {
            return Err(Refusal::TooManyAttributes(XATTRS_MAX));
        }
        let repeated = self.xattrs.iter().any(|xattr| xattr.name == name);
        self.xattrs.push(Xattr {
            name: name.to_vec(),
            value: value.to_vec(),
        });
        Ok(repeated)
    }
}

/// The records of a sparse file.
#[derive(Default)]
struct SparseRecords<'a> {
    major: Option<&'a [u8]>,
    minor: Option<&'a [u8]>,
    name: Option<&'a [u8]>,
    len: Option<&'a [u8]>,
}

impl SparseRecords<'_> {
    /// All of them, for the version that is known; or none at all.
    fn whole(self) -> Result<Option<Sparse>, Refusal> {
        match (self.major, self.minor, self.name, self.len) {
            (None, None, None, None) => Ok(None),
            (Some(b"1"), Some(b"0"), Some(name), Some(len)) => Ok(Some(Sparse {
                name: name.to_vec(),
                len: decimal(len, "size")?,
            })),
            _ => Err(Refusal::Sparse),
        }
    }
}

/// A global header may carry a comment (git-archive(1) writes the commit there) and nothing that
/// changes entries.
///
/// # Errors
/// The keyword that is not a comment, or a malformed record.
pub fn expect_only_comments(header: &[u8]) -> Result<(), Refusal> {
    for record in Records::new(header) {
        let (key, _) = record?;
        if key != b"comment" {
            return Err(Refusal::PaxGlobal(Shown::of(key)));
        }
    }
    Ok(())
}

struct Records<'a> {
    header: &'a [u8],
    at: usize,
}

impl<'a> Records<'a> {
    fn new(header: &'a [u8]) -> Self {
        Records { header, at: 0 }
    }

    /// The record that begins `rest`, and its length.
    fn split(rest: &'a [u8]) -> Option<(&'a [u8], &'a [u8], usize)> {
        let digits = rest.iter().position(|byte| *byte == b' ')?;
        let len = usize::try_from(digits_value(rest.get(..digits)?)?).ok()?;
        let (newline, body) = rest.get(digits.checked_add(1)?..len)?.split_last()?;
        let equals = body.iter().position(|byte| *byte == b'=')?;
        let (key, value) = (body.get(..equals)?, body.get(equals.checked_add(1)?..)?);
        (*newline == b'\n' && !key.is_empty()).then_some((key, value, len))
    }
}

impl<'a> Iterator for Records<'a> {
    type Item = Result<(&'a [u8], &'a [u8]), Refusal>;

    fn next(&mut self) -> Option<Self::Item> {
        let rest = self.header.get(self.at..).filter(|rest| !rest.is_empty())?;
        match Self::split(rest) {
            Some((key, value, len)) => {
                self.at = self.at.saturating_add(len);
                Some(Ok((key, value)))
            }
            None => {
                let at = std::mem::replace(&mut self.at, usize::MAX);
                Some(Err(Refusal::PaxMalformed(at)))
            }
        }
    }
}

fn digits_value(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0_u64, |value, byte| {
        let digit = byte.checked_sub(b'0').filter(|digit| *digit < 10)?;
        value.checked_mul(10)?.checked_add(u64::from(digit))
    })
}

fn decimal(value: &[u8], what: &'static str) -> Result<u64, Refusal> {
    digits_value(value).ok_or(Refusal::Number(what))
}

/// `[-]seconds[.fraction]`; digits beyond nanoseconds are cut off.
fn time(value: &[u8]) -> Option<Time> {
    const SECOND: u32 = 1_000_000_000;
    let (negative, value) = match value.strip_prefix(b"-") {
        Some(rest) => (true, rest),
        None => (false, value),
    };
    let mut parts = value.splitn(2, |byte| *byte == b'.');
    let seconds = i64::try_from(digits_value(parts.next()?)?).ok()?;
    let fraction = parts.next().unwrap_or(b"0");
    if fraction.is_empty() || !fraction.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let padded = fraction
        .iter()
        .copied()
        .chain(std::iter::repeat(b'0'))
        .take(9)
        .collect::<Vec<_>>();
    let nanoseconds = u32::try_from(digits_value(&padded)?).ok()?;
    Some(match (negative, nanoseconds) {
        (false, _) => Time {
            seconds,
            nanoseconds,
        },
        (true, 0) => Time {
            seconds: seconds.checked_neg()?,
            nanoseconds,
        },
        (true, _) => Time {
            seconds: seconds.checked_neg()?.checked_sub(1)?,
            nanoseconds: SECOND.checked_sub(nanoseconds)?,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::{Extended, Refusal, Time, time};

    #[test]
    fn record_may_contain_newlines_and_equals() {
        let extended =
            Extended::parse(b"30 SCHILY.xattr.user.a=b=\n=\nc\n11 mtime=7\n").expect("two records");
        assert_eq!(extended.xattrs.len(), 1);
        assert_eq!(extended.xattrs[0].name, b"user.a");
        assert_eq!(extended.xattrs[0].value, b"b=\n=\nc");
        assert_eq!(
            extended.mtime,
            Some(Time {
                seconds: 7,
                nanoseconds: 0
            })
        );
    }

    #[test]
    fn every_truncation_and_every_wrong_length_is_refused() {
        let whole = b"19 path=some/where\n";
        assert!(Extended::parse(whole).is_ok());
        for cut in 1..whole.len() {
            let refusal = Extended::parse(&whole[..cut]).expect_err("cut");
            assert!(
                matches!(refusal, Refusal::PaxMalformed(0)),
                "{cut}: {refusal:?}"
            );
        }
        for len in (0..99).filter(|len| *len != 19) {
            assert!(
                Extended::parse(format!("{len} path=some/where\n").as_bytes()).is_err(),
                "{len}"
            );
        }
    }

    #[test]
    fn times_before_1970_count_forwards_from_their_second() {
        assert_eq!(
            time(b"-1.5"),
            Some(Time {
                seconds: -2,
                nanoseconds: 500_000_000
            })
        );
        assert_eq!(
            time(b"-3"),
            Some(Time {
                seconds: -3,
                nanoseconds: 0
            })
        );
        assert_eq!(
            time(b"1.0000000019"),
            Some(Time {
                seconds: 1,
                nanoseconds: 1
            })
        );
        for bad in [
            &b""[..],
            b"-",
            b"1.",
            b"1.x",
            b"+1",
            b"99999999999999999999",
        ] {
            assert_eq!(time(bad), None, "{bad:?}");
        }
    }
}
