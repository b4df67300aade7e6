//! Packages that are harmless alone: the first lays the link, the second walks it.

use super::Case;
use crate::fakes::archive::{Head, dir, file, hard_link, symlink};

fn fifo(name: &str) -> Vec<u8> {
    Head::new(b'6', name).bytes()
}

pub fn cases() -> Vec<Case> {
    refused! {
        // The link of an earlier package is followed as the installed system will follow it: `..`
        // of the root is the root.
        "a link out of the root": { symlink("l", "../outside") } [file("l/canary")] => "l/canary", "File exists";
        "a link far out of the root": { symlink("l", "../../../../../../tmp") } [file("l/smv-escape")] => "l/smv-escape", "File exists";
        "an absolute link": { symlink("l", "/tmp") } [file("l/smv-escape")] => "l/smv-escape", "File exists";
        "a link into /proc": { symlink("l", "/proc/self/cwd") } [file("l/smv-escape")] => "l/smv-escape", "File exists";
        "a link to a descriptor": { symlink("l", "/proc/self/fd/0") } [file("l/x")] => "l/x", "File exists";
        "a link to itself": { symlink("l", "l") } [file("l/x")] => "l/x", "Too many levels";
        "a circle of links": { symlink("a", "b"), symlink("b", "a") } [file("a/x")] => "a/x", "Too many levels";
        "a circle over two packages": { symlink("a", "b") } { symlink("b", "a") } [dir("b/x")] => "b/x", "Too many levels";
        "a link to a file": { file("f"), symlink("l", "f") } [file("l/x")] => "l/x", "Not a directory";
        "a link to a fifo": { fifo("f"), symlink("l", "f") } [file("l/x")] => "l/x", "Not a directory";
        "a file where a directory is meant": { file("a") } [file("a/b")] => "a/b", "Not a directory";
        "a fifo where a directory is meant": { fifo("a") } [dir("a/b")] => "a/b", "Not a directory";
        "a hard link over a link out": { symlink("l", "../outside") } [hard_link("h", "l/canary")] => "\"h\"", "No such file";
        "a hard link over an absolute link": { symlink("l", "/etc") } [hard_link("h", "l/passwd")] => "\"h\"", "No such file";
        "a hard link over a circle": { symlink("l", "l") } [hard_link("h", "l/x")] => "\"h\"", "Too many levels";
        "a hard link to a directory of before": { file("d/f") } [hard_link("h", "d")] => "\"h\"", "Operation not permitted";
        "a file over a directory": { dir("d") } [file("d")] => "\"d\"", "directory of this name";
        "a symlink over a directory": { dir("d") } [symlink("d", "/")] => "\"d\"", "directory of this name";
        "a symlink over a directory with files": { file("d/f") } [symlink("d", "../outside")] => "\"d\"", "directory of this name";
        "a fifo over a directory": { dir("d") } [fifo("d")] => "\"d\"", "directory of this name";
        "a hard link over a directory": { dir("d"), file("f") } [hard_link("d", "f")] => "\"d\"", "directory of this name";
        "a link relaid, then walked": { dir("d"), symlink("l", "d") } [symlink("l", "/"), file("l/x")] => "l/x", "\"l\"";
        "a link laid behind an honest one": { dir("d"), symlink("l", "d") } [symlink("l/m", "/"), file("l/m/x")] => "l/m/x", "\"l/m\"";
        "a directory laid over by a link, then walked": { file("f") } [symlink("f", "../outside"), file("f/canary")] => "f/canary", "\"f\"";
        "a hard link made of a link, then walked": { dir("d") } [symlink("l", "d"), hard_link("h", "l"), file("h/x")] => "h/x", "\"h\"";
    }
}
