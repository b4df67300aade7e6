//! Any manifest: no panic, every limit holds in what is taken, and it is written back as the same
//! bytes: there is one way to write it.
#![no_main]

use std::collections::BTreeSet;

use libfuzzer_sys::fuzz_target;
use wire::manifest::{
    Builder, CHUNK_SIZE_MAX, CHUNK_SIZE_MIN, Content, FILES_MAX, LEN_MAX, Manifest, is_image,
};
use wire::message::CHUNKS_MAX;
use wire::stream::DATA_MAX;

fuzz_target!(|bytes: &[u8]| {
    let manifest = match Manifest::parse(bytes) {
        Ok(manifest) => manifest,
        Err(error) => {
            let lines = bytes.split(|byte| *byte == b'\n').count();
            assert!((error.line as usize) <= lines + 1);
            assert!(
                error.fault.to_string().chars().all(|c| !c.is_control()),
                "shown on a console"
            );
            return;
        }
    };
    assert!(bytes.len() <= LEN_MAX && bytes.is_ascii());
    let mut builder =
        Builder::new(String::new(), manifest.head()).expect("strings take everything");
    let (mut names, mut chunks) = (BTreeSet::new(), 0_u64);
    for file in manifest.files() {
        builder.file(&file).expect("strings take everything");
        assert!(names.insert(file.name.package().to_owned()), "repeated");
        assert!(
            file.chunk_size.is_power_of_two()
                && (CHUNK_SIZE_MIN..=CHUNK_SIZE_MAX).contains(&file.chunk_size)
        );
        if let Content::Hashed { size_bytes, .. } = file.content {
            assert!((1..=DATA_MAX).contains(&size_bytes));
        }
        assert!(!is_image(&file.name) || (manifest.file_count() == 1 && !manifest.is_live()));
        assert_eq!(file.chunks().is_none(), file.content == Content::Live);
        chunks += u64::from(file.chunks().unwrap_or(0));
    }
    assert_eq!(names.len(), usize::from(manifest.file_count()));
    assert!((1..=FILES_MAX).contains(&names.len()));
    assert!(chunks == u64::from(manifest.chunk_count()) && chunks <= u64::from(CHUNKS_MAX));
    assert_eq!(
        builder.end().expect("strings take everything").as_bytes(),
        bytes
    );
});
