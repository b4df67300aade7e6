//! Any key file of the policy `pinned`, and any public key on a command line: no panic, a file that
//! is taken is written and read back as the same keys, and is one end's only.
#![no_main]

use libfuzzer_sys::fuzz_target;
use session::keys::PinnedKeys;
use wire::message::End;

fuzz_target!(|bytes: &[u8]| {
    let text = String::from_utf8_lossy(bytes);
    let Ok(keys) = PinnedKeys::parse(&text) else {
        return;
    };
    let written = keys.to_text();
    let again = PinnedKeys::parse(&written).expect("what we write, we read");
    assert!(*again.to_text() == *written);
    let digits = text.lines().last().unwrap_or_default();
    let _ = again.with_peer(digits);
    let is_donors = keys.for_end(End::Donor).is_ok();
    let again = PinnedKeys::parse(&written).expect("what we write, we read");
    assert_ne!(again.for_end(End::Target).is_ok(), is_donors);
});
