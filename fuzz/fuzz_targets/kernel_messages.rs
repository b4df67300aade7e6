//! Messages of the kernel's sockets: announcements of devices, whose text can be a device's own,
//! and changes of network interfaces. No panic, and reading comes to its end.
//!
//! The first byte chooses: an announcement, datagrams as they are, or a change whose header is put
//! right.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sys::netdev::{LinkChange, take_change};
use sys::uevents::field;

const KEYS: [&str; 4] = ["ACTION=", "MODALIAS=", "SUBSYSTEM=", "DEVPATH="];

fn announcement(message: &[u8]) {
    for key in KEYS {
        let found = field(message, key);
        assert!(found.is_none_or(|value| !value.contains(&0)));
        // A field is one wherever it stands.
        let behind = [b"add@/x\0", key.as_bytes(), b"v\0", message].concat();
        assert_eq!(field(&behind, key), Some(&b"v"[..]));
    }
}

fn changes(received: &[u8]) {
    let mut rest = 0..received.len();
    let mut left = received.len();
    while let Some(change) = take_change(received, &mut rest) {
        assert!(rest.len() < left, "nothing was taken");
        left = rest.len();
        if let LinkChange::State(link) = change {
            assert!(!link.has_carrier || link.is_up);
            assert!(!link.is_ethernet || link.mac != [0; 6]);
        }
    }
}

fuzz_target!(|bytes: &[u8]| {
    let Some((choice, rest)) = bytes.split_first() else {
        return;
    };
    match choice % 3 {
        0 => announcement(rest),
        1 => changes(rest),
        _ => {
            // Length, RTM_NEWLINK or RTM_DELLINK, the rest of the header.
            let len = u32::try_from(16 + rest.len()).expect("short");
            let kind = 16_u16 + u16::from(choice >> 7);
            let message = [&len.to_ne_bytes()[..], &kind.to_ne_bytes(), &[0; 10], rest].concat();
            changes(&message);
        }
    }
});
