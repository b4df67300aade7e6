//! Any script of a slot: no panic, and what is taken is what would be written for its options.
#![no_main]

use disk::slot_script::{emit, options};
use libfuzzer_sys::fuzz_target;
use wire::record::Slot;

fuzz_target!(|bytes: &[u8]| {
    let Ok(script) = std::str::from_utf8(bytes) else {
        return;
    };
    match options(script, Slot::B) {
        Ok(read) => {
            assert!(
                read.bytes()
                    .all(|byte| byte == b' ' || byte.is_ascii_graphic())
            );
            let own = read.strip_suffix("smv.slot=b").expect("it comes last");
            assert_eq!(emit(own), script, "one way to write it");
        }
        Err(error) => assert!((1..=4).contains(&error.line)),
    }
});
