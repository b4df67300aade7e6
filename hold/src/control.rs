//! The control socket of a daemon that is held: requests in, events out, one line each
//! (`daemons.md` 3).
//!
//! Only root may connect, and still nothing is believed: a client has little time and few bytes for
//! its one request, there are few clients at a time, and one that does not read is dropped. Nothing
//! here waits.

use std::fs::{self, Permissions};
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use rustix::net::sockopt::socket_peercred;

use crate::event::{Event, LINE_MAX, Request};

/// Clients at a time; one more is dropped.
const CLIENTS_MAX: usize = 8;
/// From the connection to the end of the request.
const REQUEST_TIME: Duration = Duration::from_secs(2);

/// The socket and who is there.
#[derive(Debug)]
pub struct Control {
    listener: UnixListener,
    path: PathBuf,
    clients: Vec<Client>,
    next: u64,
}

/// One of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientId(u64);

#[derive(Debug)]
struct Client {
    id: ClientId,
    stream: UnixStream,
    said: Vec<u8>,
    /// `None`: its request is here.
    until: Option<Instant>,
}

impl Control {
    /// In place of one that a former process has left.
    ///
    /// # Errors
    /// The file system; somebody listens there.
    pub fn bind(path: PathBuf) -> io::Result<Self> {
        if UnixStream::connect(&path).is_ok() {
            return Err(io::ErrorKind::AddrInUse.into());
        }
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let listener = UnixListener::bind(&path)?;
        fs::set_permissions(&path, Permissions::from_mode(0o600))?;
        listener.set_nonblocking(true)?;
        Ok(Self {
            listener,
            path,
            clients: vec![],
            next: 0,
        })
    }

    /// The requests that are complete.
    pub fn requests(&mut self, now: Instant) -> Vec<(ClientId, Request)> {
        // Whatever a failing accept means, the listener is polled again.
        while let Ok((stream, _)) = self.listener.accept() {
            if self.clients.len() < CLIENTS_MAX && may_ask(&stream) {
                self.next = self.next.saturating_add(1);
                self.clients.push(Client {
                    id: ClientId(self.next),
                    stream,
                    said: vec![],
                    until: now.checked_add(REQUEST_TIME),
                });
            }
        }
        let mut requests = vec![];
        self.clients.retain_mut(|client| match client.until {
            None => true,
            Some(until) if until <= now => false,
            Some(_) => match client.read() {
                Heard::Wait => true,
                Heard::Request(request) => {
                    client.until = None;
                    requests.push((client.id, request));
                    true
                }
                Heard::Drop => false,
            },
        });
        requests
    }

    /// Says it to this client, if it is still there; the last event ends the connection.
    pub fn tell(&mut self, to: ClientId, event: &Event) {
        let line = format!("{event}\n");
        self.clients.retain_mut(|client| {
            if client.id != to {
                return true;
            }
            // One that does not read has no room for a line, and is dropped.
            let is_said = client.stream.write_all(line.as_bytes()).is_ok();
            is_said && !event.is_last()
        });
    }

    /// Readable when somebody comes or asks.
    pub fn descriptors(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        let asking = self.clients.iter().filter(|client| client.until.is_some());
        let asking = asking.map(|client| client.stream.as_fd());
        std::iter::once(self.listener.as_fd()).chain(asking)
    }

    /// When the first client has had its time.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        self.clients.iter().filter_map(|client| client.until).min()
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        // Left behind it is replaced by the next one.
        let _ = fs::remove_file(&self.path);
    }
}

enum Heard {
    Wait,
    Request(Request),
    Drop,
}

impl Client {
    fn read(&mut self) -> Heard {
        let mut buffer = [0; LINE_MAX];
        loop {
            match self.stream.read(&mut buffer) {
                Ok(0) => return Heard::Drop,
                Ok(len) => self
                    .said
                    .extend_from_slice(buffer.get(..len).unwrap_or_default()),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Heard::Wait,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(_) => return Heard::Drop,
            }
            if let Some(line) = self.said.strip_suffix(b"\n") {
                let line = str::from_utf8(line).ok();
                let request = line.and_then(|line| line.parse().ok());
                return request.map_or(Heard::Drop, Heard::Request);
            }
            if self.said.len() >= LINE_MAX {
                return Heard::Drop;
            }
        }
    }
}

/// The permissions of the socket say so, too; this holds also where they were changed.
fn may_ask(stream: &UnixStream) -> bool {
    let Ok(peer) = socket_peercred(stream) else {
        return false;
    };
    let is_trusted = peer.uid.is_root() || peer.uid == rustix::process::geteuid();
    is_trusted && stream.set_nonblocking(true).is_ok()
}

#[cfg(test)]
mod tests {
    use super::{CLIENTS_MAX, Control, REQUEST_TIME};
    use crate::event::{Event, Request};
    use std::io::{Read, Write};
    use std::os::unix::net::UnixStream;
    use std::time::Instant;

    fn control() -> (tempfile::TempDir, Control) {
        let dir = tempfile::tempdir().unwrap();
        let control = Control::bind(dir.path().join("d.sock")).unwrap();
        (dir, control)
    }

    fn client(control: &Control) -> UnixStream {
        UnixStream::connect(&control.path).unwrap()
    }

    fn rest(mut client: UnixStream) -> String {
        let mut text = String::new();
        client.read_to_string(&mut text).unwrap();
        text
    }

    #[test]
    fn a_request_is_answered_one_byte_at_a_time() {
        let (_dir, mut control) = control();
        let (mut client, now) = (client(&control), Instant::now());
        for byte in b"status" {
            client.write_all(&[*byte]).unwrap();
            assert!(control.requests(now).is_empty());
        }
        client.write_all(b"\n").unwrap();
        let requests = control.requests(now);
        assert_eq!(requests.len(), 1);
        let (id, request) = requests[0];
        assert_eq!((request, control.deadline()), (Request::Status, None));
        control.tell(id, &Event::Waiting { ms: 1 });
        let last = Event::Running { counter: 1, pid: 2 };
        control.tell(id, &last);
        control.tell(id, &last);
        assert_eq!(rest(client), "waiting 1\nrunning 1 2\n");
    }

    #[test]
    fn what_is_no_request_ends_the_connection() {
        let (_dir, mut control) = control();
        for said in [
            &b"swap x\n"[..],
            b"\n",
            b"status\nstatus\n",
            b"\xff\n",
            &[b'1'; 4000],
        ] {
            let mut client = client(&control);
            client.write_all(said).unwrap();
            assert!(control.requests(Instant::now()).is_empty(), "{said:?}");
            let mut byte = [0];
            // Closed with bytes that nobody has read: a reset.
            assert!(matches!(client.read(&mut byte), Ok(0) | Err(_)), "{said:?}");
        }
        drop(client(&control));
        assert!(control.requests(Instant::now()).is_empty());
        assert!(control.clients.is_empty());
    }

    #[test]
    fn a_silent_client_and_one_too_many_are_dropped() {
        let (_dir, mut control) = control();
        let now = Instant::now();
        let clients: Vec<_> = (0..CLIENTS_MAX).map(|_| client(&control)).collect();
        assert!(control.requests(now).is_empty());
        assert_eq!(
            rest({
                let late = client(&control);
                assert!(control.requests(now).is_empty());
                late
            }),
            ""
        );
        assert_eq!(control.clients.len(), CLIENTS_MAX);
        assert_eq!(control.deadline(), Some(now + REQUEST_TIME));
        assert!(control.requests(now + REQUEST_TIME).is_empty());
        assert!(control.clients.is_empty());
        drop(clients);
    }

    #[test]
    fn a_client_that_does_not_read_is_dropped() {
        let (_dir, mut control) = control();
        let mut client = client(&control);
        client.write_all(b"swap 2\n").unwrap();
        let (id, _) = control.requests(Instant::now())[0];
        for _ in 0..100_000 {
            control.tell(id, &Event::Trial { counter: 2 });
        }
        assert!(control.clients.is_empty());
    }

    #[test]
    fn a_second_one_of_a_name_is_refused() {
        let (_dir, control) = control();
        assert!(Control::bind(control.path.clone()).is_err());
        let path = control.path.clone();
        drop(control);
        assert!(!path.exists());
        std::fs::write(&path, "left behind").unwrap();
        Control::bind(path).unwrap();
    }
}
