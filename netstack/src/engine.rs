//! All ports together, and the one donor among them.
//!
//! In: changes of ports, time, and what the station wants. Out: facts, the donor's bytes. Does no waiting of its own.

use smoltcp::iface::SocketHandle;
use smoltcp::phy::Device;
use smoltcp::socket::tcp::{RecvError, State};
use smoltcp::time::Instant;
use smoltcp::wire::{IpAddress, IpEndpoint};
use std::net::{IpAddr, SocketAddr, SocketAddrV6};
use wire::beacon::BEACON_LEN;

use crate::config::{Addressing, Config};
use crate::fact::{NetworkFact, Observer};
use crate::listener::HALF_OPEN;
use crate::nic::{NewNic, Nic, Readdressed};
use crate::ports::PortChange;

/// What the station is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Nobody is served; whoever connects is reset.
    Idle,
    /// The beacon is sent, and a connection that delivers `opening_len` bytes is waited for.
    Waiting {
        payload: [u8; BEACON_LEN],
        opening_len: usize,
    },
    /// A donor is connected through the port with this index.
    Serving { index: u32 },
}

/// What there is of the donor's bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Received {
    /// So many were copied.
    Bytes(usize),
    /// None yet.
    Nothing,
    /// There will be no more: FIN.
    Finished,
    /// There will be no more: RST, or the port is gone.
    Reset,
    /// There will be no more: we were given another address.
    Readdressed(Readdressed),
}

/// What became of bytes for the donor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sent {
    /// So many will be sent, and sent again until they are acknowledged.
    Bytes(usize),
    /// The buffer has no room: the donor has not acknowledged enough.
    Full,
    /// We have closed this direction, or this donor is done with.
    Closed,
    /// The connection was reset, or the port is gone.
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
    seed: u64,
    /// Counts connections that were handed over: a handle that outlives its own must not reach the next.
    connection: u64,
    /// Bytes handed out since the last `pump`: the donor does not know yet that there is room for them.
    unannounced_bytes: usize,
    /// There are bytes for the donor that no `pump` has looked at.
    has_unsent: bool,
    /// Our FIN was acknowledged.
    has_closed: bool,
}

impl<D: Device> Engine<D> {
    pub(crate) fn new(config: Config, observer: Observer, seed: u64) -> Self {
        Self {
            config,
            observer,
            nics: Vec::new(),
            phase: Phase::Idle,
            seed,
            connection: 0,
            unannounced_bytes: 0,
            has_unsent: false,
            has_closed: false,
        }
    }

    pub(crate) fn addresses(&self) -> Vec<IpAddr> {
        self.nics.iter().flat_map(Nic::addresses).collect()
    }

    pub(crate) fn apply(&mut self, change: PortChange<D>, now: Instant) {
        match change {
            PortChange::Appeared {
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
            PortChange::Link { index, is_up } => {
                let nic = self.nics.iter_mut().find(|nic| nic.index == index);
                if let Some(fact) = nic.and_then(|nic| nic.set_link(is_up, now)) {
                    (self.observer)(fact);
                }
            }
            PortChange::Gone { index } => {
                for nic in self.nics.extract_if(.., |nic| nic.index == index) {
                    (self.observer)(NetworkFact::Gone {
                        interface: nic.name().to_owned(),
                    });
                }
            }
            PortChange::Unusable { name, reason } => {
                (self.observer)(NetworkFact::Unusable {
                    interface: name,
                    reason,
                });
            }
        }
    }

    /// Gives every address up and begins anew; false while a donor is served. Whoever was about to become one is reset.
    pub(crate) fn readdress(&mut self, addressing: Addressing, now: Instant) -> bool {
        if matches!(self.phase, Phase::Serving { .. }) {
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

    /// Begins to send the beacon and to listen, on ports that are there and on those that will be.
    pub(crate) fn wait_for_donor(
        &mut self,
        payload: [u8; BEACON_LEN],
        opening_len: usize,
        now: Instant,
    ) {
        self.phase = Phase::Waiting {
            payload,
            opening_len,
        };
        self.invite(now);
    }

    fn invite(&mut self, now: Instant) {
        if let Phase::Waiting {
            payload,
            opening_len,
        } = self.phase
        {
            for nic in &mut self.nics {
                nic.invite(payload, opening_len, now);
            }
        }
    }

    /// Takes in a batch of frames and does what is due, on every port. True when more frames may be there.
    pub(crate) fn pump(&mut self, now: Instant) -> bool {
        self.unannounced_bytes = 0;
        self.has_unsent = false;
        let mut has_more = false;
        let mut spoke = None;
        for nic in &mut self.nics {
            let pumped = nic.pump(now, &mut self.observer);
            has_more |= pumped.has_more;
            spoke = spoke.or(pumped.spoke.map(|socket| (nic.index, socket)));
        }
        if let Some((index, socket)) = spoke
            && matches!(self.phase, Phase::Waiting { .. })
        {
            self.serve(index, socket);
        }
        self.limit_half_open();
        has_more
    }

    /// Each port keeps the limit by itself; this is for a machine with several.
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

    fn serve(&mut self, index: u32, socket: SocketHandle) {
        self.phase = Phase::Serving { index };
        self.connection = self.connection.wrapping_add(1);
        self.has_closed = false;
        for nic in &mut self.nics {
            nic.serve((nic.index == index).then_some(socket));
        }
    }

    fn donor_nic(&mut self) -> Option<&mut Nic<D>> {
        let Phase::Serving { index } = self.phase else {
            return None;
        };
        self.nics.iter_mut().find(|nic| nic.index == index)
    }

    /// Where the donor connected from, once one has.
    pub(crate) fn peer(&mut self) -> Option<SocketAddr> {
        let index = self.donor_nic()?.index;
        let IpEndpoint { addr, port } = self.donor_nic()?.donor()?.remote_endpoint()?;
        Some(match addr {
            IpAddress::Ipv4(address) => SocketAddr::from((address, port)),
            IpAddress::Ipv6(address) => {
                // The kernel's number says which of several networks with the same prefix is meant (RFC 4007 6).
                let scope = if address.is_unicast_link_local() {
                    index
                } else {
                    0
                };
                SocketAddrV6::new(address, port, 0, scope).into()
            }
        })
    }

    /// Copies what has arrived.
    pub(crate) fn receive(&mut self, buffer: &mut [u8]) -> Received {
        let Some(socket) = self.donor_nic().and_then(Nic::donor) else {
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
                .donor_nic()
                .and_then(|nic| nic.readdressed())
                .map_or(Received::Reset, Received::Readdressed),
        }
    }

    /// Which connection is served, or was served last.
    pub(crate) const fn connection(&self) -> u64 {
        self.connection
    }

    /// Takes bytes for the donor of this connection.
    pub(crate) fn send(&mut self, connection: u64, bytes: &[u8]) -> Sent {
        if connection != self.connection || !matches!(self.phase, Phase::Serving { .. }) {
            return Sent::Closed;
        }
        let Some(socket) = self.donor_nic().and_then(Nic::donor) else {
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
    pub(crate) fn has_flushed(&mut self) -> bool {
        let donor = self.donor_nic().and_then(Nic::donor);
        donor.is_none_or(|socket| socket.send_queue() == 0 || !socket.may_send())
    }

    /// There is something for the donor that should leave now: its bytes, or the news that there is room for so many more that it
    /// would otherwise stop.
    pub(crate) fn owes(&self) -> bool {
        const SHARE: usize = 4;
        self.has_unsent || self.unannounced_bytes >= self.config.window_bytes() / SHARE
    }

    /// Sends FIN, once.
    pub(crate) fn close(&mut self) {
        if let Some(socket) = self.donor_nic().and_then(Nic::donor) {
            socket.close();
        }
    }

    /// How far that is.
    pub(crate) fn closing(&mut self) -> Closing {
        let has_closed = self.has_closed;
        let Some(socket) = self.donor_nic().and_then(Nic::donor) else {
            return Closing::Reset;
        };
        let closing = match socket.state() {
            State::FinWait2 => Closing::Acknowledged,
            State::TimeWait => Closing::Done,
            // From LAST-ACK: the donor had closed before us.
            State::Closed if has_closed => Closing::Done,
            State::Closed => Closing::Reset,
            _ => Closing::Pending,
        };
        self.has_closed |= socket.state() == State::LastAck;
        closing
    }

    /// Resets the connection; [`Engine::has_left`] tells when the reset was sent.
    pub(crate) fn abort(&mut self) {
        if let Some(socket) = self.donor_nic().and_then(Nic::donor) {
            socket.abort();
        }
    }

    pub(crate) fn has_left(&mut self) -> bool {
        let donor = self.donor_nic().and_then(Nic::donor);
        donor.is_none_or(|socket| socket.remote_endpoint().is_none())
    }

    /// The donor is done with, or nobody waits for one any more.
    pub(crate) fn rest(&mut self) {
        if let Some(nic) = self.donor_nic() {
            nic.forget_donor();
        }
        self.phase = Phase::Idle;
        for nic in &mut self.nics {
            nic.serve(None);
        }
    }

    pub(crate) fn is_idle(&self) -> bool {
        self.phase == Phase::Idle
    }

    /// When `pump` has something to do, frames apart.
    pub(crate) fn deadline(&mut self, now: Instant) -> Option<Instant> {
        self.nics
            .iter_mut()
            .filter_map(|nic| nic.deadline(now))
            .min()
    }
}
