//! Any datagram: no panic, and whatever is taken for a beacon is written back as its own beginning.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wire::beacon::{self, PAYLOAD_MAX};

fuzz_target!(|payload: &[u8]| {
    if let Ok(code) = beacon::parse(payload) {
        assert!(payload.len() <= PAYLOAD_MAX);
        let padding = payload
            .strip_prefix(&beacon::emit(&code))
            .expect("a beacon begins with what we would send");
        assert!(
            padding
                .iter()
                .all(|byte| b"\0 \t\n\r\x0b\x0c".contains(byte))
        );
    }
});
