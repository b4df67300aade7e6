//! Golden text both ways, every truncation, every changed byte, every rule of `slot.md 5.4` broken
//! once.

use super::{LEN_MAX, Running};
use crate::chain::chain;
use crate::record::{Left, Slot};
extern crate std;
use std::string::{String, ToString};
use std::vec::Vec;

const GOLDEN: &str = include_str!("../../tests/golden/running.txt");

fn changed(from: &str, to: &str) -> String {
    assert!(GOLDEN.contains(from), "{from}");
    GOLDEN.replacen(from, to, 1)
}

fn refused(from: &str, to: &str) -> String {
    let text = changed(from, to);
    chain(&Running::parse(text.as_bytes()).expect_err(&text)).to_string()
}

#[test]
fn golden_text_is_read_and_written() {
    let running = Running::parse(GOLDEN.as_bytes()).unwrap();
    assert_eq!(
        (
            running.slot,
            running.product,
            running.version,
            running.counter
        ),
        (Slot::B, "smv-x86_64", "2026.11.3", 417)
    );
    assert_eq!(
        running.digest.map(|digest| (digest[0], digest[31])),
        Some((0x2e, 0xc6))
    );
    assert_eq!((running.hash[0], running.hash[31]), (0xca, 0xbb));
    assert_eq!((running.trial, running.fell), (Left::new(2), false));
    assert_eq!(
        (running.disk, running.watchdog),
        ("/dev/nvme0n1", Some("/dev/watchdog0"))
    );
    assert_eq!(running.to_string(), GOLDEN);
}

#[test]
fn the_good_slot_without_label_and_watchdog_is_written_the_same_way() {
    let golden = Running::parse(GOLDEN.as_bytes()).unwrap();
    let running = Running {
        slot: Slot::A,
        digest: None,
        trial: None,
        fell: true,
        disk: "/dev/cciss!c0d0",
        watchdog: None,
        ..golden
    };
    let text = running.to_string();
    assert!(text.contains("digest -\n") && text.contains("trial 0\nleft 0\nfell 1\n"));
    assert!(text.ends_with("watchdog -\nend\n"), "{text}");
    assert_eq!(Running::parse(text.as_bytes()), Ok(running));
}

#[test]
fn every_truncation_is_refused() {
    for len in 0..GOLDEN.len() {
        assert!(Running::parse(&GOLDEN.as_bytes()[..len]).is_err(), "{len}");
    }
}

/// What is taken all the same says something else, and is the one way to say it.
#[test]
fn every_changed_byte_is_refused_or_says_something_else() {
    let golden = Running::parse(GOLDEN.as_bytes()).unwrap();
    for at in 0..GOLDEN.len() {
        for byte in 0..=u8::MAX {
            let mut bytes = Vec::from(GOLDEN);
            bytes[at] = byte;
            if byte == GOLDEN.as_bytes()[at] {
                continue;
            }
            if let Ok(running) = Running::parse(&bytes) {
                assert_ne!(running, golden, "byte {at}: {byte}");
                assert_eq!(running.to_string().as_bytes(), bytes);
            }
        }
    }
}

#[test]
fn a_wrong_line_says_what_is_wrong() {
    for (from, to, shown) in [
        ("boot 1", "boot 2", "reading line 1 of /run/smv/boot"),
        ("slot b", "slot c", "\"c\" is not a or b"),
        ("slot b", "slot ", "\"\" is not a or b"),
        ("counter 417", "counter -1", "\"-1\" is not a number"),
        ("digest 2e", "digest -", "small hexadecimal digits"),
        ("hash ca", "hash c", "small hexadecimal digits"),
        ("trial 1", "trial 2", "from 0 to 1"),
        ("trial 1", "trial 0", "\"2\" is not 0, as there is no trial"),
        ("left 2", "left 4", "from 0 to 3"),
        ("fell 0", "fell", "\"fell\" belongs"),
        ("disk /dev/nvme0n1", "disk -", "\"-\" is not /dev/"),
        ("disk /dev/nvme0n1", "disk /dev/", "is not /dev/"),
        ("disk /dev/nvme0n1", "disk /dev/a b", "is not /dev/"),
        ("/dev/watchdog0", "watchdog0", "is not /dev/"),
        ("\nend\n", "\nend\nend\n", "4 bytes follow its end"),
    ] {
        let text = refused(from, to);
        assert!(text.contains(shown), "{to}: {text}");
    }
    let long_name = ["disk /dev/", &"x".repeat(60)].concat();
    assert!(refused("disk /dev/nvme0n1", &long_name).contains("is not /dev/"));
    let longest = changed("disk /dev/nvme0n1", &long_name[..long_name.len() - 1]);
    assert!(Running::parse(longest.as_bytes()).is_ok());
    let long = [GOLDEN, &"x".repeat(LEN_MAX)].concat();
    let error = chain(&Running::parse(long.as_bytes()).unwrap_err()).to_string();
    assert!(error.contains("1024 is the most"), "{error}");
}
