//! Headers: types that nobody needs, unknown formats, and checksums.

use super::Case;
use crate::fakes::archive::{Head, file};

fn typed(kind: u8) -> Vec<u8> {
    Head::new(kind, "z").bytes()
}

fn magic(text: &[u8; 8]) -> Vec<u8> {
    Head::new(b'0', "old").put(257, text).bytes()
}

/// With this text for a checksum.
fn summed(text: &[u8; 8]) -> Vec<u8> {
    let mut block = file("b");
    block[148..156].copy_from_slice(text);
    block
}

/// The sum that its bytes have, each taken as the function says, the field itself as `blank`.
fn sum(block: &[u8], blank: u8, value: impl Fn(u8) -> i64) -> i64 {
    (0..512)
        .map(|at| {
            value(if (148..156).contains(&at) {
                blank
            } else {
                block[at]
            })
        })
        .sum()
}

pub fn cases() -> Vec<Case> {
    [types(), formats(), checksums()]
        .into_iter()
        .flatten()
        .collect()
}

fn types() -> Vec<Case> {
    refused! {
        "unknown type": [typed(b'Z')] => "\"z\"", "0x5a";
        "contiguous file": [typed(b'7')] => "\"z\"", "0x37";
        "type 8": [typed(b'8')] => "\"z\"", "0x38";
        "type 9": [typed(b'9')] => "\"z\"", "0x39";
        "socket of star": [typed(b's')] => "\"z\"", "0x73";
        "Solaris access list": [typed(b'A')] => "\"z\"", "0x41";
        "Solaris attributes": [typed(b'E')] => "\"z\"", "0x45";
        "inode of star": [typed(b'I')] => "\"z\"", "0x49";
        "Solaris extended header": [typed(b'X')] => "\"z\"", "0x58";
        "GNU dump directory": [Head::new(b'D', "z").gnu().bytes()] => "\"z\"", "0x44";
        "GNU multi-volume": [Head::new(b'M', "z").gnu().bytes()] => "\"z\"", "0x4d";
        "GNU old long names": [Head::new(b'N', "z").gnu().with(b"Rename a to ../canary\n")] => "\"z\"", "0x4e";
        "GNU volume label": [Head::new(b'V', "z").gnu().bytes()] => "\"z\"", "0x56";
        "type of a blank": [typed(b' ')] => "\"z\"", "0x20";
        "type of a newline": [typed(b'\n')] => "\"z\"", "0x0a";
        "type of all bits": [typed(0xff)] => "\"z\"", "0xff";
        "unknown type that leads out": [Head::new(b'Q', "../canary").with(b"x")] => "../canary", "0x51";
    }
}

fn formats() -> Vec<Case> {
    refused! {
        "v7 header": [magic(&[0; 8])] => "\"old\"", "neither";
        "ustar of version 01": [magic(b"ustar\x0001")] => "\"old\"", "neither";
        "ustar in capitals": [magic(b"USTAR\x0000")] => "\"old\"", "neither";
        "ustar with GNU's version": [magic(b"ustar\0 \0")] => "\"old\"", "neither";
        "GNU without its nul": [magic(b"ustar   ")] => "\"old\"", "neither";
        "star of old": [magic(b"tar\0\0\0\0\0")] => "\"old\"", "neither";
        "second header of another format": [file("a"), magic(b"\0\0\0\0\0\0\0\0")] => "\"old\"", "neither";
    }
}

fn checksums() -> Vec<Case> {
    let high = Head::new(b'0', b"b\xff\xff").bytes();
    // As old tars wrote it on machines with signed characters.
    let signed = sum(&high, b' ', |byte| i64::from(byte.cast_signed()));
    let mut high_signed = high.clone();
    high_signed[148..156].copy_from_slice(format!("{signed:06o}\0 ").as_bytes());
    let plain = file("b");
    let right = sum(&plain, b' ', i64::from);
    let without_blanks = sum(&plain, 0, i64::from);
    let octal =
        |value: i64| -> [u8; 8] { format!("{value:06o}\0 ").into_bytes().try_into().unwrap() };
    let mut base256 = [0; 8];
    base256[0] = 0x80;
    base256[4..].copy_from_slice(&u32::try_from(right).unwrap().to_be_bytes());
    let mut renamed = plain.clone();
    renamed[0] = b'c';
    let mut swapped = plain.clone();
    swapped.swap(0, 100);
    let mut cases = refused! {
        "wrong checksum": [file("a"), Head::new(b'0', "b").wrong_checksum().with(b"")] => "\"b\"", "checksum";
        "checksum of nothing": [summed(&[0; 8])] => "\"b\"", "checksum";
        "checksum of blanks": [summed(b"        ")] => "\"b\"", "checksum";
        "checksum in letters": [summed(b"checksum")] => "\"b\"", "checksum";
        "checksum without counting its own blanks": [summed(&octal(without_blanks))] => "\"b\"", "checksum";
        "checksum in decimal": [summed(format!("{right:07}\0").as_bytes().try_into().unwrap())] => "\"b\"", "checksum";
        "checksum in base 256": [summed(&base256)] => "\"b\"", "checksum";
        "checksum of signed characters": [high_signed] => "\"b\\xff\\xff\"", "checksum";
        "name changed under its checksum": [renamed] => "\"c\"", "checksum";
        "checksum of a header changed in its first half": [file("a"), { let mut head = file("b"); head[10] = 1; head }] => "\"b\"", "checksum";
        "a block that is not zero, where the end is meant": [file("a"), { let mut block = vec![0; 512]; block[511] = 1; block }] => "\"\"", "checksum";
    };
    // The sum alone does not see bytes that change places; what it lets through is looked at like
    // any header.
    cases.extend(refused! {
        "bytes of name and mode exchanged": [swapped] => "\"0\"", "mode";
        "a cpio archive": [b"070701".iter().copied().chain([b'0'; 506]).collect::<Vec<u8>>()] => "070701000", "checksum";
        "a zip archive": [b"PK\x03\x04".iter().copied().chain([0x14; 508]).collect::<Vec<u8>>()] => "PK\\x03\\x04", "checksum";
        "a compressed archive inside": [b"\xfd7zXZ\0".iter().copied().chain([0x5a; 506]).collect::<Vec<u8>>()] => "\\xfd7zXZ", "checksum";
    });
    cases
}
