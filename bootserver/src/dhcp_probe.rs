//! Is there a DHCP server already? Two of them that know nothing of each other give one network two
//! sets of addresses, so we ask before we are one.
//!
//! In: an interface. Out: the server that offers an address, if any does within [`PATIENCE`]. The
//! offer is not taken, so no address is used up.

use std::io;
use std::net::{Ipv4Addr, UdpSocket};
use std::time::{Duration, Instant};

use smoltcp::wire::{DhcpMessageType, DhcpPacket, DhcpRepr, EthernetAddress};
use socket2::{Domain, Protocol, Socket, Type};

use super::interface::Interface;

/// A server may look for itself whether an address is free before it offers it (RFC 2131 3.1.2);
/// dnsmasq takes up to three seconds for that.
pub const PATIENCE: Duration = Duration::from_secs(4);
/// Asked again, in case the first got lost.
const AGAIN: Duration = Duration::from_secs(2);
const SERVER_PORT: u16 = 67;
const CLIENT_PORT: u16 = 68;
/// More than any answer on an Ethernet.
const ANSWER_MAX: usize = 2048;

/// Asks; nobody answering is the good news for who wants to be a DHCP server.
///
/// # Errors
/// The kernel gives no socket: not root, or another client has the port for itself.
pub fn find(interface: &Interface) -> io::Result<Option<Ipv4Addr>> {
    let socket = socket(&interface.name)?;
    let question = question(interface.mac, transaction());
    let end = Instant::now() + PATIENCE;
    let mut next = Instant::now();
    loop {
        let now = Instant::now();
        if now >= end {
            return Ok(None);
        }
        if now >= next {
            socket.send_to(&question, (Ipv4Addr::BROADCAST, SERVER_PORT))?;
            next = now + AGAIN;
        }
        let left = next.min(end).saturating_duration_since(Instant::now());
        socket.set_read_timeout(Some(left.max(Duration::from_millis(1))))?;
        let mut answer = [0; ANSWER_MAX];
        match socket.recv_from(&mut answer) {
            Ok((len, _)) => {
                let answer = answer.get(..len).unwrap_or_default();
                if let Some(server) = offer(answer, &question) {
                    return Ok(Some(server));
                }
            }
            Err(error) => match error.kind() {
                io::ErrorKind::WouldBlock
                | io::ErrorKind::TimedOut
                | io::ErrorKind::Interrupted => {}
                _ => return Err(error),
            },
        }
    }
}

fn socket(interface: &str) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP))?;
    // A DHCP client of this machine may be listening there.
    socket.set_reuse_address(true)?;
    socket.set_broadcast(true)?;
    socket.bind_device(Some(interface.as_bytes()))?;
    let any = std::net::SocketAddr::from((Ipv4Addr::UNSPECIFIED, CLIENT_PORT));
    socket.bind(&any.into())?;
    Ok(socket.into())
}

/// A number that no other client is likely to use at this moment.
fn transaction() -> u32 {
    let clock = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    clock.map_or(0, |time| time.subsec_nanos()) ^ std::process::id().rotate_left(16)
}

/// DHCPDISCOVER that wants its answer by broadcast (RFC 2131 4.1): we are not whom the offered
/// address is for.
#[must_use]
pub fn question(mac: [u8; 6], transaction_id: u32) -> Vec<u8> {
    let repr = DhcpRepr {
        message_type: DhcpMessageType::Discover,
        transaction_id,
        secs: 0,
        client_hardware_address: EthernetAddress(mac),
        client_ip: Ipv4Addr::UNSPECIFIED,
        your_ip: Ipv4Addr::UNSPECIFIED,
        server_ip: Ipv4Addr::UNSPECIFIED,
        router: None,
        subnet_mask: None,
        relay_agent_ip: Ipv4Addr::UNSPECIFIED,
        broadcast: true,
        requested_ip: None,
        client_identifier: None,
        server_identifier: None,
        parameter_request_list: None,
        dns_servers: None,
        max_size: None,
        lease_duration: None,
        renew_duration: None,
        rebind_duration: None,
        additional_options: &[],
    };
    let mut bytes = vec![0; repr.buffer_len()];
    // The buffer is as long as the message says it is.
    let _ = DhcpPacket::new_checked(&mut bytes).and_then(|mut packet| repr.emit(&mut packet));
    bytes
}

/// The server behind an answer to that question, when it is an offer.
#[must_use]
pub fn offer(answer: &[u8], question: &[u8]) -> Option<Ipv4Addr> {
    let asked = DhcpPacket::new_checked(question).ok()?;
    let packet = DhcpPacket::new_checked(answer).ok()?;
    let repr = DhcpRepr::parse(&packet).ok()?;
    let is_ours = repr.transaction_id == asked.transaction_id()
        && repr.client_hardware_address == asked.client_hardware_address();
    // Without an address it is no DHCP server's offer but a boot server's (PXE 2.1, 2.2.3).
    let is_offer = repr.message_type == DhcpMessageType::Offer && !repr.your_ip.is_unspecified();
    (is_ours && is_offer).then(|| repr.server_identifier.unwrap_or(repr.server_ip))
}

#[cfg(test)]
mod tests {
    use super::{offer, question};
    use smoltcp::wire::{DhcpMessageType, DhcpPacket, DhcpRepr};
    use std::net::Ipv4Addr;

    const MAC: [u8; 6] = [0x52, 0x54, 0, 9, 0, 1];
    const SERVER: Ipv4Addr = Ipv4Addr::new(10, 9, 0, 254);

    fn answer(change: impl FnOnce(&mut DhcpRepr)) -> Vec<u8> {
        let asked = question(MAC, 0x1234_5678);
        let packet = DhcpPacket::new_checked(&asked[..]).unwrap();
        let mut repr = DhcpRepr::parse(&packet).unwrap();
        repr.message_type = DhcpMessageType::Offer;
        repr.your_ip = Ipv4Addr::new(10, 9, 0, 10);
        repr.server_identifier = Some(SERVER);
        change(&mut repr);
        let mut bytes = vec![0; repr.buffer_len()];
        repr.emit(&mut DhcpPacket::new_unchecked(&mut bytes))
            .unwrap();
        bytes
    }

    #[test]
    fn the_question_is_a_discover_that_wants_a_broadcast() {
        let bytes = question(MAC, 0x1234_5678);
        assert_eq!(
            &bytes[..12],
            [1, 1, 6, 0, 0x12, 0x34, 0x56, 0x78, 0, 0, 0x80, 0]
        );
        assert_eq!(&bytes[28..34], MAC);
        // The magic cookie and option 53 (RFC 2132 9.6).
        assert_eq!(&bytes[236..243], [99, 130, 83, 99, 53, 1, 1]);
    }

    #[test]
    fn an_offer_of_an_address_names_its_server() {
        let asked = question(MAC, 0x1234_5678);
        assert_eq!(offer(&answer(|_| {}), &asked), Some(SERVER));
        let strangers: [fn(&mut DhcpRepr); 4] = [
            |repr| repr.transaction_id = 1,
            |repr| repr.client_hardware_address.0[5] = 9,
            |repr| repr.message_type = DhcpMessageType::Ack,
            |repr| repr.your_ip = Ipv4Addr::UNSPECIFIED,
        ];
        for change in strangers {
            assert_eq!(offer(&answer(change), &asked), None);
        }
    }

    #[test]
    fn nothing_cut_short_is_an_offer_that_was_never_made() {
        let (asked, whole) = (question(MAC, 0x1234_5678), answer(|_| {}));
        for len in 0..whole.len() {
            let found = offer(&whole[..len], &asked);
            assert!(found.is_none_or(|server| [SERVER, Ipv4Addr::UNSPECIFIED].contains(&server)));
        }
        for at in 0..whole.len() {
            let mut changed = whole.clone();
            changed[at] ^= 0xff;
            let _ = offer(&changed, &asked);
        }
    }
}
