//! Packets of the target `tcp`: what an operation is about in, a frame for the machine out.

use super::{BROADCAST, CONNECTIONS, Connection, EVERYBODY, OWN_MAC, SYN, Shared, Wire};
use smoltcp::wire::{Ipv4Packet, TcpPacket, UdpPacket};
use std::net::Ipv4Addr;
use wire::STREAM_PORT;

impl Wire {
    /// The packet that an operation is about, inside a frame for the machine.
    pub fn frame(
        &self,
        protocol: u8,
        (source, target): (Ipv4Addr, Ipv4Addr),
        mut payload: Vec<u8>,
    ) -> Vec<u8> {
        let to = if target == BROADCAST {
            EVERYBODY
        } else {
            self.stack.map_or(EVERYBODY, |(mac, _)| mac)
        };
        let (from, into) = (source.into(), target.into());
        match protocol {
            6 => TcpPacket::new_unchecked(&mut payload).fill_checksum(&from, &into),
            _ => UdpPacket::new_unchecked(&mut payload).fill_checksum(&from, &into),
        }
        let len = u16::try_from(20 + payload.len())
            .expect("chosen to fit")
            .to_be_bytes();
        let mut header = vec![0x45, 0, len[0], len[1], 0, 0, 0x40, 0, 64, protocol, 0, 0];
        header.extend(source.octets());
        header.extend(target.octets());
        Ipv4Packet::new_unchecked(&mut header).fill_checksum();
        [&to[..], &OWN_MAC, &[8, 0], &header, &payload].concat()
    }

    pub fn segment(
        &self,
        connection: &Connection,
        place: usize,
        flags: u8,
        window: u16,
        data: &[u8],
    ) -> Vec<u8> {
        let acknowledged = connection.theirs.unwrap_or(0);
        self.raw_segment(
            connection.port,
            [connection.sequence(place), acknowledged],
            (flags, window),
            &[],
            data,
        )
    }

    pub fn raw_segment(
        &self,
        port: u16,
        [sequence, acknowledged]: [u32; 2],
        (flags, window): (u8, u16),
        options: &[u8],
        data: &[u8],
    ) -> Vec<u8> {
        let mut bytes = Vec::from(port.to_be_bytes());
        bytes.extend(STREAM_PORT.to_be_bytes());
        bytes.extend(sequence.to_be_bytes());
        bytes.extend(acknowledged.to_be_bytes());
        bytes.extend([((20 + options.len()) / 4) as u8 * 16, flags]);
        bytes.extend(window.to_be_bytes());
        bytes.extend([0; 4]);
        bytes.extend(options);
        bytes.extend(data);
        let target = self.stack.map_or(BROADCAST, |(_, address)| address);
        self.frame(6, (self.own, target), bytes)
    }

    /// One more connection, with options that a donor may have, and others.
    pub fn connect(&mut self, shared: &mut Shared) -> Vec<u8> {
        let first = u32::from(self.word()) << 16 | 0xfff0;
        let options = match self.byte() {
            choice @ 0..128 => {
                let [high, low] = self.word().to_be_bytes();
                let mut options = vec![2, 4, high, low, 1, 3, 3, choice % 16];
                if choice & 16 != 0 {
                    options.extend([4, 2, 1, 1]);
                }
                if choice & 32 != 0 {
                    options.extend([1, 1, 8, 10, 0, 0, 0, choice, 0, 0, 0, 0]);
                }
                options
            }
            choice => self.bytes(usize::from(choice % 11) * 4),
        };
        self.connections += 1;
        let connection = Connection {
            port: 40_000 + self.connections,
            first,
            ..Connection::default()
        };
        let window = self.word();
        let frame = self.raw_segment(connection.port, [first, 0], (SYN, window), &options, &[]);
        if shared.connections.len() == CONNECTIONS {
            shared.connections.remove(0);
        }
        shared.connections.push(connection);
        frame
    }

    /// An answer to the machine's last question: its number and hardware address are right, the
    /// rest is the script's.
    pub fn lease(&mut self) -> Option<Vec<u8>> {
        let question = self.question.get(..240)?.to_vec();
        let (kind, own) = (self.byte(), self.own);
        let mut answer = question;
        answer[0] = 2;
        answer[16..20].copy_from_slice(&[10, 9, 0, 16 + kind / 4 % 4]);
        let len = usize::from(self.byte()) % 64;
        let more = self.bytes(len);
        // The kind: an offer, a yes, a no, or any.
        answer.extend([53, 1, [2, 5, 6, kind][usize::from(kind % 4)]]);
        answer.extend([
            54,
            4,
            own.octets()[0],
            own.octets()[1],
            own.octets()[2],
            own.octets()[3],
        ]);
        answer.extend([51, 4, 0, 0, kind, 60, 1, 4, 255, 255, 255, 0]);
        answer.extend(more);
        answer.push(255);
        let len = ((8 + answer.len()) as u16).to_be_bytes();
        let datagram = [&[0, 67, 0, 68, len[0], len[1], 0, 0][..], &answer].concat();
        Some(self.frame(17, (own, BROADCAST), datagram))
    }

    /// Somebody else's frame: any, but never from the donor's address.
    pub fn strange(&mut self) -> Vec<u8> {
        let len = usize::from(self.byte());
        let to = self.stack.map_or(EVERYBODY, |(mac, _)| mac);
        let mut frame = [&to[..], &[2, 0, 0, 0, 1, 77], &self.bytes(len)].concat();
        let own = self.own.octets();
        let is_ours = |frame: &[u8]| frame.windows(4).any(|four| four == own);
        while is_ours(&frame) {
            let at = frame
                .windows(4)
                .position(|four| four == own)
                .expect("it is there");
            frame[at] ^= 0xff;
        }
        frame
    }
}
