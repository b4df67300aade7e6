//! A packet socket as smoltcp's `Device`: each frame is parsed where the kernel put it.
//!
//! In: frames of up to 64 KiB, merged by GRO or by the hypervisor. Out: frames of at most the MTU. A frame whose checksum nobody
//! vouches for is verified here, so that smoltcp need not look again; what is refused is counted and looks like an empty frame.

use smoltcp::phy::{self, Checksum as Compute, DeviceCapabilities, Medium};
use smoltcp::time::Instant;
use smoltcp::wire::{
    EthernetFrame, EthernetProtocol, IpAddress, IpProtocol, Ipv4Packet, TcpPacket, UdpPacket,
};
use sys::packet::{Outgoing, PacketSocket};
use sys::packet_queue::{Checksum, Frame};

/// The smallest IPv4 MTU (RFC 791 3.2 asks for 576 at the receiver), and the largest that real Ethernet knows.
const MTU_RANGE: (u32, u32) = (576, 9216);
const ETHERNET_HEADER_BYTES: usize = 14;

/// One Ethernet port.
#[derive(Debug)]
pub struct PacketDevice {
    socket: PacketSocket,
    max_frame_bytes: usize,
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
    pub(crate) fn new(socket: PacketSocket, mtu: u32) -> Self {
        let mtu = mtu.clamp(MTU_RANGE.0, MTU_RANGE.1) as usize;
        Self {
            socket,
            max_frame_bytes: mtu.saturating_add(ETHERNET_HEADER_BYTES),
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
        let bytes = if is_acceptable(&frame) {
            frame.bytes
        } else {
            self.counts.refused = self.counts.refused.saturating_add(1);
            &[]
        };
        let tx = PacketTx {
            socket: &self.socket.outgoing,
            frame: &mut self.outgoing,
            counts: &mut self.counts,
        };
        Some((PacketRx { bytes }, tx))
    }

    fn transmit(&mut self, _now: Instant) -> Option<PacketTx<'_>> {
        Some(PacketTx {
            socket: &self.socket.outgoing,
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
    frame: &'a mut Vec<u8>,
    counts: &'a mut FrameCounts,
}

impl phy::TxToken for PacketTx<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, f: F) -> R {
        self.frame.clear();
        self.frame.resize(len, 0);
        let result = f(self.frame);
        // A full queue or a pulled cable loses frames like any wire; TCP, ARP and DHCP all send again.
        if let Err(error) = self.socket.send(self.frame) {
            self.counts.unsent = self.counts.unsent.saturating_add(1);
            log::trace!("network: unsent len={len} error={error}");
        }
        result
    }
}

/// A whole frame of our own network whose TCP or UDP checksum somebody vouches for, at last ourselves.
fn is_acceptable(frame: &Frame<'_>) -> bool {
    const VLAN_IDENTIFIER: u16 = 0x0fff;
    // A frame of another VLAN: the hardware took its tag off, and it would look like ours.
    let is_foreign = frame.vlan_tci.is_some_and(|tci| tci & VLAN_IDENTIFIER != 0);
    if frame.truncated || is_foreign {
        return false;
    }
    match frame.checksum {
        Checksum::Verified | Checksum::NotComputed => true,
        Checksum::Unknown => has_valid_checksum(frame.bytes),
    }
}

/// Verifies TCP and UDP over IPv4. The checksums of IPv4 itself and of ICMP are left to smoltcp, and so is all that is malformed.
fn has_valid_checksum(bytes: &[u8]) -> bool {
    let Ok(ethernet) = EthernetFrame::new_checked(bytes) else {
        return true;
    };
    if ethernet.ethertype() != EthernetProtocol::Ipv4 {
        return true;
    }
    let Ok(ip) = Ipv4Packet::new_checked(ethernet.payload()) else {
        return true;
    };
    let (from, to) = (
        IpAddress::Ipv4(ip.src_addr()),
        IpAddress::Ipv4(ip.dst_addr()),
    );
    match ip.next_header() {
        IpProtocol::Tcp => {
            TcpPacket::new_checked(ip.payload()).is_ok_and(|tcp| tcp.verify_checksum(&from, &to))
        }
        // Fragments included: a datagram in pieces is nothing that we await.
        IpProtocol::Udp => {
            UdpPacket::new_checked(ip.payload()).is_ok_and(|udp| udp.verify_checksum(&from, &to))
        }
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::{has_valid_checksum, is_acceptable};
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
            assert!(!is_acceptable(&frame(&changed, Checksum::Unknown)));
            assert!(is_acceptable(&frame(&changed, Checksum::NotComputed)));
        }
    }

    #[test]
    fn cut_and_foreign_frames_are_refused() {
        let whole = frame(&DATAGRAM, Checksum::Verified);
        assert!(is_acceptable(&whole));
        assert!(!is_acceptable(&Frame {
            truncated: true,
            ..whole
        }));
        assert!(!is_acceptable(&Frame {
            vlan_tci: Some(7),
            ..whole
        }));
        assert!(
            is_acceptable(&Frame {
                vlan_tci: Some(0x2000),
                ..whole
            }),
            "priority only"
        );
    }
}
