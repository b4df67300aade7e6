//! Peers on the simulated segment: donors, somebody who probes ports, a crowd that says nothing of
//! use. Each is a host with a smoltcp stack of its own.

use std::sync::{Arc, Mutex, PoisonError};

use smoltcp::iface::{Config, Interface, SocketHandle, SocketSet};
use smoltcp::socket::{tcp, udp};
use smoltcp::time::{Duration, Instant};
use smoltcp::wire::{EthernetAddress, HardwareAddress, IpAddress, IpCidr, IpEndpoint, Ipv4Address};
use wire::{BEACON_PORT, STREAM_PORT};

use super::Queues;

/// Somebody on the segment.
pub trait Peer: Send {
    /// Takes the frames that arrived, adds those it sends to `out`; when it wants to be called
    /// again without any.
    fn run(&mut self, now: Instant, arrived: &[Vec<u8>], out: &mut Vec<Vec<u8>>)
    -> Option<Instant>;
}

/// The behaviour of a host.
pub(super) trait Role: Send {
    /// When it wants to act again.
    fn act(
        &mut self,
        now: Instant,
        interface: &mut Interface,
        sockets: &mut SocketSet<'static>,
    ) -> Option<Instant>;
}

/// A machine with addresses `10.9.0.N/24` and `169.254.9.N/16`, or `fe80::N/64` and `fd09::N/64`.
pub struct Host {
    speaks: Family,
    queues: Queues,
    interface: Interface,
    sockets: SocketSet<'static>,
    role: Box<dyn Role>,
}

/// Which protocol a machine knows. One machine speaks one, so that a test sees which it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// IPv4.
    Ipv4,
    /// IPv6.
    Ipv6,
}

impl Family {
    fn addresses(self, number: u8) -> [IpCidr; 2] {
        let last = u16::from(number);
        match self {
            Family::Ipv4 => [
                IpCidr::new(IpAddress::v4(10, 9, 0, number), 24),
                IpCidr::new(IpAddress::v4(169, 254, 9, number), 16),
            ],
            Family::Ipv6 => [
                IpCidr::new(IpAddress::v6(0xfe80, 0, 0, 0, 0, 0, 0, last), 64),
                IpCidr::new(IpAddress::v6(0xfd09, 0, 0, 0, 0, 0, 0, last), 64),
            ],
        }
    }

    /// A frame that is of the other one.
    fn is_foreign(self, frame: &[u8]) -> bool {
        (frame.get(12..14) == Some(&[0x86, 0xdd])) != (self == Family::Ipv6)
    }
}

impl Host {
    pub(super) fn boxed(
        number: u8,
        make: impl FnOnce(&mut SocketSet<'static>) -> Box<dyn Role>,
    ) -> Box<dyn Peer> {
        Self::speaking(Family::Ipv4, number, make)
    }

    pub(super) fn speaking(
        speaks: Family,
        number: u8,
        make: impl FnOnce(&mut SocketSet<'static>) -> Box<dyn Role>,
    ) -> Box<dyn Peer> {
        let mut queues = Queues::default();
        let mac = HardwareAddress::Ethernet(EthernetAddress([2, 0, 0, 0, 1, number]));
        let mut config = Config::new(mac);
        config.random_seed = u64::from(number);
        let mut interface = Interface::new(config, &mut queues, Instant::ZERO);
        interface.update_ip_addrs(|addresses| {
            for cidr in speaks.addresses(number) {
                assert!(addresses.push(cidr).is_ok(), "a host has two addresses");
            }
        });
        let mut sockets = SocketSet::new(Vec::new());
        let role = make(&mut sockets);
        Box::new(Self {
            speaks,
            queues,
            interface,
            sockets,
            role,
        })
    }
}

impl Peer for Host {
    fn run(
        &mut self,
        now: Instant,
        arrived: &[Vec<u8>],
        out: &mut Vec<Vec<u8>>,
    ) -> Option<Instant> {
        let ours = arrived
            .iter()
            .filter(|frame| !self.speaks.is_foreign(frame));
        self.queues.arrived.extend(ours.cloned());
        self.interface
            .poll(now, &mut self.queues, &mut self.sockets);
        let acts = self.role.act(now, &mut self.interface, &mut self.sockets);
        self.interface
            .poll(now, &mut self.queues, &mut self.sockets);
        out.append(&mut self.queues.out);
        let stack = self.interface.poll_at(now, &self.sockets);
        [acts, stack].into_iter().flatten().min()
    }
}

/// How a donor's connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// By the target's FIN.
    InOrder,
    /// By a reset.
    Reset,
}

/// The log of a donor.
#[derive(Clone, Debug, Default)]
pub struct DonorLog {
    /// When, from where, what.
    pub beacons: Vec<(Instant, IpEndpoint, Vec<u8>)>,
    /// How its connection ended.
    pub ended: Option<Ended>,
    /// The bytes of the target on its last connection.
    pub received: Vec<u8>,
    /// How often it connected.
    pub connections: u16,
}

/// Waits for a beacon, connects, sends and listens, closes its side, waits for the end.
pub struct Donor {
    log: Arc<Mutex<DonorLog>>,
    bytes: Vec<u8>,
    sent: usize,
    /// Not before this time.
    begins: Instant,
    /// Stays open and silent after the last byte.
    stalls: bool,
    /// After a reset it begins again with the next beacon.
    persists: bool,
    beacon: SocketHandle,
    stream: SocketHandle,
    is_connected: bool,
}

impl Donor {
    /// Host `number` sends `bytes` once it hears a beacon after `begins`.
    #[must_use]
    pub fn peer(
        number: u8,
        bytes: Vec<u8>,
        begins: Instant,
        stalls: bool,
    ) -> (Box<dyn Peer>, Arc<Mutex<DonorLog>>) {
        Self::make(Family::Ipv4, number, bytes, begins, stalls, false)
    }

    /// The same over IPv6, to its end.
    #[must_use]
    pub fn over_ipv6(
        number: u8,
        bytes: Vec<u8>,
        begins: Instant,
    ) -> (Box<dyn Peer>, Arc<Mutex<DonorLog>>) {
        Self::make(Family::Ipv6, number, bytes, begins, false, false)
    }

    /// The same, but after a reset it begins again with the next beacon, wherever that comes from.
    #[must_use]
    pub fn persistent(
        number: u8,
        bytes: Vec<u8>,
        begins: Instant,
    ) -> (Box<dyn Peer>, Arc<Mutex<DonorLog>>) {
        Self::make(Family::Ipv4, number, bytes, begins, false, true)
    }

    fn make(
        family: Family,
        number: u8,
        bytes: Vec<u8>,
        begins: Instant,
        stalls: bool,
        persists: bool,
    ) -> (Box<dyn Peer>, Arc<Mutex<DonorLog>>) {
        const BUFFER_BYTES: usize = 64 << 10;
        let log = Arc::new(Mutex::new(DonorLog::default()));
        let kept = Arc::clone(&log);
        let peer = Host::speaking(family, number, |sockets| {
            let beacon = sockets.add(udp_socket(BEACON_PORT));
            let buffer = || tcp::SocketBuffer::new(vec![0; BUFFER_BYTES]);
            let stream = sockets.add(tcp::Socket::new(buffer(), buffer()));
            Box::new(Self {
                log,
                bytes,
                sent: 0,
                begins,
                stalls,
                persists,
                beacon,
                stream,
                is_connected: false,
            })
        });
        (peer, kept)
    }

    fn connect(
        &mut self,
        to: IpAddress,
        interface: &mut Interface,
        sockets: &mut SocketSet<'static>,
        log: &mut DonorLog,
    ) {
        const LOCAL_PORT: u16 = 51234;
        let stream = sockets.get_mut::<tcp::Socket>(self.stream);
        let port = LOCAL_PORT.wrapping_add(log.connections);
        let connected = stream.connect(interface.context(), (to, STREAM_PORT), port);
        self.is_connected = connected.is_ok();
        self.sent = 0;
        log.received.clear();
        log.connections = log.connections.wrapping_add(1);
    }
}

impl Role for Donor {
    fn act(
        &mut self,
        now: Instant,
        interface: &mut Interface,
        sockets: &mut SocketSet<'static>,
    ) -> Option<Instant> {
        let log = Arc::clone(&self.log);
        let mut log = log.lock().unwrap_or_else(PoisonError::into_inner);
        while let Ok((payload, from)) = sockets.get_mut::<udp::Socket>(self.beacon).recv() {
            log.beacons.push((now, from.endpoint, payload.to_vec()));
            let to = from.endpoint.addr;
            let is_time = now >= self.begins;
            if is_time && !self.is_connected {
                self.connect(to, interface, sockets, &mut log);
            }
        }
        if !self.is_connected {
            return None;
        }
        let stream = sockets.get_mut::<tcp::Socket>(self.stream);
        if stream.can_send() {
            let rest = self.bytes.get(self.sent..).unwrap_or_default();
            self.sent = self
                .sent
                .saturating_add(stream.send_slice(rest).unwrap_or(0));
        }
        while stream.can_recv() {
            let taken = stream.recv(|bytes| {
                log.received.extend_from_slice(bytes);
                (bytes.len(), ())
            });
            if taken.is_err() {
                break;
            }
        }
        // Not before everything is acknowledged: after three duplicate acknowledgements with
        // nothing but a FIN outstanding, smoltcp 0.14 stops its timer, and a lost FIN is never sent
        // again.
        let is_through = self.sent == self.bytes.len() && stream.send_queue() == 0;
        if is_through && stream.may_send() && !self.stalls {
            stream.close();
        }
        match stream.state() {
            tcp::State::TimeWait | tcp::State::CloseWait => log.ended = Some(Ended::InOrder),
            tcp::State::Closed if log.ended.is_none() && self.persists => {
                self.is_connected = false;
            }
            tcp::State::Closed if log.ended.is_none() => log.ended = Some(Ended::Reset),
            _ => {}
        }
        None
    }
}

/// Connects a hundred times a second without a word, and sends garbage to both ports.
pub struct Prober {
    target: Ipv4Address,
    sockets: Vec<SocketHandle>,
    garbage: SocketHandle,
    at: Instant,
    round: u16,
}

impl Prober {
    /// Host `number` probes `target`.
    #[must_use]
    pub fn peer(number: u8, target: Ipv4Address) -> Box<dyn Peer> {
        const AT_ONCE: usize = 12;
        Host::boxed(number, |sockets| {
            let buffer = || tcp::SocketBuffer::new(vec![0; 512]);
            let streams = (0..AT_ONCE)
                .map(|_| sockets.add(tcp::Socket::new(buffer(), buffer())))
                .collect();
            let garbage = sockets.add(udp_socket(9));
            Box::new(Self {
                target,
                sockets: streams,
                garbage,
                at: Instant::ZERO,
                round: 0,
            })
        })
    }
}

impl Role for Prober {
    fn act(
        &mut self,
        now: Instant,
        interface: &mut Interface,
        sockets: &mut SocketSet<'static>,
    ) -> Option<Instant> {
        const PAUSE: Duration = Duration::from_millis(10);
        if now < self.at {
            return Some(self.at);
        }
        self.at = now + PAUSE;
        self.round = self.round.wrapping_add(1);
        let which = usize::from(self.round) % self.sockets.len().max(1);
        if let Some(handle) = self.sockets.get(which) {
            let stream = sockets.get_mut::<tcp::Socket>(*handle);
            stream.abort();
            // Refused until the reset of its last connection has left; then it is tried in the next
            // round.
            let _ = stream.connect(
                interface.context(),
                (self.target, STREAM_PORT),
                20_000 + self.round % 20_000,
            );
        }
        for port in [BEACON_PORT, STREAM_PORT, 7] {
            let to = IpEndpoint::new(self.target.into(), port);
            // Garbage that finds no room is not missed.
            let _ = sockets
                .get_mut::<udp::Socket>(self.garbage)
                .send_slice(&[0xff; 300], to);
        }
        Some(self.at)
    }
}

/// Many connections that say part of an opening, slowly, and come again when they are reset.
pub struct Crowd {
    target: Ipv4Address,
    members: Vec<Member>,
    begins: Instant,
    /// Between two words, and between a reset and the next attempt.
    pause: Duration,
    /// The bytes that each sends at a time.
    word: Vec<u8>,
    log: Arc<Mutex<CrowdLog>>,
    local_port: u16,
}

struct Member {
    socket: SocketHandle,
    established: Option<Instant>,
    acts: Instant,
}

/// The log of a crowd.
#[derive(Clone, Debug, Default)]
pub struct CrowdLog {
    /// How long each connection lasted that was reset.
    pub lasted: Vec<Duration>,
}

impl Crowd {
    /// Host `number` keeps so many connections going from `begins` on; each says `word` after every
    /// `pause`.
    #[must_use]
    pub fn peer(
        number: u8,
        target: Ipv4Address,
        members: usize,
        begins: Instant,
        pause: Duration,
        word: &[u8],
    ) -> (Box<dyn Peer>, Arc<Mutex<CrowdLog>>) {
        let log = Arc::new(Mutex::new(CrowdLog::default()));
        let kept = Arc::clone(&log);
        let peer = Host::boxed(number, |sockets| {
            let buffer = || tcp::SocketBuffer::new(vec![0; 512]);
            let members = (0..members)
                .map(|_| Member {
                    socket: sockets.add(tcp::Socket::new(buffer(), buffer())),
                    established: None,
                    acts: begins,
                })
                .collect();
            Box::new(Self {
                target,
                members,
                begins,
                pause,
                word: word.to_vec(),
                log,
                local_port: 10_000,
            })
        });
        (peer, kept)
    }
}

impl Role for Crowd {
    fn act(
        &mut self,
        now: Instant,
        interface: &mut Interface,
        sockets: &mut SocketSet<'static>,
    ) -> Option<Instant> {
        if now < self.begins {
            return Some(self.begins);
        }
        let mut log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        for member in &mut self.members {
            let socket = sockets.get_mut::<tcp::Socket>(member.socket);
            match (socket.state(), member.established) {
                (tcp::State::Established, None) => member.established = Some(now),
                (tcp::State::Closed, Some(since)) => {
                    log.lasted.push(now - since);
                    member.established = None;
                    member.acts = now + self.pause;
                }
                _ => {}
            }
            if now < member.acts {
                continue;
            }
            member.acts = now + self.pause;
            if socket.state() == tcp::State::Closed {
                self.local_port = 10_000 + (self.local_port - 10_000 + 1) % 50_000;
                // Refused while the last connection's end is on its way; then it is tried after the
                // next pause.
                let _ = socket.connect(
                    interface.context(),
                    (self.target, STREAM_PORT),
                    self.local_port,
                );
            } else if socket.can_send() {
                // Bytes that find no room are sent the next time.
                let _ = socket.send_slice(&self.word);
            }
        }
        self.members.iter().map(|member| member.acts).min()
    }
}

pub(super) fn udp_socket(port: u16) -> udp::Socket<'static> {
    let buffer = || udp::PacketBuffer::new(vec![udp::PacketMetadata::EMPTY; 8], vec![0; 8192]);
    let mut socket = udp::Socket::new(buffer(), buffer());
    assert!(
        socket.bind(port).is_ok(),
        "a fresh socket binds to any port but 0"
    );
    socket
}
