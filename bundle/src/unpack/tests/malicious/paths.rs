//! Names that lead out of the root, nowhere, or further than a path can.

use super::Case;
use crate::fakes::archive::{Head, dir, file, hard_link, long, pax, record, symlink};

fn named(path: impl AsRef<[u8]>) -> Vec<u8> {
    pax(&[record("path", path)])
}

fn node(kind: u8, name: &str) -> Vec<u8> {
    Head::new(kind, name).bytes()
}

fn prefixed(prefix: &str, name: &str) -> Vec<u8> {
    Head::new(b'0', name).prefix(prefix).with(b"")
}

pub fn cases() -> Vec<Case> {
    [
        absolute(),
        parents(),
        impossible(),
        long_and_deep(),
        like_directories(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn absolute() -> Vec<Case> {
    refused! {
        "absolute": [file("/smv-escape")] => "\"/smv-escape\"", "absolute";
        "absolute, two slashes": [file("//smv-escape")] => "//smv-escape", "absolute";
        "absolute behind a dot in disguise": [file("/./smv-escape")] => "/./smv-escape", "absolute";
        "absolute directory": [dir("/smv-escape")] => "/smv-escape", "absolute";
        "absolute symlink": [symlink("/smv-escape", "x")] => "/smv-escape", "absolute";
        "absolute hard link": [file("a"), hard_link("/smv-escape", "a")] => "/smv-escape", "absolute";
        "absolute fifo": [node(b'6', "/smv-escape")] => "/smv-escape", "absolute";
        "absolute character device": [node(b'3', "/smv-escape")] => "/smv-escape", "absolute";
        "absolute block device": [node(b'4', "/smv-escape")] => "/smv-escape", "absolute";
        "absolute by prefix": [prefixed("/tmp", "smv-escape")] => "/tmp/smv-escape", "absolute";
        "absolute by a prefix that is a slash": [prefixed("/", "smv-escape")] => "//smv-escape", "absolute";
        "absolute by pax": [named("/smv-escape"), file("x")] => "/smv-escape", "absolute";
        "absolute by long name": [long(b'L', "/smv-escape"), file("x")] => "/smv-escape", "absolute";
        "the root as an absolute directory": [dir("/")] => "\"/\"", "absolute";
    }
}

fn parents() -> Vec<Case> {
    refused! {
        "parent": [file("../canary")] => "../canary", "..";
        "parent alone": [dir("..")] => "\"..\"", "..";
        "parent as a file": [file("..")] => "\"..\"", "..";
        "parent many times": [file("../../../../../../../../../../tmp/smv-escape")] => "../../tmp/smv-escape", "..";
        "parent with doubled slashes": [file("..//..//canary")] => "..//..//canary", "..";
        "parent in the middle": [file("a/../../canary")] => "a/../../canary", "..";
        "parent at the end": [dir("a/..")] => "a/..", "..";
        "parent and slash at the end": [dir("a/../")] => "a/../", "..";
        "parent that stays inside": [file("a/../b")] => "a/../b", "..";
        "parent behind dot": [file("./../canary")] => "./../canary", "..";
        "parent behind many directories": [named("d/".repeat(30) + &"../".repeat(31) + "canary"), file("x")] => "d/../../", "..";
        "parent by prefix": [prefixed("..", "canary")] => "../canary", "..";
        "parent at the end of the prefix": [prefixed("a/..", "../canary")] => "a/../../canary", "..";
        "parent behind a prefix": [prefixed("a", "../../canary")] => "a/../../canary", "..";
        "parent by pax": [named("../canary"), file("x")] => "../canary", "..";
        "parent by pax, as a directory": [named("../outside/d/"), dir("x")] => "../outside/d/", "..";
        "parent by long name": [long(b'L', "../canary"), file("x")] => "../canary", "..";
        "parent as symlink": [symlink("../l", "x")] => "../l", "..";
        "parent as hard link": [file("a"), hard_link("../h", "a")] => "../h", "..";
        "parent as fifo": [node(b'6', "../f")] => "../f", "..";
        "parent as character device": [node(b'3', "../c")] => "../c", "..";
        "parent as block device": [node(b'4', "../b")] => "../b", "..";
        "parent as directory": [dir("../outside/d")] => "../outside/d", "..";
        "parent behind an escape sequence": [file("\x1b[2J\x1b]0;x\x07/../../canary")] => "\\x1b[2J\\x1b]0;x\\x07/..", "..";
        "parent behind a newline": [file("ok\nunpacked/../../canary")] => "ok\\nunpacked/..", "..";
        "parent behind what is no UTF-8": [file(b"\xff\xfe/../../canary")] => "\\xff\\xfe/..", "..";
        "parent behind a carriage return": [file("safe\r/../../canary")] => "safe\\r/..", "..";
    }
}

fn impossible() -> Vec<Case> {
    refused! {
        "empty": [file("")] => "\"\"", "empty";
        "empty directory name": [dir("")] => "\"\"", "empty";
        "empty by pax": [named(""), file("x")] => "\"\"", "empty";
        "empty by long name": [long(b'L', ""), file("x")] => "\"\"", "empty";
        "nul by pax": [named(b"a\0b"), file("x")] => "a\\x00b", "NUL";
        "nul that hides a parent": [named(b"a\0/../../canary"), file("x")] => "a\\x00/..", "NUL";
        "nul at the end by pax": [named(b"a\0"), file("x")] => "a\\x00", "NUL";
        "nul by long name": [long(b'L', b"a\0b"), file("x")] => "a\\x00b", "NUL";
        "two nuls behind a long name": [long(b'L', b"a\0"), file("x")] => "a\\x00", "NUL";
        "nul in the header": [Head::new(b'0', b"a\0b").with(b"")] => "\"a\"", "NUL";
        "nul first in the header": [Head::new(b'0', b"\0hidden").with(b"")] => "\"\"", "NUL";
        "nul in the prefix": [Head::new(b'0', "a").put(345, b"p\0q").with(b"")] => "\"a\"", "NUL";
    }
}

fn long_and_deep() -> Vec<Case> {
    let wide = "w".repeat(256);
    let long_path = "p/".repeat(2048) + "end";
    let deep = |count: usize| vec!["d"; count].join("/");
    refused! {
        "long component": [named(&wide), file("x")] => "wwww", "256 bytes";
        "long component, GNU": [long(b'L', &wide), file("x")] => "wwww", "256 bytes";
        "long component in the middle": [named(format!("a/{wide}/b")), file("x")] => "a/wwww", "256 bytes";
        "long component of a directory": [named(format!("{wide}/")), dir("x")] => "wwww", "256 bytes";
        "component of a whole path": [named("w".repeat(4095)), file("x")] => "wwww", "4095 bytes";
        "long path": [named(&long_path), file("x")] => "p/p/", "4099 bytes";
        "path one too long": [named("p/".repeat(2048)), dir("x")] => "p/p/", "4096 bytes";
        "long path, GNU": [long(b'L', &long_path), file("x")] => "././@LongLink", "too long";
        "path of 200 KB": [named("p/".repeat(100_000)), file("x")] => "p/p/", "200000 bytes";
        "deep": [named(deep(65)), file("x")] => "d/d/", "65 components";
        "very deep": [named(deep(2000)), file("x")] => "d/d/", "2000 components";
        "very deep, GNU": [long(b'L', deep(1500)), file("x")] => "d/d/", "1500 components";
        "deep directory": [named(deep(65) + "/"), dir("x")] => "d/d/", "65 components";
        "deep symlink": [named(deep(66)), symlink("x", "y")] => "d/d/", "66 components";
    }
}

fn like_directories() -> Vec<Case> {
    refused! {
        "file with a slash": [file("a/")] => "a/", "named like one";
        "file with a slash and a dot": [file("a/.")] => "a/.", "named like one";
        "file with a slash by pax": [named("a/"), file("a")] => "a/", "named like one";
        "old file with a slash": [Head::new(0, "a/").with(b"x")] => "a/", "named like one";
        "symlink with a slash": [symlink("l/", "x")] => "l/", "named like one";
        "hard link with a slash": [file("a"), hard_link("h/", "a")] => "h/", "named like one";
        "fifo with a slash": [node(b'6', "f/")] => "f/", "named like one";
        "device with a slash": [node(b'3', "c/")] => "c/", "named like one";
        "file as the root": [file("./")] => "./", "named like one";
        "file as a plain dot": [file(".")] => "\".\"", "named like one";
        "symlink as the root": [symlink(".", "/")] => "\".\"", "named like one";
        "hard link as the root": [file("a"), hard_link("./.", "a")] => "./.", "named like one";
        "fifo as the root": [node(b'6', ".//")] => ".//", "named like one";
        "block device as the root": [node(b'4', ".")] => "\".\"", "named like one";
    }
}
