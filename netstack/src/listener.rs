//! Waiting for one donor among whoever connects.
//!
//! In: a port's sockets after each frame, and time. Out: the connection that sent the first byte. Both protocols let the donor
//! speak first, so whoever connects and says nothing (a port scan) is never taken for one.
//!
//! There are always sockets in the listening state: when the last but one is taken, the oldest that has not yet spoken makes room.
//! So neither a SYN flood nor idle connections keep a donor out; they would have to come faster
//! than [`SLOTS`] per round trip of the donor.

use smoltcp::iface::{SocketHandle, SocketSet};
use smoltcp::socket::tcp::{self, State};
use smoltcp::time::{Duration, Instant};
use wire::STREAM_PORT;

/// Connections that may be undecided at the same time.
const SLOTS: usize = 8;
/// Sockets that listen at any time: one may be taken by a frame while another waits for its reset to leave.
const LISTENING: usize = 2;
/// A SYN whose handshake does not go on.
const HALF_OPEN: Duration = Duration::from_secs(3);
/// A connection that says nothing.
const SILENT: Duration = Duration::from_secs(10);
/// Nothing but a FIN and acknowledgements is ever sent here.
const SEND_BYTES: usize = 256;

#[derive(Clone, Copy, Debug)]
struct Slot {
    socket: SocketHandle,
    /// What the socket was doing, and since when.
    seen: Option<(State, Instant)>,
}

/// The sockets of one port.
#[derive(Debug)]
pub(crate) struct Listener {
    slots: heapless::Vec<Slot, SLOTS>,
    window_bytes: usize,
    is_open: bool,
}

impl Listener {
    /// Closed at first.
    pub(crate) fn new(sockets: &mut SocketSet<'static>, window_bytes: usize) -> Self {
        let mut slots = heapless::Vec::new();
        for _ in 0..SLOTS {
            // It fits: SLOTS times.
            let _ = slots.push(Slot {
                socket: sockets.add(socket(window_bytes)),
                seen: None,
            });
        }
        Self {
            slots,
            window_bytes,
            is_open: false,
        }
    }

    pub(crate) fn open(&mut self) {
        self.is_open = true;
    }

    /// Nobody but `kept` is served; everybody else is reset, now and when they connect.
    pub(crate) fn close(&mut self, sockets: &mut SocketSet<'static>, kept: Option<SocketHandle>) {
        self.is_open = false;
        for slot in self
            .slots
            .iter_mut()
            .filter(|slot| Some(slot.socket) != kept)
        {
            sockets.get_mut::<tcp::Socket>(slot.socket).abort();
            slot.seen = None;
        }
    }

    /// Forgets a connection without another word, and the memory of what it received.
    pub(crate) fn discard(&mut self, sockets: &mut SocketSet<'static>, socket_: SocketHandle) {
        for slot in self.slots.iter_mut().filter(|slot| slot.socket == socket_) {
            sockets.remove(slot.socket);
            *slot = Slot {
                socket: sockets.add(socket(self.window_bytes)),
                seen: None,
            };
        }
    }

    /// Looks after the sockets; to be called after each frame and when [`Listener::deadline`] has come. The connection that
    /// spoke, if one did.
    pub(crate) fn tend(
        &mut self,
        sockets: &mut SocketSet<'static>,
        now: Instant,
    ) -> Option<SocketHandle> {
        if !self.is_open {
            return None;
        }
        for slot in &mut self.slots {
            let socket = sockets.get_mut::<tcp::Socket>(slot.socket);
            let state = socket.state();
            if slot.seen.is_none_or(|(seen, _)| seen != state) {
                slot.seen = Some((state, now));
            }
            let is_late = slot.expires().is_some_and(|at| at <= now);
            match state {
                State::Established | State::CloseWait if socket.can_recv() => {
                    return Some(slot.socket);
                }
                // A half-open one gets no reset: its address may be forged.
                State::SynReceived if is_late => listen_again(socket),
                State::Established if is_late => socket.abort(),
                State::CloseWait => socket.abort(),
                // Closed, and its last reset is on its way.
                State::Closed if socket.remote_endpoint().is_none() => listen_again(socket),
                _ => {}
            }
        }
        self.make_room(sockets);
        None
    }

    fn make_room(&self, sockets: &mut SocketSet<'static>) {
        let is_listening = |slot: &Slot| sockets.get::<tcp::Socket>(slot.socket).is_listening();
        if self.slots.iter().filter(|slot| is_listening(slot)).count() >= LISTENING {
            return;
        }
        let undecided = self.slots.iter().filter_map(|slot| match slot.seen? {
            (state @ (State::SynReceived | State::Established), since) => {
                Some((since, state, slot.socket))
            }
            _ => None,
        });
        match undecided.min_by_key(|(since, _, _)| *since) {
            Some((_, State::SynReceived, handle)) => {
                listen_again(sockets.get_mut::<tcp::Socket>(handle))
            }
            // It listens again once the reset is sent.
            Some((_, _, handle)) => sockets.get_mut::<tcp::Socket>(handle).abort(),
            None => {}
        }
    }

    pub(crate) fn deadline(&self) -> Option<Instant> {
        if !self.is_open {
            return None;
        }
        self.slots.iter().filter_map(Slot::expires).min()
    }
}

impl Slot {
    fn expires(&self) -> Option<Instant> {
        match self.seen? {
            (State::SynReceived, since) => Some(since + HALF_OPEN),
            (State::Established, since) => Some(since + SILENT),
            _ => None,
        }
    }
}

fn listen_again(socket: &mut tcp::Socket<'_>) {
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
    socket
}
