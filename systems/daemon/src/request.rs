//! The head of an HTTP/1 request (RFC 9112): bytes in, what is asked for out. Nothing is kept but
//! method and path.

use std::str;

/// Longest head, request line and fields together; RFC 9112 3 asks for at least 8000.
pub const HEAD_MAX: usize = 8192;
/// Most header fields.
const FIELDS_MAX: usize = 64;

/// The methods of a resource here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// Head and body.
    Get,
    /// Head only.
    Head,
}

/// A request that can be answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request<'a> {
    /// The method.
    pub method: Method,
    /// The path without the query.
    pub path: &'a str,
}

/// A request that is answered by its status alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Not HTTP, or against its grammar.
    Malformed,
    /// A method that this server does not have.
    Method,
    /// Longer than [`HEAD_MAX`] or more fields than we read.
    TooLarge,
    /// HTTP, but neither 1.0 nor 1.1.
    Version,
}

/// How long the head at the start of `received` is, its empty line included; `None` while that line
/// is still to come.
pub fn head_len(received: &[u8]) -> Option<usize> {
    received
        .windows(4)
        .position(|four| four == b"\r\n\r\n")
        .map(|at| at.saturating_add(4))
}

/// A token of RFC 9110 5.6.2: methods and field names.
fn is_token(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}

/// The path of a request target: `/path?query`, or `http://host/path?query`, which a server must
/// take as well (RFC 9112 3.2.2).
fn path_of(target: &str) -> Option<&str> {
    let path = match target.strip_prefix("http://") {
        Some(rest) => match rest.find('/') {
            Some(at) => rest.get(at..)?,
            None => "/",
        },
        None => target,
    };
    let printable = path.bytes().all(|byte| byte.is_ascii_graphic());
    if !printable || !path.starts_with('/') {
        return None;
    }
    path.split('?').next()
}

/// Reads a complete head, the empty line included.
///
/// # Errors
/// The status it deserves instead of an answer.
pub fn parse(head: &[u8]) -> Result<Request<'_>, Refusal> {
    if head.len() > HEAD_MAX {
        return Err(Refusal::TooLarge);
    }
    let text = str::from_utf8(head).map_err(|_| Refusal::Malformed)?;
    let text = text.strip_suffix("\r\n\r\n").ok_or(Refusal::Malformed)?;
    let mut lines = text.split("\r\n");
    let mut words = lines.next().unwrap_or_default().split(' ');
    let (Some(method), Some(target), Some(version), None) =
        (words.next(), words.next(), words.next(), words.next())
    else {
        return Err(Refusal::Malformed);
    };
    if !is_token(method) {
        return Err(Refusal::Malformed);
    }
    let needs_host = match version {
        "HTTP/1.1" => true,
        "HTTP/1.0" => false,
        other if other.starts_with("HTTP/") => return Err(Refusal::Version),
        _ => return Err(Refusal::Malformed),
    };
    let hosts = count_hosts(lines)?;
    // RFC 9112 3.2: exactly one Host, or 400.
    if hosts > 1 || (needs_host && hosts == 0) {
        return Err(Refusal::Malformed);
    }
    let method = match method {
        "GET" => Method::Get,
        "HEAD" => Method::Head,
        _ => return Err(Refusal::Method),
    };
    let path = path_of(target).ok_or(Refusal::Malformed)?;
    Ok(Request { method, path })
}

/// Checks the form of every field; their values mean nothing to this server, except that Host must
/// be there.
fn count_hosts<'a>(lines: impl Iterator<Item = &'a str>) -> Result<usize, Refusal> {
    let mut hosts = 0_usize;
    for (number, line) in lines.enumerate() {
        if number >= FIELDS_MAX {
            return Err(Refusal::TooLarge);
        }
        let (name, value) = line.split_once(':').ok_or(Refusal::Malformed)?;
        if !is_token(name)
            || value
                .bytes()
                .any(|byte| byte.is_ascii_control() && byte != b'\t')
        {
            return Err(Refusal::Malformed);
        }
        hosts = hosts.saturating_add(usize::from(name.eq_ignore_ascii_case("host")));
    }
    Ok(hosts)
}

#[cfg(test)]
mod tests {
    use super::{FIELDS_MAX, HEAD_MAX, Method, Refusal, Request, head_len, parse};

    const GOOD: &[u8] = b"GET /health?x=1 HTTP/1.1\r\nHost: a:8080\r\nAccept: */*\r\n\r\n";

    #[test]
    fn a_good_head_is_read() {
        assert_eq!(
            parse(GOOD),
            Ok(Request {
                method: Method::Get,
                path: "/health"
            })
        );
        assert_eq!(head_len(GOOD), Some(GOOD.len()));
        let head = b"HEAD http://a/health HTTP/1.0\r\n\r\n";
        assert_eq!(
            parse(head),
            Ok(Request {
                method: Method::Head,
                path: "/health"
            })
        );
    }

    #[test]
    fn every_truncation_is_incomplete_and_malformed() {
        for len in 0..GOOD.len() {
            assert_eq!(head_len(&GOOD[..len]), None, "{len}");
            assert_eq!(parse(&GOOD[..len]), Err(Refusal::Malformed), "{len}");
        }
    }

    #[test]
    fn any_changed_byte_is_survived_and_never_asks_for_another_method() {
        for at in 0..GOOD.len() {
            for byte in 0..=255 {
                let mut head = GOOD.to_vec();
                head[at] = byte;
                if let Ok(request) = parse(&head) {
                    assert_eq!(request.method, Method::Get, "byte {at} = {byte}");
                    assert!(request.path.starts_with('/'), "byte {at} = {byte}");
                }
            }
        }
    }

    #[test]
    fn each_fault_has_its_own_refusal() {
        let refused = |head: &str| parse(head.as_bytes()).unwrap_err();
        for head in [
            "\r\n\r\n",
            "GET /health\r\n\r\n",
            "GET  /health HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET /health HTTP/1.1\r\n\r\n",
            "GET /health HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
            "GET health HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET /h\x7f HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET / FTP/1.1\r\nHost: a\r\n\r\n",
            "GET / HTTP/1.1\r\nHost : a\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\n folded\r\n\r\n",
            "G(T / HTTP/1.1\r\nHost: a\r\n\r\n",
        ] {
            assert_eq!(refused(head), Refusal::Malformed, "{head:?}");
        }
        assert_eq!(
            refused("POST /health HTTP/1.1\r\nHost: a\r\n\r\n"),
            Refusal::Method
        );
        assert_eq!(
            refused("get /health HTTP/1.1\r\nHost: a\r\n\r\n"),
            Refusal::Method
        );
        assert_eq!(
            refused("GET / HTTP/2.0\r\nHost: a\r\n\r\n"),
            Refusal::Version
        );
        let many = format!(
            "GET / HTTP/1.1\r\n{}\r\n\r\n",
            vec!["a: b"; FIELDS_MAX + 1].join("\r\n")
        );
        assert_eq!(refused(&many), Refusal::TooLarge);
        let long = format!("GET /{} HTTP/1.1\r\n\r\n", "a".repeat(HEAD_MAX));
        assert_eq!(refused(&long), Refusal::TooLarge);
    }
}
