//! Lies about sizes, by which one reader is made to see entries where another sees contents.
//!
//! CVE-2025-62518 and CVE-2026-33055 (the header's size believed, the extended one not, or the
//! reverse), CVE-2026-53655, GHSA-3cv2-h65g-fgmm and GHSA-fp55-jw48-c537 (an extended size applied
//! to the long-name header behind it).

use super::Case;
use crate::fakes::archive::{
    Head, dir, file, hard_link, long, pax, pax_global, record, symlink, tar,
};

fn size(text: &str) -> Vec<u8> {
    pax(&[record("size", text)])
}

/// A file whose contents are themselves a whole entry with a name that leads out.
fn nested(claimed_len: u64) -> Vec<u8> {
    let inner = file("../canary");
    Head::new(b'0', "a")
        .size(claimed_len)
        .with_unclaimed(&inner)
}

pub fn cases() -> Vec<Case> {
    [
        disagreeing(),
        misapplied(),
        no_numbers(),
        of_extensions(),
        without_contents(),
        beyond_the_end(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn disagreeing() -> Vec<Case> {
    refused! {
        "pax size larger": [size("1024"), file("a")] => "\"a\"", "says 7 bytes, its extended header 1024";
        "pax size smaller": [size("0"), file("a")] => "\"a\"", "says 7 bytes";
        "pax size off by one": [size("8"), file("a")] => "\"a\"", "says 7 bytes, its extended header 8";
        "pax size over an empty file": [size("512"), Head::new(b'0', "a").with(b"")] => "\"a\"", "512";
        "pax size huge": [size("18446744073709551615"), Head::new(b'0', "a").size(7).bytes()] => "\"a\"", "says 7";
        "pax size of 8 GiB over seven bytes": [size("8589934592"), file("a")] => "\"a\"", "says 7 bytes";
        "entry hidden in a file by pax": [size("1024"), nested(0)] => "\"a\"", "says 0 bytes, its extended header 1024";
        "entry hidden from pax": [size("0"), nested(1024)] => "\"a\"", "says 1024 bytes, its extended header 0";
        "pax size over base 256": [size("8"), Head::new(b'0', "a").put(124, &base256(7)).with_unclaimed(b"content")] => "\"a\"", "says 7";
        "pax size just below what needs it": [size("8589934591"), Head::new(b'0', "a").with(b"")] => "\"a\"", "8589934591";
    }
}

fn misapplied() -> Vec<Case> {
    refused! {
        "pax size before a long name": [size("7"), long(b'L', "b"), file("a")] => "PaxHeaders", "exclude";
        "pax size that fits the long name": [size("2"), long(b'L', "b"), file("a")] => "PaxHeaders", "exclude";
        "pax size of 0 before a long name": [size("0"), long(b'L', "../canary"), file("a")] => "PaxHeaders", "exclude";
        "pax size that swallows the long name": [size("1536"), long(b'L', "b"), file("a")] => "PaxHeaders", "exclude";
        "pax size before a long link": [size("7"), long(b'K', "b"), symlink("a", "b")] => "PaxHeaders", "exclude";
        "pax size before both": [size("7"), long(b'K', "b"), long(b'L', "c"), symlink("a", "b")] => "PaxHeaders", "exclude";
        "long name before pax": [long(b'L', "b"), size("7"), file("a")] => "\"b\"", "exclude";
        "long link before pax": [long(b'K', "b"), size("0"), symlink("a", "b")] => "LongLink", "exclude";
        "pax between long names": [long(b'L', "b"), size("7"), long(b'K', "c"), file("a")] => "\"b\"", "exclude";
        "two pax headers": [size("7"), size("7"), file("a")] => "PaxHeaders", "exclude";
        "two pax headers that differ": [pax(&[record("path", "b")]), pax(&[record("path", "c")]), file("a")] => "\"b\"", "exclude";
        "two long names": [long(b'L', "b"), long(b'L', "c"), file("a")] => "\"b\"", "exclude";
        "two long links": [long(b'K', "b"), long(b'K', "c"), symlink("a", "b")] => "LongLink", "exclude";
        "two long names, one of them behind a long link": [long(b'L', "b"), long(b'K', "x"), long(b'L', "c"), symlink("a", "b")] => "\"b\"", "exclude";
        "global between pax and its file": [size("7"), pax_global(&[record("comment", "x")]), file("a")] => "PaxHeaders", "exclude";
        "global between a long name and its file": [long(b'L', "b"), pax_global(&[record("comment", "x")]), file("a")] => "\"b\"", "exclude";
        "nothing behind pax": [size("7")] => "PaxHeaders", "no entry";
        "nothing behind a long name": [long(b'L', "b")] => "\"b\"", "no entry";
        "nothing behind a long link": [file("a"), long(b'K', "b")] => "LongLink", "no entry";
    }
}

fn no_numbers() -> Vec<Case> {
    refused! {
        "pax size no number": [size("7x"), file("a")] => "PaxHeaders", "size";
        "pax size empty": [size(""), file("a")] => "PaxHeaders", "size";
        "pax size negative": [size("-7"), file("a")] => "PaxHeaders", "size";
        "pax size with a sign": [size("+7"), file("a")] => "PaxHeaders", "size";
        "pax size behind a blank": [size(" 7"), file("a")] => "PaxHeaders", "size";
        "pax size before a blank": [size("7 "), file("a")] => "PaxHeaders", "size";
        "pax size in hexadecimal": [size("0x7"), file("a")] => "PaxHeaders", "size";
        "pax size with a fraction": [size("7.0"), file("a")] => "PaxHeaders", "size";
        "pax size with nul": [size("7\0"), file("a")] => "PaxHeaders", "size";
        "pax size beyond 64 bits": [size("18446744073709551616"), file("a")] => "PaxHeaders", "size";
        "pax size that wraps to 7": [size("18446744073709551623"), file("a")] => "PaxHeaders", "size";
    }
}

fn of_extensions() -> Vec<Case> {
    let gnu = |kind: u8| Head::new(kind, "x").gnu();
    refused! {
        "pax header of 1 GiB": [Head::new(b'x', "x").size(1 << 30).bytes()] => "\"x\"", "too long";
        "pax header one byte too long": [Head::new(b'x', "x").size((256 << 10) + 1).bytes()] => "\"x\"", "too long";
        "pax header of 2^63": [Head::new(b'x', "x").put(124, &base256(1 << 63)).bytes()] => "\"x\"", "too long";
        "pax header of negative size": [Head::new(b'x', "x").put(124, &[0xff; 12]).bytes()] => "\"x\"", "size";
        "pax header that swallows its file": [Head::new(b'x', "x").size(1024).with_unclaimed(&record("size", "7")), file("a")] => "\"x\"", "malformed";
        "global header of 1 GiB": [Head::new(b'g', "x").size(1 << 30).bytes()] => "\"x\"", "too long";
        "long name of 1 GiB": [gnu(b'L').size(1 << 30).bytes()] => "\"x\"", "too long";
        "long name one byte too long": [gnu(b'L').size(4097).bytes()] => "\"x\"", "too long";
        "long name of negative size": [gnu(b'L').put(124, &[0xff; 12]).bytes()] => "\"x\"", "size";
        "long name that swallows its file": [gnu(b'L').size(1024).with_unclaimed(b"b\0"), file("a"), file("c")] => "b\\x00", "checksum";
        "long name of no bytes": [gnu(b'L').bytes(), file("a")] => "\"\"", "empty";
        "long link of 1 TiB": [gnu(b'K').put(124, &base256(1 << 40)).bytes()] => "\"x\"", "too long";
    }
}

fn without_contents() -> Vec<Case> {
    refused! {
        "directory with contents": [Head::new(b'5', "d").with(b"x")] => "\"d\"", "contents";
        "directory with an entry as contents": [Head::new(b'5', "d").with(&file("../canary"))] => "\"d\"", "contents";
        "fifo with contents": [Head::new(b'6', "f").with(b"x")] => "\"f\"", "contents";
        "character device with contents": [Head::new(b'3', "c").with(b"x")] => "\"c\"", "contents";
        "block device with contents": [Head::new(b'4', "b").with(b"x")] => "\"b\"", "contents";
        "directory of a size without contents": [Head::new(b'5', "d").size(4096).bytes()] => "\"d\"", "contents";
        "directory with a size by pax": [size("512"), dir("d")] => "\"d\"", "says 0 bytes";
        "symlink with a size by pax": [size("512"), symlink("s", "x")] => "\"s\"", "says 0 bytes";
        "hard link with a size by pax": [file("a"), size("7"), hard_link("h", "a")] => "\"h\"", "says 0 bytes";
        "directory with a large size by pax": [size("9000000000"), dir("d")] => "\"d\"", "contents";
        "symlink with a large size by pax": [size("9000000000"), symlink("s", "x")] => "\"s\"", "contents";
    }
}

fn beyond_the_end() -> Vec<Case> {
    let mut cases = refused! {
        "size beyond the archive": [Head::new(b'0', "a").size(1 << 32).with_unclaimed(b"x")] => "\"a\"", "middle of an entry";
        "size of 2^62 in base 256": [Head::new(b'0', "a").put(124, &base256(1 << 62)).with_unclaimed(b"x")] => "\"a\"", "middle of an entry";
        "size of 2^64 less one in base 256": [Head::new(b'0', "a").put(124, &base256(u64::MAX)).with_unclaimed(b"x")] => "\"a\"", "middle of an entry";
        "size of twelve digits": [Head::new(b'0', "a").put(124, b"777777777777").with_unclaimed(b"x")] => "\"a\"", "middle of an entry";
        "pax size of 9 GB over an empty file": [size("9000000000"), Head::new(b'0', "a").bytes()] => "\"a\"", "middle of an entry";
        "pax size of 2^64 less one over an empty file": [size("18446744073709551615"), Head::new(b'0', "a").bytes()] => "\"a\"", "middle of an entry";
        "pax size of 9 GB over the largest octal one": [size("9000000000"), Head::new(b'0', "a").size(0o77_777_777_777).bytes()] => "\"a\"", "middle of an entry";
        "size that takes the end marker": [Head::new(b'0', "a").size(1024).bytes()] => "\"\"", "end marker";
        "size that takes half the end marker": [Head::new(b'0', "a").size(512).bytes()] => "\"\"", "end marker";
    };
    let archive = tar(&[file("first"), nested(1024)]);
    cases.push(Case::bytes(
        "size that ends with the archive, which has no end marker",
        archive[..archive.len() - 1024].to_vec(),
        "\"\"",
        "end marker",
    ));
    cases
}

/// A size field in base 256.
fn base256(value: u64) -> [u8; 12] {
    let mut field = [0; 12];
    field[0] = 0x80;
    field[4..].copy_from_slice(&value.to_be_bytes());
    field
}
