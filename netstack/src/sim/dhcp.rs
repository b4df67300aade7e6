//! A DHCP server on the simulated segment.

use std::sync::{Arc, Mutex, PoisonError};

use smoltcp::iface::{Interface, SocketHandle, SocketSet};
use smoltcp::socket::udp;
use smoltcp::time::Instant;
use smoltcp::wire::{DhcpMessageType, DhcpPacket, DhcpRepr, IpEndpoint, Ipv4Address};

use super::peer::{Host, Peer, Role, udp_socket};

const OWN: Ipv4Address = Ipv4Address::new(10, 9, 0, 1);

/// A DHCP server with one address to give: 10.9.0.15/24, and another one later if so configured, or
/// told that the first is taken.
pub struct DhcpServer {
    socket: SocketHandle,
    lease_secs: u32,
    /// From this time on every request is refused.
    refuses_from: Option<Instant>,
    /// From this time on it gives 10.9.0.16 instead, and refuses requests for the other.
    moves_from: Option<Instant>,
    requests: Arc<Mutex<Vec<Instant>>>,
}

impl DhcpServer {
    /// Host 1 leases for so long, and refuses requests from a time on; the log has the times of all
    /// requests.
    #[must_use]
    pub fn peer(
        lease_secs: u32,
        refuses_from: Option<Instant>,
    ) -> (Box<dyn Peer>, Arc<Mutex<Vec<Instant>>>) {
        Self::make(lease_secs, refuses_from, None)
    }

    /// Host 1 leases 10.9.0.15 until `moves_from`, and 10.9.0.16 from then on.
    #[must_use]
    pub fn moving(lease_secs: u32, moves_from: Instant) -> Box<dyn Peer> {
        Self::make(lease_secs, None, Some(moves_from)).0
    }

    fn make(
        lease_secs: u32,
        refuses_from: Option<Instant>,
        moves_from: Option<Instant>,
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
                moves_from,
                requests,
            })
        });
        (peer, kept)
    }

    fn address(&self, now: Instant) -> Ipv4Address {
        let has_moved = self.moves_from.is_some_and(|from| from <= now);
        Ipv4Address::new(10, 9, 0, if has_moved { 16 } else { 15 })
    }

    fn answer(
        &self,
        kind: DhcpMessageType,
        request: &DhcpRepr<'_>,
        now: Instant,
    ) -> Option<Vec<u8>> {
        let mut repr = DhcpRepr {
            message_type: kind,
            transaction_id: request.transaction_id,
            secs: 0,
            client_hardware_address: request.client_hardware_address,
            client_ip: Ipv4Address::UNSPECIFIED,
            your_ip: self.address(now),
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
            // A renewal names the address it uses, a request after an offer the one that was
            // offered (RFC 2131 4.3.2).
            let asked = request.requested_ip.unwrap_or(request.client_ip);
            let is_other = asked != self.address(now);
            let is_declined = request.message_type == DhcpMessageType::Decline
                && request.requested_ip == Some(self.address(now))
                && request.server_identifier == Some(OWN)
                && request.client_ip.is_unspecified();
            if is_declined {
                self.moves_from = Some(now);
            }
            let kind = match request.message_type {
                DhcpMessageType::Discover if refuses => continue,
                DhcpMessageType::Discover => DhcpMessageType::Offer,
                DhcpMessageType::Request if refuses || is_other => DhcpMessageType::Nak,
                DhcpMessageType::Request => DhcpMessageType::Ack,
                _ => continue,
            };
            self.requests
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(now);
            answers.extend(self.answer(kind, &request, now));
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
