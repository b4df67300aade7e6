//! ARP beside smoltcp: reading every ARP frame of an interface, and sending the ones that smoltcp
//! does not (RFC 5227, RFC 3927).

use smoltcp::phy::{Device, TxToken};
use smoltcp::time::Instant;
use smoltcp::wire::{
    ArpOperation, ArpPacket, ArpRepr, EthernetAddress, EthernetFrame, EthernetProtocol, Ipv4Address,
};

/// An ARP frame, as far as conflicts are concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Arp {
    pub(crate) operation: ArpOperation,
    pub(crate) sender_mac: EthernetAddress,
    /// 0.0.0.0 in a probe.
    pub(crate) sender: Ipv4Address,
    pub(crate) target_mac: EthernetAddress,
    pub(crate) target: Ipv4Address,
}

impl Arp {
    /// Asks whether anybody has `address`, without claiming it (RFC 5227 2.1.1).
    pub(crate) const fn probe(mac: EthernetAddress, address: Ipv4Address) -> Self {
        Self {
            operation: ArpOperation::Request,
            sender_mac: mac,
            sender: Ipv4Address::UNSPECIFIED,
            target_mac: EthernetAddress([0; 6]),
            target: address,
        }
    }

    /// Says that `address` is ours, to claim it or to defend it (RFC 5227 2.3, 2.4).
    pub(crate) const fn announcement(mac: EthernetAddress, address: Ipv4Address) -> Self {
        Self {
            sender: address,
            ..Self::probe(mac, address)
        }
    }

    /// Somebody asks whether `address` is free. smoltcp 0.14 answers no request whose sender is
    /// 0.0.0.0.
    pub(crate) fn is_probe_for(&self, address: Ipv4Address, own_mac: EthernetAddress) -> bool {
        self.operation == ArpOperation::Request
            && self.sender.is_unspecified()
            && self.target == address
            && self.sender_mac != own_mac
    }

    /// Somebody else uses `address`.
    pub(crate) fn is_claim_of(&self, address: Ipv4Address, own_mac: EthernetAddress) -> bool {
        self.sender == address && self.sender_mac != own_mac
    }

    pub(crate) fn parse(frame: &[u8]) -> Option<Self> {
        let ethernet = EthernetFrame::new_checked(frame).ok()?;
        if ethernet.ethertype() != EthernetProtocol::Arp {
            return None;
        }
        let packet = ArpPacket::new_checked(ethernet.payload()).ok()?;
        match ArpRepr::parse(&packet).ok()? {
            ArpRepr::EthernetIpv4 {
                operation,
                source_hardware_addr,
                source_protocol_addr,
                target_hardware_addr,
                target_protocol_addr,
            } => Some(Self {
                operation,
                sender_mac: source_hardware_addr,
                sender: source_protocol_addr,
                target_mac: target_hardware_addr,
                target: target_protocol_addr,
            }),
            _ => None,
        }
    }

    /// Broadcasts it: all frames from here are meant for everybody (RFC 3927 2.5 wants even answers
    /// broadcast).
    pub(crate) fn send(&self, device: &mut impl Device, now: Instant) {
        let Some(token) = device.transmit(now) else {
            return;
        };
        let repr = ArpRepr::EthernetIpv4 {
            operation: self.operation,
            source_hardware_addr: self.sender_mac,
            source_protocol_addr: self.sender,
            target_hardware_addr: self.target_mac,
            target_protocol_addr: self.target,
        };
        let len = EthernetFrame::<&[u8]>::buffer_len(repr.buffer_len());
        token.consume(len, |bytes| {
            let mut frame = EthernetFrame::new_unchecked(bytes);
            frame.set_dst_addr(EthernetAddress::BROADCAST);
            frame.set_src_addr(self.sender_mac);
            frame.set_ethertype(EthernetProtocol::Arp);
            repr.emit(&mut ArpPacket::new_unchecked(frame.payload_mut()));
        });
    }
}
