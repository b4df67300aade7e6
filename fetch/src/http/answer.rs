//! Is this the answer to what was asked for? The head of an answer in, the bytes that its body has
//! to bring out, or what is wrong with it. A pure function of what a stranger has sent.

use thiserror::Error;
use wire::outcome::Outcome;

/// What was asked for.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// First byte.
    pub begin: u64,
    /// Behind the last byte, at least one further.
    pub end: u64,
    /// Of the whole file, where it is known.
    pub size_bytes: Option<u64>,
    /// That it had so far.
    pub etag: Option<&'a str>,
}

/// What the answer says.
#[derive(Clone, Copy, Debug, Default)]
#[allow(missing_docs)] // named as the headers are
pub struct Head<'a> {
    pub status: u16,
    pub content_length: Option<&'a str>,
    pub content_range: Option<&'a str>,
    pub content_encoding: Option<&'a str>,
    pub etag: Option<&'a str>,
}

/// Bytes that the body brings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// First byte.
    pub begin: u64,
    /// Behind the last byte.
    pub end: u64,
    /// Of the whole file.
    pub size_bytes: u64,
    /// By which to know the file again.
    pub etag: Option<String>,
}

/// It is not.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[allow(missing_docs)] // the fields name themselves
pub enum Fault {
    /// 404 or 410.
    #[error("the server has no such file (status {status})")]
    NotFound { status: u16 },
    /// Neither a file nor a redirect.
    #[error("the server answered with status {status}")]
    Status { status: u16 },
    /// The whole file in place of a part.
    #[error("the server answered 200 for the bytes from {begin} on: it serves no ranges")]
    Whole { begin: u64 },
    /// It is another one by now.
    #[error("the file has changed while it was read: its ETag was {was} and is {is}")]
    Changed { was: String, is: String },
    /// Other bytes.
    #[error("the server answered with the range {found:?} for bytes {begin}-{last}")]
    Range {
        begin: u64,
        last: u64,
        found: String,
    },
    /// A length that contradicts.
    #[error("the file has {found} bytes on the server and {wanted} in its manifest")]
    Size { found: u64, wanted: u64 },
    /// The body has not the length of its range.
    #[error("the server announces {found} bytes for {wanted}")]
    Length { found: u64, wanted: u64 },
    /// Compressed on the way, or without a length.
    #[error("the server answered {what}, and only plain bytes of a known length are taken")]
    Form { what: &'static str },
    /// More than any may be.
    #[error("the file has {found} bytes; {max} is the most")]
    TooLong { found: u64, max: u64 },
}

impl Fault {
    /// A server that is busy may answer later, and a file that has changed is read once more from
    /// its manifest on. The rest stays wrong.
    #[must_use]
    pub const fn outcome(&self) -> Outcome {
        match self {
            Fault::Status {
                status: 408 | 425 | 429 | 500..=599,
            }
            | Fault::Changed { .. } => Outcome::Retry,
            _ => Outcome::Refuse,
        }
    }

    /// May the same question be asked once more at once?
    #[must_use]
    pub const fn is_passing(&self) -> bool {
        matches!(self, Fault::Status { .. }) && matches!(self.outcome(), Outcome::Retry)
    }
}

/// A small file, asked for as a whole: its announced length, if there is one.
///
/// # Errors
/// See [`Fault`].
pub fn whole(head: &Head<'_>, max_bytes: u64) -> Result<Option<u64>, Fault> {
    plain(head)?;
    if head.status != 200 {
        return Err(status(head.status));
    }
    let Some(text) = head.content_length else {
        return Ok(None);
    };
    let len = decimal(text).ok_or(Fault::Form { what: "a length" })?;
    match len <= max_bytes {
        true => Ok(Some(len)),
        false => Err(Fault::TooLong {
            found: len,
            max: max_bytes,
        }),
    }
}

/// A part of a file, asked for as a range.
///
/// # Errors
/// See [`Fault`].
pub fn part(head: &Head<'_>, asked: &Asked<'_>) -> Result<Part, Fault> {
    if !matches!(head.status, 200 | 206) {
        return Err(status(head.status));
    }
    plain(head)?;
    let etag = head.etag.filter(|etag| is_strong(etag));
    if let (Some(was), Some(is)) = (asked.etag, etag)
        && was != is
    {
        let (was, is) = (was.to_owned(), is.to_owned());
        return Err(Fault::Changed { was, is });
    }
    let length = head.content_length.and_then(decimal);
    let found = match (head.status, head.content_range) {
        // The whole file is as good when it is wanted from its beginning.
        (200, _) if asked.begin == 0 => {
            let size_bytes = length.ok_or(Fault::Form {
                what: "without a length",
            })?;
            Part {
                begin: 0,
                end: size_bytes,
                size_bytes,
                etag: None,
            }
        }
        (200, _) => return Err(Fault::Whole { begin: asked.begin }),
        (_, range) => {
            let text = range.unwrap_or_default();
            let found = content_range(text).filter(|part| fits(part, asked));
            found.ok_or_else(|| Fault::Range {
                begin: asked.begin,
                last: asked.end.saturating_sub(1),
                found: text.chars().take(80).collect(),
            })?
        }
    };
    if let Some(wanted) = asked.size_bytes.filter(|size| *size != found.size_bytes) {
        let found = found.size_bytes;
        return Err(Fault::Size { found, wanted });
    }
    let wanted = found.end.saturating_sub(found.begin);
    if let Some(found) = length.filter(|length| *length != wanted) {
        return Err(Fault::Length { found, wanted });
    }
    Ok(Part {
        etag: etag.map(str::to_owned),
        ..found
    })
}

/// It begins where it was asked to, and brings no more; only a file that ends there makes it
/// shorter.
const fn fits(part: &Part, asked: &Asked<'_>) -> bool {
    let last = if asked.end < part.size_bytes {
        asked.end
    } else {
        part.size_bytes
    };
    part.begin == asked.begin && part.end == last
}

const fn status(status: u16) -> Fault {
    match status {
        404 | 410 => Fault::NotFound { status },
        status => Fault::Status { status },
    }
}

fn plain(head: &Head<'_>) -> Result<(), Fault> {
    match head.content_encoding {
        None | Some("identity" | "") => Ok(()),
        Some(_) => Err(Fault::Form { what: "compressed" }),
    }
}

/// Only such a one says that not a byte is another (RFC 9110 13.1.5).
fn is_strong(etag: &str) -> bool {
    etag.len() >= 2 && etag.len() <= 256 && etag.starts_with('"') && etag.ends_with('"')
}

/// `bytes 0-99/100` (RFC 9110 14.4).
fn content_range(text: &str) -> Option<Part> {
    let rest = text.strip_prefix("bytes ")?;
    let (range, size) = rest.split_once('/')?;
    let (first, last) = range.split_once('-')?;
    let (begin, end) = (decimal(first)?, decimal(last)?.checked_add(1)?);
    let size_bytes = decimal(size)?;
    (begin < end && end <= size_bytes).then_some(Part {
        begin,
        end,
        size_bytes,
        etag: None,
    })
}

fn decimal(text: &str) -> Option<u64> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::{Asked, Fault, Head, Part, part, whole};
    use wire::outcome::Outcome;

    const ASKED: Asked<'static> = Asked {
        begin: 100,
        end: 200,
        size_bytes: Some(1000),
        etag: Some("\"a\""),
    };

    fn head(status: u16, range: &str) -> Head<'_> {
        Head {
            status,
            content_range: Some(range),
            ..Head::default()
        }
    }

    #[test]
    fn the_bytes_that_were_asked_for_are_taken() {
        let expected = Part {
            begin: 100,
            end: 200,
            size_bytes: 1000,
            etag: Some("\"a\"".into()),
        };
        let full = Head {
            etag: Some("\"a\""),
            content_length: Some("100"),
            content_encoding: Some("identity"),
            ..head(206, "bytes 100-199/1000")
        };
        assert_eq!(part(&full, &ASKED), Ok(expected));
        // The file ends before the question does.
        let short = part(
            &head(206, "bytes 100-149/150"),
            &Asked {
                size_bytes: None,
                ..ASKED
            },
        );
        assert_eq!(short.map(|part| part.end), Ok(150));
    }

    #[test]
    fn the_whole_file_is_taken_from_its_beginning_only() {
        let answer = Head {
            status: 200,
            content_length: Some("1000"),
            ..Head::default()
        };
        let first = Asked { begin: 0, ..ASKED };
        assert_eq!(part(&answer, &first).map(|part| part.end), Ok(1000));
        assert_eq!(part(&answer, &ASKED), Err(Fault::Whole { begin: 100 }));
        let endless = Head {
            content_length: None,
            ..answer
        };
        assert!(matches!(part(&endless, &first), Err(Fault::Form { .. })));
    }

    #[test]
    fn every_other_range_is_refused() {
        for range in [
            "",
            "bytes 100-199",
            "bytes 100-199/*",
            "bytes */1000",
            "bytes 99-199/1000",
            "bytes 101-199/1000",
            "bytes 100-198/1000",
            "bytes 100-200/1000",
            "bytes 199-100/1000",
            "bytes +100-199/1000",
            "bytes 100-18446744073709551615/1000",
            "octets 100-199/1000",
            "bytes 100-199/1000, 300-399/1000",
        ] {
            let found = part(&head(206, range), &ASKED);
            assert!(
                matches!(found, Err(Fault::Range { .. })),
                "{range} {found:?}"
            );
        }
    }

    #[test]
    fn lengths_and_etags_have_to_agree() {
        let range = "bytes 100-199/1001";
        let size = Fault::Size {
            found: 1001,
            wanted: 1000,
        };
        assert_eq!(part(&head(206, range), &ASKED), Err(size));
        let short = Head {
            content_length: Some("99"),
            ..head(206, "bytes 100-199/1000")
        };
        let length = Fault::Length {
            found: 99,
            wanted: 100,
        };
        assert_eq!(part(&short, &ASKED), Err(length));
        for (status, content_range) in [(206, Some("bytes 100-199/1000")), (200, None)] {
            let other = Head {
                status,
                content_range,
                etag: Some("\"b\""),
                ..Head::default()
            };
            let changed = part(&other, &ASKED).unwrap_err();
            assert!(matches!(changed, Fault::Changed { .. }), "{changed:?}");
            assert_eq!(
                (changed.outcome(), changed.is_passing()),
                (Outcome::Retry, false)
            );
        }
        // A weak one says nothing.
        let weak = Head {
            etag: Some("W/\"b\""),
            ..head(206, "bytes 100-199/1000")
        };
        assert_eq!(part(&weak, &ASKED).unwrap().etag, None);
    }

    #[test]
    fn what_a_status_means() {
        for (status, outcome, passes) in [
            (404, Outcome::Refuse, false),
            (410, Outcome::Refuse, false),
            (403, Outcome::Refuse, false),
            (416, Outcome::Refuse, false),
            (204, Outcome::Refuse, false),
            (301, Outcome::Refuse, false),
            (429, Outcome::Retry, true),
            (503, Outcome::Retry, true),
        ] {
            let fault = part(&head(status, ""), &ASKED).unwrap_err();
            assert_eq!((fault.outcome(), fault.is_passing()), (outcome, passes));
            assert!(fault.to_string().contains(&status.to_string()));
            assert_eq!(whole(&head(status, ""), 10), Err(fault));
        }
    }

    #[test]
    fn a_small_file_is_small_before_it_is_read() {
        let of = |content_length| Head {
            status: 200,
            content_length,
            ..Head::default()
        };
        assert_eq!(whole(&of(Some("10")), 10), Ok(Some(10)));
        assert_eq!(whole(&of(None), 10), Ok(None));
        let long = Fault::TooLong { found: 11, max: 10 };
        assert_eq!(whole(&of(Some("11")), 10), Err(long));
        let gzip = Head {
            content_encoding: Some("gzip"),
            ..of(Some("10"))
        };
        assert!(matches!(whole(&gzip, 10), Err(Fault::Form { .. })));
    }
}
