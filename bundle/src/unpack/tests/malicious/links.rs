//! Symbolic and hard links as a way out, and the same path twice.

use super::Case;
use crate::fakes::archive::{Head, dir, file, hard_link, long, pax, record, symlink};

fn fifo(name: &str) -> Vec<u8> {
    Head::new(b'6', name).bytes()
}

fn linked(target: impl AsRef<[u8]>) -> Vec<u8> {
    pax(&[record("linkpath", target)])
}

pub fn cases() -> Vec<Case> {
    [through(), hard(), targets(), twice()]
        .into_iter()
        .flatten()
        .collect()
}

fn through() -> Vec<Case> {
    refused! {
        "through own link out": [symlink("l", "../outside"), file("l/canary")] => "l/canary", "\"l\"";
        "through own absolute link": [symlink("l", "/"), file("l/smv-escape")] => "l/smv-escape", "\"l\"";
        "through own inner link": [dir("d"), symlink("l", "d"), file("l/x")] => "l/x", "\"l\"";
        "through own link, deep": [symlink("a/l", ".."), file("a/l/l/x")] => "a/l/l/x", "\"a/l\"";
        "through own link, spelt differently": [symlink("a/l", "/"), file("./a//l/./x")] => "./a//l/./x", "\"a/l\"";
        "through own link by pax": [symlink("l", "/tmp"), pax(&[record("path", "l/smv-escape")]), file("x")] => "l/smv-escape", "\"l\"";
        "through own link by long name": [symlink("l", "/tmp"), long(b'L', "l/smv-escape"), file("x")] => "l/smv-escape", "\"l\"";
        "through own link by prefix": [symlink("l", "/tmp"), Head::new(b'0', "smv-escape").prefix("l").with(b"")] => "l/smv-escape", "\"l\"";
        "through own link into /proc": [symlink("l", "/proc/self/root"), file("l/smv-escape")] => "l/smv-escape", "\"l\"";
        "through own link to itself": [symlink("l", "l"), file("l/x")] => "l/x", "\"l\"";
        "through a circle of own links": [symlink("a", "b"), symlink("b", "a"), file("b/x")] => "b/x", "\"b\"";
        "through own link made long before": [symlink("l", "/"), dir("a"), dir("b"), file("b/f"), file("l/x")] => "l/x", "\"l\"";
        "directory through own link": [symlink("l", "/tmp"), dir("l/smv-escape")] => "l/smv-escape", "\"l\"";
        "link through own link": [symlink("l", "/tmp"), symlink("l/smv-escape", "x")] => "l/smv-escape", "\"l\"";
        "hard link through own link": [file("a"), symlink("l", "/tmp"), hard_link("l/smv-escape", "a")] => "l/smv-escape", "\"l\"";
        "fifo through own link": [symlink("l", "/tmp"), fifo("l/smv-escape")] => "l/smv-escape", "\"l\"";
        "device through own link": [symlink("l", "/tmp"), Head::new(b'3', "l/smv-escape").bytes()] => "l/smv-escape", "\"l\"";
        "through another name of own link": [symlink("l", "../outside"), hard_link("h", "l"), file("h/canary")] => "h/canary", "\"h\"";
        "through a third name of own link": [symlink("l", "/"), hard_link("h", "l"), hard_link("i", "h"), file("i/x")] => "i/x", "\"i\"";
        "through another name by pax": [symlink("l", "/"), linked("l"), hard_link("h", "x"), file("h/x")] => "h/x", "\"h\"";
        "below a file": [file("a"), file("a/b")] => "a/b", "Not a directory";
        "deep below a file": [file("a"), file("a/b/c/d")] => "a/b/c/d", "Not a directory";
        "below a fifo": [fifo("f"), file("f/x")] => "f/x", "Not a directory";
        "directory below a file": [file("a"), dir("a/d")] => "a/d", "Not a directory";
    }
}

fn hard() -> Vec<Case> {
    refused! {
        "hard link out": [hard_link("h", "../canary")] => "\"h\"", "..";
        "hard link out from the middle": [dir("a"), hard_link("h", "a/../../canary")] => "\"h\"", "..";
        "hard link to the directory above": [hard_link("h", "..")] => "\"h\"", "..";
        "hard link to absolute": [hard_link("h", "/etc/passwd")] => "\"h\"", "absolute";
        "hard link to nothing": [hard_link("h", "")] => "\"h\"", "empty";
        "hard link to the root": [hard_link("h", ".")] => "\"h\"", "root directory";
        "hard link to the root with a slash": [hard_link("h", "./")] => "\"h\"", "root directory";
        "hard link out by pax": [linked("../canary"), hard_link("h", "a")] => "\"h\"", "..";
        "hard link to absolute by pax": [linked("/etc/passwd"), hard_link("h", "a")] => "\"h\"", "absolute";
        "hard link out by long link": [long(b'K', "../canary"), hard_link("h", "a")] => "\"h\"", "..";
        "hard link to nul by pax": [file("a"), linked(b"a\0b"), hard_link("h", "a")] => "\"h\"", "NUL";
        "hard link to nul in the header": [file("a"), hard_link("h", b"a\0b")] => "\"h\"", "NUL";
        "hard link to a long component": [linked("w".repeat(300)), hard_link("h", "a")] => "\"h\"", "300 bytes";
        "hard link to a long path": [linked("p/".repeat(2500)), hard_link("h", "a")] => "\"h\"", "5000 bytes";
        "hard link to a deep path": [linked("d/".repeat(99)), hard_link("h", "a")] => "\"h\"", "99 components";
        "hard link with contents": [file("a"), Head::new(b'1', "h").link("a").with(b"x")] => "\"h\"", "contents";
        "hard link to a file through own link": [symlink("l", "../outside"), hard_link("h", "l/canary")] => "\"h\"", "\"l\"";
        "hard link through own absolute link": [symlink("l", "/"), hard_link("h", "l/etc/passwd")] => "\"h\"", "\"l\"";
        "hard link through own inner link": [file("d/f"), symlink("l", "d"), hard_link("h", "l/f")] => "\"h\"", "\"l\"";
        "hard link to what comes later": [hard_link("h", "a"), file("a")] => "\"h\"", "No such file";
        "hard link to itself": [hard_link("h", "h")] => "\"h\"", "No such file";
        "hard link in a circle": [hard_link("h", "i"), hard_link("i", "h")] => "\"h\"", "No such file";
        "hard link to what is nowhere": [dir("d"), hard_link("h", "d/x")] => "\"h\"", "No such file";
        "hard link to a directory": [dir("d"), hard_link("h", "d")] => "\"h\"", "Operation not permitted";
        "hard link to an implied directory": [file("d/f"), hard_link("h", "d")] => "\"h\"", "Operation not permitted";
        "hard link below a file": [file("a"), hard_link("h", "a/b")] => "\"h\"", "Not a directory";
    }
}

fn targets() -> Vec<Case> {
    refused! {
        "symlink to nothing": [symlink("s", "")] => "\"s\"", "empty";
        "symlink to nothing by pax": [linked(""), symlink("s", "a")] => "\"s\"", "empty";
        "symlink to nothing by long link": [long(b'K', ""), symlink("s", "a")] => "\"s\"", "empty";
        "symlink with nul": [linked(b"a\0b"), symlink("s", "a")] => "\"s\"", "NUL";
        "symlink with nul by long link": [long(b'K', b"a\0/etc"), symlink("s", "a")] => "\"s\"", "NUL";
        "symlink with nul in the header": [symlink("s", b"a\0b")] => "\"s\"", "NUL";
        "symlink too long": [linked("t".repeat(4096)), symlink("s", "a")] => "\"s\"", "4096";
        "symlink of 100 KB": [linked("t/".repeat(50_000)), symlink("s", "a")] => "\"s\"", "100000";
        "symlink too long, GNU": [long(b'K', "t".repeat(4096)), symlink("s", "a")] => "././@LongLink", "too long";
        "symlink with contents": [Head::new(b'2', "s").link("a").with(b"x")] => "\"s\"", "contents";
    }
}

fn twice() -> Vec<Case> {
    refused! {
        "a file twice": [file("a"), file("a")] => "\"a\"", "twice";
        "a file twice, spelt differently": [file("a/b"), file("./a//b")] => "./a//b", "twice";
        "a file twice, once by pax": [file("a"), pax(&[record("path", "a")]), file("b")] => "\"a\"", "twice";
        "a file twice, once by long name": [file("a"), long(b'L', "./a"), file("b")] => "\"./a\"", "twice";
        "a file twice, once by prefix": [file("a/b"), Head::new(b'0', "b").prefix("a").with(b"")] => "a/b", "twice";
        "a file twice, far apart": [file("a"), dir("b"), dir("c"), file("c/x"), file("a")] => "\"a\"", "twice";
        "a symlink twice": [symlink("l", "x"), symlink("l", "/")] => "\"l\"", "twice";
        "a fifo twice": [fifo("f"), fifo("f")] => "\"f\"", "twice";
        "a directory twice": [dir("d/"), dir("d")] => "\"d\"", "twice";
        "the root twice": [dir("./"), dir(".")] => "\".\"", "twice";
        "file over own directory": [dir("d"), file("d")] => "\"d\"", "twice";
        "directory over own file": [file("d"), dir("d")] => "\"d\"", "twice";
        "symlink over own file": [file("a"), symlink("a", "/")] => "\"a\"", "twice";
        "own link replaced by a directory": [symlink("l", "/tmp"), dir("l/")] => "\"l", "twice";
        "own link written through": [symlink("l", "../canary"), file("l")] => "\"l\"", "twice";
        "own fifo written into": [fifo("f"), file("f")] => "\"f\"", "twice";
        "own device written into": [Head::new(b'6', "c").bytes(), Head::new(b'3', "c").device(1, 5).bytes()] => "\"c\"", "twice";
        "hard link written through": [file("a"), hard_link("b", "a"), file("b")] => "\"b\"", "twice";
        "hard link over own file": [file("a"), file("b"), hard_link("b", "a")] => "\"b\"", "twice";
        "file over implied directory": [file("d/f"), file("d")] => "\"d\"", "directory of this name";
        "symlink over implied directory": [file("d/f"), symlink("d", "/")] => "\"d\"", "directory of this name";
        "hard link over implied directory": [file("d/f"), hard_link("d", "d/f")] => "\"d\"", "directory of this name";
        "fifo over implied directory": [file("d/f"), fifo("d")] => "\"d\"", "directory of this name";
        "symlink over implied directory, deep": [file("a/b/c/f"), symlink("a/b", "/")] => "a/b", "directory of this name";
    }
}
