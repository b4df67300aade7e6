//! Any bytes inside a sealed channel: no panic, limits hold before anybody makes room, and every
//! message that is taken is written back as the same bytes. What a peer calls text cannot command a
//! terminal.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wire::message::{CHUNK_MAX, HEADER_LEN, Header, Kind, Message, Text};

fn is_harmless(text: Text<'_>) -> bool {
    !text.to_string().chars().any(char::is_control)
}

fuzz_target!(|bytes: &[u8]| {
    let mut rest = bytes;
    while let Some((field, tail)) = rest.split_first_chunk::<HEADER_LEN>() {
        let Ok(header) = Header::parse(*field) else {
            return;
        };
        assert!(header.len_bytes <= header.kind.payload_max());
        // The last payload may be cut short: then it is judged as if the header had said so.
        let (payload, after) = tail.split_at(header.len_bytes.min(tail.len()));
        rest = after;
        let Ok(message) = Message::parse(header.kind, payload) else {
            continue;
        };
        assert_eq!(message.kind(), header.kind);
        let emitted = message.emit().expect("what was read can be written");
        let written = emitted.pieces().concat();
        assert_eq!(written.len(), emitted.len_bytes());
        assert_eq!(written[HEADER_LEN..], *payload);
        match message {
            Message::Data { bytes, .. } => assert!(bytes.len() <= CHUNK_MAX),
            Message::Manifest { chunk_lists, .. } => assert_eq!(chunk_lists.len() % 32, 0),
            Message::Accept { disk, .. } => {
                for text in [
                    disk.path,
                    disk.serial,
                    disk.model,
                    disk.transport,
                    disk.contents,
                ] {
                    assert!(is_harmless(text));
                }
            }
            Message::Reject { text, .. }
            | Message::Log { text, .. }
            | Message::Failed { text }
            | Message::GiveUp { text } => assert!(is_harmless(text)),
            Message::Progress { .. }
            | Message::Installed { .. }
            | Message::Boot { .. }
            | Message::Consent { .. } => {}
        }
        assert!(Kind::ALL.contains(&header.kind));
    }
});
