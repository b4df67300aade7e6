//! Golden text both ways, every truncation, every changed byte, every rule of `node-packages.md 2`
//! broken once.

use super::{LEN_MAX, MEMBERS_MAX, Member, Set};
use crate::chain::chain;
use crate::ledger::Version;
extern crate std;
use std::format;
use std::string::{String, ToString};
use std::vec::Vec;

const GOLDEN: &str = include_str!("../../tests/golden/set.txt");

fn member(name: &str, counter: u64, digest: u8) -> Member<'_> {
    Member {
        name,
        version: Version {
            digest: [digest; 32],
            counter,
        },
    }
}

#[test]
fn golden_set_is_read_and_written() {
    let set = Set::parse(GOLDEN.as_bytes()).unwrap();
    let htop = member("htop", 417, 0xab);
    assert_eq!(set.members().len(), 2);
    assert_eq!((set.members()[0], set.find("htop")), (htop, Some(&htop)));
    assert_eq!(set.find("zlib").unwrap().version.counter, 3);
    assert_eq!(set.find("none"), None);
    assert_eq!(set.to_string(), GOLDEN);
    let turned = set.members().iter().rev().copied();
    assert_eq!(Set::new(turned).unwrap(), set);
    let none = "smechvisor-set 1\nend\n";
    assert_eq!(Set::default().to_string(), none);
    assert_eq!(Set::parse(none.as_bytes()), Ok(Set::default()));
}

#[test]
fn every_truncation_is_refused() {
    for len in 0..GOLDEN.len() {
        assert!(Set::parse(&GOLDEN.as_bytes()[..len]).is_err(), "{len}");
    }
}

#[test]
fn every_changed_byte_is_refused_or_says_something_else() {
    let golden = Set::parse(GOLDEN.as_bytes()).unwrap();
    for at in 0..GOLDEN.len() {
        for byte in (0..=u8::MAX).filter(|byte| *byte != GOLDEN.as_bytes()[at]) {
            let mut bytes = Vec::from(GOLDEN);
            bytes[at] = byte;
            if let Ok(set) = Set::parse(&bytes) {
                assert_ne!(set, golden, "byte {at}: {byte}");
                assert_eq!(set.to_string().as_bytes(), bytes);
            }
        }
    }
}

#[test]
fn a_wrong_line_says_what_is_wrong() {
    for (from, to, shown) in [
        ("set 1", "set 2", "reading line 1 of the set"),
        ("htop 417 ", "htop ", "NAME COUNTER SHA-256"),
        ("htop 417 ", "htop 0417 ", "NAME COUNTER SHA-256"),
        ("htop 417 ab", "htop 417 AB", "NAME COUNTER SHA-256"),
        ("htop 417 ab", "htop 417 ", "NAME COUNTER SHA-256"),
        ("htop 417", "-htop 417", "NAME COUNTER SHA-256"),
        ("htop", "zlib", "behind the line before it"),
        ("\nend\n", "\nend\n\n", "1 bytes follow its end"),
    ] {
        let text = GOLDEN.replacen(from, to, 1);
        let error = Set::parse(text.as_bytes()).expect_err(&text);
        let error = chain(&error).to_string();
        assert!(error.contains(shown), "{to}: {error}");
    }
}

#[test]
fn limits_hold() {
    let names: Vec<String> = (0..=MEMBERS_MAX)
        .map(|at| format!("{at:03}{}", "x".repeat(61)))
        .collect();
    let all = || names.iter().map(|name| member(name, u64::MAX, 1));
    assert_eq!(Set::new(all()).unwrap_err().name, names[MEMBERS_MAX]);
    let most = Set::new(all().take(MEMBERS_MAX)).unwrap();
    let text = most.to_string();
    assert!(text.len() <= LEN_MAX);
    assert_eq!(Set::parse(text.as_bytes()), Ok(most));
    let line = Set::new([member("z", 1, 1)]).unwrap().to_string();
    let line = line.lines().nth(1).unwrap();
    let one_more = text.replace("end\n", &format!("{line}\nend\n"));
    assert!(Set::parse(one_more.as_bytes()).is_err());
    let twice = [member("a", 1, 1), member("a", 2, 2)];
    assert_eq!(Set::new(twice).unwrap_err(), twice[1]);
    assert!(Set::new([member("a/b", 1, 1)]).is_err());
}
