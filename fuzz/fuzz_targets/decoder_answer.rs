//! Any answer of a worker: no panic, no more than the cap is believed, and the same finding whether
//! bytes come at once or one at a time.
//!
//! The first byte chooses: frames as they are, or a tar whose frames must come to what the tar
//! itself comes to.
#![no_main]

use std::error::Error;
use std::io::Read;

use bundle::unpack::{Owners, UnpackError, UnpackLimits, Unpacked, check, check_frames, frames};
use libfuzzer_sys::fuzz_target;
use wire::chain::chain;

const CAP: u64 = 1 << 20;
const UNPACK: UnpackLimits = UnpackLimits {
    entries: 1000,
    owners: Owners::Caller,
    content: None,
};

struct OneByte<'a>(&'a [u8]);

impl Read for OneByte<'_> {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        self.0.read(into.get_mut(..1).unwrap_or_default())
    }
}

/// As a person reads it. Of an entry's own name, only what a path means.
fn told(result: &Result<Unpacked, UnpackError>) -> String {
    let error = match result {
        Ok(unpacked) => return format!("{unpacked:?}"),
        Err(error) => error,
    };
    error
        .source()
        .map_or_else(String::new, |cause| chain(cause).to_string())
}

fuzz_target!(|input: &[u8]| {
    let Some((choice, rest)) = input.split_first() else {
        return;
    };
    if choice & 1 == 0 {
        let result = check_frames(rest, CAP, &UNPACK);
        assert!(result.as_ref().map_or(0, |unpacked| unpacked.tar_bytes) <= CAP);
        assert_eq!(
            format!("{result:?}"),
            format!("{:?}", check_frames(OneByte(rest), CAP, &UNPACK))
        );
        return;
    }
    let mut answer = Vec::new();
    let _ = frames::relay(rest, &mut answer); // a vector takes everything
    assert_eq!(
        told(&check_frames(&answer[..], u64::MAX, &UNPACK)),
        told(&check(rest, &UNPACK))
    );
});
