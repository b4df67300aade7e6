//! Golden text both ways, every truncation, every changed byte, every rule of `slot.md 5.1` broken
//! once; the length of the tree against numbers from veritysetup.

use super::{Area, BLOCK_BYTES, Description, LEN_MAX, tree_len_bytes};
use crate::chain::chain;
extern crate std;
use std::string::{String, ToString};
use std::vec::Vec;

const GOLDEN: &str = include_str!("../../tests/golden/slot.txt");

fn refused(from: &str, to: &str) -> String {
    assert!(GOLDEN.contains(from), "{from}");
    let text = GOLDEN.replacen(from, to, 1);
    chain(&Description::parse(text.as_bytes()).expect_err(&text)).to_string()
}

#[test]
fn golden_description_is_read_and_written() {
    let slot = Description::parse(GOLDEN.as_bytes()).unwrap();
    assert_eq!(
        (slot.product, slot.version, slot.counter),
        ("smv-x86_64", "2026.11.3", 417)
    );
    let root = Area {
        offset_bytes: 8 << 20,
        len_bytes: 129 * BLOCK_BYTES,
    };
    assert_eq!(slot.root, root);
    assert_eq!(slot.tree().offset_bytes, root.end_bytes());
    assert_eq!(slot.tree().len_bytes, 3 * BLOCK_BYTES);
    assert_eq!((slot.hash[0], slot.hash[31]), (0xca, 0xbb));
    assert_eq!((slot.salt[0], slot.salt[31]), (0x3e, 0x9d));
    assert_eq!(slot.to_string(), GOLDEN);
}

#[test]
fn every_truncation_is_refused() {
    for len in 0..GOLDEN.len() {
        assert!(
            Description::parse(&GOLDEN.as_bytes()[..len]).is_err(),
            "{len}"
        );
    }
}

/// What is taken all the same says something else, and is the one way to say it.
#[test]
fn every_changed_byte_is_refused_or_says_something_else() {
    let golden = Description::parse(GOLDEN.as_bytes()).unwrap();
    for at in 0..GOLDEN.len() {
        for byte in 0..=u8::MAX {
            let mut bytes = Vec::from(GOLDEN);
            bytes[at] = byte;
            if byte == GOLDEN.as_bytes()[at] {
                continue;
            }
            if let Ok(slot) = Description::parse(&bytes) {
                assert_ne!(slot, golden, "byte {at}: {byte}");
                assert_eq!(slot.to_string().as_bytes(), bytes);
            }
        }
    }
}

#[test]
fn a_wrong_line_says_what_is_wrong() {
    for (from, to, shown) in [
        (
            "slot 1",
            "slot 2",
            "reading line 1 of the slot's description",
        ),
        ("product smv", "product smv/", "[A-Za-z0-9._+-]"),
        ("version 2026.11.3", "versio", "\"version\" belongs"),
        ("counter 417", "counter 0417", "\"0417\" is not a number"),
        ("root 8388608 ", "root 0 ", "whole blocks of 4096 bytes"),
        (
            "root 8388608 ",
            "root 8388609 ",
            "whole blocks of 4096 bytes",
        ),
        (
            "root 8388608 528384",
            "root 8388608 4096",
            "two in the root",
        ),
        (
            "root 8388608 528384",
            "root 8388608",
            "\"\" is not a number",
        ),
        ("root 8388608 ", "root 1099511627777 ", "0 to 1099511627776"),
        (
            "tree 8916992 12288",
            "tree 8916992 8192",
            "tree of that root",
        ),
        (
            "tree 8916992 12288",
            "tree 8921088 12288",
            "tree of that root",
        ),
        ("tree 8916992 12288", "tree 8916992  12288", "\" 12288\""),
        ("hash ca", "hash CA", "small hexadecimal digits"),
        ("\nend\n", "\nend \n", "\"end\" belongs"),
        ("\nend\n", "\nend\n\n", "1 bytes follow its end"),
    ] {
        let text = refused(from, to);
        assert!(text.contains(shown), "{to}: {text}");
    }
    let long = [GOLDEN, &"x".repeat(LEN_MAX)].concat();
    let error = chain(&Description::parse(long.as_bytes()).unwrap_err()).to_string();
    assert!(error.contains("1024 is the most"), "{error}");
}

/// `veritysetup format` of a file of so many blocks wrote trees of so many blocks.
#[test]
fn a_tree_is_as_long_as_veritysetup_makes_it() {
    for (data, tree) in [
        (2, 1),
        (128, 1),
        (129, 3),
        (16_384, 129),
        (16_385, 132),
        (262_144, 2_065),
    ] {
        assert_eq!(
            tree_len_bytes(data * BLOCK_BYTES),
            tree * BLOCK_BYTES,
            "{data}"
        );
    }
}
