//! Numeric fields: not octal, too large, negative, in base 256, in formats that GNU tar once had.

use super::Case;
use crate::fakes::archive::{Head, pax_global, record};

/// Of the ustar header: offset and length (pax(1), ustar Header Block).
const MODE: (usize, usize) = (100, 8);
const UID: (usize, usize) = (108, 8);
const GID: (usize, usize) = (116, 8);
const SIZE: (usize, usize) = (124, 12);
const MTIME: (usize, usize) = (136, 12);
const MAJOR: (usize, usize) = (329, 8);
const MINOR: (usize, usize) = (337, 8);

/// A file with this text in one field.
fn text(field: (usize, usize), text: &str) -> Vec<u8> {
    text_in(b'0', field, text)
}

fn text_in(kind: u8, (at, len): (usize, usize), text: &str) -> Vec<u8> {
    let mut bytes = text.as_bytes().to_vec();
    bytes.resize(len, 0);
    Head::new(kind, "a").put(at, &bytes).bytes()
}

/// A file with a field of base 256: this first byte, all others `rest`.
fn base256(field: (usize, usize), first: u8, rest: u8) -> Vec<u8> {
    base256_in(b'0', field, first, rest)
}

fn base256_in(kind: u8, (at, len): (usize, usize), first: u8, rest: u8) -> Vec<u8> {
    let bytes = [&[first][..], &vec![rest; len - 1]].concat();
    Head::new(kind, "a").put(at, &bytes).bytes()
}

pub fn cases() -> Vec<Case> {
    [sizes(), owners_and_modes(), times(), devices()]
        .into_iter()
        .flatten()
        .collect()
}

fn sizes() -> Vec<Case> {
    refused! {
        "size in letters": [text(SIZE, "0000000000z")] => "\"a\"", "size";
        "size with the digit 8": [text(SIZE, "00000000008")] => "\"a\"", "size";
        "size with a sign": [text(SIZE, "-0000000001")] => "\"a\"", "size";
        "size in GNU's old base 64": [text(SIZE, "+BAAAAAAAAAA")] => "\"a\"", "size";
        "size in hexadecimal": [text(SIZE, "0x00000001")] => "\"a\"", "size";
        "size with a blank inside": [text(SIZE, "0000 001")] => "\"a\"", "size";
        "size with nul inside": [text(SIZE, "0000\x00001")] => "\"a\"", "size";
        "size with digits behind its end": [text(SIZE, "00000000\x00001")] => "\"a\"", "size";
        "size beyond 64 bits": [base256(SIZE, 0x80, 0xff)] => "\"a\"", "size";
        "size beyond 64 bits by one bit": [Head::new(b'0', "a").put(124, &[0x80, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0]).bytes()] => "\"a\"", "size";
        "size negative": [base256(SIZE, 0xff, 0xff)] => "\"a\"", "size";
        "size very negative": [base256(SIZE, 0xc0, 0)] => "\"a\"", "size";
        "size of a global header negative": [Head::new(b'g', "a").put(124, &[0xff; 12]).bytes(), pax_global(&[record("comment", "x")])] => "\"a\"", "size";
    }
}

fn owners_and_modes() -> Vec<Case> {
    refused! {
        "mode beyond 32 bits": [base256(MODE, 0x80, 0xff)] => "\"a\"", "mode";
        "mode negative": [base256(MODE, 0xff, 0xff)] => "\"a\"", "mode";
        "mode in letters": [text(MODE, "rwxr-xr")] => "\"a\"", "mode";
        "mode with the digit 9": [text(MODE, "0000999")] => "\"a\"", "mode";
        "user id beyond 32 bits": [base256(UID, 0x80, 0xff)] => "\"a\"", "user id";
        "user id negative": [base256(UID, 0xff, 0xff)] => "\"a\"", "user id";
        "user id nobody may be": [Head::new(b'0', "a").put(108, &[0x80, 0, 0, 0, 0xff, 0xff, 0xff, 0xff]).bytes()] => "\"a\"", "user id";
        "user id that wraps to root": [Head::new(b'0', "a").put(108, &[0x80, 0, 0, 1, 0, 0, 0, 0]).bytes()] => "\"a\"", "user id";
        "user id in letters": [text(UID, "root")] => "\"a\"", "user id";
        "group id beyond 32 bits": [base256(GID, 0x80, 0xff)] => "\"a\"", "group id";
        "group id negative": [base256(GID, 0xff, 0xfe)] => "\"a\"", "group id";
        "group id with a blank inside": [text(GID, "00 0001")] => "\"a\"", "group id";
    }
}

fn times() -> Vec<Case> {
    refused! {
        "time beyond 64 bits": [base256(MTIME, 0x80, 0xff)] => "\"a\"", "time";
        "time before 64 bits": [base256(MTIME, 0xc0, 0)] => "\"a\"", "time";
        "time in letters": [text(MTIME, "yesterday")] => "\"a\"", "time";
        "time with a point": [text(MTIME, "00001.5")] => "\"a\"", "time";
    }
}

fn devices() -> Vec<Case> {
    let device =
        |kind: u8, major: u32, minor: u32| Head::new(kind, "a").device(major, minor).bytes();
    refused! {
        "major number too large": [device(b'3', 4096, 0)] => "\"a\"", "major";
        "minor number too large": [device(b'4', 1, 1 << 20)] => "\"a\"", "minor";
        "major number negative": [base256_in(b'3', MAJOR, 0xff, 0xff)] => "\"a\"", "major";
        "minor number negative": [base256_in(b'4', MINOR, 0xff, 0xff)] => "\"a\"", "minor";
        "major number that wraps to disks": [Head::new(b'4', "a").put(329, &[0x80, 0, 0, 1, 0, 0, 0, 8]).bytes()] => "\"a\"", "major";
        "major number in letters": [text_in(b'3', MAJOR, "sda")] => "\"a\"", "major";
        "minor number with the digit 8": [text_in(b'4', MINOR, "0000008")] => "\"a\"", "minor";
    }
}
