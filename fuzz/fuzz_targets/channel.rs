//! Any text of a channel: no panic, what is taken is written back as the same bytes, and its paths
//! lead down and nowhere else.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wire::channel::{Channel, Entry, LEN_MAX, PATH_MAX, emit};

fuzz_target!(|bytes: &[u8]| {
    let channel = match Channel::parse(bytes) {
        Ok(channel) => channel,
        Err(error) => {
            let lines = bytes.split(|byte| *byte == b'\n').count();
            assert!(usize::try_from(error.line).is_ok_and(|line| line <= lines + 1));
            return;
        }
    };
    assert!(bytes.len() <= LEN_MAX && bytes.is_ascii());
    let mut text = String::new();
    emit(channel.entries(), &mut text).expect("a string takes all");
    assert_eq!(text.as_bytes(), bytes, "one way to write it");
    for entry in channel.entries() {
        assert!(entry.is_good() && entry.manifest.len() <= PATH_MAX);
        assert!(
            entry
                .manifest
                .split('/')
                .all(|name| !name.is_empty() && !name.starts_with('.'))
        );
        let found: Option<Entry<'_>> = channel.find(entry.role, entry.name);
        assert_eq!(found, Some(entry), "each place once");
    }
});
