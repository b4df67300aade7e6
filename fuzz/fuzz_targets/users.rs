//! Any two files of users: no panic, the node's stays as it is in front, and a second time nothing
//! is left to do. And any list of what stays the image's: no path leads out of `/var`.
#![no_main]

use std::path::Component;

use libfuzzer_sys::fuzz_target;
use slot::{users, writable};

fuzz_target!(|text: &str| {
    let (node, image) = text.split_once('\0').unwrap_or((text, ""));
    for has_numbers in [true, false] {
        let Some(merged) = users::merge(node, image, has_numbers) else {
            continue;
        };
        assert!(merged.text.starts_with(node) && !merged.added.is_empty());
        assert!(merged.clashes.len() <= merged.added.len());
        for name in &merged.added {
            assert!(
                !node
                    .lines()
                    .any(|line| line.starts_with(&format!("{name}:")))
            );
        }
        assert_eq!(users::merge(&merged.text, image, has_numbers), None);
    }
    for path in writable::left_out(text) {
        let is_below = |part| matches!(part, Component::Normal(_));
        assert!(path.components().all(is_below) && path.components().count() > 0);
    }
});
