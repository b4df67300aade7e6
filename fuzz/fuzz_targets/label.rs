//! Any 4096 bytes at the end of a slot: no panic, every limit holds in what is taken, and it is
//! written back as the same bytes: there is one way to write a label.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wire::label::{IMAGE_UNIT, LEN, Label, LabelError, without_zeros};
use wire::message::CHUNKS_MAX;
use wire::stream::DATA_MAX;

fuzz_target!(|bytes: &[u8]| {
    let mut padded = bytes.to_vec();
    padded.resize(LEN, 0);
    match Label::parse(&padded) {
        Ok(label) => {
            assert_eq!(label.emit()[..], padded);
            assert!(without_zeros(&padded).len() <= 512, "one sector");
            assert!((IMAGE_UNIT..=DATA_MAX).contains(&label.image_bytes));
            assert!(label.image_bytes.is_multiple_of(IMAGE_UNIT) && label.next <= CHUNKS_MAX);
        }
        Err(LabelError::Blank) => assert_eq!(without_zeros(&padded), b""),
        Err(error) => assert!(error.to_string().chars().all(|c| !c.is_control())),
    }
});
