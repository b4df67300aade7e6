//! All interfaces together, and the guests among those that connect to them: the one donor, in the
//! end.
//!
//! In: changes of interfaces, time, and what the stack wants. Out: facts, guests and their bytes.
//! Does no waiting of its own.

use smoltcp::iface::SocketHandle;
use smoltcp::phy::Device;
use smoltcp::socket::tcp::{self, RecvError, State};
use smoltcp::time::Instant;
use smoltcp::wire::{IpAddress, IpEndpoint};
use std::net::{IpAddr, SocketAddr, SocketAddrV6};
use wire::beacon::BEACON_LEN;

use crate::config::{Addressing, Config};
use crate::fact::{NetworkFact, Observer};
use crate::interfaces::InterfaceChange;
use crate::listener::HALF_OPEN;
use crate::nic::{NewNic, Nic, Readdressed};

/// Guests that the stack's caller has not asked for yet, on all interfaces together (`protocol.md`
/// 3.6): each can fill a window, and a caller may be away for long. As many as there are handshakes
/// at a time, so that strangers at five addresses crowd out one another and not a sixth.
pub(crate) const UNASKED: usize = 6;

/// The phase of the stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Only guests are served; every new connection is reset.
    Resting,
    /// The beacon is sent, and connections that deliver `opening_len` bytes become guests.
    Inviting {
        payload: [u8; BEACON_LEN],
        opening_len: usize,
    },
}

/// A connection that was handed over.
#[derive(Clone, Copy, Debug)]
struct Guest {
    /// A handle that outlives its own connection must not reach the next.
    connection: u64,
    /// Of its interface.
    index: u32,
    socket: SocketHandle,
    /// What there was to be read when it was last looked at, and how far it was.
    seen: (usize, Option<State>),
    /// Our FIN was acknowledged.
    has_closed: bool,
    is_new: bool,
}

/// A connection that has delivered its opening.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Arrived {
    pub(crate) connection: u64,
    pub(crate) peer: SocketAddr,
}

/// The donor's bytes that have arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Received {
    /// So many were copied.
    Bytes(usize),
    /// None yet.
    Nothing,
    /// There will be no more: FIN.
    Finished,
    /// There will be no more: RST, or the interface is gone.
    Reset,
    /// There will be no more: we were given another address.
    Readdressed(Readdressed),
}

/// The fate of bytes for the donor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sent {
    /// So many will be sent, and sent again until they are acknowledged.
    Bytes(usize),
    /// The buffer has no room: the donor has not acknowledged enough.
    Full,
    /// We have closed this direction, or this donor is done with.
    Closed,
    /// The connection was reset, or the interface is gone.
    Reset,
}

/// How far the connection is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Closing {
    /// Our FIN is not acknowledged.
    Pending,
    /// The donor has acknowledged everything, but has not closed its own side.
    Acknowledged,
    /// Both sides are closed.
    Done,
    /// The connection was gone before.
    Reset,
}

/// The whole network of the machine.
pub(crate) struct Engine<D: Device> {
    config: Config,
    observer: Observer,
    nics: Vec<Nic<D>>,
    phase: Phase,
    guests: Vec<Guest>,
    seed: u64,
    /// Counts guests.
    connections: u64,
    /// Bytes handed out since the last `pump`: the donor does not know yet that there is room for
    /// them.
    unannounced_bytes: usize,
    /// There are bytes for the donor that no `pump` has looked at.
    has_unsent: bool,
}

impl<D: Device> Engine<D> {
    pub(crate) fn new(config: Config, observer: Observer, seed: u64) -> Self {
        Self {
            config,
            observer,
            nics: Vec::new(),
            phase: Phase::Resting,
            guests: Vec::new(),
            seed,
            connections: 0,
            unannounced_bytes: 0,
            has_unsent: false,
        }
    }

    pub(crate) fn addresses(&self) -> Vec<IpAddr> {
        self.nics.iter().flat_map(Nic::addresses).collect()
    }

    pub(crate) fn apply(&mut self, change: InterfaceChange<D>, now: Instant) {
        match change {
            InterfaceChange::Appeared {
                index,
                name,
                mac,
                device,
            } => {
                self.seed = self.seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
                let is_first = self.nics.is_empty();
                let new = NewNic {
                    index,
                    name,
                    mac,
                    device,
                    is_first,
                    seed: self.seed,
                };
                if let Some(nic) = Nic::new(new, &self.config, now) {
                    (self.observer)(nic.link_up());
                    nic.complaints(&self.config).for_each(&mut self.observer);
                    self.nics.push(nic);
                    self.invite(now);
                }
            }
            InterfaceChange::Link { index, is_up } => {
                let nic = self.nics.iter_mut().find(|nic| nic.index == index);
                if let Some(fact) = nic.and_then(|nic| nic.set_link(is_up, now)) {
                    (self.observer)(fact);
                }
            }
            InterfaceChange::Gone { index } => {
                for nic in self.nics.extract_if(.., |nic| nic.index == index) {
                    (self.observer)(NetworkFact::Gone {
                        interface: nic.name().to_owned(),
                    });
                }
            }
            InterfaceChange::Unusable { name, reason } => {
                (self.observer)(NetworkFact::Unusable {
                    interface: name,
                    reason,
                });
            }
        }
    }

    /// Gives up every address and looks for others; false while a donor is served. All
    /// connections so far are reset.
    pub(crate) fn readdress(&mut self, addressing: Addressing, now: Instant) -> bool {
        if self.phase == Phase::Resting && !self.guests.is_empty() {
            return false;
        }
        self.config.addressing = addressing;
        for (at, nic) in self.nics.iter_mut().enumerate() {
            self.seed = self.seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
            nic.give_up_addresses(now, &mut self.observer);
            nic.take_addresses(&self.config, at == 0, self.seed, now);
            nic.complaints(&self.config).for_each(&mut self.observer);
        }
        self.invite(now);
        true
    }

    /// Begins to send the beacon and to listen, on interfaces that are there and on those that will
    /// be. Nothing changes if both inputs are the same as before.
    pub(crate) fn wait_for_donor(
        &mut self,
        payload: [u8; BEACON_LEN],
        opening_len: usize,
        now: Instant,
    ) {
        let phase = Phase::Inviting {
            payload,
            opening_len,
        };
        if std::mem::replace(&mut self.phase, phase) != phase {
            self.invite(now);
        }
    }

    fn invite(&mut self, now: Instant) {
        if let Phase::Inviting {
            payload,
            opening_len,
        } = self.phase
        {
            for nic in &mut self.nics {
                nic.invite(payload, opening_len, now);
            }
        }
    }

    /// Takes in a batch of frames and does what is due, on every interface. True when more frames
    /// may be there.
    pub(crate) fn pump(&mut self, now: Instant) -> bool {
        self.unannounced_bytes = 0;
        self.has_unsent = false;
        let mut has_more = false;
        let mut spoke = Vec::new();
        for nic in &mut self.nics {
            let pumped = nic.pump(now, &mut self.observer);
            has_more |= pumped.has_more;
            spoke.extend(pumped.spoke.map(|socket| (nic.index, socket)));
        }
        for (index, socket) in spoke {
            self.connections = self.connections.wrapping_add(1);
            self.guests.push(Guest {
                connection: self.connections,
                index,
                socket,
                seen: (0, None),
                has_closed: false,
                is_new: true,
            });
        }
        self.limit_unasked();
        self.limit_half_open();
        has_more
    }

    /// The oldest of the address that has most makes room, as among the half-open ones; before it,
    /// one that is gone already.
    fn limit_unasked(&mut self) {
        loop {
            let unasked = self.guests.iter().filter(|guest| guest.is_new);
            let unasked: Vec<u64> = unasked.map(|guest| guest.connection).collect();
            if unasked.len() <= UNASKED {
                return;
            }
            let address = |connection| {
                let remote = self.socket(connection)?.remote_endpoint()?;
                Some(remote.addr)
            };
            let addresses: Vec<Option<IpAddress>> = unasked.iter().copied().map(address).collect();
            let of = |address| addresses.iter().filter(|other| **other == address).count();
            let numbered = unasked.iter().zip(&addresses); // the oldest first
            let leaves = numbered
                .rev()
                .max_by_key(|(_, address)| (address.is_none(), of(**address)));
            let Some((leaves, _)) = leaves else {
                return;
            };
            self.dismiss(*leaves);
        }
    }

    /// Each interface keeps the limit by itself; this is for a machine with several.
    fn limit_half_open(&mut self) {
        let half_open = |nic: &Nic<D>| nic.half_open().half_open();
        while self.nics.iter().map(half_open).sum::<usize>() > HALF_OPEN {
            let with_any = self.nics.iter_mut().filter(|nic| half_open(nic) > 0);
            match with_any.min_by_key(|nic| nic.half_open().oldest()) {
                Some(nic) => nic.drop_oldest(),
                None => break,
            }
        }
    }

    /// A guest that nobody knows of yet.
    pub(crate) fn arrived(&mut self) -> Option<Arrived> {
        let guest = self.guests.iter_mut().find(|guest| guest.is_new)?;
        guest.is_new = false;
        let Guest {
            connection, index, ..
        } = *guest;
        let remote = self
            .socket(connection)
            .and_then(|socket| socket.remote_endpoint());
        let Some(IpEndpoint { addr, port }) = remote else {
            self.dismiss(connection); // it was reset in the same batch
            return None;
        };
        let peer = match addr {
            IpAddress::Ipv4(address) => SocketAddr::from((address, port)),
            IpAddress::Ipv6(address) => {
                // The kernel's number says which of several networks with the same prefix is meant
                // (RFC 4007 6).
                let scope = if address.is_unicast_link_local() {
                    index
                } else {
                    0
                };
                SocketAddrV6::new(address, port, 0, scope).into()
            }
        };
        Some(Arrived { connection, peer })
    }

    /// Has anything come at a guest, or has one ended, since this was last asked?
    pub(crate) fn has_stirred(&mut self) -> bool {
        let mut has_stirred = false;
        for at in 0..self.guests.len() {
            let Some(connection) = self.guests.get(at).map(|guest| guest.connection) else {
                continue;
            };
            let seen = self.socket(connection).map_or((0, None), |socket| {
                (socket.recv_queue(), Some(socket.state()))
            });
            if let Some(guest) = self.guests.get_mut(at) {
                has_stirred |= guest.seen != seen;
                guest.seen = seen;
            }
        }
        has_stirred
    }

    fn socket(&mut self, connection: u64) -> Option<&mut tcp::Socket<'static>> {
        let mut guests = self.guests.iter();
        let guest = *guests.find(|guest| guest.connection == connection)?;
        let nic = self.nics.iter_mut().find(|nic| nic.index == guest.index)?;
        nic.guest(guest.socket)
    }

    /// The change of address that ended this connection, if one did.
    fn readdressed(&self, connection: u64) -> Option<Readdressed> {
        let mut guests = self.guests.iter();
        let guest = guests.find(|guest| guest.connection == connection)?;
        let nic = self.nics.iter().find(|nic| nic.index == guest.index)?;
        nic.readdressed()
    }

    /// Copies what has arrived.
    pub(crate) fn receive(&mut self, connection: u64, buffer: &mut [u8]) -> Received {
        let Some(socket) = self.socket(connection) else {
            return Received::Reset;
        };
        match socket.recv_slice(buffer) {
            Ok(0) => Received::Nothing,
            Ok(len) => {
                self.unannounced_bytes = self.unannounced_bytes.saturating_add(len);
                Received::Bytes(len)
            }
            Err(RecvError::Finished) => Received::Finished,
            Err(RecvError::InvalidState) => self
                .readdressed(connection)
                .map_or(Received::Reset, Received::Readdressed),
        }
    }

    /// Takes bytes for this guest.
    pub(crate) fn send(&mut self, connection: u64, bytes: &[u8]) -> Sent {
        let mut guests = self.guests.iter();
        if !guests.any(|guest| guest.connection == connection) {
            return Sent::Closed;
        }
        let Some(socket) = self.socket(connection) else {
            return Sent::Reset;
        };
        match socket.send_slice(bytes) {
            Ok(0) => Sent::Full,
            Ok(len) => {
                self.has_unsent = true;
                Sent::Bytes(len)
            }
            Err(_) if socket.state() == State::Closed => Sent::Reset,
            Err(_) => Sent::Closed,
        }
    }

    /// Everything that was sent is acknowledged, or nothing will be any more.
    pub(crate) fn has_flushed(&mut self, connection: u64) -> bool {
        let socket = self.socket(connection);
        socket.is_none_or(|socket| socket.send_queue() == 0 || !socket.may_send())
    }

    /// There is something for the donor that should leave now: its bytes, or the news that there is
    /// room for so many more that it would otherwise stop.
    pub(crate) fn owes(&self) -> bool {
        const SHARE: usize = 4;
        self.has_unsent || self.unannounced_bytes >= self.config.window_bytes() / SHARE
    }

    /// Sends FIN, once.
    pub(crate) fn close(&mut self, connection: u64) {
        if let Some(socket) = self.socket(connection) {
            socket.close();
        }
    }

    /// How far that is.
    pub(crate) fn closing(&mut self, connection: u64) -> Closing {
        let Some(state) = self.socket(connection).map(|socket| socket.state()) else {
            return Closing::Reset;
        };
        let mut guests = self.guests.iter_mut();
        let Some(guest) = guests.find(|guest| guest.connection == connection) else {
            return Closing::Reset;
        };
        let closing = match state {
            State::FinWait2 => Closing::Acknowledged,
            State::TimeWait => Closing::Done,
            // From LAST-ACK: the donor had closed before us.
            State::Closed if guest.has_closed => Closing::Done,
            State::Closed => Closing::Reset,
            _ => Closing::Pending,
        };
        guest.has_closed |= state == State::LastAck;
        closing
    }

    /// Resets the connection; [`Engine::has_left`] tells when the reset was sent.
    pub(crate) fn abort(&mut self, connection: u64) {
        if let Some(socket) = self.socket(connection) {
            socket.abort();
        }
    }

    pub(crate) fn has_left(&mut self, connection: u64) -> bool {
        let socket = self.socket(connection);
        socket.is_none_or(|socket| socket.remote_endpoint().is_none())
    }

    /// This guest is done with.
    pub(crate) fn dismiss(&mut self, connection: u64) {
        for guest in self
            .guests
            .extract_if(.., |guest| guest.connection == connection)
        {
            if let Some(nic) = self.nics.iter_mut().find(|nic| nic.index == guest.index) {
                nic.dismiss(guest.socket);
            }
        }
    }

    /// Nobody is waited for any more; guests stay, but for those that nobody knows of.
    pub(crate) fn rest(&mut self) {
        self.phase = Phase::Resting;
        let unknown = self.guests.iter().filter(|guest| guest.is_new);
        let unknown: Vec<u64> = unknown.map(|guest| guest.connection).collect();
        unknown.into_iter().for_each(|guest| self.dismiss(guest));
        for nic in &mut self.nics {
            nic.rest();
        }
    }

    /// Somebody may be invited: a donor that is served has this machine for itself.
    pub(crate) fn may_invite(&self) -> bool {
        self.is_inviting() || self.guests.is_empty()
    }

    pub(crate) fn is_inviting(&self) -> bool {
        self.phase != Phase::Resting
    }

    /// When `pump` has something to do, frames apart.
    pub(crate) fn deadline(&mut self, now: Instant) -> Option<Instant> {
        self.nics
            .iter_mut()
            .filter_map(|nic| nic.deadline(now))
            .min()
    }
}
