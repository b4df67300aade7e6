//! Any line of a daemon's control socket, from either end, and any message of a program that says
//! it is ready: no panic, and what is taken is written back as the same line.
#![no_main]

use hold::event::{Event, LINE_MAX, Request};
use hold::notify::says_ready;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if says_ready(bytes) {
        assert!(bytes.windows(7).any(|seven| seven == b"READY=1"));
    }
    let Ok(line) = str::from_utf8(bytes) else {
        return;
    };
    if let Ok(request) = line.parse::<Request>() {
        assert_eq!(request.to_string(), line);
        assert!(line.len() < LINE_MAX);
    }
    if let Ok(event) = line.parse::<Event>() {
        assert_eq!(event.to_string(), line);
        assert!(line.len() < LINE_MAX && !line.contains('\n'));
    }
});
