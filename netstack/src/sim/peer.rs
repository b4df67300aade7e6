//! Peers on the simulated segment: donors, a DHCP server, somebody who probes ports. Each is a host with a smoltcp stack of
//! its own.

use std::sync::{Arc, Mutex, PoisonError};

use smoltcp::iface::{Config, Interface, SocketHandle, SocketSet};
use smoltcp::socket::{tcp, udp};
use smoltcp::time::{Duration, Instant};
use smoltcp::wire::{
    DhcpMessageType, DhcpPacket, DhcpRepr, EthernetAddress, HardwareAddress, IpAddress, IpCidr,
    IpEndpoint, Ipv4Address,
};
use wire::{BEACON_PORT, STREAM_PORT};

use super::Queues;

/// Somebody on the segment.
pub trait Peer: Send {
    /// Takes the frames that arrived, adds those it sends to `out`; when it wants to be called again without any.
    fn run(&mut self, now: Instant, arrived: &[Vec<u8>], out: &mut Vec<Vec<u8>>)
    -> Option<Instant>;
}

/// What a host is good for.
trait Role: Send {
    /// When it wants to act again.
    fn act(
        &mut self,
        now: Instant,
        interface: &mut Interface,
        sockets: &mut SocketSet<'static>,
    ) -> Option<Instant>;
}

/// A machine with addresses `10.9.0.N/24` and `169.254.9.N/16`.
pub struct Host {
    queues: Queues,
    interface: Interface,
    sockets: SocketSet<'static>,
    role: Box<dyn Role>,
}

impl Host {
    fn boxed(
        number: u8,
        make: impl FnOnce(&mut SocketSet<'static>) -> Box<dyn Role>,
    ) -> Box<dyn Peer> {
        let mut queues = Queues::default();
        let mac = HardwareAddress::Ethernet(EthernetAddress([2, 0, 0, 0, 1, number]));
        let mut config = Config::new(mac);
        config.random_seed = u64::from(number);
        let mut interface = Interface::new(config, &mut queues, Instant::ZERO);
        interface.update_ip_addrs(|addresses| {
            for cidr in [
                IpCidr::new(IpAddress::v4(10, 9, 0, number), 24),
                IpCidr::new(IpAddress::v4(169, 254, 9, number), 16),
            ] {
                assert!(addresses.push(cidr).is_ok(), "a host has two addresses");
            }
        });
        let mut sockets = SocketSet::new(Vec::new());
        let role = make(&mut sockets);
        Box::new(Self {
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
        self.queues.arrived.extend(arrived.iter().cloned());
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

/// What a donor saw.
#[derive(Clone, Debug, Default)]
pub struct DonorLog {
    /// When, from where, what.
    pub beacons: Vec<(Instant, IpEndpoint, Vec<u8>)>,
    /// How its connection ended.
    pub ended: Option<Ended>,
}

/// Waits for a beacon, connects, sends, closes its side, waits for the end.
pub struct Donor {
    log: Arc<Mutex<DonorLog>>,
    bytes: Vec<u8>,
    sent: usize,
    /// Not before this time.
    begins: Instant,
    /// Stays open and silent after the last byte.
    stalls: bool,
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
        const BUFFER_BYTES: usize = 64 << 10;
        let log = Arc::new(Mutex::new(DonorLog::default()));
        let kept = Arc::clone(&log);
        let peer = Host::boxed(number, |sockets| {
            let beacon = sockets.add(udp_socket(BEACON_PORT));
            let buffer = || tcp::SocketBuffer::new(vec![0; BUFFER_BYTES]);
            let stream = sockets.add(tcp::Socket::new(buffer(), buffer()));
            Box::new(Self {
                log,
                bytes,
                sent: 0,
                begins,
                stalls,
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
    ) {
        const LOCAL_PORT: u16 = 51234;
        let stream = sockets.get_mut::<tcp::Socket>(self.stream);
        let connected = stream.connect(interface.context(), (to, STREAM_PORT), LOCAL_PORT);
        self.is_connected = connected.is_ok();
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
            let (to, is_time) = (from.endpoint.addr, now >= self.begins);
            if is_time && !self.is_connected {
                self.connect(to, interface, sockets);
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
        // Not before everything is acknowledged: after three duplicate acknowledgements with nothing but a FIN outstanding,
        // smoltcp 0.14 stops its timer, and a lost FIN is never sent again.
        let is_through = self.sent == self.bytes.len() && stream.send_queue() == 0;
        if is_through && stream.may_send() && !self.stalls {
            stream.close();
        }
        match stream.state() {
            tcp::State::TimeWait | tcp::State::CloseWait => log.ended = Some(Ended::InOrder),
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
            // Refused until the reset of its last connection has left; then it is tried in the next round.
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

/// A DHCP server with one address to give: 10.9.0.15/24.
pub struct DhcpServer {
    socket: SocketHandle,
    lease_secs: u32,
    /// From this time on every request is refused.
    refuses_from: Option<Instant>,
    requests: Arc<Mutex<Vec<Instant>>>,
}

impl DhcpServer {
    /// Host 1 leases for so long, and refuses requests from a time on; the log has the times of all requests.
    #[must_use]
    pub fn peer(
        lease_secs: u32,
        refuses_from: Option<Instant>,
    ) -> (Box<dyn Peer>, Arc<Mutex<Vec<Instant>>>) {
        const SERVER_PORT: u16 = 67;
        let requests = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&requests);
        let peer = Host::boxed(1, |sockets| {
            let socket = sockets.add(udp_socket(SERVER_PORT));
            Box::new(Self {
                socket,
                lease_secs,
                refuses_from,
                requests,
            })
        });
        (peer, kept)
    }

    fn answer(&self, kind: DhcpMessageType, request: &DhcpRepr<'_>) -> Option<Vec<u8>> {
        const OWN: Ipv4Address = Ipv4Address::new(10, 9, 0, 1);
        let mut repr = DhcpRepr {
            message_type: kind,
            transaction_id: request.transaction_id,
            secs: 0,
            client_hardware_address: request.client_hardware_address,
            client_ip: Ipv4Address::UNSPECIFIED,
            your_ip: Ipv4Address::new(10, 9, 0, 15),
            server_ip: OWN,
            router: Some(OWN),
            subnet_mask: Some(Ipv4Address::new(255, 255, 255, 0)),
            relay_agent_ip: Ipv4Address::UNSPECIFIED,
            broadcast: true,
            requested_ip: None,
            client_identifier: None,
            server_identifier: Some(OWN),
            parameter_request_list: None,
            dns_servers: None,
            max_size: None,
            renew_duration: None,
            rebind_duration: None,
            lease_duration: Some(self.lease_secs),
            additional_options: &[],
        };
        if kind == DhcpMessageType::Nak {
            repr.your_ip = Ipv4Address::UNSPECIFIED;
        }
        let mut bytes = vec![0; repr.buffer_len()];
        repr.emit(&mut DhcpPacket::new_unchecked(&mut bytes)).ok()?;
        Some(bytes)
    }
}

impl Role for DhcpServer {
    fn act(
        &mut self,
        now: Instant,
        _: &mut Interface,
        sockets: &mut SocketSet<'static>,
    ) -> Option<Instant> {
        const CLIENT_PORT: u16 = 68;
        let mut answers = Vec::new();
        while let Ok((payload, _)) = sockets.get_mut::<udp::Socket>(self.socket).recv() {
            let Ok(packet) = DhcpPacket::new_checked(payload) else {
                continue;
            };
            let Ok(request) = DhcpRepr::parse(&packet) else {
                continue;
            };
            let refuses = self.refuses_from.is_some_and(|from| from <= now);
            let kind = match request.message_type {
                DhcpMessageType::Discover if refuses => continue,
                DhcpMessageType::Discover => DhcpMessageType::Offer,
                DhcpMessageType::Request if refuses => DhcpMessageType::Nak,
                DhcpMessageType::Request => DhcpMessageType::Ack,
                _ => continue,
            };
            self.requests
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(now);
            answers.extend(self.answer(kind, &request));
        }
        for answer in answers {
            let to = IpEndpoint::new(Ipv4Address::BROADCAST.into(), CLIENT_PORT);
            // An answer that finds no room is asked for again.
            let _ = sockets
                .get_mut::<udp::Socket>(self.socket)
                .send_slice(&answer, to);
        }
        None
    }
}

fn udp_socket(port: u16) -> udp::Socket<'static> {
    let buffer = || udp::PacketBuffer::new(vec![udp::PacketMetadata::EMPTY; 8], vec![0; 8192]);
    let mut socket = udp::Socket::new(buffer(), buffer());
    assert!(
        socket.bind(port).is_ok(),
        "a fresh socket binds to any port but 0"
    );
    socket
}
