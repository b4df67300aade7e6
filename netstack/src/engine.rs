//! All ports together, and the one donor among them.
//!
//! In: changes of ports, time, and what the station wants. Out: facts, the donor's bytes. Does no waiting of its own.

use smoltcp::iface::SocketHandle;
use smoltcp::phy::Device;
use smoltcp::socket::tcp::{RecvError, State};
use smoltcp::time::Instant;
use smoltcp::wire::{IpAddress, IpEndpoint};
use std::net::{IpAddr, SocketAddr};
use wire::beacon::BEACON_LEN;

use crate::config::Config;
use crate::fact::{NetworkFact, Observer};
use crate::nic::{NewNic, Nic};
use crate::ports::PortChange;

/// What the station is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Nobody is served; whoever connects is reset.
    Idle,
    /// The beacon is sent, and connections are waited for.
    Waiting { payload: [u8; BEACON_LEN] },
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
    /// Bytes handed out since the last `pump`: the donor does not know yet that there is room for them.
    unannounced_bytes: usize,
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
            unannounced_bytes: 0,
            has_closed: false,
        }
    }

    pub(crate) fn addresses(&self) -> Vec<IpAddr> {
        self.nics
            .iter()
            .filter_map(Nic::address)
            .map(IpAddr::V4)
            .collect()
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

    /// Begins to send the beacon and to listen, on ports that are there and on those that will be.
    pub(crate) fn wait_for_donor(&mut self, payload: [u8; BEACON_LEN], now: Instant) {
        self.phase = Phase::Waiting { payload };
        self.invite(now);
    }

    fn invite(&mut self, now: Instant) {
        if let Phase::Waiting { payload } = self.phase {
            for nic in &mut self.nics {
                nic.invite(payload, now);
            }
        }
    }

    /// Takes in a batch of frames and does what is due, on every port. True when more frames may be there.
    pub(crate) fn pump(&mut self, now: Instant) -> bool {
        self.unannounced_bytes = 0;
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
        has_more
    }

    fn serve(&mut self, index: u32, socket: SocketHandle) {
        self.phase = Phase::Serving { index };
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
        let IpEndpoint {
            addr: IpAddress::Ipv4(address),
            port,
        } = self.donor_nic()?.donor()?.remote_endpoint()?;
        Some(SocketAddr::new(IpAddr::V4(address), port))
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
            Err(RecvError::InvalidState) => Received::Reset,
        }
    }

    /// So much was handed out that the donor should hear of it before it stops for lack of room.
    pub(crate) fn owes_window(&self) -> bool {
        const SHARE: usize = 4;
        self.unannounced_bytes >= self.config.window_bytes() / SHARE
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
