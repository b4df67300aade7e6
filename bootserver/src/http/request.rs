//! A question of HTTP in, the name of a file and a range of its bytes out, or what to answer
//! instead.

/// A request with more headers is refused.
const HEADERS_MAX: usize = 64;

/// Answers that there are (RFC 9110 15).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// All of the file.
    Ok,
    /// Some of it.
    Partial,
    /// No question.
    BadRequest,
    /// No file of that name.
    NotFound,
    /// Nothing is changed here.
    MethodNotAllowed,
    /// The file has no such bytes.
    RangeNotSatisfiable,
}

impl Status {
    const fn line(self) -> &'static str {
        match self {
            Status::Ok => "200 OK",
            Status::Partial => "206 Partial Content",
            Status::BadRequest => "400 Bad Request",
            Status::NotFound => "404 Not Found",
            Status::MethodNotAllowed => "405 Method Not Allowed",
            Status::RangeNotSatisfiable => "416 Range Not Satisfiable",
        }
    }

    /// Everything before the content. `length` is that of the content, or nothing when there is
    /// none.
    #[must_use]
    pub fn head(self, length: &str, more: &str) -> String {
        let length = if length.is_empty() { "0" } else { length };
        let allow = match self {
            Status::MethodNotAllowed => "Allow: GET, HEAD\r\n",
            _ => "",
        };
        format!(
            "HTTP/1.1 {}\r\nContent-Length: {length}\r\n{allow}{more}Connection: close\r\n\r\n",
            self.line()
        )
    }
}

/// First and last byte; without the first, so many from the end.
pub type Range = (Option<u64>, Option<u64>);

/// A question that makes sense.
#[derive(Debug, PartialEq, Eq)]
pub struct Request {
    /// Only the answer's head is wanted.
    pub is_head: bool,
    /// Of a file, if there is one of that name.
    pub name: String,
    /// First byte and, perhaps, the last; without the first, so many from the end
    /// (RFC 9110 14.1.2).
    pub range: Option<Range>,
}

impl Request {
    /// Reads everything up to the empty line.
    ///
    /// # Errors
    /// The status to answer with instead.
    pub fn parse(head: &[u8]) -> Result<Self, Status> {
        let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
        let mut request = httparse::Request::new(&mut headers);
        match request.parse(head) {
            Ok(httparse::Status::Complete(_)) => {}
            _ => return Err(Status::BadRequest),
        }
        let is_head = match request.method {
            Some("GET") => false,
            Some("HEAD") => true,
            _ => return Err(Status::MethodNotAllowed),
        };
        let target = request.path.unwrap_or_default();
        // A URL in full names a host first (RFC 9112 3.2.2).
        let path = match target.strip_prefix("http://") {
            Some(rest) => rest.find('/').and_then(|at| rest.get(at..)).unwrap_or("/"),
            None => target,
        };
        let path = path.split(['?', '#']).next().unwrap_or_default();
        let Some(path) = path.strip_prefix('/') else {
            return Err(Status::BadRequest);
        };
        // Some put two slashes where a prefix and a name meet.
        let name = path.trim_start_matches('/').to_owned();
        let range = request
            .headers
            .iter()
            .find(|header| header.name.eq_ignore_ascii_case("range"))
            .and_then(|header| std::str::from_utf8(header.value).ok())
            .and_then(range);
        Ok(Self {
            is_head,
            name,
            range,
        })
    }
}

/// `bytes=FIRST-LAST`, `bytes=FIRST-` or `bytes=-LENGTH`. Anything else, several ranges among it,
/// may be passed over, and the whole file is the answer (RFC 9110 14.2).
fn range(text: &str) -> Option<Range> {
    let (first, last) = text.strip_prefix("bytes=")?.split_once('-')?;
    let number = |text: &str| {
        let is_plain = text.bytes().all(|byte| byte.is_ascii_digit());
        match text {
            "" => Some(None),
            _ if is_plain => text.parse().ok().map(Some),
            _ => None,
        }
    };
    let range = (number(first)?, number(last)?);
    match range {
        (None, None) => None,
        (Some(first), Some(last)) if last < first => None,
        _ => Some(range),
    }
}

/// The bytes of a file of that length which a range means: first, and how many. `None` when it
/// means none.
#[must_use]
pub fn part((first, last): Range, len: u64) -> Option<(u64, u64)> {
    let (first, end) = match (first, last) {
        (Some(first), Some(last)) => (first, last.saturating_add(1).min(len)),
        (Some(first), None) => (first, len),
        (None, suffix) => (len.saturating_sub(suffix.unwrap_or(0)), len),
    };
    (first < end).then(|| (first, end - first))
}

#[cfg(test)]
mod tests {
    use super::{Request, Status, part, range};

    fn request(text: &str) -> Result<Request, Status> {
        Request::parse(text.as_bytes())
    }

    fn plain(name: &str) -> Request {
        Request {
            is_head: false,
            name: name.into(),
            range: None,
        }
    }

    #[test]
    fn a_name_is_read_out_of_every_form_of_a_target() {
        for target in [
            "/vmlinuz",
            "//vmlinuz",
            "/vmlinuz?x=/y",
            "http://10.9.0.1/vmlinuz",
            "http://10.9.0.1:80/vmlinuz",
        ] {
            let text = format!("GET {target} HTTP/1.1\r\nHost: 10.9.0.1\r\n\r\n");
            assert_eq!(request(&text), Ok(plain("vmlinuz")), "{target}");
        }
        assert_eq!(
            request("GET http://10.9.0.1 HTTP/1.1\r\n\r\n"),
            Ok(plain(""))
        );
        let dots = request("GET /../../etc/passwd HTTP/1.1\r\n\r\n").unwrap();
        assert_eq!(dots.name, "../../etc/passwd", "a name that no file has");
    }

    #[test]
    fn what_is_no_question_is_refused() {
        for (text, status) in [
            ("", Status::BadRequest),
            ("GET /x", Status::BadRequest),
            ("GET /x HTTP/1.1\r\nHost: a\r\n", Status::BadRequest),
            ("GET x HTTP/1.1\r\n\r\n", Status::BadRequest),
            ("GET * HTTP/1.1\r\n\r\n", Status::BadRequest),
            ("\x16\x03\x01\x02\r\n\r\n", Status::BadRequest),
            ("POST /x HTTP/1.1\r\n\r\n", Status::MethodNotAllowed),
            ("PUT /vmlinuz HTTP/1.1\r\n\r\n", Status::MethodNotAllowed),
        ] {
            assert_eq!(request(text), Err(status), "{text:?}");
        }
        let many = "X: y\r\n".repeat(100);
        let text = format!("GET /x HTTP/1.1\r\n{many}\r\n");
        assert_eq!(request(&text), Err(Status::BadRequest));
    }

    #[test]
    fn ranges_are_read_and_odd_ones_passed_over() {
        assert_eq!(range("bytes=0-99"), Some((Some(0), Some(99))));
        assert_eq!(range("bytes=5-"), Some((Some(5), None)));
        assert_eq!(range("bytes=-7"), Some((None, Some(7))));
        for odd in [
            "bytes=-",
            "bytes=9-5",
            "bytes=1-2,4-5",
            "bytes=+1-2",
            "lines=1-2",
            "bytes=a-b",
        ] {
            assert_eq!(range(odd), None, "{odd}");
        }
        let head = "GET /initramfs HTTP/1.1\r\nrange: bytes=5-\r\n\r\n";
        assert_eq!(request(head).unwrap().range, Some((Some(5), None)));
    }

    #[test]
    fn a_range_means_bytes_of_the_file_and_no_others() {
        for (asked, expected) in [
            ((Some(0), Some(0)), Some((0, 1))),
            ((Some(2), Some(4)), Some((2, 3))),
            ((Some(2), Some(u64::MAX)), Some((2, 8))),
            ((Some(9), None), Some((9, 1))),
            ((Some(10), None), None),
            ((None, Some(3)), Some((7, 3))),
            ((None, Some(30)), Some((0, 10))),
            ((None, Some(0)), None),
        ] {
            assert_eq!(part(asked, 10), expected, "{asked:?}");
        }
        assert_eq!(part((Some(0), None), 0), None);
    }
}
