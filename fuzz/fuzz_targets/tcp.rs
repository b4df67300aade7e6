//! Donors that speak TCP to a waiting machine, well and badly: no panic and no standstill, what is
//! read is what was sent, in order and no more of it, what comes back is what was written, and no
//! frame is answered by a flood.
//!
//! The first byte chooses where the addresses come from and the network's tag; operations follow,
//! one byte and its arguments each. Connections hold together over all of them: sequence numbers,
//! windows and addresses are the true ones unless the operation is to lie about them. Data is a
//! function of its place, so an overlap never says two things.
#![no_main]

use std::io::{Read, Write};
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use netstack::sim::{Link, Peer, SimInterfaces, is_let_in};
use netstack::{Addressing, Config, Fixed, InterfaceFilter, Stack};
use smoltcp::time::Instant;
use smoltcp::wire::{Ipv4Packet, TcpPacket, UdpPacket};
use wire::BEACON_PORT;
use wire::code::Code;

// `run` takes everything beside this file for a target.
#[path = "../tcp/packets.rs"]
mod packets;

const OPENING_LEN: usize = 4;
const OWN_MAC: [u8; 6] = [2, 0, 0, 0, 1, 2];
const EVERYBODY: [u8; 6] = [0xff; 6];
const BROADCAST: Ipv4Addr = Ipv4Addr::BROADCAST;
const CONNECTIONS: usize = 6;
/// The length of the machine's answer to a donor.
const ANSWER_LEN: usize = 5000;
/// Of an IPv4 packet without options: its own header and TCP's.
const HEADERS: usize = 40;

const FIN: u8 = 1;
const SYN: u8 = 2;
const RST: u8 = 4;
const PSH: u8 = 8;
const ACK: u8 = 16;

/// The byte at a place of the stream that comes from a port; the machine's own are those of port 0.
fn byte_at(port: u16, place: usize) -> u8 {
    (place ^ (place >> 8) ^ (place >> 16)) as u8 ^ port as u8
}

fn bytes_at(port: u16, place: usize, len: usize) -> Vec<u8> {
    (place..place + len)
        .map(|place| byte_at(port, place))
        .collect()
}

/// A connection as its donor sees it.
#[derive(Clone, Default)]
struct Connection {
    port: u16,
    /// Of its SYN; data begins behind it.
    first: u32,
    /// The machine's next one, once it has answered.
    theirs: Option<u32>,
    /// The machine's first.
    their_first: u32,
    /// Bytes that were sent one after the other, and how far any was sent.
    sent: usize,
    furthest: usize,
    /// Where the stream ended.
    end: Option<usize>,
}

impl Connection {
    fn sequence(&self, place: usize) -> u32 {
        self.first.wrapping_add(1).wrapping_add(place as u32)
    }
}

/// The sending end, and what it knows.
struct Wire {
    script: Vec<u8>,
    at: usize,
    own: Ipv4Addr,
    /// The machine, once it was heard.
    stack: Option<([u8; 6], Ipv4Addr)>,
    vlan: Option<u16>,
    next: Instant,
    /// The machine's last question to a DHCP server.
    question: Vec<u8>,
    connections: u16,
    shared: Arc<Mutex<Shared>>,
}

#[derive(Default)]
struct Shared {
    connections: Vec<Connection>,
    frames_in: usize,
    frames_out: usize,
}

impl Wire {
    fn byte(&mut self) -> u8 {
        let byte = self.script.get(self.at).copied().unwrap_or(0);
        self.at += 1;
        byte
    }

    fn word(&mut self) -> u16 {
        u16::from_be_bytes([self.byte(), self.byte()])
    }

    fn bytes(&mut self, len: usize) -> Vec<u8> {
        (0..len).map(|_| self.byte()).collect()
    }

    /// As the driver would: what is not of our network does not come as far as the stack.
    fn send(&self, frame: Vec<u8>, tag: Option<u16>, out: &mut Vec<Vec<u8>>) {
        if is_let_in(&frame, tag, self.vlan) {
            out.push(frame);
        }
    }

    fn hear(&mut self, frame: &[u8], shared: &mut Shared, out: &mut Vec<Vec<u8>>) {
        let (Some(from), Some(kind), Some(body)) =
            (frame.get(6..12), frame.get(12..14), frame.get(14..))
        else {
            return;
        };
        let from: [u8; 6] = from.try_into().expect("six");
        match kind {
            [8, 6] => self.answer_arp(from, body, out),
            [8, 0] => {
                let packet = Ipv4Packet::new_checked(body).expect("the stack sends whole packets");
                assert!(packet.verify_checksum());
                let (source, target) = (packet.src_addr(), packet.dst_addr());
                match u8::from(packet.next_header()) {
                    17 => {
                        let datagram =
                            UdpPacket::new_checked(packet.payload()).expect("whole datagrams");
                        assert!(datagram.verify_checksum(&source.into(), &target.into()));
                        match datagram.dst_port() {
                            BEACON_PORT => self.stack = Some((from, source)),
                            67 => self.question = datagram.payload().to_vec(),
                            _ => {}
                        }
                    }
                    6 if target == self.own => {
                        let segment =
                            TcpPacket::new_checked(packet.payload()).expect("whole segments");
                        assert!(segment.verify_checksum(&source.into(), &target.into()));
                        self.hear_segment(&segment, shared);
                    }
                    _ => {}
                }
            }
            _ => {}
        }
    }

    fn answer_arp(&self, from: [u8; 6], body: &[u8], out: &mut Vec<Vec<u8>>) {
        // A question (1) for our address.
        if body.get(7) == Some(&1) && body.get(24..28) == Some(&self.own.octets()) {
            let (asker, asked) = (&body[14..18], &body[24..28]);
            let answer = [&body[..7], &[2], &OWN_MAC, asked, &from, asker].concat();
            out.push([&from[..], &OWN_MAC, &[8, 6], &answer].concat());
        }
    }

    fn hear_segment(&self, segment: &TcpPacket<&[u8]>, shared: &mut Shared) {
        let port = segment.dst_port();
        let Some(connection) = shared.connections.iter_mut().find(|one| one.port == port) else {
            return;
        };
        let sequence = segment.seq_number().0 as u32;
        if segment.rst() {
            return;
        }
        if segment.syn() {
            assert!(segment.ack(), "the machine opens no connections");
            connection.their_first = sequence;
            connection.theirs = Some(sequence.wrapping_add(1));
            return;
        }
        let place = sequence.wrapping_sub(connection.their_first.wrapping_add(1)) as usize;
        let said = segment.payload();
        if !said.is_empty() {
            assert!(place + said.len() <= ANSWER_LEN, "more than was written");
            assert_eq!(said, bytes_at(0, place, said.len()), "not what was written");
        }
        let end = sequence
            .wrapping_add(said.len() as u32)
            .wrapping_add(u32::from(segment.fin()));
        // Only forward: segments are sent again.
        if connection
            .theirs
            .is_none_or(|next| (end.wrapping_sub(next) as i32) > 0)
        {
            connection.theirs = Some(end);
        }
    }

    /// The connection that the input selects, if there is one.
    fn chosen(&mut self, shared: &Shared) -> Option<usize> {
        let byte = usize::from(self.byte());
        (!shared.connections.is_empty()).then(|| byte % shared.connections.len())
    }

    fn act(&mut self, shared: &mut Shared, out: &mut Vec<Vec<u8>>) -> Option<()> {
        let (operation, mut tag) = (self.byte(), self.vlan);
        if operation & 0xc0 == 0xc0 {
            tag = Some(self.word());
        }
        let frame = match operation % 11 {
            0 => self.connect(shared),
            1 | 2 => {
                let (at, len, window) = (self.chosen(shared)?, self.word(), self.word());
                let len = usize::from(len).min(65_535 - HEADERS);
                let connection = &mut shared.connections[at];
                let place = connection.sent;
                let len = len.min(connection.end.map_or(len, |end| end.saturating_sub(place)));
                connection.sent += len;
                connection.furthest = connection.furthest.max(connection.sent);
                self.segment(
                    &connection.clone(),
                    place,
                    ACK | PSH,
                    window,
                    &bytes_at(connection.port, place, len),
                )
            }
            // Again, or before its time.
            3 => {
                let (at, shift, len) = (
                    self.chosen(shared)?,
                    self.word() as i16,
                    usize::from(self.word() % 4096),
                );
                let connection = &mut shared.connections[at];
                let place = connection.sent.saturating_add_signed(isize::from(shift));
                let len = len.min(connection.end.map_or(len, |end| end.saturating_sub(place)));
                connection.furthest = connection.furthest.max(place + len);
                self.segment(
                    &connection.clone(),
                    place,
                    ACK,
                    1000,
                    &bytes_at(connection.port, place, len),
                )
            }
            4 => {
                let (at, window) = (self.chosen(shared)?, self.word());
                let connection = &shared.connections[at];
                self.segment(connection, connection.sent, ACK, window, &[])
            }
            // Acknowledges what was not said, or says anything at all without data.
            5 => {
                let (at, flags, window) = (self.chosen(shared)?, self.byte(), self.word());
                let connection = shared.connections[at].clone();
                let shift = u32::from(self.word()) << (flags % 17);
                let numbers = [
                    connection.sequence(connection.sent),
                    connection.theirs.unwrap_or(0).wrapping_add(shift),
                ];
                self.raw_segment(
                    connection.port,
                    numbers,
                    (flags & !(FIN | SYN), window),
                    &[],
                    &[],
                )
            }
            6 => {
                let at = self.chosen(shared)?;
                let connection = &mut shared.connections[at];
                let end = *connection.end.get_or_insert(connection.furthest);
                connection.sent = connection.sent.min(end);
                self.segment(&connection.clone(), end, ACK | FIN, 1000, &[])
            }
            7 => {
                let (at, shift) = (self.chosen(shared)?, usize::from(self.byte()));
                let connection = &shared.connections[at];
                self.segment(connection, connection.sent + shift, RST, 0, &[])
            }
            8 => self.strange(),
            9 => self.lease()?,
            // Lost on its way, or damaged, which is the same: under `cfg(fuzzing)` smoltcp looks at
            // no checksum.
            _ => {
                let (at, len) = (self.chosen(shared)?, usize::from(self.word() % 4096));
                let connection = &mut shared.connections[at];
                connection.sent += connection
                    .end
                    .map_or(len, |end| len.min(end.saturating_sub(connection.sent)));
                connection.furthest = connection.furthest.max(connection.sent);
                return None;
            }
        };
        self.send(frame, tag, out);
        Some(())
    }
}

impl Peer for Wire {
    fn run(
        &mut self,
        now: Instant,
        arrived: &[Vec<u8>],
        out: &mut Vec<Vec<u8>>,
    ) -> Option<Instant> {
        let shared = Arc::clone(&self.shared);
        let mut shared = locked(&shared);
        for frame in arrived {
            shared.frames_out += 1;
            self.hear(frame, &mut shared, out);
        }
        // Without a server's answers the machine gives itself an address after ten seconds.
        let is_time = self.stack.is_some() || !self.question.is_empty();
        if is_time && now >= self.next && self.at < self.script.len() {
            // Two bits: at once, or milliseconds, or a moment, or longer than any patience.
            let pause = [1, 2, 300, 4000][usize::from(self.byte() % 4)];
            let _ = self.act(&mut shared, out);
            self.next = now + smoltcp::time::Duration::from_millis(pause);
        }
        shared.frames_in += out.len();
        (is_time && self.at < self.script.len()).then_some(self.next)
    }
}

fn locked(shared: &Mutex<Shared>) -> MutexGuard<'_, Shared> {
    shared.lock().expect("nobody panicked with it")
}

fn config(choice: u8) -> Config {
    let fixed = Fixed {
        address: Ipv4Addr::new(10, 9, 0, 15),
        prefix_len: 24,
        gateway: None,
    };
    let ipv4 = (choice & 1 == 0).then_some(fixed);
    Config {
        memory_bytes: 64 << 20,
        addressing: Addressing {
            on: InterfaceFilter::First,
            ipv4,
            ipv6: None,
        },
        vlan: (choice & 2 != 0).then_some(1 + u16::from(choice) * 16),
        mtu: None,
    }
}

/// Reads to the end, whichever it is, and looks at every byte.
fn receive(stack: &Stack<SimInterfaces>, shared: &Mutex<Shared>) {
    let code = Code::parse("e13gts2").expect("a code");
    let Ok(Some(mut donor)) =
        stack.accept_within(&code, OPENING_LEN, Some(Duration::from_secs(60)))
    else {
        return;
    };
    let port = donor.peer().port();
    let answer = bytes_at(0, 0, ANSWER_LEN);
    // A donor that is gone already has nothing said to it.
    let _ = donor.writer().write_all(&answer);
    let (mut received, mut buffer) = (0, vec![0; 10_000]);
    let ended = loop {
        match donor.read(&mut buffer) {
            Ok(0) => break true,
            Ok(len) => {
                assert_eq!(
                    buffer[..len],
                    bytes_at(port, received, len),
                    "not what was sent"
                );
                received += len;
            }
            Err(_) => break false,
        }
    };
    if let Some(connection) = locked(shared)
        .connections
        .iter()
        .find(|one| one.port == port)
    {
        assert!(received <= connection.furthest, "more than was sent");
        assert!(
            !ended || connection.end == Some(received),
            "an end that was not said"
        );
    }
    // A peer that does not cooperate is reset; either way it ends.
    let _ = donor.finish();
}

fuzz_target!(|bytes: &[u8]| {
    let Some((&choice, script)) = bytes.split_first() else {
        return;
    };
    let config = config(choice);
    let shared = Arc::<Mutex<Shared>>::default();
    // Beside an address of DHCP or a fixed one, or beside one that the machine gave itself.
    let own = if choice & 5 == 5 {
        Ipv4Addr::new(169, 254, 9, 2)
    } else {
        Ipv4Addr::new(10, 9, 0, 2)
    };
    let wire = Wire {
        script: script.to_vec(),
        at: 0,
        own,
        stack: None,
        vlan: config.vlan,
        next: Instant::ZERO,
        question: Vec::new(),
        connections: 0,
        shared: Arc::clone(&shared),
    };
    let interfaces = SimInterfaces::new(Link::default(), vec![Box::new(wire)]);
    let stack = Stack::over(interfaces, config, Box::new(|_| ()), 7);
    receive(&stack, &shared);
    // The beacon of each second, what TCP sends again, and a few frames for each that came.
    let shared = locked(&shared);
    assert!(
        shared.frames_out <= 1000 + 70 * shared.frames_in,
        "{} frames for {}",
        shared.frames_out,
        shared.frames_in
    );
});
