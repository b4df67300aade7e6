mod refusals;

use std::io::{self, Read};
use std::thread;

use snow::params::CipherChoice;
use snow::resolvers::{CryptoResolver, DefaultResolver};
use snow::types::Cipher;
use wire::message::{
    After, Answer, Disk, End, HEADER_LEN, Kind, Level, Message, Next, RejectCode, Text,
};
use wire::stage::Stage;

use super::{ChannelError, Opener, PLAIN_MAX, SEALED_MAX, Sealer};
use crate::noise;
use crate::record_key::RecordKey;

/// Bytes that a record adds to its plaintext.
const OVERHEAD: usize = 18;

/// The keys of one end of a channel.
#[derive(Clone, Copy)]
struct Keys {
    own: End,
    from_donor: [u8; 32],
    from_target: [u8; 32],
}

impl Keys {
    fn bytes(&self, sender: End) -> &[u8; 32] {
        match sender {
            End::Donor => &self.from_donor,
            End::Target => &self.from_target,
        }
    }

    /// The key in which this end sends.
    fn of(&self, sender: End) -> RecordKey {
        RecordKey::new(self.bytes(sender)).unwrap()
    }

    /// The same key in snow's own cipher, which shares no code with the shipped one.
    fn other_cipher(&self, sender: End) -> Box<dyn Cipher> {
        let mut cipher = DefaultResolver
            .resolve_cipher(&CipherChoice::ChaChaPoly)
            .unwrap();
        cipher.set(self.bytes(sender));
        cipher
    }
}

/// The keys of both ends of a fresh channel: donor, target.
fn keys() -> (Keys, Keys) {
    let mut ephemeral = [[0; 32]; 2];
    for bytes in &mut ephemeral {
        getrandom::fill(bytes).unwrap();
    }
    let [ours, theirs] = ephemeral;
    let (th, psk) = ([1; 32], [2; 32]);
    let state =
        |end, ephemeral| noise::with_secret(end, Default::default(), &th, &psk, ephemeral).unwrap();
    let (mut donor, mut target) = (state(End::Donor, ours), state(End::Target, theirs));
    let mut bytes = [0; 48];
    donor.write_message(&[], &mut bytes).unwrap();
    target.read_message(&bytes, &mut []).unwrap();
    target.write_message(&[], &mut bytes).unwrap();
    donor.read_message(&bytes, &mut []).unwrap();
    let keys = |own, mut state: snow::HandshakeState| {
        let (from_donor, from_target) = state.dangerously_get_raw_split();
        Keys {
            own,
            from_donor,
            from_target,
        }
    };
    (keys(End::Donor, donor), keys(End::Target, target))
}

/// The bytes that one end sends.
fn sent(keys: &Keys, own: End, messages: &[Message<'_>]) -> Vec<u8> {
    let mut sealer = Sealer::new(Vec::new(), keys.of(own), own);
    for message in messages {
        sealer.send(message).unwrap();
    }
    sealer.into_inner()
}

/// Records with these plaintexts, whatever they are, sealed by the other cipher.
fn records(keys: &Keys, plaintexts: &[&[u8]]) -> Vec<Vec<u8>> {
    let cipher = keys.other_cipher(keys.own);
    let sealed = |(number, plain): (u64, &&[u8])| {
        let mut sealed = vec![0; plain.len() + 16];
        cipher.encrypt(number, &[], plain, &mut sealed);
        let length = u16::try_from(sealed.len()).unwrap().to_be_bytes();
        [&length[..], &sealed].concat()
    };
    (0..).zip(plaintexts).map(sealed).collect()
}

fn opener<R: Read>(read: R, keys: &Keys, own: End) -> Opener<R> {
    let peer = match own {
        End::Donor => End::Target,
        End::Target => End::Donor,
    };
    Opener::new(read, keys.of(peer), own)
}

/// Gives one byte at a time.
struct OneByOne<'a>(&'a [u8]);

impl Read for OneByOne<'_> {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        let most = to.len().min(1);
        self.0.read(&mut to[..most])
    }
}

/// Bytes without a pattern that a mistake could hide in.
fn noise_bytes(len: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15u64;
    (0..len)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state as u8
        })
        .collect()
}

fn boot() -> Message<'static> {
    Message::Boot {
        after: Some(After::Reboot),
    }
}

fn data(bytes: &[u8]) -> Message<'_> {
    Message::Data {
        place: Next { file: 1, chunk: 2 },
        is_last: true,
        bytes,
    }
}

fn error_of(bytes: &[u8], keys: &Keys, own: End) -> ChannelError {
    let (mut opener, mut payload) = (opener(bytes, keys, own), Vec::new());
    loop {
        if let Err(error) = opener.next(&mut payload) {
            assert!(matches!(opener.next(&mut payload), Err(ChannelError::Over)));
            return error;
        }
    }
}

#[test]
fn every_message_arrives_however_it_is_read() {
    let (donor, target) = keys();
    let (chunk, lists) = (noise_bytes(1 << 20), noise_bytes(32 * 3000));
    let manifest = vec![b'm'; 1 << 20];
    let from_donor = [
        Message::Manifest {
            manifest: &manifest,
            signature: b"untrusted comment",
            chunk_lists: &lists,
        },
        data(&chunk),
        data(&chunk[..1]),
        data(&chunk[..PLAIN_MAX]),
        boot(),
        Message::Consent {
            answer: Answer::Asking,
        },
        Message::GiveUp {
            text: Text::new("no"),
        },
    ];
    let from_target = [
        Message::Accept {
            next: Next { file: 0, chunk: 7 },
            asks: false,
            disk: Disk {
                size_bytes: 1 << 40,
                path: Text::new("/dev/vda"),
                contents: Text::new("ext4"),
                ..Disk::default()
            },
        },
        Message::Reject {
            code: RejectCode::NoDisk,
            text: Text::new("no disk"),
        },
        Message::Progress {
            stage: Stage::Receiving,
            next: Next { file: 2, chunk: 9 },
            received_bytes: 1 << 40,
            unpacked_bytes: 3,
        },
        Message::Log {
            level: Level::Info,
            text: Text::new("a line"),
        },
        Message::Failed {
            text: Text::new("why"),
        },
        Message::Installed {
            manifest_sha256: [7; 32],
        },
    ];
    for (sender, receiver, own, other, messages) in [
        (&donor, &target, End::Donor, End::Target, &from_donor[..]),
        (&target, &donor, End::Target, End::Donor, &from_target[..]),
    ] {
        let wire = sent(sender, own, messages);
        let (mut whole, mut slow) = (
            opener(&wire[..], receiver, other),
            opener(OneByOne(&wire), receiver, other),
        );
        let (mut one, mut two) = (Vec::new(), Vec::new());
        for message in messages {
            assert_eq!(whole.next(&mut one).unwrap(), *message);
            assert_eq!(slow.next(&mut two).unwrap(), *message);
        }
        assert!(matches!(whole.next(&mut one), Err(ChannelError::Closed)));
        assert!(matches!(slow.next(&mut two), Err(ChannelError::Closed)));
    }
}

#[test]
fn a_chunk_takes_no_more_records_than_it_has_to() {
    let (donor, _) = keys();
    for len in [1, 1000, PLAIN_MAX - 12, PLAIN_MAX, PLAIN_MAX * 3, 1 << 20] {
        let wire = sent(&donor, End::Donor, &[data(&noise_bytes(len))]);
        let plain = HEADER_LEN + 7 + len;
        assert_eq!(
            wire.len(),
            plain + plain.div_ceil(PLAIN_MAX) * OVERHEAD,
            "{len} bytes"
        );
    }
}

#[test]
fn pieces_of_any_length_come_out_joined() {
    let (donor, target) = keys();
    let bytes = noise_bytes(PLAIN_MAX * 4);
    let lengths = [
        0,
        1,
        12,
        300,
        PLAIN_MAX - 12,
        PLAIN_MAX - 1,
        PLAIN_MAX,
        PLAIN_MAX + 1,
        PLAIN_MAX * 2,
        PLAIN_MAX * 2 + 300,
    ];
    let mut sealer = Sealer::new(Vec::new(), donor.of(End::Donor), End::Donor);
    let mut expected = Vec::new();
    for first in lengths {
        for second in lengths {
            for third in [0, 7] {
                let pieces = [
                    &bytes[..first],
                    &bytes[first..first + 5],
                    &bytes[..second],
                    &bytes[9..9 + third],
                ];
                sealer.send_pieces(&pieces).unwrap();
                expected.extend(pieces.concat());
            }
        }
    }
    let cipher = target.other_cipher(End::Donor);
    let (mut wire, mut number) = (&sealer.into_inner()[..], 0);
    let mut joined = Vec::new();
    while !wire.is_empty() {
        let len = usize::from(u16::from_be_bytes(wire[..2].try_into().unwrap()));
        let mut plain = vec![0; len - 16];
        cipher
            .decrypt(number, &[], &wire[2..2 + len], &mut plain)
            .unwrap();
        joined.extend(plain);
        wire = &wire[2 + len..];
        number += 1;
    }
    assert!(joined == expected);
}

#[test]
fn where_records_end_means_nothing() {
    let (donor, target) = keys();
    // The bytes of a plain message.
    let bytes = noise_bytes(500);
    let mut plain = Vec::new();
    for message in [
        data(&bytes),
        boot(),
        data(&bytes[..3]),
        data(&bytes),
        boot(),
    ] {
        plain.extend(message.emit().unwrap().pieces().concat());
    }
    for step in [1, 2, 5, 6, 7, 511, 512, 513, 600, plain.len()] {
        let parts: Vec<&[u8]> = plain.chunks(step).collect();
        let wire = records(&donor, &parts).concat();
        let (mut opener, mut payload) = (opener(&wire[..], &target, End::Target), Vec::new());
        for message in [
            data(&bytes),
            boot(),
            data(&bytes[..3]),
            data(&bytes),
            boot(),
        ] {
            assert_eq!(
                opener.next(&mut payload).unwrap(),
                message,
                "records of {step}"
            );
        }
        assert!(matches!(
            opener.next(&mut payload),
            Err(ChannelError::Closed)
        ));
    }
}

/// The bound that the module's head states.
#[test]
fn memory_is_bounded() {
    let (donor, target) = keys();
    let chunk = noise_bytes(1 << 20);
    let mut sealer = Sealer::new(Vec::new(), donor.of(End::Donor), End::Donor);
    let mut payload = Vec::new();
    for _ in 0..20 {
        sealer.send(&data(&chunk)).unwrap();
        assert!(sealer.memory_bytes() <= 66 << 10);
    }
    let wire = std::mem::take(sealer.get_mut());
    let mut opener = opener(&wire[..], &target, End::Target);
    for _ in 0..20 {
        opener.next(&mut payload).unwrap();
        assert!(opener.memory_bytes() <= 66 << 10);
        assert!(payload.capacity() <= Kind::Data.payload_max() + 16);
    }
}

#[test]
fn a_failed_write_is_the_end() {
    /// Takes so many bytes.
    struct Full(usize);

    impl io::Write for Full {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let taken = bytes.len().min(self.0);
            self.0 -= taken;
            if taken == 0 {
                return Err(io::ErrorKind::BrokenPipe.into());
            }
            Ok(taken)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    let (donor, _) = keys();
    let mut sealer = Sealer::new(Full(30), donor.of(End::Donor), End::Donor);
    sealer.send(&boot()).unwrap();
    assert!(matches!(sealer.send(&boot()), Err(ChannelError::Io { .. })));
    sealer.get_mut().0 = 1000;
    assert!(matches!(sealer.send(&boot()), Err(ChannelError::Over)));
    assert_eq!(sealer.into_inner().0, 1000);
}

#[test]
fn one_thread_sends_while_another_receives() {
    let (donor, target) = keys();
    let (ours, theirs) = std::os::unix::net::UnixStream::pair().unwrap();
    let chunk = noise_bytes(1 << 20);
    let count = 8;
    let log = |text| Message::Log {
        level: Level::Info,
        text: Text::new(text),
    };
    thread::scope(|scope| {
        for (stream, keys, own) in [(&ours, &donor, End::Donor), (&theirs, &target, End::Target)] {
            let (message, answer) = match own {
                End::Donor => (data(&chunk), log("line")),
                End::Target => (log("line"), data(&chunk)),
            };
            let mut sealer = Sealer::new(stream, keys.of(own), own);
            let mut opener = opener(stream, keys, own);
            scope.spawn(move || (0..count).for_each(|_| sealer.send(&message).unwrap()));
            scope.spawn(move || {
                let mut payload = Vec::new();
                (0..count).for_each(|_| assert_eq!(opener.next(&mut payload).unwrap(), answer));
            });
        }
    });
}

#[test]
fn both_halves_may_go_to_other_threads() {
    fn assert_send<T: Send>() {}
    assert_send::<Opener<Box<dyn Read + Send>>>();
    assert_send::<Sealer<Box<dyn io::Write + Send>>>();
    assert_eq!(PLAIN_MAX + 16, SEALED_MAX);
}
