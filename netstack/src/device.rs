//! A packet socket as smoltcp's `Device`: each frame is parsed where the kernel put it.
//!
//! In: frames of up to 64 KiB, merged by GRO or by the hypervisor. Out: frames of at most the MTU.
//! A frame whose checksum nobody vouches for is verified here, so that smoltcp need not look again;
//! what is refused is counted and looks like an empty frame.

use smoltcp::phy::{self, Checksum as Compute, DeviceCapabilities, Medium};
use smoltcp::time::Instant;
use smoltcp::wire::{
    EthernetFrame, EthernetProtocol, IpAddress, IpProtocol, Ipv4Packet, Ipv6Packet, TcpPacket,
    UdpPacket,
};
use sys::packet::{Outgoing, PacketSocket};
use sys::packet_queue::{Checksum, Frame};

/// The smallest IPv4 MTU (RFC 791 3.2 asks for 576 at the receiver), and the largest that real
/// Ethernet knows.
const MTU_RANGE: (u32, u32) = (576, 9216);
const ETHERNET_HEADER_BYTES: usize = 14;
/// 802.1Q: the tag stands behind the two addresses.
const TAG_AT: usize = 12;
const TAG_BYTES: usize = 4;
const VLAN_IDENTIFIER: u16 = 0x0fff;

/// One Ethernet interface.
#[derive(Debug)]
pub struct PacketDevice {
    socket: PacketSocket,
    max_frame_bytes: usize,
    /// The network whose tag our frames have, both ways.
    vlan: Option<u16>,
    outgoing: Vec<u8>,
    counts: FrameCounts,
}

/// Frames that did not make it.
#[derive(Clone, Copy, Debug, Default)]
struct FrameCounts {
    refused: u64,
    unsent: u64,
}

impl PacketDevice {
    pub(crate) fn new(socket: PacketSocket, mtu: u32, vlan: Option<u16>) -> Self {
        let mtu = mtu.clamp(MTU_RANGE.0, MTU_RANGE.1) as usize;
        Self {
            socket,
            max_frame_bytes: mtu.saturating_add(ETHERNET_HEADER_BYTES),
            vlan,
            outgoing: Vec::new(),
            counts: FrameCounts::default(),
        }
    }
}

impl Drop for PacketDevice {
    fn drop(&mut self) {
        let counts = self.socket.outgoing.counts().unwrap_or_default();
        log::debug!(
            "network: port closed received={} queue_full={} refused={} unsent={}",
            counts.frames,
            counts.dropped,
            self.counts.refused,
            self.counts.unsent
        );
    }
}

impl phy::Device for PacketDevice {
    type RxToken<'a> = PacketRx<'a>;
    type TxToken<'a> = PacketTx<'a>;

    fn receive(&mut self, _now: Instant) -> Option<(PacketRx<'_>, PacketTx<'_>)> {
        let frame = self.socket.incoming.next_frame()?;
        let bytes = if is_acceptable(&frame, self.vlan) {
            frame.bytes
        } else {
            self.counts.refused = self.counts.refused.saturating_add(1);
            &[]
        };
        let tx = PacketTx {
            socket: &self.socket.outgoing,
            vlan: self.vlan,
            frame: &mut self.outgoing,
            counts: &mut self.counts,
        };
        Some((PacketRx { bytes }, tx))
    }

    fn transmit(&mut self, _now: Instant) -> Option<PacketTx<'_>> {
        Some(PacketTx {
            socket: &self.socket.outgoing,
            vlan: self.vlan,
            frame: &mut self.outgoing,
            counts: &mut self.counts,
        })
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ethernet;
        capabilities.max_transmission_unit = self.max_frame_bytes;
        // Received ones are verified by `is_acceptable`; sent ones are smoltcp's to compute.
        capabilities.checksum.tcp = Compute::Tx;
        capabilities.checksum.udp = Compute::Tx;
        capabilities
    }
}

/// A received frame in its buffer.
#[derive(Debug)]
pub struct PacketRx<'a> {
    bytes: &'a [u8],
}

impl phy::RxToken for PacketRx<'_> {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, f: F) -> R {
        f(self.bytes)
    }
}

/// The right to send one frame.
#[derive(Debug)]
pub struct PacketTx<'a> {
    socket: &'a Outgoing,
    vlan: Option<u16>,
    frame: &'a mut Vec<u8>,
    counts: &'a mut FrameCounts,
}

impl phy::TxToken for PacketTx<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, f: F) -> R {
        self.frame.clear();
        self.frame.resize(len, 0);
        let result = f(self.frame);
        if let Some(vlan) = self.vlan {
            tag(self.frame, vlan);
        }
        // A full queue or a pulled cable loses frames like any wire; TCP, ARP and DHCP all send
        // again.
        if let Err(error) = self.socket.send(self.frame) {
            self.counts.unsent = self.counts.unsent.saturating_add(1);
            log::trace!("network: unsent len={len} error={error}");
        }
        result
    }
}

/// Puts the frame into a VLAN, with the priority of everything that wants none.
fn tag(frame: &mut Vec<u8>, vlan: u16) {
    const TAGGED: u16 = 0x8100;
    let at = TAG_AT.min(frame.len());
    let tag: [u8; TAG_BYTES] = {
        let [a, b] = TAGGED.to_be_bytes();
        let [c, d] = vlan.to_be_bytes();
        [a, b, c, d]
    };
    frame.splice(at..at, tag);
}

/// A whole frame of our own network whose TCP or UDP checksum somebody vouches for, at last
/// ourselves. The kernel takes the tag off every frame, where the hardware has not
/// (`skb_vlan_untag()` in `net/core/dev.c`); identifier 0 is a priority and no network.
pub(crate) fn is_acceptable(frame: &Frame<'_>, vlan: Option<u16>) -> bool {
    let found = frame.vlan_tci.map(|tci| tci & VLAN_IDENTIFIER);
    let is_ours = found.filter(|identifier| *identifier != 0) == vlan;
    if frame.truncated || !is_ours {
        return false;
    }
    match frame.checksum {
        Checksum::Verified | Checksum::NotComputed => true,
        Checksum::Unknown => has_valid_checksum(frame.bytes),
    }
}

/// Verifies TCP and UDP. The checksums of IPv4 itself and of ICMP are left to smoltcp, and so is
/// all that is malformed; IPv6 with extension headers does not get so far.
fn has_valid_checksum(bytes: &[u8]) -> bool {
    let Ok(ethernet) = EthernetFrame::new_checked(bytes) else {
        return true;
    };
    let (from, to, protocol, payload): (IpAddress, IpAddress, _, _) = match ethernet.ethertype() {
        EthernetProtocol::Ipv4 => {
            let Ok(ip) = Ipv4Packet::new_checked(ethernet.payload()) else {
                return true;
            };
            let from = ip.src_addr().into();
            let to = ip.dst_addr().into();
            (from, to, ip.next_header(), ip.payload())
        }
        EthernetProtocol::Ipv6 => {
            let Ok(ip) = Ipv6Packet::new_checked(ethernet.payload()) else {
                return true;
            };
            let from = ip.src_addr().into();
            let to = ip.dst_addr().into();
            (from, to, ip.next_header(), ip.payload())
        }
        _ => return true,
    };
    match protocol {
        IpProtocol::Tcp => {
            TcpPacket::new_checked(payload).is_ok_and(|tcp| tcp.verify_checksum(&from, &to))
        }
        // Fragments included: a datagram in pieces is nothing that we await.
        IpProtocol::Udp => {
            UdpPacket::new_checked(payload).is_ok_and(|udp| udp.verify_checksum(&from, &to))
        }
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::{has_valid_checksum, is_acceptable, tag};
    use sys::packet_queue::{Checksum, Frame};

    /// A UDP datagram of 4 bytes from 10.0.0.1:9 to 10.0.0.2:9, checksums computed by hand.
    const DATAGRAM: [u8; 46] = [
        2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0, //
        0x45, 0, 0, 32, 0, 0, 0, 0, 64, 17, 0x66, 0xcb, 10, 0, 0, 1, 10, 0, 0, 2, //
        0, 9, 0, 9, 0, 12, 0x26, 0xfb, b'a', b'b', b'c', b'd',
    ];

    fn frame(bytes: &[u8], checksum: Checksum) -> Frame<'_> {
        Frame {
            bytes,
            checksum,
            vlan_tci: None,
            truncated: false,
        }
    }

    #[test]
    fn every_changed_byte_behind_the_ip_header_is_noticed() {
        assert!(has_valid_checksum(&DATAGRAM));
        for at in 34..DATAGRAM.len() {
            let mut changed = DATAGRAM;
            changed[at] ^= 0x10;
            assert!(!has_valid_checksum(&changed), "byte {at}");
            assert!(!is_acceptable(&frame(&changed, Checksum::Unknown), None));
            assert!(is_acceptable(&frame(&changed, Checksum::NotComputed), None));
        }
    }

    /// A SYN from fe80::1 port 9 to fe80::2 port 9, checksum computed by hand.
    const SYN6: [u8; 74] = [
        2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 0x86, 0xdd, //
        0x60, 0, 0, 0, 0, 20, 6, 64, //
        0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, //
        0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, //
        0, 9, 0, 9, 0, 0, 0, 1, 0, 0, 0, 0, 0x50, 2, 0x10, 0, 0xa2, 0xcb, 0, 0,
    ];

    #[test]
    fn every_changed_byte_of_addresses_and_segment_is_noticed_over_ipv6() {
        assert!(has_valid_checksum(&SYN6));
        for at in 22..SYN6.len() {
            let mut changed = SYN6;
            changed[at] ^= 0x10;
            assert!(!has_valid_checksum(&changed), "byte {at}");
        }
    }

    #[test]
    fn a_tag_goes_behind_the_addresses_and_nothing_else_moves() {
        let mut tagged = DATAGRAM.to_vec();
        tag(&mut tagged, 0x0123);
        assert_eq!(tagged[..12], DATAGRAM[..12]);
        assert_eq!(tagged[12..16], [0x81, 0, 0x01, 0x23]);
        assert_eq!(tagged[16..], DATAGRAM[12..]);
    }

    #[test]
    fn cut_and_foreign_frames_are_refused() {
        let whole = frame(&DATAGRAM, Checksum::Verified);
        assert!(is_acceptable(&whole, None));
        let cut = Frame {
            truncated: true,
            ..whole
        };
        assert!(!is_acceptable(&cut, None));
        // Tag, network we are in, whether that is it; 0 is a priority without a network.
        let cases = [
            (None, None, true),
            (Some(0x2000), None, true),
            (Some(7), None, false),
            (Some(7), Some(7), true),
            (Some(0xe007), Some(7), true),
            (Some(8), Some(7), false),
            (Some(0x2000), Some(7), false),
            (None, Some(7), false),
        ];
        for (vlan_tci, vlan, is_ours) in cases {
            let tagged = Frame { vlan_tci, ..whole };
            assert_eq!(
                is_acceptable(&tagged, vlan),
                is_ours,
                "{vlan_tci:?} {vlan:?}"
            );
        }
    }
}
