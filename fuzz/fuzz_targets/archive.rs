//! Any package: no panic, no more output than the cap, and the same answer whether bytes come at
//! once or one at a time.
//!
//! The first byte chooses: a compressed package through the decoder and the archive policy, or a
//! plain tar through the policy alone. A tar's checksums are put right first, or no change would
//! ever get past them. Nothing is written.
#![no_main]

use std::io::Read;

use bundle::decode::{DecodeLimits, decode};
use bundle::unpack::{Owners, UnpackLimits, check};
use libfuzzer_sys::fuzz_target;

const DECODE: DecodeLimits = DecodeLimits {
    memory_bytes: 16 << 20,
    threads: 1,
    output_cap: 1 << 20,
};
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

/// In every block that claims to be a header.
fn repair_checksums(tar: &mut [u8]) {
    for block in tar
        .chunks_exact_mut(512)
        .filter(|block| block[257..].starts_with(b"ustar"))
    {
        block[148..156].fill(b' ');
        let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
        block[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
    }
}

fuzz_target!(|package: &[u8]| {
    let Some((choice, rest)) = package.split_first() else {
        return;
    };
    if choice & 1 == 0 {
        if let Ok(mut decoder) = decode(rest, DECODE) {
            let result = check(&mut decoder, &UNPACK);
            assert!(decoder.produced_bytes() <= DECODE.output_cap);
            if let Ok(unpacked) = result {
                assert_eq!(unpacked.tar_bytes, decoder.produced_bytes());
            }
        }
        return;
    }
    let mut tar = rest.to_vec();
    repair_checksums(&mut tar);
    let answer = |result| match result {
        Ok(unpacked) => format!("{unpacked:?}"),
        Err(error) => format!("{error:?}"),
    };
    assert_eq!(
        answer(check(&tar[..], &UNPACK)),
        answer(check(OneByte(&tar), &UNPACK))
    );
});
