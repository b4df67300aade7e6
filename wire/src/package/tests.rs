//! Golden text both ways, every truncation, every changed byte, every rule of `node-packages.md 1`
//! broken once.

use super::{LEN_MAX, NEEDS_MAX, Need, Package};
use crate::chain::chain;
extern crate std;
use std::format;
use std::string::{String, ToString};
use std::vec::Vec;

const GOLDEN: &str = include_str!("../../tests/golden/package.txt");

fn need(name: &str, counter: u64) -> Need<'_> {
    Need { name, counter }
}

#[test]
fn golden_package_is_read_and_written() {
    let package = Package::parse(GOLDEN.as_bytes()).unwrap();
    let needs = [need("libssl", 3), need("zlib", u64::MAX)];
    assert_eq!(package.needs(), needs);
    assert_eq!(package.to_string(), GOLDEN);
    // In whatever order they are given.
    let [first, last] = needs;
    assert_eq!(Package::new([last, first]).unwrap(), package);
    let none = "smechvisor-package 1\nend\n";
    assert_eq!(Package::default().to_string(), none);
    assert_eq!(Package::parse(none.as_bytes()), Ok(Package::default()));
}

#[test]
fn every_truncation_is_refused() {
    for len in 0..GOLDEN.len() {
        assert!(Package::parse(&GOLDEN.as_bytes()[..len]).is_err(), "{len}");
    }
}

#[test]
fn every_changed_byte_is_refused_or_says_something_else() {
    let golden = Package::parse(GOLDEN.as_bytes()).unwrap();
    for at in 0..GOLDEN.len() {
        for byte in (0..=u8::MAX).filter(|byte| *byte != GOLDEN.as_bytes()[at]) {
            let mut bytes = Vec::from(GOLDEN);
            bytes[at] = byte;
            if let Ok(package) = Package::parse(&bytes) {
                assert_ne!(package, golden, "byte {at}: {byte}");
                assert_eq!(package.to_string().as_bytes(), bytes);
            }
        }
    }
}

#[test]
fn a_wrong_line_says_what_is_wrong() {
    for (from, to, shown) in [
        ("package 1", "package 2", "reading line 1 of the package"),
        ("libssl 3", "libssl", "NAME COUNTER"),
        ("libssl 3", "libssl 03", "NAME COUNTER"),
        ("libssl 3", "libssl 3 4", "NAME COUNTER"),
        ("libssl 3", ".libssl 3", "NAME COUNTER"),
        ("libssl 3", "lib/ssl 3", "NAME COUNTER"),
        ("libssl 3", "zlib 3", "behind the line before it"),
        ("libssl 3", "zzlib 3", "behind the line before it"),
        ("\nend\n", "\nend\n\n", "1 bytes follow its end"),
    ] {
        let text = GOLDEN.replacen(from, to, 1);
        let error = Package::parse(text.as_bytes()).expect_err(&text);
        let error = chain(&error).to_string();
        assert!(error.contains(shown), "{to}: {error}");
    }
}

#[test]
fn limits_hold() {
    let names: Vec<String> = (0..=NEEDS_MAX)
        .map(|at| format!("{at:02}{}", "x".repeat(62)))
        .collect();
    let all = || names.iter().map(|name| need(name, u64::MAX));
    assert_eq!(Package::new(all()), Err(NEEDS_MAX));
    let most = Package::new(all().take(NEEDS_MAX)).unwrap();
    let text = most.to_string();
    assert!(text.len() <= LEN_MAX);
    assert_eq!(Package::parse(text.as_bytes()), Ok(most));
    let one_more = text.replace("end\n", "needs z 1\nend\n");
    assert!(Package::parse(one_more.as_bytes()).is_err());
    assert_eq!(Package::new([need("a", 1), need("a", 2)]), Err(1));
    assert_eq!(Package::new([need("", 1)]), Err(0));
}
