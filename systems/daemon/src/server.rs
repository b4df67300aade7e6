//! Connections in, responses out: a fixed number of threads, each serving one client at a time,
//! each client within a fixed time. More clients wait in the kernel's queue, which is bounded too.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, poll};
use sys::eventfd::EventFd;

use crate::health::{self, Reported};
use crate::request::{self, HEAD_MAX, Method};
use crate::response::{self, Status};

/// Clients served at once.
pub const CLIENTS_MAX: usize = 16;
/// From accept to the end of the response: a client that sends or reads a byte now and then gets no
/// longer.
pub const CLIENT_TIME: Duration = Duration::from_secs(5);
/// The head and a report fit many times.
const STACK_BYTES: usize = 128 * 1024;
/// The bytes that a client may still send after its request before we close on it; see [`linger`].
const LINGER_BYTES: usize = 64 * 1024;

/// Threads that serve.
#[derive(Debug)]
pub struct Server {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    listeners: Vec<TcpListener>,
    reported: Reported,
    stop: EventFd,
    /// Threads that have a client, or are about to accept one.
    busy: Mutex<usize>,
    /// Fewer are busy than before.
    freed: Condvar,
}

impl Server {
    /// Serves from now on.
    ///
    /// # Errors
    /// No thread could be started, or one of the sockets does not listen.
    pub fn start(listeners: Vec<TcpListener>, reported: Reported) -> io::Result<Self> {
        for listener in &listeners {
            // Several threads wait for the same client, and only one gets it.
            listener.set_nonblocking(true)?;
        }
        let shared = Arc::new(Shared {
            listeners,
            reported,
            stop: EventFd::new()?,
            busy: Mutex::new(0),
            freed: Condvar::new(),
        });
        for _ in 0..CLIENTS_MAX {
            let shared = Arc::clone(&shared);
            let worker = thread::Builder::new().stack_size(STACK_BYTES);
            worker.spawn(move || shared.accept_all())?;
        }
        Ok(Self { shared })
    }

    /// Accepts no further client, and returns when the accepted ones are served, or after
    /// `patience`. Clients that wait in the kernel's queue stay there, for another program with the
    /// same sockets. The sockets are not shut down: that would close them for all programs.
    pub fn stop(self, patience: Duration) {
        self.shared.stop.notify();
        let busy = self.shared.busy();
        // It is over either way; threads that have no client are not waited for.
        let _ = self
            .shared
            .freed
            .wait_timeout_while(busy, patience, |busy| *busy > 0);
    }
}

impl Shared {
    /// One worker: one client after the other.
    fn accept_all(&self) {
        while !self.stop.is_notified() {
            let mut fds = vec![PollFd::new(&self.stop, PollFlags::IN)];
            fds.extend(
                self.listeners
                    .iter()
                    .map(|one| PollFd::new(one, PollFlags::IN)),
            );
            // Interrupted or not: what is there is seen by looking.
            let _ = poll(&mut fds, None);
            *self.busy() += 1;
            self.accept_each();
            *self.busy() -= 1;
            self.freed.notify_all();
        }
    }

    /// Serves the clients that wait at each listener. Busy before it asks whether this is the end,
    /// so that an accepted client is waited for.
    fn accept_each(&self) {
        for listener in &self.listeners {
            if self.stop.is_notified() {
                return;
            }
            match listener.accept() {
                // A client that went away or was too slow is its own loss; there is nobody to tell.
                Ok((client, _)) => drop(serve_client(client, &self.reported, CLIENT_TIME)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                // accept(2): errors of the connection that was just coming in, or too many open
                // files. Both pass; the pause keeps the second from spinning.
                Err(_) => thread::sleep(Duration::from_millis(50)),
            }
        }
    }

    fn busy(&self) -> MutexGuard<'_, usize> {
        self.busy.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reads one request, answers it, closes.
pub fn serve_client(mut client: TcpStream, reported: &Reported, time: Duration) -> io::Result<()> {
    let deadline = Instant::now() + time;
    let mut head = Vec::with_capacity(1024);
    let response = match read_head(&mut client, &mut head, deadline) {
        Ok(()) => answer(&head, reported),
        Err(HeadError::TooLarge) => response::bare(Status::HeadTooLarge, true),
        Err(HeadError::TooSlow) => response::bare(Status::RequestTimeout, true),
        Err(HeadError::Ended) if head.is_empty() => return Ok(()),
        Err(HeadError::Ended) => response::bare(Status::BadRequest, true),
        Err(HeadError::Io(error)) => return Err(error),
    };
    // a request that used up its time still gets its 408, in one segment
    client.set_write_timeout(Some(left(deadline).unwrap_or(Duration::from_millis(100))))?;
    client.write_all(&response)?;
    client.shutdown(Shutdown::Write)?;
    linger(&mut client, deadline)
}

/// The response to a complete head.
fn answer(head: &[u8], reported: &Reported) -> Vec<u8> {
    let is_head = head.starts_with(b"HEAD ");
    match request::parse(head) {
        Ok(request) if request.path == "/health" => response::json(
            Status::Ok,
            &health::report(reported),
            request.method == Method::Get,
        ),
        Ok(_) => response::bare(Status::NotFound, !is_head),
        Err(refusal) => response::bare(Status::from(refusal), !is_head),
    }
}

/// Why no head came.
enum HeadError {
    TooLarge,
    TooSlow,
    Ended,
    Io(io::Error),
}

/// The time left until `deadline`; `None` when nothing is (a timeout of zero means "for ever" to
/// setsockopt(2)).
fn left(deadline: Instant) -> Option<Duration> {
    deadline
        .checked_duration_since(Instant::now())
        .filter(|left| !left.is_zero())
}

/// Reads up to and including the empty line; what follows it (a body) is dropped.
fn read_head(
    client: &mut TcpStream,
    head: &mut Vec<u8>,
    deadline: Instant,
) -> Result<(), HeadError> {
    let mut piece = [0_u8; 1024];
    loop {
        let timeout = left(deadline).ok_or(HeadError::TooSlow)?;
        client
            .set_read_timeout(Some(timeout))
            .map_err(HeadError::Io)?;
        let count = match client.read(&mut piece) {
            Ok(0) => return Err(HeadError::Ended),
            Ok(count) => count,
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut
                ) =>
            {
                return Err(HeadError::TooSlow);
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(HeadError::Io(error)),
        };
        head.extend_from_slice(piece.get(..count).unwrap_or_default());
        if let Some(len) = request::head_len(head) {
            head.truncate(len);
            return Ok(());
        }
        if head.len() > HEAD_MAX {
            return Err(HeadError::TooLarge);
        }
    }
}

/// Reads away what the client still sends. Closing with unread bytes makes the kernel send a reset,
/// which may destroy the response before the client has read it (RFC 9112 9.6).
fn linger(client: &mut TcpStream, deadline: Instant) -> io::Result<()> {
    let mut piece = [0_u8; 1024];
    let mut taken = 0_usize;
    while taken < LINGER_BYTES {
        let Some(timeout) = left(deadline) else {
            return Ok(());
        };
        client.set_read_timeout(Some(timeout))?;
        match client.read(&mut piece)? {
            0 => return Ok(()),
            count => taken = taken.saturating_add(count),
        }
    }
    Ok(())
}

#[cfg(test)]
#[path = "server/tests.rs"]
mod tests;
