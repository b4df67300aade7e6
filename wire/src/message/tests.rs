//! Golden bytes both ways, every truncation, every changed byte, every limit from both sides.

use super::{
    After, Answer, CHUNK_LISTS_MAX, CHUNK_MAX, CONTENTS_MAX, Disk, End, HEADER_LEN, Header, Kind,
    LINE_MAX, Level, MANIFEST_MAX, Message, MessageError, Next, REASON_MAX, RejectCode,
    SIGNATURE_MAX, Text,
};
use crate::stage::Stage;
extern crate std;
use std::string::{String, ToString};
use std::vec;
use std::vec::Vec;

const GOLDEN: &[u8] = include_bytes!("../../tests/golden/messages.bin");
const DIGEST: &[u8; 32] = b"00000000000000000000000000000007";

fn golden_messages() -> [Message<'static>; 11] {
    let next = Next {
        file: 1,
        chunk: 0x102,
    };
    [
        Message::Manifest {
            manifest: b"manifest",
            signature: b"sign",
            chunk_lists: DIGEST,
        },
        Message::Accept {
            next,
            asks: true,
            disk: Disk {
                size_bytes: 6 << 30,
                is_blank: false,
                path: Text::new("/dev/vda"),
                serial: Text::new("SN7"),
                model: Text::new("Disk"),
                transport: Text::new("sata"),
                contents: Text::new("ext4"),
            },
        },
        Message::Reject {
            code: RejectCode::NoDisk,
            text: Text::new("no disk"),
        },
        Message::Data {
            place: next,
            is_last: true,
            bytes: b"bytes",
        },
        Message::Progress {
            stage: Stage::Receiving,
            next: Next {
                file: 1,
                chunk: 0x103,
            },
            received_bytes: 1 << 32,
            unpacked_bytes: (3 << 32) + 5,
        },
        Message::Log {
            level: Level::Warning,
            text: Text::new("späť"),
        },
        Message::Failed {
            text: Text::new("a: b"),
        },
        Message::Installed {
            manifest_sha256: *DIGEST,
        },
        Message::Boot {
            after: Some(After::Reboot),
        },
        Message::Consent {
            answer: Answer::Yes,
        },
        Message::GiveUp {
            text: Text::new("no"),
        },
    ]
}

fn bytes_of(message: &Message<'_>) -> Vec<u8> {
    let emitted = message.emit().unwrap();
    let bytes = emitted.pieces().concat();
    assert_eq!(bytes.len(), emitted.len_bytes());
    bytes
}

/// One message from the front.
fn read<'a>(rest: &mut &'a [u8]) -> Option<Result<Message<'a>, MessageError>> {
    let (header, tail) = rest.split_first_chunk::<HEADER_LEN>()?;
    let header = match Header::parse(*header) {
        Ok(header) => header,
        Err(error) => return Some(Err(error)),
    };
    let (payload, tail) = tail.split_at_checked(header.len_bytes)?;
    *rest = tail;
    Some(Message::parse(header.kind, payload))
}

fn read_one(bytes: &[u8]) -> Result<Message<'_>, MessageError> {
    read(&mut &*bytes).expect("a whole message")
}

#[test]
fn golden_messages_are_read_and_written() {
    let mut rest = GOLDEN;
    for (message, kind) in golden_messages().iter().zip(Kind::ALL) {
        assert_eq!(message.kind(), kind);
        assert_eq!(read(&mut rest), Some(Ok(*message)));
    }
    assert!(rest.is_empty());
    let written: Vec<u8> = golden_messages().iter().flat_map(bytes_of).collect();
    assert_eq!(written, GOLDEN);
}

#[test]
fn every_truncation_is_incomplete_or_refused() {
    for message in golden_messages() {
        let bytes = bytes_of(&message);
        for len in 0..bytes.len() {
            assert_eq!(read(&mut &bytes[..len]), None, "{message:?} cut to {len}");
        }
        // The header says so few bytes, too.
        let payload = &bytes[HEADER_LEN..];
        for len in 0..payload.len() {
            if let Ok(shorter) = Message::parse(message.kind(), &payload[..len]) {
                assert_ne!(shorter, message);
                assert_eq!(&bytes_of(&shorter)[HEADER_LEN..], &payload[..len]);
            }
        }
    }
}

#[test]
fn every_changed_byte_is_refused_or_another_message() {
    for message in golden_messages() {
        let bytes = bytes_of(&message);
        for at in 0..bytes.len() {
            for flip in 1..=255 {
                let mut changed = bytes.clone();
                changed[at] ^= flip;
                if let Some(Ok(other)) = read(&mut &*changed) {
                    assert_ne!(other, message, "byte {at}");
                    assert_eq!(changed[..bytes_of(&other).len()], bytes_of(&other)[..]);
                }
            }
        }
    }
}

#[test]
fn header_is_refused_before_anybody_makes_room() {
    for number in (0..=4).chain(16..=255) {
        assert_eq!(
            Header::parse([number, 0, 0, 0, 0]),
            Err(MessageError::Kind { number })
        );
    }
    for kind in Kind::ALL {
        let max = u32::try_from(kind.payload_max()).unwrap();
        let parse = |len: u32| {
            let [a, b, c, d] = len.to_be_bytes();
            Header::parse([kind.number(), a, b, c, d])
        };
        assert_eq!(parse(max).unwrap().len_bytes, kind.payload_max());
        for claimed in [max + 1, u32::MAX] {
            assert_eq!(parse(claimed), Err(MessageError::Length { kind, claimed }));
        }
    }
}

#[test]
fn each_kind_has_one_sender() {
    let donors = [
        Kind::Manifest,
        Kind::Data,
        Kind::Boot,
        Kind::Consent,
        Kind::GiveUp,
    ];
    for kind in Kind::ALL {
        let expected = if donors.contains(&kind) {
            End::Donor
        } else {
            End::Target
        };
        assert_eq!(kind.sender(), expected, "{kind}");
    }
}

#[test]
fn largest_parts_pass_and_one_byte_more_does_not() {
    let part = |message: &Message<'_>| message.emit().map(|_| ());
    let bytes = vec![7; CHUNK_LISTS_MAX + 32];
    let manifest = |manifest, signature, chunk_lists| Message::Manifest {
        manifest: &bytes[..manifest],
        signature: &bytes[..signature],
        chunk_lists: &bytes[..chunk_lists],
    };
    let largest = manifest(MANIFEST_MAX, SIGNATURE_MAX, CHUNK_LISTS_MAX);
    assert_eq!(
        bytes_of(&largest).len(),
        HEADER_LEN + Kind::Manifest.payload_max()
    );
    assert_eq!(read_one(&bytes_of(&largest)), Ok(largest));
    for (message, field) in [
        (manifest(MANIFEST_MAX + 1, 0, 0), "manifest"),
        (manifest(1, SIGNATURE_MAX + 1, 0), "signature"),
        (manifest(1, 0, CHUNK_LISTS_MAX + 32), "chunk lists"),
    ] {
        let error = part(&message).unwrap_err();
        assert!(matches!(error, MessageError::Part { field: named, .. } if named == field));
    }
    assert!(matches!(
        part(&manifest(0, 0, 0)),
        Err(MessageError::Empty { .. })
    ));
    assert_eq!(
        part(&manifest(1, 0, 33)),
        Err(MessageError::HalfHash { len_bytes: 33 })
    );
    let data = |len| Message::Data {
        place: Next::default(),
        is_last: false,
        bytes: &bytes[..len],
    };
    assert_eq!(read_one(&bytes_of(&data(CHUNK_MAX))), Ok(data(CHUNK_MAX)));
    assert_eq!(
        part(&data(CHUNK_MAX + 1)),
        Err(MessageError::Part {
            kind: Kind::Data,
            field: "chunk",
            claimed: CHUNK_MAX + 1,
            max: CHUNK_MAX
        })
    );
}

/// A peer's lengths inside an Accept contradict what is there, or each other.
#[test]
fn lengths_inside_an_accept_are_checked_against_their_limits_and_the_payload() {
    // Place, flags and size, then the lengths of path, serial number, model and transport.
    let accept = |lens: [u16; 4], texts: &[u8]| {
        let lens: Vec<u8> = lens.into_iter().flat_map(u16::to_be_bytes).collect();
        [&[0; 15], lens.as_slice(), texts].concat()
    };
    let parse = |payload: &[u8]| Message::parse(Kind::Accept, payload).map(|_| ());
    assert_eq!(parse(&accept([1, 0, 0, 0], b"a")), Ok(()));
    for (at, (limit, named)) in [
        (512, "path"),
        (128, "serial number"),
        (128, "model"),
        (32, "transport"),
    ]
    .into_iter()
    .enumerate()
    {
        let mut lens = [0; 4];
        lens[at] = limit;
        assert_eq!(
            parse(&accept(lens, &vec![b'a'; usize::from(limit)])),
            Ok(())
        );
        lens[at] = limit + 1;
        let error = parse(&accept(lens, &vec![b'a'; 1000])).unwrap_err();
        assert!(
            matches!(error, MessageError::Part { field, .. } if field == named),
            "{error}"
        );
        lens[at] = 2;
        let error = parse(&accept(lens, b"a")).unwrap_err();
        assert!(
            matches!(error, MessageError::Short { field, .. } if field == named),
            "{error}"
        );
    }
    let contents = vec![b'a'; CONTENTS_MAX + 1];
    assert_eq!(parse(&accept([0; 4], &contents[1..])), Ok(()));
    assert!(matches!(
        parse(&accept([0; 4], &contents)),
        Err(MessageError::Part { field: "text", .. })
    ));
    assert_eq!(
        parse(&accept([1, 1, 0, 0], b"a\xff")),
        Err(MessageError::NotText {
            kind: Kind::Accept,
            at: 0
        })
    );
}

#[test]
fn what_is_too_long_of_a_disk_is_cut_to_its_limit() {
    let text = "ä".repeat(4000);
    let text = Text::new(&text);
    let accept = Message::Accept {
        next: Next::default(),
        asks: false,
        disk: Disk {
            size_bytes: u64::MAX,
            is_blank: true,
            path: text,
            serial: text,
            model: text,
            transport: text,
            contents: text,
        },
    };
    let bytes = bytes_of(&accept);
    assert_eq!(bytes.len(), HEADER_LEN + Kind::Accept.payload_max());
    let Ok(Message::Accept { disk, .. }) = read_one(&bytes) else {
        panic!("{:?}", read_one(&bytes));
    };
    assert_eq!(disk.transport.raw(), "ä".repeat(16));
}

/// A peer's lengths inside a Manifest contradict what is there.
#[test]
fn lengths_inside_a_manifest_are_checked_against_their_limits_and_the_payload() {
    let parse = |payload: &[u8]| Message::parse(Kind::Manifest, payload).map(|_| ());
    let too_long = [b"\x00\x10\x00\x01".as_slice(), &vec![0; MANIFEST_MAX + 1]].concat();
    assert!(matches!(
        parse(&too_long),
        Err(MessageError::Part {
            field: "manifest",
            ..
        })
    ));
    assert!(matches!(
        parse(b"\xff\xff\xff\xff"),
        Err(MessageError::Part { .. })
    ));
    assert!(matches!(
        parse(b"\0\0\0\x02a"),
        Err(MessageError::Short {
            field: "manifest",
            ..
        })
    ));
    assert!(matches!(
        parse(b"\0\0\0\x01a\x04\x01"),
        Err(MessageError::Part {
            field: "signature",
            ..
        })
    ));
    assert!(matches!(
        parse(b"\0\0\0\x00\0\0"),
        Err(MessageError::Empty { .. })
    ));
    assert_eq!(
        parse(b"\0\0\0\x01a\0\0xyz"),
        Err(MessageError::HalfHash { len_bytes: 3 })
    );
}

#[test]
fn numbers_without_a_meaning_are_refused() {
    for (kind, payload, field) in [
        (Kind::Reject, b"\x00\x07x".to_vec(), "code"),
        (
            Kind::Accept,
            [&[0; 6][..], &[4], &[0; 16]].concat(),
            "flags",
        ),
        (Kind::Consent, b"\x02".to_vec(), "answer"),
        (Kind::Reject, b"\x01\x01x".to_vec(), "code"),
        (Kind::Data, b"\0\0\0\0\0\0\x02x".to_vec(), "flags"),
        (Kind::Progress, [&[13_u8][..], &[0; 22]].concat(), "stage"),
        (Kind::Log, b"\x00x".to_vec(), "level"),
        (Kind::Log, b"\x04x".to_vec(), "level"),
        (Kind::Boot, b"\x04".to_vec(), "order"),
    ] {
        let error = Message::parse(kind, &payload).unwrap_err();
        assert!(
            matches!(error, MessageError::Value { field: named, .. } if named == field),
            "{error}"
        );
    }
    assert_eq!(
        Message::parse(Kind::Boot, b"\x00\x00"),
        Err(MessageError::Long {
            kind: Kind::Boot,
            left: 1
        })
    );
    assert_eq!(
        Message::parse(Kind::Failed, b"ab\xff"),
        Err(MessageError::NotText {
            kind: Kind::Failed,
            at: 2
        })
    );
}

#[test]
fn long_texts_are_cut_between_characters() {
    let text = "ä".repeat(REASON_MAX);
    for (message, room) in [
        (
            Message::Failed {
                text: Text::new(&text),
            },
            REASON_MAX,
        ),
        (
            Message::Log {
                level: Level::Info,
                text: Text::new(&text),
            },
            LINE_MAX,
        ),
    ] {
        let bytes = bytes_of(&message);
        assert!(read_one(&bytes).is_ok());
        assert!(bytes.len() <= HEADER_LEN + 1 + room && bytes.len() >= HEADER_LEN + room - 1);
    }
    let odd = std::format!("a{text}");
    let bytes = bytes_of(&Message::Failed {
        text: Text::new(&odd),
    });
    assert_eq!(bytes.len(), HEADER_LEN + REASON_MAX - 1);
}

#[test]
fn a_peers_text_cannot_command_a_terminal() {
    let evil = "ok \u{1b}[2J\r\n\0\u{7f}\u{9b}31m \u{202e}txt \u{2066}\u{feff}ü 好";
    let shown = Text::new(evil).to_string();
    assert!(shown.chars().all(|c| !c.is_control()), "{shown:?}");
    assert!(!shown.contains('\u{202e}') && !shown.contains('\u{2066}'));
    assert!(shown.starts_with("ok \\u{1b}[2J\\r\\n") && shown.ends_with("ü 好"));
    assert_eq!(Text::new(evil).raw(), evil);
    let plain: String = (' '..='~').collect();
    assert_eq!(Text::new(&plain).to_string(), plain);
}
