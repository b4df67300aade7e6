//! Any text of what runs: no panic, and what is taken is written back as the same bytes: there is
//! one way to write it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wire::running::{DEVICE_MAX, LEN_MAX, Running};

fuzz_target!(|bytes: &[u8]| {
    let running = match Running::parse(bytes) {
        Ok(running) => running,
        Err(error) => {
            assert!(
                error.fault.to_string().chars().all(|c| !c.is_control()),
                "shown on a console"
            );
            return;
        }
    };
    assert!(bytes.len() <= LEN_MAX && bytes.is_ascii());
    for device in [Some(running.disk), running.watchdog].into_iter().flatten() {
        assert!(device.starts_with("/dev/") && device.len() <= DEVICE_MAX);
    }
    assert_eq!(running.to_string().as_bytes(), bytes);
});
