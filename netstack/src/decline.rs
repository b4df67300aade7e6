//! Telling a DHCP server that the address it has leased us is somebody else's (RFC 2131 4.4.1),
//! which smoltcp 0.14 does not.
//!
//! In: the address, and who leased it to whom. Out: one frame.

use smoltcp::phy::ChecksumCapabilities;
use smoltcp::wire::{
    DhcpMessageType, DhcpOption, DhcpPacket, DhcpRepr, EthernetAddress, EthernetFrame,
    EthernetProtocol, EthernetRepr, IpProtocol, Ipv4Address, Ipv4Packet, Ipv4Repr, UdpPacket,
    UdpRepr,
};

const CLIENT_PORT: u16 = 68;
const SERVER_PORT: u16 = 67;
/// RFC 2132 9.9: what a person in front of the server may read.
const MESSAGE: DhcpOption<'static> = DhcpOption {
    kind: 56,
    data: b"another machine uses it",
};
const HOP_LIMIT: u8 = 64;

/// A DHCPDECLINE to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Decline {
    pub(crate) mac: EthernetAddress,
    /// The address that was leased.
    pub(crate) address: Ipv4Address,
    /// The identifier of the server that did.
    pub(crate) server: Ipv4Address,
    pub(crate) transaction: u32,
}

impl Decline {
    /// A broadcast from nobody: the address is not ours to speak from. RFC 2131 table 5 says what
    /// is in it; the client's identifier is the one that smoltcp has asked with.
    pub(crate) fn frame(&self) -> Vec<u8> {
        let dhcp = DhcpRepr {
            message_type: DhcpMessageType::Decline,
            transaction_id: self.transaction,
            secs: 0,
            client_hardware_address: self.mac,
            client_ip: Ipv4Address::UNSPECIFIED,
            your_ip: Ipv4Address::UNSPECIFIED,
            server_ip: Ipv4Address::UNSPECIFIED,
            router: None,
            subnet_mask: None,
            relay_agent_ip: Ipv4Address::UNSPECIFIED,
            broadcast: false,
            requested_ip: Some(self.address),
            client_identifier: Some(self.mac),
            server_identifier: Some(self.server),
            parameter_request_list: None,
            dns_servers: None,
            max_size: None,
            renew_duration: None,
            rebind_duration: None,
            lease_duration: None,
            additional_options: &[MESSAGE],
        };
        let udp = UdpRepr {
            src_port: CLIENT_PORT,
            dst_port: SERVER_PORT,
        };
        let ip = Ipv4Repr {
            src_addr: Ipv4Address::UNSPECIFIED,
            dst_addr: Ipv4Address::BROADCAST,
            next_header: IpProtocol::Udp,
            payload_len: udp.header_len().saturating_add(dhcp.buffer_len()),
            hop_limit: HOP_LIMIT,
        };
        let ethernet = EthernetRepr {
            src_addr: self.mac,
            dst_addr: EthernetAddress::BROADCAST,
            ethertype: EthernetProtocol::Ipv4,
        };
        let len = ip.buffer_len().saturating_add(ip.payload_len);
        let mut bytes = vec![0; EthernetFrame::<&[u8]>::buffer_len(len)];
        let checksums = ChecksumCapabilities::default();
        let mut frame = EthernetFrame::new_unchecked(&mut bytes);
        ethernet.emit(&mut frame);
        let mut packet = Ipv4Packet::new_unchecked(frame.payload_mut());
        ip.emit(&mut packet, &checksums);
        udp.emit(
            &mut UdpPacket::new_unchecked(packet.payload_mut()),
            &ip.src_addr.into(),
            &ip.dst_addr.into(),
            dhcp.buffer_len(),
            |payload| {
                // It has the length that was asked for.
                let _ = dhcp.emit(&mut DhcpPacket::new_unchecked(payload));
            },
            &checksums,
        );
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::Decline;
    use smoltcp::wire::{EthernetAddress, Ipv4Address};

    /// As RFC 2131 2 and RFC 2132 lay it out: sum of the UDP checksum and all fields in place.
    #[test]
    fn a_decline_has_what_table_5_wants() {
        let frame = Decline {
            mac: EthernetAddress([2, 0, 0, 0, 0, 1]),
            address: Ipv4Address::new(10, 9, 0, 15),
            server: Ipv4Address::new(10, 9, 0, 1),
            transaction: 0x0102_0304,
        }
        .frame();
        assert_eq!(
            frame[..14],
            [255, 255, 255, 255, 255, 255, 2, 0, 0, 0, 0, 1, 8, 0]
        );
        assert_eq!(frame[26..34], [0, 0, 0, 0, 255, 255, 255, 255]);
        assert_eq!(frame[34..38], [0, 68, 0, 67]);
        let dhcp = &frame[42..];
        assert_eq!(dhcp[..8], [1, 1, 6, 0, 1, 2, 3, 4]);
        assert_eq!(dhcp[8..28], [0; 20]);
        assert_eq!(dhcp[28..34], [2, 0, 0, 0, 0, 1]);
        assert_eq!(dhcp[236..240], [99, 130, 83, 99]);
        let mut options = std::collections::BTreeMap::new();
        let mut rest = &dhcp[240..];
        while let [kind, len, more @ ..] = rest
            && *kind != 255
        {
            let (value, more) = more.split_at(usize::from(*len));
            assert!(options.insert(*kind, value).is_none(), "{kind} twice");
            rest = more;
        }
        assert_eq!(options[&53], [4]);
        assert_eq!(options[&50], [10, 9, 0, 15]);
        assert_eq!(options[&54], [10, 9, 0, 1]);
        assert_eq!(options[&61], [1, 2, 0, 0, 0, 0, 1]);
        assert_eq!(options[&56], b"another machine uses it");
        assert_eq!(options.len(), 5);
    }
}
