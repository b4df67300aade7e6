//! Golden text both ways, every truncation, every changed byte, every rule broken once.

use super::{Channel, Entry, LEN_MAX, PATH_MAX, emit};
use crate::field::FieldFault;
use crate::manifest::Role;
extern crate std;
use std::format;
use std::string::String;
use std::vec::Vec;

const GOLDEN: &str = include_str!("../../tests/golden/channel.txt");

fn golden() -> [Entry<'static>; 4] {
    let entry = |role, name, counter, manifest| Entry {
        role,
        name,
        counter,
        manifest,
    };
    [
        entry(Role::Os, "smv-x86_64", 417, "2026.11.20/MANIFEST"),
        entry(Role::Daemon, "smechvisord", u64::MAX, "smechvisord.smv"),
        entry(Role::Site, "docs", 0, "a/b/MANIFEST"),
        entry(Role::Site, "www", 1_763_596_800, "www-1763596800/MANIFEST"),
    ]
}

fn written(entries: &[Entry<'_>]) -> String {
    let mut text = String::new();
    emit(entries.iter().copied(), &mut text).unwrap();
    text
}

#[test]
fn golden_text_both_ways() {
    let channel = Channel::parse(GOLDEN.as_bytes()).unwrap();
    assert_eq!(channel.entries().collect::<Vec<_>>(), golden());
    assert_eq!(written(&golden()), GOLDEN);
    let empty = "smechvisor-channel 1\nend\n";
    assert_eq!(written(&[]), empty);
    let channel = Channel::parse(empty.as_bytes()).unwrap();
    assert_eq!(channel.entries().count(), 0);
}

#[test]
fn a_place_is_found_by_role_and_name() {
    let channel = Channel::parse(GOLDEN.as_bytes()).unwrap();
    assert_eq!(channel.find(Role::Site, "www"), Some(golden()[3]));
    assert_eq!(channel.find(Role::Model, "www"), None);
    assert_eq!(channel.find(Role::Site, "ww"), None);
}

#[test]
fn every_text_that_was_cut_is_refused() {
    for len in 0..GOLDEN.len() {
        let found = Channel::parse(&GOLDEN.as_bytes()[..len]).expect_err(&GOLDEN[..len]);
        let line = 1 + GOLDEN[..len].matches('\n').count() as u32;
        assert_eq!(found.line, line, "{len}");
    }
}

#[test]
fn every_changed_byte_is_refused_or_another_channel() {
    for at in 0..GOLDEN.len() {
        for byte in 0..=255_u8 {
            let mut bytes = GOLDEN.as_bytes().to_vec();
            if bytes[at] == byte {
                continue;
            }
            bytes[at] = byte;
            if let Ok(channel) = Channel::parse(&bytes) {
                let entries: Vec<_> = channel.entries().collect();
                assert_ne!(entries, golden());
                assert_eq!(written(&entries).as_bytes(), bytes);
                assert!(entries.iter().all(Entry::is_good));
            }
        }
    }
}

#[test]
fn every_rule_is_broken_once() {
    for (from, to) in [
        ("channel 1", "channel 2"),
        ("os smv", "so smv"),
        ("smv-x86_64 417", "smv-x86_64  417"),
        ("417 2026", "0417 2026"),
        ("417 2026", "-1 2026"),
        ("417 2026", "18446744073709551616 2026"),
        ("smv-x86_64", "smv/x86_64"),
        ("a/b/MANIFEST", "/b/MANIFEST"),
        ("a/b/MANIFEST", "a//MANIFEST"),
        ("a/b/MANIFEST", "a/../MANIFEST"),
        ("a/b/MANIFEST", "a/.b/MANIFEST"),
        ("a/b/MANIFEST", "a/b/"),
        ("a/b/MANIFEST", "a/b/MANIFEST more"),
        ("a/b/MANIFEST", "a/b/MANI%2fFEST"),
        ("site docs", "site wwww"),
        ("site docs", "site www"),
        ("daemon smechvisord", "store smechvisord"),
        ("\nend\n", "\nend\nx"),
        ("\nend\n", "\nend\r\n"),
    ] {
        assert!(GOLDEN.contains(from), "{from}");
        let text = GOLDEN.replacen(from, to, 1);
        Channel::parse(text.as_bytes()).expect_err(&text);
    }
    let path = "x".repeat(PATH_MAX + 1);
    let text = format!("smechvisor-channel 1\nos a 1 {path}\nend\n");
    Channel::parse(text.as_bytes()).expect_err(&text);
    let long = "x".repeat(LEN_MAX + 1);
    let error = Channel::parse(long.as_bytes()).unwrap_err();
    assert!(matches!(error.fault, FieldFault::TooLong { .. }));
}
