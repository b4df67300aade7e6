//! Too much: entries without number, contents without end, out of packages that are small.

use std::fs;
use std::io::{Read, repeat};
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicU64, Ordering};

use wire::chain::chain;
use wire::outcome::Outcome;

use super::super::super::{Refusal, UnpackError, UnpackLimits, check, unpack};
use super::super::{Fenced, limits};
use super::{Case, entry};
use crate::decode::{DecodeLimits, decode};
use crate::fakes::archive::{Head, dir, file, symlink, tar};

const MIB: u64 = 1 << 20;
/// A machine of 64 MiB gives a decoder about this.
const DECODE: DecodeLimits = DecodeLimits {
    memory_bytes: 20 * MIB,
    threads: 1,
    output_cap: 32 * MIB,
};

fn many(make: impl Fn(u64) -> Vec<u8>) -> Vec<u8> {
    (0..=limits().entries).flat_map(make).collect()
}

pub fn cases() -> Vec<Case> {
    let case = |what, entries: Vec<u8>, names| {
        Case::bytes(what, tar(&[entries]), names, "more than 10000 entries")
    };
    let nested = |number: u64| {
        dir((0..number % 40).map(|_| "d/").collect::<String>() + &format!("n{number}"))
    };
    let empty = |number| Head::new(b'0', format!("f{number}")).bytes();
    vec![
        case("one file too many", many(empty), "f10000"),
        case(
            "one directory too many",
            many(|number| dir(format!("d{number}"))),
            "d10000",
        ),
        case("one nested directory too many", many(nested), "n10000"),
        case(
            "one symlink too many",
            many(|number| symlink(format!("l{number}"), "x")),
            "l10000",
        ),
        case(
            "one fifo too many",
            many(|number| Head::new(b'6', format!("p{number}")).bytes()),
            "p10000",
        ),
    ]
}

/// What a decoder makes of `head`, `zeros` zero bytes, packed well.
fn package(head: &[u8], zeros: u64) -> Vec<u8> {
    zstd::encode_all(head.chain(repeat(0).take(zeros)), 1).unwrap()
}

#[test]
fn contents_without_end_are_stopped_at_the_cap_and_named() {
    let claims: [(&str, Vec<u8>); 3] = [
        ("1 GiB", Head::new(b'0', "zeros").size(1 << 30).bytes()),
        (
            "8 GiB less one",
            Head::new(b'0', "zeros").size((1 << 33) - 1).bytes(),
        ),
        (
            "more than the stream",
            Head::new(b'0', "zeros")
                .put(124, &[0x80, 0, 0, 0, 0x7f, 0, 0, 0, 0, 0, 0, 0])
                .bytes(),
        ),
    ];
    for (what, head) in claims {
        let package = package(&head, 1 << 30);
        assert!(package.len() < 200_000, "a small package");
        let fenced = Fenced::new();
        let error = fenced
            .unpack(decode(&package[..], DECODE).unwrap())
            .expect_err(what);
        fenced.assert_fence_holds();
        assert_eq!(entry(&error), "\"zeros\"", "{what}");
        assert_eq!(error.outcome(), Outcome::Refuse, "{what}");
        let written = fs::metadata(fenced.root().join("zeros")).unwrap().len();
        assert_eq!(
            written,
            DECODE.output_cap - 512,
            "{what}: nothing beyond the cap"
        );
    }
}

#[test]
fn padding_without_end_is_stopped_at_the_cap() {
    let archive = tar(&[file("a")]);
    let package = package(&archive, 1 << 30);
    let error = check(decode(&package[..], DECODE).unwrap(), &limits()).expect_err("padding");
    assert_eq!(error.outcome(), Outcome::Refuse, "{}", chain(&error));
}

#[test]
fn entries_without_end_are_refused_long_before_the_archive_is_read() {
    // 200,000 headers, 100 MB of tar.
    let mut headers = Vec::new();
    for number in 0..200_000 {
        headers.extend(Head::new(b'0', format!("f{number}")).bytes());
    }
    let package = zstd::encode_all(&headers[..], 1).unwrap();
    let fenced = Fenced::new();
    let root = fs::File::open(fenced.root()).unwrap();
    let progress = AtomicU64::new(0);
    let some = UnpackLimits {
        entries: 1000,
        ..limits()
    };
    let plenty = DecodeLimits {
        output_cap: 1 << 30,
        ..DECODE
    };
    let decoder = decode(&package[..], plenty).unwrap();
    let error = unpack(decoder, root.as_fd(), &some, &progress).expect_err("too many");
    fenced.assert_fence_holds();
    assert!(
        matches!(
            &error,
            UnpackError::Refused {
                reason: Refusal::TooManyEntries(1000),
                ..
            }
        ),
        "{error:?}"
    );
    assert_eq!(entry(&error), "\"f1000\"");
    assert_eq!(fs::read_dir(fenced.root()).unwrap().count(), 1000);
    assert_eq!(progress.load(Ordering::Relaxed), 1001 * 512);
}
