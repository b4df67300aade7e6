//! Any description of a slot: no panic, every limit holds in what is taken, and it is written back
//! as the same bytes: there is one way to write it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wire::slot::{BLOCK_BYTES, Description, LEN_MAX, tree_len_bytes};

fuzz_target!(|bytes: &[u8]| {
    let slot = match Description::parse(bytes) {
        Ok(slot) => slot,
        Err(error) => {
            assert!(
                error.fault.to_string().chars().all(|c| !c.is_control()),
                "shown on a console"
            );
            return;
        }
    };
    assert!(bytes.len() <= LEN_MAX && bytes.is_ascii());
    let (root, tree) = (slot.root, slot.tree());
    assert!(root.offset_bytes >= BLOCK_BYTES && root.len_bytes >= 2 * BLOCK_BYTES);
    for bytes in [
        root.offset_bytes,
        root.len_bytes,
        tree.offset_bytes,
        tree.len_bytes,
    ] {
        assert_eq!(bytes % BLOCK_BYTES, 0);
    }
    assert_eq!(
        (tree.offset_bytes, tree.len_bytes),
        (root.end_bytes(), tree_len_bytes(root.len_bytes))
    );
    assert_eq!(slot.to_string().as_bytes(), bytes);
});
