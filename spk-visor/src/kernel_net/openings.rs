//! Connections to a listening socket until they have said their opening, and word of what happens
//! at them afterwards.
//!
//! In: a listening socket, time. Out: connections that delivered their opening, nothing of it
//! read; a connection that does not is reset. Meanwhile strangers can take [`HALF_OPEN`] sockets
//! without an opening and at most twice as many with one that nobody has asked for yet, with the
//! receive buffers that the kernel gives to unread ones. The others stay in the kernel's queue.

use std::cmp::Reverse;
use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::thread;
use std::time::{Duration, Instant};

use receiver::donor::{HALF_OPEN, Interrupted, OPENING_PATIENCE};
use rustix::event::{Timespec, epoll};
use rustix::io::Errno;
use rustix::net::RecvFlags;
use socket2::SockRef;
use sys::eventfd::EventFd;

/// Connections that are taken in before anything else is looked at.
const AT_ONCE: usize = 64;
/// Until descriptors or memory that ran out are asked for again.
const PAUSE: Duration = Duration::from_millis(100);
/// The token of an epoll event that is not the number of a connection.
const LISTENER: u64 = 0;
/// Somebody does not want to wait any more.
const INTERRUPT: u64 = u64::MAX;

/// A connection that is half-open.
#[derive(Debug)]
struct HalfOpen {
    number: u64,
    stream: TcpStream,
    peer: IpAddr,
    expires: Instant,
}

/// The state of a half-open connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Opening {
    /// It is there, or will never be longer than it is.
    Said,
    /// More may come.
    Awaited,
    /// Gone, or closed without a byte.
    Gone,
}

/// The result of a wait.
#[derive(Debug)]
pub(super) enum Event {
    /// This connection has said its opening.
    Said(TcpStream),
    /// Something has come at one that was handed over before, or it has ended.
    Stirred,
    /// Time is up.
    Late,
}

/// A listening socket and its half-open connections, the oldest first.
#[derive(Debug)]
pub(super) struct Openings {
    listener: TcpListener,
    epoll: OwnedFd,
    half_open: VecDeque<HalfOpen>,
    /// They have said their opening and are to be handed over.
    said: VecDeque<TcpStream>,
    last_number: u64,
    interrupt: EventFd,
    /// To look at an opening without taking it.
    opening: Vec<u8>,
}

impl Openings {
    /// Looks after a listening socket that does not block, until `interrupt` is notified.
    pub(super) fn new(
        listener: TcpListener,
        opening_len: usize,
        interrupt: &EventFd,
    ) -> io::Result<Self> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let listening = epoll::EventData::new_u64(LISTENER);
        epoll::add(&epoll, &listener, listening, epoll::EventFlags::IN)?;
        let interrupted = epoll::EventData::new_u64(INTERRUPT);
        epoll::add(&epoll, interrupt, interrupted, epoll::EventFlags::IN)?;
        Ok(Self {
            listener,
            epoll,
            half_open: VecDeque::new(),
            said: VecDeque::new(),
            last_number: LISTENER,
            interrupt: interrupt.clone(),
            opening: vec![0; opening_len.max(1)],
        })
    }

    /// Waits until a connection has said its opening, or one that had said it before says more; at
    /// the latest until `until`.
    ///
    /// # Errors
    /// [`Interrupted`]: the eventfd was notified. What the kernel says.
    pub(super) fn wait(&mut self, until: Instant) -> io::Result<Event> {
        loop {
            self.drop_late(Instant::now());
            if let Some(stream) = self.said.pop_front() {
                return Ok(Event::Said(stream));
            }
            let expires = self.half_open.front().map(|oldest| oldest.expires);
            let wake_at = expires.map_or(until, |expires| expires.min(until));
            let mut events = [epoll::Event {
                flags: epoll::EventFlags::empty(),
                data: epoll::EventData::new_u64(LISTENER),
            }; 2 + HALF_OPEN];
            let count = match epoll::wait(&self.epoll, &mut events[..], Some(&left(wake_at))) {
                Err(Errno::INTR) => 0,
                count => count?,
            };
            let mut has_stirred = false;
            for event in events.iter().take(count) {
                if event.data.u64() == INTERRUPT {
                    if self.interrupt.clear() {
                        return Err(Interrupted::error());
                    }
                } else if event.data.u64() == LISTENER {
                    self.take_in()?;
                } else {
                    has_stirred |= !self.look(event.data.u64(), event.flags);
                }
            }
            if has_stirred {
                return Ok(Event::Stirred);
            }
            // A peer that keeps us busy does not keep the next beacon from being sent.
            if self.said.is_empty() && Instant::now() >= until {
                return Ok(Event::Late);
            }
        }
    }

    fn drop_late(&mut self, now: Instant) {
        while let Some(late) = self.half_open.pop_front_if(|oldest| oldest.expires <= now) {
            reset(&late.stream);
        }
    }

    /// Leaves in the kernel's queue what is too many for now: the next look at the set says so
    /// again, for the listening socket is in it by level.
    fn take_in(&mut self) -> io::Result<()> {
        for _ in 0..AT_ONCE {
            if self.said.len() >= HALF_OPEN {
                break;
            }
            match self.listener.accept() {
                // Not one that fails already.
                Ok((stream, _)) => drop(self.add(stream)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                // It was gone before we looked (`accept(2)` lists more such errors than std has
                // names for).
                Err(error) if is_of_the_connection(&error) => {}
                // Others of this machine may have taken it, and give it back.
                Err(error) if is_want_of_room(&error) => {
                    thread::sleep(PAUSE);
                    break;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn add(&mut self, stream: TcpStream) -> io::Result<()> {
        stream.set_nonblocking(true)?;
        self.last_number = self.last_number.wrapping_add(1).max(LISTENER + 1);
        // By edges: one that has said part of its opening is looked at again when more of it comes,
        // not all the time.
        epoll::add(
            &self.epoll,
            &stream,
            epoll::EventData::new_u64(self.last_number),
            epoll::EventFlags::IN | epoll::EventFlags::RDHUP | epoll::EventFlags::ET,
        )?;
        let peer = stream.peer_addr()?.ip();
        self.half_open.push_back(HalfOpen {
            number: self.last_number,
            stream,
            peer,
            expires: Instant::now() + OPENING_PATIENCE,
        });
        // Bytes that have come with it count before anybody has to make room.
        self.look(self.last_number, epoll::EventFlags::empty());
        if self.half_open.len() > HALF_OPEN {
            self.drop_oldest();
        }
        Ok(())
    }

    /// Of the address that has most.
    fn drop_oldest(&mut self) {
        let of = |ip: IpAddr| {
            self.half_open
                .iter()
                .filter(|other| other.peer == ip)
                .count()
        };
        let numbered = self.half_open.iter().enumerate();
        let oldest = numbered.max_by_key(|(at, one)| (of(one.peer), Reverse(*at)));
        let oldest = oldest.map(|(at, _)| at);
        if let Some(oldest) = oldest.and_then(|at| self.half_open.remove(at)) {
            reset(&oldest.stream);
        }
    }

    /// Looks whether it has said its opening; `false`: it had before.
    fn look(&mut self, number: u64, flags: epoll::EventFlags) -> bool {
        let mut numbered = self.half_open.iter().enumerate();
        let Some((at, half_open)) = numbered.find(|(_, half_open)| half_open.number == number)
        else {
            return false;
        };
        let has_closed = flags.contains(epoll::EventFlags::RDHUP);
        let peek = RecvFlags::PEEK | RecvFlags::DONTWAIT;
        let peeked = rustix::net::recv(&half_open.stream, &mut self.opening[..], peek);
        let opening = match peeked {
            Ok((0, _)) => Opening::Gone,
            Ok((len, _)) if has_closed || len >= self.opening.len() => Opening::Said,
            Ok(_) | Err(Errno::AGAIN | Errno::INTR) => Opening::Awaited,
            Err(_) => Opening::Gone,
        };
        if opening == Opening::Awaited {
            return true;
        }
        if let Some(half_open) = self.half_open.remove(at) {
            match opening {
                // It leaves the set when it is closed.
                Opening::Said => self.said.push_back(half_open.stream),
                Opening::Gone | Opening::Awaited => reset(&half_open.stream),
            }
        }
        true
    }
}

impl Drop for Openings {
    /// Resets the connections that were not handed over. Those that the kernel has not handed to
    /// us yet it resets itself when the socket closes.
    fn drop(&mut self) {
        let half_open = self.half_open.iter().map(|half_open| &half_open.stream);
        for stream in half_open.chain(&self.said) {
            reset(stream);
        }
    }
}

fn left(until: Instant) -> Timespec {
    let left = until.saturating_duration_since(Instant::now());
    Timespec::try_from(left).unwrap_or(Timespec {
        tv_sec: 1,
        tv_nsec: 0,
    })
}

/// Errors that `accept(2)` passes on from a connection; the listening socket is as good as before.
fn is_of_the_connection(error: &io::Error) -> bool {
    let errno = Errno::from_io_error(error);
    errno.is_some_and(|errno| {
        matches!(
            errno,
            Errno::INTR
                | Errno::CONNABORTED
                | Errno::CONNRESET
                | Errno::NETDOWN
                | Errno::PROTO
                | Errno::NOPROTOOPT
                | Errno::HOSTDOWN
                | Errno::NONET
                | Errno::HOSTUNREACH
                | Errno::OPNOTSUPP
                | Errno::NETUNREACH
        )
    })
}

/// `accept(2)` found no descriptor or no memory for one more connection, which stays in the queue.
fn is_want_of_room(error: &io::Error) -> bool {
    let errno = Errno::from_io_error(error);
    errno.is_some_and(|errno| {
        matches!(
            errno,
            Errno::MFILE | Errno::NFILE | Errno::NOMEM | Errno::NOBUFS
        )
    })
}

/// Resets the connection at once, even while a writer holds the socket; the writer's next write
/// fails.
pub(super) fn reset(stream: &TcpStream) {
    // Both only fail on a connection that is gone already. Where a kernel will not disconnect
    // (Linux 6.6 while somebody sleeps in a call on the socket), closing it resets.
    let _ = SockRef::from(stream).set_linger(Some(Duration::ZERO));
    let _ = rustix::net::connect_unspec(stream);
}

#[cfg(test)]
mod tests {
    use super::{Event, HALF_OPEN, Openings};
    use std::io::Write;
    use std::net::{Ipv4Addr, TcpListener, TcpStream};
    use std::time::{Duration, Instant};
    use sys::eventfd::EventFd;

    #[test]
    fn openings_that_nobody_has_asked_for_stay_in_the_queue_of_the_kernel() {
        const MANY: usize = 40;
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let to = listener.local_addr().unwrap();
        listener.set_nonblocking(true).unwrap();
        let mut openings = Openings::new(listener, 4, &EventFd::new().unwrap()).unwrap();
        let come: Vec<_> = (0..MANY).map(|_| TcpStream::connect(to).unwrap()).collect();
        for mut stream in &come {
            stream.write_all(b"SMV2").unwrap();
        }
        let mut said = Vec::new();
        while said.len() < MANY {
            match openings.wait(Instant::now() + Duration::from_secs(30)) {
                Ok(Event::Said(stream)) => said.push(stream.peer_addr().unwrap()),
                other => panic!("{other:?} after {} of {MANY}", said.len()),
            }
            assert!(
                openings.said.len() < 2 * HALF_OPEN,
                "{}",
                openings.said.len()
            );
        }
        let come = come.iter().map(|stream| stream.local_addr().unwrap());
        assert!(come.eq(said), "one is lost, or out of its turn");
    }
}
