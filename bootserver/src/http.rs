//! The files over HTTP/1.1 (RFC 9110, RFC 9112), for firmware that boots from a URL and for iPXE.
//!
//! In: connections of anybody on the interface. Out: whole files or ranges of them, under the names
//! of the tree and no others: no directory is ever walked. A connection gets one answer, and
//! everything about it is bounded: the length of the question, the time it takes, the rate at which
//! the answer is taken, and how many there are at once, of one address and in all.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::net::{IpAddr, Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use socket2::{Domain, Protocol, SockRef, Socket, Type};

use self::pace::{Pace, Patience};
use self::places::{Full, Place, Places};
use self::request::{Request, Status, part};
use super::Teller;
use super::event::{Event, Way};
use super::tree::Tree;

/// The port of every URL that names none.
pub const PORT: u16 = 80;
/// Connections that the kernel holds.
const BACKLOG: i32 = 64;
/// A question may be so long, and take so long.
const HEAD_MAX: usize = 8 * 1024;
const HEAD_PATIENCE: Duration = Duration::from_secs(10);
/// What the kernel holds of an answer counts as taken: it must not be most of a file.
const SEND_BUFFER_BYTES: usize = 256 * 1024;
/// After our end: what the client still has to say is thrown away for so long, so that our last
/// bytes reach it.
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
    serve_with(Patience::DEFAULT, listener, tree, teller)
}

fn serve_with(
    patience: Patience,
    listener: TcpListener,
    tree: Arc<Tree>,
    teller: Arc<Teller>,
) -> io::Result<()> {
    let (places, goodbyes) = (Places::default(), Places::default());
    let body = move || {
        loop {
            let Ok((stream, peer)) = listener.accept() else {
                // No descriptor left, or the client is gone: neither is helped by hurry.
                thread::sleep(Duration::from_millis(50));
                continue;
            };
            let Some(place) = wait_for_place(&places, peer.ip()) else {
                continue;
            };
            let (tree, teller) = (Arc::clone(&tree), Arc::clone(&teller));
            let goodbyes = goodbyes.clone();
            // Without a thread the connection is closed, and the client may ask again.
            let _ = thread::Builder::new().name("http".into()).spawn(move || {
                let event = answer(&stream, peer.ip(), &tree, patience);
                // Before the client sees the end: it may ask for the next file at once.
                drop(place);
                if let Some(event) = event {
                    teller.tell(&event);
                }
                if let Ok(_goodbye) = goodbyes.take(peer.ip()) {
                    goodbye(&stream);
                }
            });
        }
    };
    thread::Builder::new()
        .name("http".into())
        .spawn(body)
        .map(drop)
}

/// `None` for an address that has all the places it can have: its connection is closed.
fn wait_for_place(places: &Places, address: IpAddr) -> Option<Place> {
    loop {
        match places.take(address) {
            Ok(place) => return Some(place),
            Err(Full::Address) => return None,
            Err(Full::All) => thread::sleep(Duration::from_millis(20)),
        }
    }
}

/// One question, one answer. What a person should know of it comes back.
fn answer(stream: &TcpStream, peer: IpAddr, tree: &Tree, patience: Patience) -> Option<Event> {
    let IpAddr::V4(address) = peer else {
        return None;
    };
    SockRef::from(stream)
        .set_send_buffer_size(SEND_BUFFER_BYTES)
        .ok()?;
    let head = read_head(stream).ok()?;
    let mut pace = Pace::start(stream, patience);
    let request = match Request::parse(&head) {
        Ok(request) => request,
        Err(status) => {
            // The sender of a malformed request may be gone already.
            let _ = pace.send(status.head("", "").as_bytes());
            return None;
        }
    };
    let name = request.name.clone();
    match reply(&mut pace, &request, tree) {
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

fn reply(pace: &mut Pace<'_>, request: &Request, tree: &Tree) -> io::Result<Option<Status>> {
    let opened = tree.file(&request.name).map(File::open).transpose()?;
    let Some(mut file) = opened else {
        pace.send(Status::NotFound.head("", "").as_bytes())?;
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
    pace.send(status.head(&count.to_string(), &more).as_bytes())?;
    if !request.is_head && count > 0 {
        file.seek(SeekFrom::Start(first))?;
        copy(&mut file.take(count), pace)?;
    }
    Ok(Some(status))
}

/// In time, or not at all: a client that takes a byte now and then must not keep its place for
/// ever.
fn copy(file: &mut impl Read, pace: &mut Pace<'_>) -> io::Result<()> {
    let mut block = vec![0; BLOCK];
    loop {
        let len = file.read(&mut block)?;
        if len == 0 {
            return Ok(());
        }
        pace.send(block.get(..len).unwrap_or_default())?;
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

/// Closing while something is unread would turn our FIN into RST, and the client would lose what is
/// on its way (RFC 2525 2.17).
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

mod pace;
mod places;
pub mod request;
#[cfg(test)]
mod tests;
