//! One Ethernet interface: smoltcp's `Interface` and sockets on it, its addresses, its beacon, its
//! listener.
//!
//! In: frames of the device, time, what the stack wants. Out: frames, facts for the observer, the
//! connection that spoke.

use smoltcp::iface::{
    Config as InterfaceConfig, Interface, PollIngressSingleResult, PollResult, SocketHandle,
    SocketSet,
};
use smoltcp::phy::{Device, TxToken};
use smoltcp::socket::{tcp, udp};
use smoltcp::time::{Duration, Instant};
use smoltcp::wire::{EthernetAddress, HardwareAddress, IpEndpoint, Ipv4Address, Ipv6Address};
use std::net::IpAddr;
use thiserror::Error;
use wire::BEACON_PORT;
use wire::beacon::{BEACON_LEN, INTERVAL_MS};

use crate::address::{Addresses, Assigned};
use crate::arp::Arp;
use crate::config::Config;
use crate::fact::{Mac, NetworkFact};
use crate::ip6::{InUse, Ip6};
use crate::listener::Listener;
use crate::ndp;
use crate::snoop::{Heard, NeighbourSnoop};

mod addressing;

/// The bytes taken in before the first answer: it is acknowledged at once, and soon enough that the
/// sender goes on while we copy. With whole windows taken in at once, sender and receiver only ever
/// worked in turns.
const BATCH_BYTES: usize = 256 << 10;
/// The same for frames that are small.
const BATCH_FRAMES: usize = 256;
/// Rounds of sending; each sends at most one frame per socket.
const EGRESS_ROUNDS: usize = 32;
/// Between two beacons.
const BEACON_INTERVAL: Duration = Duration::from_millis(INTERVAL_MS);

/// A datagram to announce, and when it is due.
#[derive(Clone, Copy, Debug)]
struct Announced {
    payload: [u8; BEACON_LEN],
    at: Instant,
}

/// One interface.
pub(crate) struct Nic<D: Device> {
    pub(crate) index: u32,
    name: String,
    mac: EthernetAddress,
    device: NeighbourSnoop<D>,
    interface: Interface,
    sockets: SocketSet<'static>,
    addresses: Addresses,
    assigned: Option<Assigned>,
    /// Not when another interface was meant, or its packets are too small.
    ip6: Option<Ip6>,
    assigned6: InUse,
    gateway6: Option<Ipv6Address>,
    beacon_socket: SocketHandle,
    announced: Option<Announced>,
    listener: Listener,
    /// When the last beacon left: one in its time, however often donors are invited.
    beaconed: Option<Instant>,
    readdressed: Option<Readdressed>,
    has_link: bool,
}

/// Why a connection ended although both ends were well.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the lease of {from} was replaced by one of {to}")]
pub(crate) struct Readdressed {
    from: Ipv4Address,
    to: Ipv4Address,
}

/// The parts of an interface.
pub(crate) struct NewNic<D> {
    pub(crate) index: u32,
    pub(crate) name: String,
    pub(crate) mac: [u8; 6],
    pub(crate) device: D,
    /// No other interface has the static address yet.
    pub(crate) is_first: bool,
    pub(crate) seed: u64,
}

/// A batch is done.
pub(crate) struct Pumped {
    /// The connection that sent its first byte.
    pub(crate) spoke: Option<SocketHandle>,
    /// The batch was full; more frames may be there.
    pub(crate) has_more: bool,
}

impl<D: Device> Nic<D> {
    /// `None` when the hardware address is no machine's, which smoltcp answers with a panic.
    pub(crate) fn new(new: NewNic<D>, config: &Config, now: Instant) -> Option<Self> {
        let mac = EthernetAddress(new.mac);
        if !mac.is_unicast() || new.mac == [0; 6] {
            return None;
        }
        let mut device = NeighbourSnoop::new(new.device);
        let mut interface_config = InterfaceConfig::new(HardwareAddress::Ethernet(mac));
        interface_config.random_seed = new.seed;
        let interface = Interface::new(interface_config, &mut device, now);
        let mut sockets = SocketSet::new(Vec::new());
        let beacon_socket = sockets.add(beacon_socket());
        let listener = Listener::new(config.window_bytes());
        let mut nic = Self {
            index: new.index,
            name: new.name,
            mac,
            device,
            interface,
            sockets,
            addresses: Addresses::None,
            assigned: None,
            ip6: None,
            assigned6: InUse::new(),
            gateway6: None,
            beacon_socket,
            announced: None,
            listener,
            beaconed: None,
            readdressed: None,
            has_link: true,
        };
        nic.take_addresses(config, new.is_first, new.seed, now);
        Some(nic)
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    fn address(&self) -> Option<Ipv4Address> {
        self.assigned.map(|assigned| assigned.cidr.address())
    }

    /// Under which a donor reaches this interface.
    pub(crate) fn addresses(&self) -> impl Iterator<Item = IpAddr> {
        let ipv6 = self.assigned6.iter().map(|own| own.cidr.address().into());
        self.address().map(IpAddr::V4).into_iter().chain(ipv6)
    }

    /// The fault of an interface that has appeared.
    pub(crate) fn complaints(&self, config: &Config) -> impl Iterator<Item = NetworkFact> {
        let is_meant = self.ip6.is_some() || !matches!(self.addresses, Addresses::None);
        let not_meant = (!is_meant).then(|| NetworkFact::NotMeant {
            interface: self.name.clone(),
            mac: Mac(self.mac.0),
        });
        let kept = self.device.capabilities().ip_mtu();
        let refused = config.mtu.filter(|wanted| usize::from(*wanted) > kept);
        let refused = refused.map(|wanted| NetworkFact::MtuRefused {
            interface: self.name.clone(),
            wanted,
            kept,
        });
        not_meant.into_iter().chain(refused)
    }

    pub(crate) fn link_up(&self) -> NetworkFact {
        NetworkFact::LinkUp {
            interface: self.name.clone(),
            mac: Mac(self.mac.0),
        }
    }

    /// The cable was plugged in or pulled.
    pub(crate) fn set_link(&mut self, is_up: bool, now: Instant) -> Option<NetworkFact> {
        if self.has_link == is_up {
            return None;
        }
        self.has_link = is_up;
        if !is_up {
            return Some(NetworkFact::LinkDown {
                interface: self.name.clone(),
            });
        }
        self.addresses.restart(&mut self.sockets, now);
        if let Some(ip6) = &mut self.ip6 {
            ip6.restart(now);
        }
        Some(self.link_up())
    }

    /// Starts to announce `payload` and to listen.
    pub(crate) fn invite(&mut self, payload: [u8; BEACON_LEN], opening_len: usize, now: Instant) {
        let next = self.beaconed.map(|last| last + BEACON_INTERVAL);
        let at = next.map_or(now, |next| next.max(now));
        self.announced = Some(Announced { payload, at });
        self.listener.open(&mut self.sockets, opening_len);
    }

    /// Stops to announce and to listen; guests stay.
    pub(crate) fn rest(&mut self) {
        self.announced = None;
        self.listener.close(&mut self.sockets);
    }

    /// A guest's connection is over.
    pub(crate) fn dismiss(&mut self, guest: SocketHandle) {
        self.readdressed = None;
        self.listener.dismiss(&mut self.sockets, guest);
    }

    /// None once it was dismissed.
    pub(crate) fn guest(&mut self, guest: SocketHandle) -> Option<&mut tcp::Socket<'static>> {
        let is_here = self.listener.guests().any(|here| here == guest);
        is_here.then(|| self.sockets.get_mut::<tcp::Socket>(guest))
    }

    /// A donor is served: its connection would end with the address.
    fn must_stay(&self) -> bool {
        !self.listener.is_open() && self.listener.guests().next().is_some()
    }

    /// The connections here that have not delivered their opening.
    pub(crate) const fn half_open(&self) -> &Listener {
        &self.listener
    }

    /// Resets the oldest of them.
    pub(crate) fn drop_oldest(&mut self) {
        self.listener.drop_oldest(&mut self.sockets);
    }

    /// Takes in a batch of frames, does what is due, sends what is to be sent.
    pub(crate) fn pump(&mut self, now: Instant, tell: &mut dyn FnMut(NetworkFact)) -> Pumped {
        self.interface.poll_maintenance(now);
        let (spoke, has_more) = self.take_in(now);
        self.settle_address(now, tell);
        self.settle_ipv6(now, tell);
        self.announce(now);
        let spoke = spoke.or_else(|| self.listener.tend(&mut self.sockets, now));
        for _ in 0..EGRESS_ROUNDS {
            let sent = self
                .interface
                .poll_egress(now, &mut self.device, &mut self.sockets);
            if sent == PollResult::None {
                break;
            }
        }
        self.listener.tidy(&mut self.sockets);
        Pumped { spoke, has_more }
    }

    fn take_in(&mut self, now: Instant) -> (Option<SocketHandle>, bool) {
        let mut bytes = 0_usize;
        for _ in 0..BATCH_FRAMES {
            bytes = bytes.saturating_add(self.device.take_bytes());
            if bytes >= BATCH_BYTES {
                break;
            }
            let taken =
                self.interface
                    .poll_ingress_single(now, &mut self.device, &mut self.sockets);
            if taken == PollIngressSingleResult::None {
                return (None, false);
            }
            self.hear(now);
            if let Some(spoke) = self.listener.tend(&mut self.sockets, now) {
                return (Some(spoke), true);
            }
        }
        (None, true)
    }

    fn hear(&mut self, now: Instant) {
        while let Some(heard) = self.device.take_heard() {
            match heard {
                Heard::Arp(arp) => self.hear_arp(&arp, now),
                Heard::Ndp(message) => {
                    let ip6 = self.ip6.as_mut();
                    if let Some(answer) = ip6.and_then(|ip6| ip6.hear(&message, now)) {
                        send(&mut self.device, &answer, now);
                    }
                }
            }
        }
    }

    fn hear_arp(&mut self, arp: &Arp, now: Instant) {
        if let Some(address) = self.address()
            && arp.is_probe_for(address, self.mac)
        {
            Arp::announcement(self.mac, address).send(&mut self.device, now);
        }
        let must_stay = self.must_stay();
        if let Some(answer) = self.addresses.hear(arp, now, must_stay) {
            answer.send(&mut self.device, now);
        }
    }

    /// To the limited broadcast address, and to all nodes of the link from an address of the link:
    /// a donor hears it whatever network it believes to be in.
    fn announce(&mut self, now: Instant) {
        let is_addressed = self.is_addressed();
        let Some(announced) = &mut self.announced else {
            return;
        };
        if !is_addressed || now < announced.at {
            return;
        }
        announced.at = now + BEACON_INTERVAL;
        self.beaconed = Some(now);
        let socket = self.sockets.get_mut::<udp::Socket>(self.beacon_socket);
        // Full: the last one has not left yet, so this one is not missed.
        if self.assigned.is_some() {
            let to = IpEndpoint::new(Ipv4Address::BROADCAST.into(), BEACON_PORT);
            let _ = socket.send_slice(&announced.payload, to);
        }
        if let Some(own) = self.assigned6.first() {
            let mut to =
                udp::UdpMetadata::from(IpEndpoint::new(ndp::ALL_NODES.into(), BEACON_PORT));
            to.local_address = Some(own.cidr.address().into());
            let _ = socket.send_slice(&announced.payload, to);
        }
    }

    fn is_addressed(&self) -> bool {
        self.assigned.is_some() || !self.assigned6.is_empty()
    }

    /// When `pump` has something to do, frames apart.
    pub(crate) fn deadline(&mut self, now: Instant) -> Option<Instant> {
        let beacon = self
            .announced
            .filter(|_| self.is_addressed())
            .map(|announced| announced.at);
        let stack = self.interface.poll_at(now, &self.sockets);
        [
            beacon,
            stack,
            self.addresses.deadline(now),
            self.ip6.as_ref().and_then(Ip6::deadline),
            self.listener.deadline(),
        ]
        .into_iter()
        .flatten()
        .min()
    }
}

/// Sends a frame that is ready.
fn send(device: &mut impl Device, frame: &[u8], now: Instant) {
    if let Some(token) = device.transmit(now) {
        token.consume(frame.len(), |bytes| bytes.copy_from_slice(frame));
    }
}

/// Sends, and receives nothing: the beacons of others find no room.
fn beacon_socket() -> udp::Socket<'static> {
    let none = udp::PacketBuffer::new(vec![], vec![]);
    // One of each family, and those before them.
    let few = udp::PacketBuffer::new(vec![udp::PacketMetadata::EMPTY; 4], vec![0; 4 * BEACON_LEN]);
    let mut socket = udp::Socket::new(none, few);
    // Neither is the socket bound already nor the port 0.
    let _ = socket.bind(BEACON_PORT);
    socket
}
