//! Archives that end too early, too late, or twice.

use super::Case;
use crate::fakes::archive::{Head, dir, file, long, pax, record, tar};

fn zeros(count: usize) -> Vec<u8> {
    vec![0; count]
}

/// The first bytes of an archive.
fn cut(tar: &[u8], len: usize) -> Vec<u8> {
    tar[..len].to_vec()
}

pub fn cases() -> Vec<Case> {
    [too_early(), too_late()].into_iter().flatten().collect()
}

fn too_early() -> Vec<Case> {
    let whole = [file("first"), file("second")].concat();
    let ended = |count: usize| [whole.clone(), zeros(count)].concat();
    let long_named = [pax(&[record("path", "d/named")]), file("x")].concat();
    let gnu_named = [long(b'L', "d/named"), file("x")].concat();
    refused_bytes! {
        "nothing at all": Vec::new() => "\"\"", "end marker";
        "one byte": b"a".to_vec() => "\"\"", "middle";
        "one zero byte": zeros(1) => "\"\"", "middle";
        "one zero block": zeros(512) => "\"\"", "end marker";
        "no end marker": whole.clone() => "\"\"", "end marker";
        "half an end marker": ended(512) => "\"\"", "end marker";
        "three quarters of one": ended(768) => "\"\"", "middle";
        "all but a byte of one": ended(1023) => "\"\"", "middle";
        "cut in the first name": cut(&whole, 3) => "\"\"", "middle";
        "cut behind a name": cut(&whole, 100) => "\"\"", "middle";
        "cut in a magic": cut(&whole, 260) => "\"\"", "middle";
        "cut a byte before contents": cut(&whole, 511) => "\"\"", "middle";
        "cut before contents": cut(&whole, 512) => "\"first\"", "middle";
        "cut in contents": cut(&whole, 515) => "\"first\"", "middle";
        "cut behind contents": cut(&whole, 519) => "\"first\"", "middle";
        "cut in padding": cut(&whole, 1000) => "\"first\"", "middle";
        "cut in the second header": cut(&whole, 1100) => "\"\"", "middle";
        "cut in the second contents": cut(&whole, 1540) => "\"second\"", "middle";
        "cut in a pax header": cut(&long_named, 200) => "\"\"", "middle";
        "cut in a pax record": cut(&long_named, 520) => "PaxHeaders", "middle";
        "cut behind a pax header": cut(&long_named, 1024) => "d/named", "end marker";
        "cut in the header behind pax": cut(&long_named, 1200) => "d/named", "middle";
        "cut in the contents behind pax": cut(&long_named, 1540) => "d/named", "middle";
        "cut in a long name": cut(&gnu_named, 515) => "LongLink", "middle";
        "cut behind a long name": cut(&gnu_named, 1024) => "d/named", "end marker";
        "cut in the header behind a long name": cut(&gnu_named, 1500) => "d/named", "middle";
    }
}

fn too_late() -> Vec<Case> {
    let behind = |rest: &[u8]| [tar(&[file("a")]), rest.to_vec()].concat();
    let leading_out = tar(&[file("../canary")]);
    let mut cases = refused! {
        "an entry behind a lone zero block": [file("a"), zeros(512), file("b")] => "\"\"", "behind the end";
        "a directory behind a lone zero block": [zeros(512), dir("d")] => "\"\"", "behind the end";
        "an entry behind the end marker, with none of its own": [file("a"), zeros(1024), file("../canary"), b"x".to_vec()] => "\"\"", "behind the end";
        "zero block between a pax header and its file": [pax(&[record("path", "b")]), zeros(512), file("a")] => "\"b\"", "no entry";
        "zero block between a long name and its file": [long(b'L', "b"), zeros(512), file("a")] => "\"b\"", "no entry";
        "zeros that a size counts, then an entry": [Head::new(b'0', "a").size(512).bytes(), zeros(1024), file("b")] => "\"\"", "behind the end";
    };
    cases.extend(refused_bytes! {
        "a byte behind the end": behind(&[1]) => "\"\"", "behind the end";
        "a newline behind the end": behind(b"\n") => "\"\"", "behind the end";
        "text behind the end": behind(&b"#!/bin/sh\n".repeat(60)) => "\"\"", "behind the end";
        "ones behind the end": behind(&[0xff; 512]) => "\"\"", "behind the end";
        "a compressed stream behind the end": behind(b"\xfd7zXZ\0 and so on") => "\"\"", "behind the end";
        "a second archive": behind(&tar(&[file("b")])) => "\"\"", "behind the end";
        "a second archive that leads out": behind(&leading_out) => "\"\"", "behind the end";
        "a second archive after a lot of padding": behind(&[zeros(10_240), leading_out].concat()) => "\"\"", "behind the end";
        "an empty archive, then one": [tar(&[]), tar(&[file("b")])].concat() => "\"\"", "behind the end";
        "a byte far behind the end": behind(&[zeros(1 << 20), vec![1]].concat()) => "\"\"", "behind the end";
        "text": b"#!/bin/sh\n".repeat(100) => "#!/bin/sh", "checksum";
        "HTML": b"<!doctype html><title>404</title>\n".repeat(20) => "<!doctype html>", "checksum";
    });
    cases
}
