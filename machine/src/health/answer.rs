//! Whether a daemon answers a GET of its health with success, as HTTP/1.1 (RFC 9112) over a plain
//! connection: `http://HOST[:PORT]/PATH`.

use std::fmt;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::str::FromStr;
use std::time::{Duration, Instant};

use thiserror::Error;

/// From the connection to the first line of the answer.
pub const LIMIT: Duration = Duration::from_secs(10);
/// A first line is shorter.
const LINE_MAX: usize = 1024;
const SCHEME: &str = "http://";

/// Where a daemon is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Url {
    /// `127.0.0.1:8080`, as typed.
    authority: String,
    /// From the slash on.
    path: String,
}

/// What is no such URL.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("expected a URL such as http://127.0.0.1:8080/health")]
pub struct UrlError;

impl FromStr for Url {
    type Err = UrlError;

    fn from_str(text: &str) -> Result<Self, UrlError> {
        let rest = text.strip_prefix(SCHEME).ok_or(UrlError)?;
        let at = rest.find('/').unwrap_or(rest.len());
        let (authority, path) = rest.split_at(at);
        let is_printable = text.bytes().all(|byte| byte.is_ascii_graphic());
        let is_plain = !authority.is_empty() && !authority.contains('@');
        if !is_printable || !is_plain {
            return Err(UrlError);
        }
        Ok(Self {
            authority: authority.to_owned(),
            path: if path.is_empty() { "/" } else { path }.to_owned(),
        })
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{SCHEME}{}{}", self.authority, self.path)
    }
}

impl Url {
    /// With the usual port where it names none.
    fn addresses(&self) -> io::Result<Vec<SocketAddr>> {
        let last = self.authority.rsplit(']').next().unwrap_or_default();
        let addresses = match last.contains(':') {
            true => self.authority.to_socket_addrs(),
            false => format!("{}:80", self.authority).to_socket_addrs(),
        };
        Ok(addresses?.collect())
    }
}

/// The daemon does not answer, or not that it is well.
#[derive(Debug, Error)]
#[allow(missing_docs)] // the fields name themselves
pub enum AnswerError {
    /// No connection, or it broke.
    #[error("asking {url}")]
    Ask {
        url: Url,
        #[source]
        source: io::Error,
    },
    /// Another status than 200 to 299, or no HTTP.
    #[error("{url} answers {line:?}")]
    Status {
        url: Url,
        /// The first line.
        line: String,
    },
}

/// Asks once.
///
/// # Errors
/// See [`AnswerError`].
pub fn must_answer(url: &Url, limit: Duration) -> Result<(), AnswerError> {
    let line = ask(url, Instant::now() + limit).map_err(|source| AnswerError::Ask {
        url: url.clone(),
        source,
    })?;
    match is_success(&line) {
        true => Ok(()),
        false => Err(AnswerError::Status {
            url: url.clone(),
            line: line.chars().take(80).collect(),
        }),
    }
}

/// The first line of its answer.
fn ask(url: &Url, deadline: Instant) -> io::Result<String> {
    let mut last = io::Error::from(io::ErrorKind::AddrNotAvailable);
    for address in url.addresses()? {
        match TcpStream::connect_timeout(&address, left(deadline)?) {
            Ok(stream) => return exchange(stream, url, deadline),
            Err(error) => last = error,
        }
    }
    Err(last)
}

fn exchange(mut stream: TcpStream, url: &Url, deadline: Instant) -> io::Result<String> {
    stream.set_write_timeout(Some(left(deadline)?))?;
    let (host, path) = (&url.authority, &url.path);
    let request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    // At once: a small daemon may read no more than once.
    stream.write_all(request.as_bytes())?;
    let mut answer = Vec::new();
    let mut byte = [0];
    while answer.len() < LINE_MAX && !answer.ends_with(b"\n") {
        stream.set_read_timeout(Some(left(deadline)?))?;
        if stream.read(&mut byte)? == 0 {
            break;
        }
        answer.extend(byte);
    }
    Ok(String::from_utf8_lossy(&answer).trim().to_owned())
}

fn left(deadline: Instant) -> io::Result<Duration> {
    let left = deadline.saturating_duration_since(Instant::now());
    match left.is_zero() {
        true => Err(io::ErrorKind::TimedOut.into()),
        false => Ok(left),
    }
}

/// RFC 9112 4: `HTTP/1.1 200 OK`.
fn is_success(line: &str) -> bool {
    let mut words = line.split(' ');
    let is_http = words.next().is_some_and(|word| word.starts_with("HTTP/1."));
    let status = words.next().unwrap_or_default();
    is_http && status.len() == 3 && status.starts_with('2')
}

#[cfg(test)]
mod tests {
    use super::{AnswerError, Url, is_success, must_answer};
    use std::io::{Read, Write};
    use std::net::TcpListener;
    use std::thread;
    use std::time::{Duration, Instant};

    const LONG: Duration = Duration::from_secs(60);

    /// A daemon that reads a request and says this; `None`: it says nothing until it is dropped.
    fn daemon(answer: Option<&'static str>) -> Url {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = [0; 512];
            let len = stream.read(&mut request).unwrap();
            let request = String::from_utf8_lossy(&request[..len]).into_owned();
            assert!(request.starts_with("GET /health HTTP/1.1\r\nHost: 127.0.0.1:"));
            match answer {
                Some(answer) => stream.write_all(answer.as_bytes()).unwrap(),
                None => drop(stream.read(&mut [0])), // until the other end has enough
            }
        });
        format!("http://{address}/health").parse().unwrap()
    }

    #[test]
    fn success_is_health_and_nothing_else_is() {
        must_answer(&daemon(Some("HTTP/1.1 200 OK\r\n\r\n")), LONG).unwrap();
        for answer in ["HTTP/1.1 503 Service Unavailable\r\n\r\n", "", "hello\n"] {
            let error = must_answer(&daemon(Some(answer)), LONG).unwrap_err();
            assert!(matches!(error, AnswerError::Status { .. }), "{error}");
        }
        let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr();
        let closed = format!("http://{}/health", closed.unwrap())
            .parse()
            .unwrap();
        let error = must_answer(&closed, LONG).unwrap_err();
        assert!(matches!(error, AnswerError::Ask { .. }), "{error}");
    }

    #[test]
    fn a_daemon_that_says_nothing_is_not_waited_for() {
        let began = Instant::now();
        let error = must_answer(&daemon(None), Duration::from_millis(200)).unwrap_err();
        assert!(matches!(error, AnswerError::Ask { .. }), "{error}");
        assert!(began.elapsed() < LONG);
    }

    #[test]
    fn first_lines_are_read_as_http() {
        assert!(is_success("HTTP/1.0 204 No Content") && is_success("HTTP/1.1 200"));
        for line in [
            "HTTP/2 200",
            "HTTP/1.1 20",
            "HTTP/1.1 2000",
            "HTTP/1.1",
            "200",
        ] {
            assert!(!is_success(line), "{line}");
        }
    }

    #[test]
    fn urls_are_plain() {
        for (text, address) in [
            ("http://127.0.0.1:8080/health", "127.0.0.1:8080"),
            ("http://127.0.0.1", "127.0.0.1:80"),
            ("http://[::1]/x", "[::1]:80"),
            ("http://[::1]:81/x?y", "[::1]:81"),
        ] {
            let url: Url = text.parse().unwrap();
            assert_eq!(url.addresses().unwrap(), [address.parse().unwrap()]);
            assert!(url.to_string().starts_with(text));
        }
        for text in [
            "",
            "https://a/",
            "http://",
            "http:///x",
            "http://a b/",
            "http://u@a/",
        ] {
            assert!(text.parse::<Url>().is_err(), "{text}");
        }
    }
}
