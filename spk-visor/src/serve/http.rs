//! The files over HTTP/1.1 (RFC 9110, RFC 9112), for firmware that boots from a URL and for iPXE.
//!
//! In: connections of anybody on the interface. Out: whole files or ranges of them, under the names of the tree and no others:
//! no directory is ever walked. A connection gets one answer, and everything about it is bounded: the length of the question,
//! the time it takes, and how many there are at once.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::net::{IpAddr, Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use socket2::{Domain, Protocol, Socket, Type};

use super::Teller;
use super::event::{Event, Way};
use super::tree::Tree;

/// The port of every URL that names none.
pub const PORT: u16 = 80;
/// Connections that are answered at the same time; more wait in the kernel.
const AT_ONCE: usize = 32;
/// Connections that the kernel holds.
const BACKLOG: i32 = 64;
/// A question may be so long, and take so long.
const HEAD_MAX: usize = 8 * 1024;
const HEADERS_MAX: usize = 64;
const HEAD_PATIENCE: Duration = Duration::from_secs(10);
/// A client that takes nothing for so long, or the whole file in more than that, is left.
const WRITE_PATIENCE: Duration = Duration::from_secs(20);
const FILE_PATIENCE: Duration = Duration::from_secs(600);
/// After our end: what the client still has to say is thrown away for so long, so that our last bytes reach it.
const GOODBYE: Duration = Duration::from_secs(2);
const BLOCK: usize = 64 * 1024;

/// A listener that hears one interface only.
///
/// # Errors
/// Not root, or somebody else has the port.
pub fn listen(interface: &str, address: Ipv4Addr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP))?;
    // Connections of a run before may still be in TIME_WAIT.
    socket.set_reuse_address(true)?;
    socket.bind_device(Some(interface.as_bytes()))?;
    socket.bind(&SocketAddr::from((address, PORT)).into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// Answers everybody, in threads that end with the process.
///
/// # Errors
/// No thread.
pub fn serve(listener: TcpListener, tree: Arc<Tree>, teller: Arc<Teller>) -> io::Result<()> {
    let busy = Arc::new(AtomicUsize::new(0));
    let body = move || {
        loop {
            let Ok((stream, peer)) = listener.accept() else {
                // No descriptor left, or the client is gone: neither is helped by hurry.
                thread::sleep(Duration::from_millis(50));
                continue;
            };
            while busy.load(Ordering::Acquire) >= AT_ONCE {
                thread::sleep(Duration::from_millis(20));
            }
            let place = Place::take(&busy);
            let (tree, teller) = (Arc::clone(&tree), Arc::clone(&teller));
            // Without a thread the connection is closed, and the client may ask again.
            let _ = thread::Builder::new().name("http".into()).spawn(move || {
                let _place = place;
                if let Some(event) = answer(&stream, peer.ip(), &tree) {
                    teller.tell(&event);
                }
                goodbye(&stream);
            });
        }
    };
    thread::Builder::new()
        .name("http".into())
        .spawn(body)
        .map(drop)
}

/// One of the connections that are answered at once.
struct Place(Arc<AtomicUsize>);

impl Place {
    fn take(busy: &Arc<AtomicUsize>) -> Self {
        busy.fetch_add(1, Ordering::AcqRel);
        Self(Arc::clone(busy))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

/// One question, one answer. What a person should know of it comes back.
fn answer(stream: &TcpStream, peer: IpAddr, tree: &Tree) -> Option<Event> {
    let IpAddr::V4(address) = peer else {
        return None;
    };
    stream.set_write_timeout(Some(WRITE_PATIENCE)).ok()?;
    let head = read_head(stream).ok()?;
    let request = match Request::parse(&head) {
        Ok(request) => request,
        Err(status) => {
            // Who asks nonsense may be gone already.
            let _ = (&*stream).write_all(status.head("", "").as_bytes());
            return None;
        }
    };
    let name = request.name.clone();
    match reply(stream, &request, tree) {
        Ok(Some(Status::Ok | Status::Partial)) if request.is_head => None,
        Ok(Some(Status::Ok)) => Some(Event::Sent {
            address,
            file: name,
            way: Way::Http,
        }),
        Ok(Some(Status::NotFound)) => Some(Event::Missing {
            address,
            file: name,
            way: Way::Http,
        }),
        Ok(_) => None,
        Err(_) => Some(Event::Broken {
            address,
            file: name,
            way: Way::Http,
        }),
    }
}

/// Up to the empty line; what follows belongs to no question that is answered here.
fn read_head(mut stream: &TcpStream) -> io::Result<Vec<u8>> {
    let end = Instant::now() + HEAD_PATIENCE;
    let mut head = Vec::new();
    while head.len() < HEAD_MAX {
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        stream.set_read_timeout(Some(left))?;
        let mut block = [0; 1024];
        let len = stream.read(&mut block)?;
        head.extend_from_slice(block.get(..len).unwrap_or_default());
        if len == 0 || head.windows(4).any(|bytes| bytes == b"\r\n\r\n") {
            break;
        }
    }
    Ok(head)
}

/// Answers that there are (RFC 9110 15).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Status {
    Ok,
    Partial,
    BadRequest,
    NotFound,
    MethodNotAllowed,
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

    /// Everything before the content. `length` is that of the content, or nothing when there is none.
    fn head(self, length: &str, more: &str) -> String {
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

/// A question that makes sense.
#[derive(Debug, PartialEq, Eq)]
struct Request {
    is_head: bool,
    /// Of a file, if there is one of that name.
    name: String,
    /// First byte and, perhaps, the last; without the first, so many from the end (RFC 9110 14.1.2).
    range: Option<(Option<u64>, Option<u64>)>,
}

impl Request {
    /// # Errors
    /// What is to be answered instead.
    fn parse(head: &[u8]) -> Result<Self, Status> {
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

/// `bytes=FIRST-LAST`, `bytes=FIRST-` or `bytes=-LENGTH`. Anything else, several ranges among it, may be passed over, and the
/// whole file is the answer (RFC 9110 14.2).
fn range(text: &str) -> Option<(Option<u64>, Option<u64>)> {
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

/// The bytes of a file of that length which a range means: first, and how many. `None` when it means none.
fn part((first, last): (Option<u64>, Option<u64>), len: u64) -> Option<(u64, u64)> {
    let (first, end) = match (first, last) {
        (Some(first), Some(last)) => (first, last.saturating_add(1).min(len)),
        (Some(first), None) => (first, len),
        (None, suffix) => (len.saturating_sub(suffix.unwrap_or(0)), len),
    };
    (first < end).then(|| (first, end - first))
}

fn reply(mut stream: &TcpStream, request: &Request, tree: &Tree) -> io::Result<Option<Status>> {
    let opened = tree.file(&request.name).map(File::open).transpose()?;
    let Some(mut file) = opened else {
        stream.write_all(Status::NotFound.head("", "").as_bytes())?;
        return Ok(Some(Status::NotFound));
    };
    let len = file.metadata()?.len();
    let (status, first, count) = match request.range.map(|range| part(range, len)) {
        None => (Status::Ok, 0, len),
        Some(Some((first, count))) => (Status::Partial, first, count),
        Some(None) => (Status::RangeNotSatisfiable, 0, 0),
    };
    let mut more = format!("Content-Type: {}\r\n", content_type(&request.name));
    more.push_str("Accept-Ranges: bytes\r\n");
    match status {
        Status::Partial => {
            let last = first + count.saturating_sub(1);
            more.push_str(&format!("Content-Range: bytes {first}-{last}/{len}\r\n"));
        }
        Status::RangeNotSatisfiable => more.push_str(&format!("Content-Range: bytes */{len}\r\n")),
        _ => {}
    }
    stream.write_all(status.head(&count.to_string(), &more).as_bytes())?;
    if !request.is_head && count > 0 {
        file.seek(SeekFrom::Start(first))?;
        copy(&mut file.take(count), stream)?;
    }
    Ok(Some(status))
}

/// In time, or not at all: a client that takes a byte now and then must not keep its place for ever.
fn copy(file: &mut impl Read, mut stream: &TcpStream) -> io::Result<()> {
    let end = Instant::now() + FILE_PATIENCE;
    let mut block = vec![0; BLOCK];
    loop {
        let len = file.read(&mut block)?;
        if len == 0 {
            return Ok(());
        }
        if Instant::now() >= end {
            return Err(io::ErrorKind::TimedOut.into());
        }
        stream.write_all(block.get(..len).unwrap_or_default())?;
    }
}

/// UEFI takes the kind of an image from here (UEFI 2.10 24.7.3.2).
fn content_type(name: &str) -> &'static str {
    match name.rsplit_once('.') {
        Some((_, "efi")) => "application/efi",
        Some((_, "ipxe" | "cfg")) => "text/plain",
        _ => "application/octet-stream",
    }
}

/// Closing while something is unread would turn our FIN into RST, and the client would lose what is on its way
/// (RFC 2525 2.17).
fn goodbye(mut stream: &TcpStream) {
    // A client that is gone needs no goodbye.
    let _ = stream.shutdown(Shutdown::Write);
    let end = Instant::now() + GOODBYE;
    while let Some(left) = end
        .checked_duration_since(Instant::now())
        .filter(|left| !left.is_zero())
    {
        let _ = stream.set_read_timeout(Some(left));
        if !matches!(stream.read(&mut [0; 512]), Ok(1..)) {
            return;
        }
    }
}

#[cfg(test)]
mod tests;
