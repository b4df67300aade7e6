//! A whole HTTP/1.1 response as bytes. Every response closes the connection.

use crate::request::Refusal;

/// Status code and reason (RFC 9110 15).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// 200
    Ok,
    /// 400
    BadRequest,
    /// 404
    NotFound,
    /// 405
    MethodNotAllowed,
    /// 408
    RequestTimeout,
    /// 431
    HeadTooLarge,
    /// 505
    VersionNotSupported,
}

impl Status {
    /// As in the status line.
    const fn line(self) -> &'static str {
        match self {
            Status::Ok => "200 OK",
            Status::BadRequest => "400 Bad Request",
            Status::NotFound => "404 Not Found",
            Status::MethodNotAllowed => "405 Method Not Allowed",
            Status::RequestTimeout => "408 Request Timeout",
            Status::HeadTooLarge => "431 Request Header Fields Too Large",
            Status::VersionNotSupported => "505 HTTP Version Not Supported",
        }
    }
}

impl From<Refusal> for Status {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Malformed => Status::BadRequest,
            Refusal::Method => Status::MethodNotAllowed,
            Refusal::TooLarge => Status::HeadTooLarge,
            Refusal::Version => Status::VersionNotSupported,
        }
    }
}

/// The bytes of a response with a JSON body; `with_body` is false for HEAD, whose length is
/// announced all the same (RFC 9110 9.3.2).
pub fn json(status: Status, body: &str, with_body: bool) -> Vec<u8> {
    // RFC 9110 15.5.6: a 405 must say what is allowed.
    let allow = if status == Status::MethodNotAllowed {
        "Allow: GET, HEAD\r\n"
    } else {
        ""
    };
    let mut response = format!(
        "HTTP/1.1 {}\r\nContent-Type: application/json\r\nContent-Length: {}\r\nCache-Control: no-store\r\n{allow}Connection: close\r\n\r\n",
        status.line(),
        body.len(),
    );
    if with_body {
        response.push_str(body);
    }
    response.into_bytes()
}

/// A response that only says its status.
pub fn bare(status: Status, with_body: bool) -> Vec<u8> {
    json(
        status,
        &format!("{{\"error\":\"{}\"}}\n", status.line()),
        with_body,
    )
}

#[cfg(test)]
mod tests {
    use super::{Status, bare, json};

    #[test]
    fn golden_bytes() {
        let expected = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 3\r\nCache-Control: no-store\r\n\
                        Connection: close\r\n\r\n{}\n";
        assert_eq!(json(Status::Ok, "{}\n", true), expected.as_bytes());
    }

    #[test]
    fn head_has_the_length_of_the_body_it_leaves_out() {
        let full = String::from_utf8(bare(Status::NotFound, true)).unwrap();
        let head = String::from_utf8(bare(Status::NotFound, false)).unwrap();
        assert_eq!(full.split_once("\r\n\r\n").unwrap().0, head.trim_end());
    }

    #[test]
    fn only_405_names_the_methods() {
        let names = |status| {
            String::from_utf8(bare(status, true))
                .unwrap()
                .contains("\r\nAllow: GET, HEAD\r\n")
        };
        assert!(names(Status::MethodNotAllowed));
        assert!(!names(Status::BadRequest));
    }
}
