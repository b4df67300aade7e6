//! Hostile, but no more than real systems are: unpacked, and it stays beneath the root.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::super::{Fenced, walk};
use super::assert_nothing_escaped;
use crate::fakes::archive::{
    Head, dir, file, hard_link, long, pax, pax_global, record, symlink, tar,
};
use wire::chain::chain;

/// Packages in their order; a path beneath the root where the last entry must be.
struct Tolerated {
    what: &'static str,
    packages: Vec<Vec<u8>>,
    lands: &'static [u8],
}

macro_rules! tolerated {
    ($($what:literal: $({ $($part:expr),* })+ => $lands:expr;)*) => {
        vec![$(Tolerated {
            what: $what,
            packages: vec![$(tar(&[$($part),*])),+],
            lands: $lands,
        }),*]
    };
}

fn named(path: impl AsRef<[u8]>) -> Vec<u8> {
    pax(&[record("path", path)])
}

fn links() -> Vec<Tolerated> {
    tolerated! {
        "a link out, where the root has such a directory": { symlink("l", "../outside"), dir("outside") } { file("l/canary") } => b"outside/canary";
        "a link far out, likewise": { symlink("l", "../../../../../tmp"), dir("tmp") } { file("l/smv-escape") } => b"tmp/smv-escape";
        "an absolute link, likewise": { symlink("l", "/etc"), dir("etc") } { file("l/smv-escape") } => b"etc/smv-escape";
        "a link to the root's own root": { symlink("l", "/") } { file("l/smv-escape") } => b"smv-escape";
        "a link to above the root": { symlink("l", "..") } { file("l/canary") } => b"canary";
        "a link laid through another name of its directory": { symlink("a", "b"), dir("b") } { symlink("a/l", "/"), file("b/l/smv-escape") } => b"smv-escape";
        "a directory where a link leads nowhere": { symlink("l", "../outside") } { Head::new(b'5', "l").mode(0o777).bytes() } => b"l";
        "a directory where a link leads to one": { symlink("l", "/d"), dir("d") } { Head::new(b'5', "l").mode(0o777).bytes() } => b"l";
        "a file where a link leads out": { symlink("l", "../canary") } { file("l") } => b"l";
        "a hard link where a link leads out": { symlink("l", "../canary"), file("a") } { hard_link("l", "a") } => b"l";
        "a hard link to a link out": { symlink("l", "../canary") } { hard_link("h", "l") } => b"h";
        "a file where a hard link to a link out is": { symlink("l", "../canary"), hard_link("h", "l") } { file("h") } => b"h";
        "a file where a fifo is": { Head::new(b'6', "f").bytes() } { file("f") } => b"f";
        "a file where a hard link is": { file("a"), hard_link("b", "a") } { file("b") } => b"b";
        "a link to a path as long as one can be": { symlink("l", "x"), pax(&[record("linkpath", "../".repeat(1365))]), symlink("m", "x") } => b"m";
    }
}

fn names() -> Vec<Tolerated> {
    tolerated! {
        "backslashes": { file("..\\..\\canary") } => b"..\\..\\canary";
        "a drive": { file("C:\\smv-escape") } => b"C:\\smv-escape";
        "a stream of NTFS": { file("a::$DATA") } => b"a::$DATA";
        "three dots": { file(".../canary") } => b".../canary";
        "a leading blank": { file(" ../canary2") } => b" ../canary2";
        "a trailing blank": { file(".. /canary2") } => b".. /canary2";
        "a one-dot leader": { file("\u{2024}\u{2024}/canary") } => "\u{2024}\u{2024}/canary".as_bytes();
        "a fraction slash": { file("..\u{2044}canary") } => "..\u{2044}canary".as_bytes();
        "a slash too long for UTF-8": { file(b"..\xc0\xafcanary") } => b"..\xc0\xafcanary";
        "percent signs": { file("%2e%2e%2fcanary") } => b"%2e%2e%2fcanary";
        "an option": { file("-rf") } => b"-rf";
        "a checkpoint": { file("--checkpoint-action=exec=sh x.sh") } => b"--checkpoint-action=exec=sh x.sh";
        "a command": { file("$(touch smv-escape)") } => b"$(touch smv-escape)";
        "an escape sequence": { file("\x1b[2J") } => b"\x1b[2J";
        "a newline": { file("a\n/etc/passwd") } => b"a\n/etc/passwd";
        "a home": { file("~root/.ssh/authorized_keys") } => b"~root/.ssh/authorized_keys";
        "a device of DOS": { file("CON") } => b"CON";
        "no UTF-8": { file(b"\xff\xfe") } => b"\xff\xfe";
        "names that differ in case": { file("A"), file("a") } => b"a";
        "names that differ in form": { file("e\u{301}"), file("\u{e9}") } => "\u{e9}".as_bytes();
        "the longest component": { named("w".repeat(255)), file("x") } => &[b'w'; 255];
    }
}

fn formats() -> Vec<Tolerated> {
    tolerated! {
        "a header's name that pax replaces": { named("ok"), file("../canary") } => b"ok";
        "a header's name that a long name replaces": { long(b'L', "ok"), file("/etc/smv-escape") } => b"ok";
        "a header's prefix that pax replaces": { named("ok"), Head::new(b'0', "x").prefix("../..").with(b"") } => b"ok";
        "a prefix where GNU has none": { Head::new(b'0', "x").gnu().prefix("../..").with(b"") } => b"x";
        "a mark of sparseness on a plain file": { Head::new(b'0', "x").gnu().put(482, &[1]).with(b"content") } => b"x";
        "a link target on a plain file": { Head::new(b'0', "x").link("../canary").with(b"content") } => b"x";
        "a long link before a plain file": { long(b'K', "../canary"), file("x") } => b"x";
        "a pax link target on a plain file": { pax(&[record("linkpath", "../canary")]), file("x") } => b"x";
        "file type bits of a directory": { Head::new(b'0', "x").mode(0o040_644).with(b"") } => b"x";
        "an archive as contents": { Head::new(b'0', "x").with(&tar(&[file("../canary")])) } => b"x";
        "a global comment that looks like a record": { pax_global(&[record("comment", "path=../canary")]), file("x") } => b"x";
        "the end of time": { pax(&[record("mtime", "9223372036854775807")]), file("x") } => b"x";
        "the beginning of time": { pax(&[record("mtime", "-9223372036854775807")]), file("x") } => b"x";
        "an old file": { Head::new(0, "x").with(b"content") } => b"x";
    }
}

#[test]
fn what_real_systems_contain_stays_beneath_the_root() {
    let all: Vec<_> = [links(), names(), formats()]
        .into_iter()
        .flatten()
        .collect();
    for Tolerated {
        what,
        packages,
        lands,
    } in all
    {
        let fenced = Fenced::new();
        for package in packages {
            let unpacked = fenced.unpack(&package[..]);
            unpacked.unwrap_or_else(|error| panic!("{what}: {}", chain(&error)));
        }
        fenced.assert_fence_holds();
        assert_nothing_escaped(what);
        let path = Path::new(OsStr::from_bytes(lands));
        assert!(walk(&fenced.root()).contains_key(path), "{what}");
    }
}

#[test]
fn directory_over_a_link_changes_no_mode_behind_it() {
    // RUSTSEC-2026-0067: the mode of a directory entry went through a link of that name.
    use std::os::unix::fs::PermissionsExt;
    let fenced = Fenced::new();
    let first = tar(&[Head::new(b'5', "d").mode(0o700).bytes(), symlink("l", "d")]);
    let second = tar(&[Head::new(b'5', "l").mode(0o777).bytes(), file("l/x")]);
    fenced.unpack(&first[..]).unwrap();
    fenced.unpack(&second[..]).unwrap();
    let mode = fs::metadata(fenced.root().join("d"))
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o7777, 0o700);
    assert!(fenced.root().join("d/x").exists());
    fenced.assert_fence_holds();
}
