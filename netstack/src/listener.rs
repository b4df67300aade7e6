//! Waiting for donors among all machines that connect.
//!
//! In: an interface's sockets after each frame, and time. Out: connections that delivered their
//! opening, guests from then on. Both protocols let the donor speak first, so a peer that
//! connects and sends nothing (a port scan), or sends it slowly, is never taken for one.
//!
//! A connection is half-open from its handshake until its opening is there. Few may be so at a
//! time, and none for long; the oldest of the address that has most makes room. Handshakes that do
//! not go on have sockets of their own, so a SYN flood does not touch who has proved its address.
//! To keep a donor out by either, one would have to come faster than so many per round trip of the
//! donor.
//!
//! Memory: a socket that listens has touched none of its receive buffer. Only a half-open
//! connection or a guest can fill one, up to a window, and it is freed with the connection:
//! [`HALF_OPEN`] windows, as many guests as the engine lets wait for the stack's caller, and as
//! many as that caller keeps.

use std::cmp::Reverse;

use smoltcp::iface::{SocketHandle, SocketSet};
use smoltcp::socket::tcp::{self, State};
use smoltcp::time::{Duration, Instant};
use wire::STREAM_PORT;

/// Connections that may be half-open at the same time, on all interfaces together
/// (`protocol.md` 3.6).
pub(crate) const HALF_OPEN: usize = 4;
/// How long one may be so (`protocol.md` 3.6).
const OPENING: Duration = Duration::from_secs(5);
/// Sockets of an interface: for guests, half-open connections, handshakes, and the next to come.
const SOCKETS: usize = 40;
/// Sockets that listen at any time: one may be taken by a frame while another waits for its reset
/// to leave.
const LISTENING: usize = 2;
/// A SYN whose handshake does not go on.
const HANDSHAKE: Duration = Duration::from_secs(3);
/// A target's messages are short. A writer that is faster than its donor waits.
const SEND_BYTES: usize = 16 << 10;

/// What a socket was doing when it was last looked at.
#[derive(Clone, Copy, Debug)]
struct Seen {
    state: State,
    since: Instant,
    /// The order of arrival within one batch of frames.
    order: u64,
}

/// A socket of the pool: it listens, or is a connection.
#[derive(Clone, Copy, Debug)]
struct Pooled {
    socket: SocketHandle,
    seen: Option<Seen>,
    /// It was handed over.
    is_guest: bool,
}

/// The sockets of one interface.
#[derive(Debug)]
pub(crate) struct Listener {
    pool: heapless::Vec<Pooled, SOCKETS>,
    window_bytes: usize,
    /// How many bytes make an opening, while it is open.
    opening_len: Option<usize>,
    order: u64,
}

impl Listener {
    /// Closed at first. A closed one has no sockets: the stack itself resets every connection.
    pub(crate) const fn new(window_bytes: usize) -> Self {
        Self {
            pool: heapless::Vec::new(),
            window_bytes,
            opening_len: None,
            order: 0,
        }
    }

    pub(crate) fn open(&mut self, sockets: &mut SocketSet<'static>, opening_len: usize) {
        self.opening_len = Some(opening_len.max(1));
        while !self.pool.is_full() {
            // It is not full.
            let _ = self
                .pool
                .push(Pooled::listening(sockets, self.window_bytes));
        }
    }

    /// Nobody but guests is served; everybody else is reset, now and when they connect.
    pub(crate) fn close(&mut self, sockets: &mut SocketSet<'static>) {
        self.opening_len = None;
        for pooled in self.pool.iter_mut().filter(|pooled| !pooled.is_guest) {
            sockets.get_mut::<tcp::Socket>(pooled.socket).abort();
        }
    }

    /// Somebody is invited.
    pub(crate) const fn is_open(&self) -> bool {
        self.opening_len.is_some()
    }

    pub(crate) fn guests(&self) -> impl Iterator<Item = SocketHandle> {
        let guests = self.pool.iter().filter(|pooled| pooled.is_guest);
        guests.map(|pooled| pooled.socket)
    }

    /// Ends a guest: it is reset if it is still there, and forgotten with the memory of
    /// what it received.
    pub(crate) fn dismiss(&mut self, sockets: &mut SocketSet<'static>, socket: SocketHandle) {
        for pooled in self
            .pool
            .iter_mut()
            .filter(|pooled| pooled.socket == socket)
        {
            sockets.get_mut::<tcp::Socket>(socket).abort();
            pooled.is_guest = false;
        }
    }

    /// Looks after the sockets; to be called after each frame and when [`Listener::deadline`] has
    /// come. The connection whose opening is there, if one is.
    pub(crate) fn tend(
        &mut self,
        sockets: &mut SocketSet<'static>,
        now: Instant,
    ) -> Option<SocketHandle> {
        let opening_len = self.opening_len?;
        for pooled in self.pool.iter_mut().filter(|pooled| !pooled.is_guest) {
            let socket = sockets.get_mut::<tcp::Socket>(pooled.socket);
            let state = socket.state();
            if pooled.seen.is_none_or(|seen| seen.state != state) {
                self.order = self.order.wrapping_add(1);
                pooled.seen = Some(Seen {
                    state,
                    since: now,
                    order: self.order,
                });
            }
            let is_late = pooled.expires().is_some_and(|at| at <= now);
            match state {
                State::Established if socket.recv_queue() >= opening_len => {
                    pooled.is_guest = true;
                    return Some(pooled.socket);
                }
                // An opening cut short is the reader's to judge; who closed without a byte has said
                // nothing.
                State::CloseWait if socket.can_recv() => {
                    pooled.is_guest = true;
                    return Some(pooled.socket);
                }
                State::CloseWait => socket.abort(),
                State::Established if is_late => socket.abort(),
                // It gets no reset: its address may be forged.
                State::SynReceived if is_late => listen(socket),
                _ => {}
            }
        }
        while self.half_open() > HALF_OPEN {
            self.drop_oldest(sockets);
        }
        self.make_room(sockets);
        None
    }

    /// To be called when what was due has been sent. A connection that was reset is forgotten, with
    /// its buffer; a reset that could not leave, because nobody answers for its address any more,
    /// is not waited for.
    pub(crate) fn tidy(&mut self, sockets: &mut SocketSet<'static>) {
        let is_open = self.opening_len.is_some();
        let window_bytes = self.window_bytes;
        self.pool.retain_mut(|pooled| {
            let is_over = sockets.get::<tcp::Socket>(pooled.socket).state() == State::Closed;
            if !is_over || pooled.is_guest {
                return true;
            }
            sockets.remove(pooled.socket);
            if is_open {
                *pooled = Pooled::listening(sockets, window_bytes);
            }
            is_open
        });
    }

    fn seen_in(&self, state: State) -> impl Iterator<Item = (Seen, SocketHandle)> {
        let strangers = self.pool.iter().filter(|pooled| !pooled.is_guest);
        let seen = strangers.filter_map(|pooled| Some((pooled.seen?, pooled.socket)));
        seen.filter(move |(seen, _)| self.opening_len.is_some() && seen.state == state)
    }

    /// How many connections are half-open.
    pub(crate) fn half_open(&self) -> usize {
        self.seen_in(State::Established).count()
    }

    /// Since when the oldest is.
    pub(crate) fn oldest(&self) -> Option<Instant> {
        self.seen_in(State::Established)
            .map(|(seen, _)| seen.since)
            .min()
    }

    /// Resets the half-open connection that has been one for longest, of the address that has most.
    pub(crate) fn drop_oldest(&mut self, sockets: &mut SocketSet<'static>) {
        let address = |socket| {
            let remote = sockets.get::<tcp::Socket>(socket).remote_endpoint();
            remote.map(|remote| remote.addr)
        };
        let of = |socket| {
            let others = self.seen_in(State::Established);
            others
                .filter(|(_, other)| address(*other) == address(socket))
                .count()
        };
        let oldest = self
            .seen_in(State::Established)
            .max_by_key(|(seen, socket)| (of(*socket), Reverse(seen.order)));
        let Some((_, oldest)) = oldest else {
            return;
        };
        sockets.get_mut::<tcp::Socket>(oldest).abort();
        for pooled in self
            .pool
            .iter_mut()
            .filter(|pooled| pooled.socket == oldest)
        {
            pooled.seen = None;
        }
    }

    fn make_room(&self, sockets: &mut SocketSet<'static>) {
        let is_listening =
            |pooled: &&Pooled| sockets.get::<tcp::Socket>(pooled.socket).is_listening();
        if self.pool.iter().filter(is_listening).count() >= LISTENING {
            return;
        }
        let oldest = self
            .seen_in(State::SynReceived)
            .min_by_key(|(seen, _)| seen.order);
        if let Some((_, oldest)) = oldest {
            listen(sockets.get_mut::<tcp::Socket>(oldest));
        }
    }

    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.opening_len?;
        self.pool.iter().filter_map(Pooled::expires).min()
    }
}

impl Pooled {
    fn listening(sockets: &mut SocketSet<'static>, window_bytes: usize) -> Self {
        let mut socket = socket(window_bytes);
        listen(&mut socket);
        Self {
            socket: sockets.add(socket),
            seen: None,
            is_guest: false,
        }
    }

    fn expires(&self) -> Option<Instant> {
        let seen = self.seen.filter(|_| !self.is_guest)?;
        match seen.state {
            State::SynReceived => Some(seen.since + HANDSHAKE),
            State::Established => Some(seen.since + OPENING),
            _ => None,
        }
    }
}

/// From whatever it was doing.
fn listen(socket: &mut tcp::Socket<'_>) {
    socket.abort();
    // It is closed now and the port is not 0: nothing is left that could be refused.
    let _ = socket.listen(STREAM_PORT);
}

fn socket(window_bytes: usize) -> tcp::Socket<'static> {
    // Zeroed memory comes from the kernel untouched: a socket costs nothing before bytes arrive.
    let received = tcp::SocketBuffer::new(vec![0; window_bytes]);
    let mut socket = tcp::Socket::new(received, tcp::SocketBuffer::new(vec![0; SEND_BYTES]));
    // We acknowledge once for each batch of frames, so there is nothing to put off.
    socket.set_ack_delay(None);
    // Each write is a whole message, and a donor waits for it.
    socket.set_nagle_enabled(false);
    socket
}
